# SPDX-License-Identifier: MPL-2.0
"""Everything that happened to a request in one list, oldest first, each line with its source. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shipit.merge.types import Outcome
from shipit.uplift.evidence import MomentKind, MomentShown
from shipit.uplift.told import Entry, Facts, Told, ToldTrial
from shipit.uplift.types import RequestState
from shipit.uplift.wording import Names, count, listed, version_of

MOST = 400
"""Lines; of more, the oldest give way."""

BUGZILLA, CLONE, BOT, BOARD = "bugzilla", "clone", "bot", "board"
_DECIDED = {RequestState.APPROVED: "approved", RequestState.REJECTED: "rejected"}
_TOLD_ELSEWHERE = frozenset(("seen", "train", "target"))


def timeline(told: Told, facts: Facts, names: Names) -> tuple[MomentShown, ...]:
    """The lines of a request's timeline."""
    moments = [
        *_asked(told, names),
        *_entries(told),
        *_trials(told),
        *_landings(facts, names),
        *_flags(told, names),
        *_questions(facts, names),
        *_decisions(told, names),
    ]
    moments.sort(key=lambda one: one.at)
    return tuple(moments[-MOST:])


def _asked(told: Told, names: Names) -> Iterator[MomentShown]:
    request = told.request
    if request.requested_at is not None:
        form = "" if request.form is not None else " without a form that we found"
        yield MomentShown(
            at=request.requested_at,
            kind=MomentKind.REQUESTED,
            sentence=f"{names.of(request.requested_by)} asks for {_first_train(told)}{form}.",
            source=BUGZILLA,
            by=names.of(request.requested_by),
        )
    word = _DECIDED.get(request.state)
    if word and request.decided_at is not None:
        yield MomentShown(
            at=request.decided_at,
            kind=MomentKind.DECIDED,
            sentence=f"The flag is {word} by {names.of(request.decided_by)}.",
            source=BUGZILLA,
            by=names.of(request.decided_by),
        )


def _first_train(told: Told) -> str:
    """The train that was asked for first: uids begin with the bug and it."""
    moved = next((one for one in told.request.history if one.what == "retarget"), None)
    return str(moved.before) if moved is not None else told.request.train


def _entries(told: Told) -> Iterator[MomentShown]:
    series = {one.digest: listed(version_of(patch) for patch in one.series) for one in told.versions}
    for entry in told.request.history:
        if entry.what in _TOLD_ELSEWHERE or (entry.what == "state" and _is_told_by_flag(told, entry)):
            continue
        kind, sentence = _worded(entry, series)
        yield MomentShown(at=entry.at, kind=kind, sentence=sentence, source=BOT)


def _is_told_by_flag(told: Told, entry: Entry) -> bool:
    return entry.after == told.request.state.value and told.request.decided_at is not None


def _worded(entry: Entry, series: dict[str, str]) -> tuple[MomentKind, str]:
    why = f": {entry.reason}" if entry.reason else ""
    if entry.what == "retarget":
        version = f" ({entry.major})" if entry.major else ""
        return MomentKind.RETARGETED, f"Carried from {entry.before} to {entry.after}{version}{why}."
    if entry.what == "series":
        now = series.get(str(entry.after))
        return MomentKind.PATCHES, f"The patches change{f' to {now}' if now else ''}."
    if entry.what == "state":
        return MomentKind.STATE, f"Seen as {entry.after}, before {entry.before}."
    if entry.what == "closed":
        return MomentKind.STATE, f"Closed{why}."
    if entry.what == "reopened":
        return MomentKind.STATE, "Asked for again."
    return MomentKind.STATE, f"{entry.what}: {entry.before} to {entry.after}{why}."


def _trials(told: Told) -> Iterator[MomentShown]:
    before: ToldTrial | None = None
    for turn in told.turns:
        was = f", before {_outcome(before.outcome)}" if before and before.outcome is not turn.outcome else ""
        files = _files(turn)
        yield MomentShown(
            at=turn.tried_at,
            kind=MomentKind.TRIAL,
            sentence=f"Trial on {told.train.name} at {turn.tip[:12]}: {_outcome(turn.outcome)}{files}{was}.",
            source=BOT,
            outcome=turn.outcome,
        )
        before = turn


def _outcome(outcome: Outcome) -> str:
    words = {Outcome.MISSING: "nothing to try", Outcome.ERROR: "not tried to the end"}
    return words.get(outcome, outcome.value)


def _files(turn: ToldTrial) -> str:
    paths = list(dict.fromkeys(one.path for patch in turn.patches for one in patch.conflicts))
    if not paths:
        return ""
    more = f" and {count(len(paths) - 1, 'more file')}" if len(paths) > 1 else ""
    return f" in {paths[0]}{more}"


def _landings(facts: Facts, names: Names) -> Iterator[MomentShown]:
    for commit in facts.landings:
        place = "main" if commit.on_main else commit.train
        if place is None:
            continue
        kind = MomentKind.BACKED_OUT if commit.is_backout else MomentKind.LANDED
        undone = f" ({listed(sha[:12] for sha in commit.backs_out)})" if commit.backs_out else ""
        verb = f"Backed out on {place}{undone}" if commit.is_backout else f"Lands on {place}"
        yield MomentShown(
            at=commit.date,
            kind=kind,
            sentence=f"{verb}: {commit.subject}",
            source=CLONE,
            by=names.of(commit.author),
            commit=commit.sha,
        )


def _flags(told: Told, names: Names) -> Iterator[MomentShown]:
    for flag in told.bug.flags:
        at = flag.modified or flag.created
        if at is None or flag.name == "needinfo":
            continue
        yield MomentShown(
            at=at,
            kind=MomentKind.FLAG,
            sentence=f"{names.of(flag.setter)} sets {flag.name} to {flag.status}.",
            source=BUGZILLA,
            by=names.of(flag.setter),
        )


def _questions(facts: Facts, names: Names) -> Iterator[MomentShown]:
    for one in facts.needinfos:
        asked = names.of(one.requestee) if one.requestee else "anybody"
        yield MomentShown(
            at=one.asked_at,
            kind=MomentKind.NEEDINFO,
            sentence=f"{names.of(one.asked_by)} asks {asked} for information.",
            source=BUGZILLA,
            by=names.of(one.asked_by),
        )
        if one.cleared_at is not None:
            verb = "answers" if one.is_answered else "takes the question back"
            yield MomentShown(
                at=one.cleared_at,
                kind=MomentKind.NEEDINFO,
                sentence=f"{names.of(one.cleared_by)} {verb}.",
                source=BUGZILLA,
                by=names.of(one.cleared_by),
            )


_VERDICTS = {
    "approve": "approves it",
    "reject": "rejects it",
    "defer": "defers it",
    "ask": "asks about it",
    "withdraw": "withdraws it",
    "flags": "edits its flags",
}


def _decisions(told: Told, names: Names) -> Iterator[MomentShown]:
    for line in told.audit:
        verb = _VERDICTS.get(line.what)
        about = f" {line.object}" if line.object else ""
        sentence = (
            f"{names.of(line.actor)} {verb} here" if verb else f"{names.of(line.actor)}: {line.what}{about}"
        )
        change = (
            f": {line.before} to {line.after}"
            if line.before and line.after
            else line.after and f": {line.after}"
        )
        why = f" ({line.why})" if line.why else ""
        answer = f" Answer: {line.answer}." if line.answer else ""
        yield MomentShown(
            at=line.at,
            kind=MomentKind.DECISION,
            sentence=names.within(f"{sentence}{change}{why}.{answer}"),
            source=BOARD,
            by=names.of(line.actor),
        )
