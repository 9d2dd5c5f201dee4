# SPDX-License-Identifier: MPL-2.0
"""What to do about a conflict: one next step with its evidence, promising no more than was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shipit.merge.history import Entry
from shipit.merge.in_the_way import Blocker, How, in_the_way
from shipit.merge.keeping import keep_both
from shipit.merge.neighbours import KeepBoth, proposal
from shipit.merge.prerequisites import search
from shipit.merge.searches import Ground, Search, Stop, Verdict, conflict_paths, is_by_lines
from shipit.merge.types import Outcome

LIGHT, SERIES = 3, 5

_OUTCOMES = {
    Verdict.CLEAN: Outcome.CLEAN,
    Verdict.LANDED: Outcome.LANDED,
    Verdict.FOUND: Outcome.CONFLICT,
    Verdict.EMPTY: Outcome.CONFLICT,
    Verdict.BLOCKED: Outcome.CONFLICT,
    Verdict.TOO_MUCH: Outcome.CONFLICT,
    Verdict.ERROR: Outcome.ERROR,
}


class Prerequisite(msgspec.Struct, frozen=True):
    """A commit to be uplifted first. lines: added and removed; files: those that the series does not touch.

    state: how it stands on this train (see `shipit.uplift.needs.State`); None without a backend. author:
    name and address.
    """

    revision: str
    bug: int | None
    subject: str
    lines: int
    files: int
    state: str | None = None
    author: str = ""


class InTheWay(msgspec.Struct, frozen=True):
    """A commit of the train that owns the conflicting place. how: what it is named for, in words."""

    revision: str
    bug: int | None
    subject: str
    path: str
    author: str
    how: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one series on one tip. prerequisites: in main's order, verified by merging.

    unverified: commits whose need is known, but which do not all merge themselves; preferring: those of them
    (revisions) that were merged with a preference for the train, after which the series merged. bugs: how
    many bugs the prerequisites belong to. keep_both: with neighbours_only, what keeping both would change: a
    proposal.
    """

    outcome: Outcome
    prerequisites: tuple[Prerequisite, ...] = ()
    verified: bool = False
    neighbours_only: bool = False
    in_the_way: tuple[InTheWay, ...] = ()
    reason: str
    merges: int
    ms: float = 0.0
    bugs: int = 0
    unverified: tuple[Prerequisite, ...] = ()
    preferring: tuple[str, ...] = ()
    keep_both: tuple[KeepBoth, ...] = ()
    is_unknown: bool = False


async def advise(
    ground: Ground, series: Sequence[Entry], tip: Entry, *, states: Mapping[str, str] | None = None
) -> Advice:
    """Search for what a series misses on a tip, and say what to do.

    states: how commits stand on this train, by full id.
    """
    found = await search(ground, series, tip)
    outcome = _OUTCOMES[found.verdict]
    if found.first is None and found.verdict is Verdict.EMPTY:
        outcome = Outcome.EMPTY
    if outcome is not Outcome.CONFLICT:
        return Advice(outcome=outcome, reason=found.reason or _MERGED[outcome], merges=found.merges)
    neighbours = await neighbours_of(ground, found.first)
    is_verified = found.verdict is Verdict.FOUND
    lines = await ground.weight(found.prerequisites)
    named = _named(found.prerequisites, lines, series, states or {})
    blockers = [] if is_verified else await in_the_way(ground, found)
    return Advice(
        outcome=outcome,
        prerequisites=named if is_verified else (),
        unverified=() if is_verified else named,
        preferring=tuple(ground.history.at(position).id for position in sorted(found.preferred)),
        verified=is_verified,
        neighbours_only=bool(neighbours),
        keep_both=tuple(neighbours or ()),
        in_the_way=tuple(_shown(one) for one in blockers),
        bugs=len({one.bug if one.bug is not None else one.revision for one in named}),
        reason=_sentence(found, named, blockers, bool(neighbours)),
        merges=found.merges,
        is_unknown=not (is_verified or neighbours or blockers or found.verdict is Verdict.EMPTY),
    )


