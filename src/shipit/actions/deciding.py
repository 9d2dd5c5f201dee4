# SPDX-License-Identifier: MPL-2.0
"""Decide about requests: preview, decide, take back, resume, let be; the same for page, API and CLI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from shipit.actions.decisions_shown import (
    Blocker,
    DecisionShown,
    Preview,
    Warned,
    decision_shown,
    preview_shown,
)
from shipit.actions.persons import ADMIN, Actor
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.storage import advice, decisions, keys
from shipit.storage.decisions import Line, NewDecision, Stored
from shipit.storage.pool import Connection
from shipit.uplift.decision_states import PartState
from shipit.uplift.decision_types import Decider, Difference, Facts, Part, Plan, Refusal, Seen, Stamp
from shipit.uplift.decisions import plan
from shipit.uplift.needs import approval_warnings
from shipit.uplift.verdicts import Verdict, Wanted

DECIDE = "project:shipit:decide"
HOLD = timedelta(seconds=10)
SHADOW = "shadow mode: nothing is written to Bugzilla or Phabricator from here, as no writing is configured"
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,99}")


class Decide(Wanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A verdict to be carried out. seen, stamps: as the preview gave them, by bug and by request."""

    seen: dict[str, Seen] = msgspec.field(default_factory=dict)
    stamps: dict[str, Stamp] = msgspec.field(default_factory=dict)

    @property
    def wanted(self) -> Wanted:
        """The verdict alone."""
        return Wanted(**{name: getattr(self, name) for name in Wanted.__struct_fields__})


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What this installation allows. is_shadow: nothing is written outside. relnote_field: of Bugzilla."""

    is_shadow: bool
    has_phabricator: bool
    relnote_field: str | None = None
    hold: timedelta = HOLD


class Changed(Refused):
    """What the decider saw is not so any more; nothing is stored."""

    def __init__(self, differences: Sequence[Difference], preview: Preview, detail: str) -> None:
        super().__init__(detail)
        self.differences = tuple(differences)
        self.preview = preview


class Unreached(Refused):
    """None of the requests can be decided so."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        first = refusals[0]
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{first.request}: {first.field}: {first.reason}{more}")
        self.refusals = tuple(refusals)


def trains_of(by: Actor, trains: Sequence[str]) -> frozenset[str]:
    """Those of these trains that they may decide."""
    return frozenset(name for name in trains if by.has(f"{DECIDE}/{name}"))


async def preview(
    connection: Connection, wanted: Wanted, by: Actor, *, see_restricted: bool, house: House, now: datetime
) -> Preview:
    """Exactly what a verdict would write where, as whom, and what it would not. Stores nothing."""
    facts, kept = await _facts(connection, wanted, by, see_restricted=see_restricted, house=house)
    made = plan(wanted, facts, now)
    warnings = await _warnings(connection, made, see_restricted=see_restricted)
    return preview_shown(made, facts, _blockers(made, kept, house), warnings)


async def _warnings(connection: Connection, made: Plan, *, see_restricted: bool) -> tuple[Warned, ...]:
    """Of an approval: what each request needs first that is approved neither before nor with it."""
    if made.verdict is not Verdict.APPROVE:
        return ()
    uids = [uid for part in made.parts for uid in part.requests]
    found = await advice.of_requests(connection, uids, see_restricted=see_restricted)
    return tuple(
        Warned(uid, text)
        for uid, one in found.items()
        if one.is_current
        for text in approval_warnings(one.train, one.needs, also=uids)
    )


async def decide(
    connection: Connection,
    uid: str,
    given: Decide,
    by: Actor,
    *,
    see_restricted: bool,
    house: House,
    now: datetime,
) -> tuple[DecisionShown, bool]:
    """Store a decision, to be written when its hold ends; (decision, whether it is new).

    The same again changes nothing. Raises Changed when something is not as it was seen, Unreached when no
    request can be decided so, Refused in shadow mode and for another body under this uid, NotAllowed.
    """
    if not _UID.fullmatch(uid):
        raise InvalidInput("uid", expected="8 to 100 letters, digits, dots, _ and -", got=uid)
    digest = _digest(given, by)
    known = await decisions.digest(connection, uid)
    if known is None:
        new = await _new(connection, uid, given, by, digest, see_restricted, house, now)
        if await decisions.put(connection, new):
            for part in new.parts:
                await decisions.note(connection, _made(new, part, given))
            return await read(connection, uid, by, see_restricted=see_restricted), True
        known = await decisions.digest(connection, uid)
    if known != digest:
        raise Refused(f"there is another decision {uid!r}")
    return await read(connection, uid, by, see_restricted=see_restricted), False


