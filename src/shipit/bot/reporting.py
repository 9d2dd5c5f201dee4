# SPDX-License-Identifier: MPL-2.0
"""Word what was read and tried for the backend."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from shipit.bot.analysing import addresses_of
from shipit.bot.carrying import Aimed, aimed
from shipit.bot.reading import ReadBug, reading_digest
from shipit.trains.types import Train
from shipit.uplift.analysis import Analysis, Failed, PatchFacts
from shipit.uplift.landings import standing_on_main
from shipit.uplift.needinfos import needinfos
from shipit.uplift.people import Deed, Undone, contributors, deeds
from shipit.uplift.report import BugReport, Contributor, KnownBug, RequestReport, Trial
from shipit.uplift.round_plan import series_digest
from shipit.uplift.types import RequestState

SOURCE = "bugzilla"


def requests_for(
    read: ReadBug, known: KnownBug | None, trains: Sequence[Train], now: datetime
) -> tuple[Aimed, ...]:
    """The bug's requests that somebody still asks for or decided, on the trains they aim at."""
    standing = [one for one in read.requests if one.state is not RequestState.CLEARED]
    return aimed(standing, known.requests if known else (), trains, now)


def bug_report(
    read: ReadBug,
    requests: Sequence[Aimed],
    trials: Mapping[str, Trial],
    *,
    trains: Sequence[Train],
    kept: tuple[str, ...],
) -> BugReport:
    """All of one bug; `kept` names trains whose requests stay as the backend has them.

    The digest has two parts: what the reading depended on (a later round compares it without reading), and
    what came of it.
    """
    bug, analysis = read.bug, read.analysis
    rows = tuple(
        RequestReport(
            request=one.request,
            target_major=one.major,
            series_digest=series_digest(one.request),
            retargets=one.retargets,
            trial=trials.get(one.request.uid),
        )
        for one in requests
    )
    people = _contributors(read, requests)
    depended = reading_digest(bug.changed, trains, [one.request for one in requests], read.revisions)
    content = msgspec.json.encode((bug.groups, rows, people, _timeless(analysis)), order="deterministic")
    return BugReport(
        bug=bug.id,
        summary=bug.summary,
        product=bug.product,
        component=bug.component,
        status=bug.status,
        resolution=bug.resolution,
        severity=bug.severity,
        priority=bug.priority,
        keywords=bug.keywords,
        groups=bug.groups,
        is_restricted=bug.is_restricted,
        fields=bug.fields,
        flags=bug.flags,
        needinfos=needinfos(bug),
        url=f"{read.bugzilla}/show_bug.cgi?id={bug.id}",
        changed=bug.changed,
        read_at=bug.read_at,
        source=SOURCE,
        digest=f"{depended}.{hashlib.sha256(content).hexdigest()[:24]}",
        contributors=people,
        landings=tuple(msgspec.to_builtins(commit) for commit in (*read.commits, *read.on_trains)),
        relations=msgspec.structs.asdict(analysis.relations) | {"dupe_of": _some(bug.dupe_of)},
        analysis=msgspec.to_builtins(analysis),
        analysis_error=_error(analysis),
        requests=rows,
        requests_kept=kept,
    )


def _contributors(read: ReadBug, requests: Sequence[Aimed]) -> tuple[Contributor, ...]:
    rows = [one.request for one in requests]
    people = contributors(read.bug, rows, others=read.analysis.people)
    did: dict[str, list[Deed]] = {}
    reviews = _reviews(read, addresses_of(one.person for one in people))
    for deed in deeds(rows, landings=_landings(read), reviews=reviews, undone=_undone(read)):
        did.setdefault(deed.who.lower(), []).append(deed)
    return tuple(
        Contributor(
            email=one.person.email or one.person.name,
            name=one.person.name,
            roles=tuple(role.value for role in one.roles),
            deeds=tuple(did.get((one.person.email or one.person.name).lower(), ())),
        )
        for one in people
    )


def _reviews(read: ReadBug, addresses: Mapping[str, str]) -> dict[str, list[tuple[str, str, datetime]]]:
    """Who reviewed what landed, as far as the nicks of its messages lead to somebody."""
    landed = (one for one in read.analysis.patches if isinstance(one, PatchFacts))
    return {
        "main": [
            (addresses[nick], patch.name, patch.landed_at)
            for patch in landed
            for nick in patch.reviewers
            if patch.landed_at is not None and nick in addresses
        ]
    }


def _undone(read: ReadBug) -> tuple[Undone, ...]:
    """The bug's own commits that were backed out on main."""
    standing, undoing = standing_on_main(read.bug.id, read.commits)
    kept = {commit.sha for commit in standing}
    found = []
    for commit in read.commits:
        backout = next((one for one in undoing if one.date >= commit.date), None)
        if commit.on_main and not commit.is_backout and commit.sha not in kept and backout is not None:
            found.append(Undone(commit=commit.sha, author=_address(commit.author), at=backout.date))
    return tuple(found)


def _landings(read: ReadBug) -> dict[str, list[tuple[str, str, datetime]]]:
    standing = [commit for commit in read.commits if commit.on_main and not commit.is_backout]
    return {"main": [(_address(commit.author), commit.sha, commit.date) for commit in standing]}


def _address(author: str) -> str:
    return author.partition("<")[2].rstrip("> ") or author


def _error(analysis: Analysis) -> str | None:
    """Why the analysis is not whole; None when it is."""
    parts: Iterable[object] = (analysis.reading, *analysis.patches)
    reasons = [f"{part.subject}: {part.reason}" for part in parts if isinstance(part, Failed)]
    return "; ".join(dict.fromkeys(reasons)) or None


def _timeless(analysis: Analysis) -> Analysis:
    """The analysis without when it was made, which says nothing about what it says."""
    return msgspec.structs.replace(analysis, analysed_at=analysis.bug_read_at)


def _some(number: int | None) -> tuple[int, ...]:
    return () if number is None else (number,)