async def neighbours_of(ground: Ground, stop: Stop | None) -> list[KeepBoth] | None:
    """What keeping both sides changes in each conflicting file; None when a line was changed by both."""
    if stop is None:
        return None
    proposals = []
    for path in conflict_paths(stop.merged):
        sides = {side.stage: side for side in stop.merged.sides.get(path, ())}
        if not is_by_lines(sides):
            return None
        base, ours, theirs = await ground.read([sides[stage].id for stage in (1, 2, 3)])
        if base is None or ours is None or theirs is None or b"\0" in (base + ours + theirs):
            return None
        both = keep_both(base, ours, theirs)
        if both is None:
            return None
        proposals.append(proposal(path, ours, both))
    return proposals


def _named(
    entries: Sequence[Entry], lines: Sequence[int], series: Sequence[Entry], states: Mapping[str, str]
) -> tuple[Prerequisite, ...]:
    own = {path for entry in series for path in entry.paths}
    return tuple(
        Prerequisite(
            revision=entry.id,
            bug=entry.bug,
            subject=entry.subject,
            lines=count,
            files=len(set(entry.paths) - own),
            state=states.get(entry.id),
            author=entry.author,
        )
        for entry, count in zip(entries, lines, strict=True)
    )


def _shown(one: Blocker) -> InTheWay:
    entry = one.entry
    how = f"{one.how.value} ({one.of_main[:12]} on main)" if one.of_main else one.how.value
    return InTheWay(entry.id, entry.bug, entry.subject, one.path, entry.author, how)


_MERGED = {
    Outcome.CLEAN: "merges cleanly without any prerequisite",
    Outcome.EMPTY: "merges, and changes nothing",
    Outcome.LANDED: "is on the train already",
    Outcome.ERROR: "could not be tried",
}


def _sentence(
    found: Search, named: Sequence[Prerequisite], blockers: Sequence[Blocker], neighbours: bool
) -> str:
    beside = "; textual neighbours only: likely trivial by hand" if neighbours else ""
    if found.verdict is Verdict.FOUND:
        return _found_words(named) + beside
    if found.verdict is Verdict.EMPTY:
        return (
            f"with {_commits(len(named))} tried first it changes nothing: it undoes or repeats them{beside}"
        )
    if neighbours:
        return "textual neighbours only: no line was changed by both sides, likely trivial by hand"
    words = _way_words(found, blockers)
    if found.preferred:
        return (
            f"merges with {_commits(len(named))} tried first if {_commits(len(found.preferred))} of them,"
            f" conflicting too, prefer the train's lines: not verified; {words}"
        )
    if found.verdict is Verdict.TOO_MUCH:
        return f"more than {_commits(len(named))} would be needed: uplift is probably not wise; {words}"
    return words


def _found_words(named: Sequence[Prerequisite]) -> str:
    count = len(named)
    if count > SERIES:
        return (
            f"merges cleanly only with a series of {count} commits tried first: uplift is probably not wise"
        )
    bugs = sorted({one.bug for one in named if one.bug is not None})
    whose = f" (bug {', bug '.join(map(str, bugs))})" if bugs else ""
    return f"merges cleanly with {_commits(count)}{whose} tried first"


def _way_words(found: Search, blockers: Sequence[Blocker]) -> str:
    stop = found.last or found.first
    assert stop is not None
    paths = ", ".join(conflict.path for conflict in stop.merged.conflicts[:3])
    is_series = found.first is not None and stop.member.position == found.first.member.position
    where = f"in {paths}"
    if not is_series:
        where = f"where its prerequisite {stop.member.id[:12]} ({stop.member.subject[:80]}) meets {paths}"
    if not blockers:
        return f"nothing that main has and the train has not explains the conflict {where}"
    first = blockers[0]
    subject = first.entry.subject[:80]
    if first.how is How.MERGE:
        return f"conflict {where}: it arrived with merge {first.entry.id[:12]}, which cannot be uplifted"
    adapted = next((one for one in blockers if one.how is How.ADAPTED), None)
    if adapted is not None and adapted.of_main is not None:
        return (
            f"conflict {where}: adapted by hand earlier,"
            f" see {adapted.entry.id[:12]} ({adapted.entry.subject[:80]})"
            f" for {adapted.of_main[:12]} on main"
        )
    return f"conflict {where} with the train's own commit {first.entry.id[:12]} ({subject})"


def _commits(count: int) -> str:
    return "1 commit" if count == 1 else f"{count} commits"