async def read(connection: Connection, uid: str, by: Actor, *, see_restricted: bool) -> DecisionShown:
    """A decision as it stands. Raises Missing."""
    found = await decisions.shown(connection, see_restricted=see_restricted, uid=uid)
    if not found:
        raise Missing(f"there is no decision {uid!r}")
    return decision_shown(found[0], may_change=_may_change(found[0], by))


async def listed(
    connection: Connection,
    by: Actor | None,
    *,
    see_restricted: bool,
    request: str | None = None,
    bug: int | None = None,
    state: PartState | None = None,
    is_mine: bool = False,
    limit: int = 100,
) -> list[DecisionShown]:
    """Decisions, newest first."""
    found = await decisions.shown(
        connection,
        see_restricted=see_restricted,
        request=request,
        bug=bug,
        state=state,
        person=by.person if by is not None and is_mine else None,
        limit=limit,
    )
    return [decision_shown(one, may_change=by is not None and _may_change(one, by)) for one in found]


async def undo(connection: Connection, uid: str, by: Actor, *, see_restricted: bool) -> DecisionShown:
    """Take a decision back, as long as no runner has taken it up. Raises Missing, NotAllowed, Refused."""
    parts = await _locked(connection, uid, by, see_restricted=see_restricted)
    if all(state is PartState.UNDONE for state in parts.values()):
        return await read(connection, uid, by, see_restricted=see_restricted)
    if any(state is not PartState.HELD for state in parts.values()):
        raise Refused("it is being written, or was; decide again to change it")
    await decisions.undo(connection, uid)
    await _note(connection, uid, by, "taken back", see_restricted=see_restricted)
    return await read(connection, uid, by, see_restricted=see_restricted)


async def resume(
    connection: Connection, uid: str, by: Actor, *, see_restricted: bool, house: House
) -> DecisionShown:
    """Go on with what is stuck: only what is not written yet is tried again."""
    if house.is_shadow:
        raise Refused(SHADOW)
    stuck = await _stuck(connection, uid, by, see_restricted=see_restricted)
    for bug in stuck:
        await decisions.resume(connection, uid, bug)
    await _note(connection, uid, by, "resumed", see_restricted=see_restricted, bugs=stuck)
    return await read(connection, uid, by, see_restricted=see_restricted)


async def drop(
    connection: Connection, uid: str, by: Actor, *, see_restricted: bool, why: str
) -> DecisionShown:
    """Let what is stuck be; what was written stays."""
    stuck = await _stuck(connection, uid, by, see_restricted=see_restricted)
    for bug in stuck:
        await decisions.drop(connection, uid, bug)
    await _note(connection, uid, by, "let be", see_restricted=see_restricted, bugs=stuck, why=why)
    return await read(connection, uid, by, see_restricted=see_restricted)


# --- the steps of deciding --------------------------------------------------------------------------


async def _facts(
    connection: Connection, wanted: Wanted, by: Actor, *, see_restricted: bool, house: House
) -> tuple[Facts, dict[str, keys.Kept]]:
    requests, bugs, trains = await decisions.facts(
        connection, wanted.requests, wanted.bugs, see_restricted=see_restricted
    )
    kept = await keys.kept(connection, by.person)
    facts = Facts(
        requests=requests,
        bugs=bugs,
        trains=trains,
        decider=Decider(
            person=by.person,
            bugzilla=kept["bugzilla"].account if "bugzilla" in kept else None,
            phabricator=kept["phabricator"].account if "phabricator" in kept else None,
            trains=trains_of(by, list(trains)),
        ),
        has_phabricator=house.has_phabricator,
        relnote_field=house.relnote_field,
    )
    return facts, kept


def _blockers(made: Plan, kept: dict[str, keys.Kept], house: House) -> tuple[Blocker, ...]:
    """Why nothing can be sent, though it can be shown."""
    found = [Blocker("shadow", SHADOW)] if house.is_shadow else []
    for system in made.systems:
        name = system.value.capitalize()
        key = kept.get(system.value)
        if key is None:
            found.append(Blocker(f"keys.{system.value}", f"it writes as you: enter your {name} key first"))
        elif key.refused_at is not None:
            found.append(
                Blocker(f"keys.{system.value}", f"{name} does not take your key any more: enter another")
            )
    return tuple(found)


