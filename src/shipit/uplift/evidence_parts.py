# SPDX-License-Identifier: MPL-2.0
"""What a worker makes for a request's page: whether it is there, can be asked for, or is waited for. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shipit.merge.conflict_view import ConflictView
from shipit.merge.interdiff import InterdiffView
from shipit.merge.types import Outcome
from shipit.uplift.evidence import AskState, ConflictPart, InterdiffPart, VersionShown
from shipit.uplift.told import Told, ToldDetail, ToldVersion, ToldWish, conflict_key, interdiff_key
from shipit.uplift.types import RequestState
from shipit.uplift.wording import moment, version_of

CONFLICT, INTERDIFF = "conflict", "interdiff"


def conflict_part(told: Told) -> ConflictPart:
    """What does not merge in the newest trial: shown, offered, or waited for."""
    trial = told.trials[0] if told.trials else None
    if trial is None or trial.outcome is not Outcome.CONFLICT:
        return ConflictPart(state=AskState.NONE, sentence="Its newest trial shows no conflict.")
    key = conflict_key(trial.series_digest, trial.tip)
    made = {one.key: one for one in told.details if one.kind == CONFLICT}
    found = made.get(key)
    if found is not None:
        view = msgspec.convert(found.content, ConflictView)
        said = view.reason or f"What conflicts on {told.train.name} at {trial.tip[:12]}."
        return ConflictPart(state=AskState.READY, sentence=said, made_at=found.made_at, view=view)
    wish = _wish(told, CONFLICT, "", since=trial.tried_at)
    older = max(made.values(), key=lambda one: one.made_at, default=None)
    old = None if older is None else msgspec.convert(older.content, ConflictView)
    return ConflictPart(
        state=_state(wish),
        sentence=_waits(told, wish, "Its hunks can be asked for.", "The hunks"),
        asked_at=wish.asked_at if wish else None,
        made_at=older.made_at if older else None,
        is_old=older is not None,
        view=old,
    )


def interdiff_part(told: Told) -> InterdiffPart:
    """What changed since the version that was approved, else since the version before."""
    current = told.request.series_digest
    older = [one for one in told.versions if one.digest != current]
    if current is None or not older:
        return InterdiffPart(
            state=AskState.NONE, sentence="Its patches did not change since it was first seen."
        )
    decided = decided_version(told)
    is_reopened = (
        told.request.state is RequestState.APPROVED and decided is not None and decided.digest != current
    )
    since = decided if is_reopened and decided is not None else older[-1]
    reopened = "The patches changed after the approval. " if is_reopened else ""
    found = _detail(told, INTERDIFF, interdiff_key(since.digest, current))
    wish = _wish(told, INTERDIFF, since.digest)
    part = InterdiffPart(
        state=_state(wish),
        sentence=reopened
        + _waits(told, wish, f"What changed since {moment(since.seen_at)} can be asked for.", "What changed"),
        since=since.digest,
        is_since_approval=is_reopened,
        asked_at=wish.asked_at if wish else None,
    )
    if found is None:
        return part
    view = msgspec.convert(found.content, InterdiffView)
    return msgspec.structs.replace(
        part, state=AskState.READY, sentence=reopened + view.sentence, made_at=found.made_at, view=view
    )


def decided_version(told: Told) -> ToldVersion | None:
    """The version that stood when the decision was first seen; None while undecided.

    A version that came with the decision in one reading counts as the decided one: which was first cannot be
    told, and a question must not be reopened by a guess.
    """
    state = told.request.state
    seen = [
        one.at for one in told.request.history if one.what in ("state", "seen") and one.after == state.value
    ]
    is_decided = state in (RequestState.APPROVED, RequestState.REJECTED)
    return version_at(told.versions, seen[-1]) if is_decided and seen else None


def version_at(versions: tuple[ToldVersion, ...], at: datetime) -> ToldVersion | None:
    """The newest of some versions (oldest first) that had been seen at a time."""
    return next((one for one in reversed(versions) if one.seen_at <= at), None)


def versions_shown(told: Told) -> tuple[VersionShown, ...]:
    """Every version of the patches that we saw, oldest first."""
    decided = decided_version(told)
    return tuple(
        VersionShown(
            digest=one.digest,
            seen_at=one.seen_at,
            patches=tuple(version_of(patch) for patch in one.series),
            is_current=one.digest == told.request.series_digest,
            is_decided=decided is not None and one.digest == decided.digest,
        )
        for one in told.versions
    )


def _detail(told: Told, kind: str, key: str) -> ToldDetail | None:
    return next((one for one in told.details if (one.kind, one.key) == (kind, key)), None)


def _wish(told: Told, kind: str, detail: str, *, since: datetime | None = None) -> ToldWish | None:
    """The wish for this; one that failed before `since` says nothing of what there is now."""
    found = next((one for one in told.wishes if (one.kind, one.detail) == (kind, detail)), None)
    is_old = found is not None and since is not None and found.done_at is not None and found.done_at < since
    return None if is_old else found


def _state(wish: ToldWish | None) -> AskState:
    return AskState.ASKED if wish is not None and wish.done_at is None else AskState.OFFERED


def _waits(told: Told, wish: ToldWish | None, offer: str, what: str) -> str:
    """Who waits for what, and when a worker was last seen; or why it could not be made."""
    if wish is None:
        return offer
    if wish.done_at is not None:
        return f"{what} could not be made at {moment(wish.done_at)}: {wish.error}."
    seen = f"; a bot last finished {moment(told.last_look)}" if told.last_look else ""
    return f"{what}: asked for {moment(wish.asked_at)}, made at the bot's next look{seen}."