async def _new(
    connection: Connection,
    uid: str,
    given: Decide,
    by: Actor,
    digest: str,
    see_restricted: bool,
    house: House,
    now: datetime,
) -> NewDecision:
    wanted = given.wanted
    facts, kept = await _facts(connection, wanted, by, see_restricted=see_restricted, house=house)
    made = plan(wanted, facts, now)
    blockers = _blockers(made, kept, house)
    differences = [*_gone(given, made), *_differences(given, made)]
    if differences:
        detail = "something changed since you looked; nothing was stored"
        raise Changed(differences, preview_shown(made, facts, blockers), detail)
    if not made.parts:
        if all(one.field == "train" and DECIDE in one.reason for one in made.refusals):
            raise NotAllowed(made.refusals[0].reason)
        raise Unreached(made.refusals)
    if blockers:
        raise Refused(blockers[0].reason)
    return NewDecision(
        uid=uid,
        person=by.person,
        client=by.client,
        wanted=wanted,
        digest=digest,
        parts=tuple(_as_seen(part, given) for part in made.parts),
        refusals=made.refusals,
        hold_until=now + house.hold,
    )


def _gone(given: Decide, made: Plan) -> list[Difference]:
    """Requests that were seen to be decidable and are not any more."""
    return [
        Difference(refusal.request, "could be decided", refusal.reason)
        for refusal in made.refusals
        if refusal.request in given.stamps
    ]


def _differences(given: Decide, made: Plan) -> list[Difference]:
    """What the decider saw and is not so any more. Not having looked at all counts as such."""
    found: list[Difference] = []
    for part in made.parts:
        seen = given.seen.get(str(part.bug))
        if seen is None:
            raise InvalidInput("seen", expected=f"what the preview gave for bug {part.bug}")
        found += [
            Difference(name, seen.facts.get(name, "not seen"), value)
            for name, value in part.seen.facts.items()
            if seen.facts.get(name) != value
        ]
        for uid in part.requests:
            stamp, now = given.stamps.get(uid), part.stamps[uid]
            if stamp is None:
                raise InvalidInput("stamps", expected=f"what the preview gave for {uid}")
            found += [
                Difference(f"{uid}: {what}", str(before), str(after))
                for what, before, after in (
                    ("train", stamp.train, now.train),
                    ("version", stamp.version, now.version),
                    ("next build", stamp.build, now.build),
                    ("patches", stamp.patch_digest, now.patch_digest),
                )
                if before != after
            ]
    return found


def _as_seen(part: Part, given: Decide) -> Part:
    """The part with the time at which the decider's view was read, which may be older than ours."""
    seen = given.seen[str(part.bug)].changed
    ours = part.seen.changed
    if seen is None or ours is None or seen >= ours:
        return part
    return replace(part, seen=replace(part.seen, changed=seen))


def _digest(given: Decide, by: Actor) -> str:
    said = msgspec.json.encode((by.person, given), order="deterministic")
    return hashlib.sha256(said).hexdigest()


def _made(new: NewDecision, part: Part, given: Decide) -> Line:
    states = "; ".join(f"{row.field} {row.before}" for write in part.writes for row in write.rows)
    after = "; ".join(f"{row.field} {row.after}" for write in part.writes for row in write.rows)
    words = dict.fromkeys(write.comment for write in part.writes if write.comment)
    return Line(
        decision=new.uid,
        bug=part.bug,
        requests=part.requests,
        actor=new.person,
        what=new.wanted.verdict.value,
        before=states,
        after=after or (new.wanted.until.words if new.wanted.until else ""),
        why="\n".join(part for part in (*filter(None, words), given.reason) if part),
    )


# --- what was decided -------------------------------------------------------------------------------


async def _locked(
    connection: Connection, uid: str, by: Actor, *, see_restricted: bool
) -> dict[int, PartState]:
    """The parts of a decision, locked. Raises Missing, NotAllowed."""
    found = await decisions.shown(connection, see_restricted=see_restricted, uid=uid)
    if not found:
        raise Missing(f"there is no decision {uid!r}")
    if not _may_change(found[0], by):
        raise NotAllowed("only whoever decided, or an administrator, may do this")
    return await decisions.lock(connection, uid)


async def _stuck(connection: Connection, uid: str, by: Actor, *, see_restricted: bool) -> list[int]:
    parts = await _locked(connection, uid, by, see_restricted=see_restricted)
    stuck = [bug for bug, state in parts.items() if state is PartState.STUCK]
    if not stuck:
        raise Refused("nothing of it is stuck")
    return stuck


def _may_change(one: Stored, by: Actor) -> bool:
    return one.person == by.person or by.has(ADMIN)


async def _note(
    connection: Connection,
    uid: str,
    by: Actor,
    what: str,
    *,
    see_restricted: bool,
    bugs: Sequence[int] | None = None,
    why: str = "",
) -> None:
    for one in await decisions.shown(connection, see_restricted=see_restricted, uid=uid):
        for part in one.parts:
            if bugs is None or part.bug in bugs:
                requests = tuple(each.request for each in part.requests)
                line = Line(
                    decision=uid, bug=part.bug, requests=requests, actor=by.person, what=what, why=why
                )
                await decisions.note(connection, line)
