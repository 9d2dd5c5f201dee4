# SPDX-License-Identifier: MPL-2.0
"""Read bugs whole: their requests and patches, what main knows of them, and the analysis."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from shipit.bot.analysing import analyse
from shipit.bot.doors import Doors
from shipit.bot.lore import rules_for
from shipit.bot.outlook import Outlook
from shipit.clients.bugzilla import Unreadable
from shipit.errors import ShipitError
from shipit.trains.types import Train
from shipit.uplift.analysis import Analysis
from shipit.uplift.landings import CommitFact
from shipit.uplift.requests import requests_of
from shipit.uplift.series import Rules, Wants, wants
from shipit.uplift.types import Bug, PatchSource, Request, Revision
from shipit.vcs.opening import commits_of_bugs

# Far longer than anything waits for uplift; the whole history of a big repository is not read for it.
LOOK_BACK = timedelta(days=730)

log = structlog.get_logger()


class ReadBug(msgspec.Struct, frozen=True, kw_only=True):
    """A bug as read in this round. bugzilla: root of where it was read.

    commits: what the mains know of it. on_trains: what the trains alone know.
    """

    bug: Bug
    requests: tuple[Request, ...]
    commits: tuple[CommitFact, ...]
    on_trains: tuple[CommitFact, ...] = ()
    revisions: Mapping[int, Revision]
    analysis: Analysis
    bugzilla: str


class Unread(msgspec.Struct, frozen=True):
    """A bug that could not be read this time, and why; what the backend knows of it stays."""

    bug: int
    reason: str


class _Around(msgspec.Struct, frozen=True, kw_only=True):
    """What was read around some bugs at once.

    commits: repository → bug → what its main knows. on_trains: bug → what trains alone know. hashes: other
    names of commits. silence: why Phabricator did not answer, None when it did (or was not asked).
    """

    revisions: Mapping[int, Revision]
    hashes: Mapping[str, str | None]
    commits: Mapping[str, Mapping[int, tuple[CommitFact, ...]]]
    on_trains: Mapping[int, tuple[CommitFact, ...]]
    silence: str | None


async def read(
    doors: Doors, outlook: Outlook, ids: Iterable[int], *, known: Container[int] = ()
) -> list[ReadBug | Unread]:
    """Read some bugs together: few calls for many. Raises Unavailable when Bugzilla is silent.

    known: bugs that the backend holds. While Phabricator is silent those that need it stay as they are;
    others are read without it and say so. Whatever else goes wrong with one bug is that bug's trouble alone.
    """
    answers = await doors.bugzilla.bugs(ids)
    bugs = {number: bug for number, bug in answers.items() if isinstance(bug, Bug)}
    unread = [
        Unread(number, answer.reason) for number, answer in answers.items() if isinstance(answer, Unreadable)
    ]
    rules = {train.repository: rules_for(doors.settings, train.repository) for train in outlook.trains}
    wanted: dict[int, Wants] = {}
    for number, bug in bugs.items():
        try:
            wanted[number] = _wants(bug, outlook.trains, rules)
        except Exception as error:  # noqa: BLE001
            unread.append(_surprised(number, error))
    revisions = await revisions_of(doors, (n for want in wanted.values() for n in want.revisions))
    silence = revisions if isinstance(revisions, str) else None
    if silence is not None:
        kept = [number for number, want in wanted.items() if want.revisions and number in known]
        unread += [Unread(number, silence) for number in kept]
        wanted = {number: want for number, want in wanted.items() if number not in kept}
    around = _Around(
        revisions={} if isinstance(revisions, str) else revisions,
        hashes=await _mapped(doors, (h for want in wanted.values() for h in want.hashes)),
        commits=await _commits(doors, outlook, list(wanted)),
        on_trains=await _on_trains(doors, outlook, list(wanted)),
        silence=silence,
    )
    one_each = (_one(doors, outlook, bugs[number], around, rules) for number in wanted)
    found: list[ReadBug | Unread] = []
    for number, answer in zip(wanted, await asyncio.gather(*one_each, return_exceptions=True), strict=True):
        if isinstance(answer, ReadBug):
            found.append(answer)
        elif isinstance(answer, ShipitError):
            found.append(Unread(number, answer.detail))
        elif isinstance(answer, Exception):
            found.append(_surprised(number, answer))
        else:
            raise answer
    return [*found, *unread]


def _surprised(bug: int, error: Exception) -> Unread:
    """One bug that we did not expect to be so must not keep the others from being read."""
    log.error("bug.surprise", bug=bug, exc_info=error)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return Unread(bug, f"it cannot be understood ({said})")


def _wants(bug: Bug, trains: Sequence[Train], rules: Mapping[str, Rules]) -> Wants:
    """What to fetch for the bug's requests on every repository's trains."""
    each = [
        wants(bug, [train for train in trains if train.repository == name], its)
        for name, its in rules.items()
    ]
    return Wants(
        frozenset().union(*(want.revisions for want in each)),
        frozenset().union(*(want.hashes for want in each)),
        frozenset().union(*(want.attachments for want in each)),
    )


async def revisions_of(doors: Doors, numbers: Iterable[int]) -> dict[int, Revision] | str:
    """Revisions by number with those below them; a reason when Phabricator does not answer."""
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    if doors.phabricator is None:
        return {}
    try:
        return (await doors.phabricator.revisions(wanted)).found
    except ShipitError as error:
        return error.detail


def numbers_of(requests: Iterable[Request]) -> set[int]:
    """The revisions that these requests' series are made of, and those that decisions are made on."""
    rows = tuple(requests)
    patches = {
        int(patch.name.removeprefix("D"))
        for request in rows
        for patch in request.series
        if patch.source is PatchSource.REVISION
    }
    places = (place for request in rows for place in request.places if place.is_uplift)
    return patches | {place.revision for place in places if place.revision is not None}


def reading_digest(
    changed: datetime, trains: Sequence[Train], requests: Iterable[Request], revisions: Mapping[int, Revision]
) -> str:
    """What a reading depended on, as far as it can be known without reading the bug again.

    The bug's last change, the trains' flags, and how the revisions stand that its series are made of.
    """
    # The word changes when more is read of a bug than before, so that each is read once more.
    said = ["places", changed.isoformat()]
    said += [f"{train.name}|{train.approval_flag}|{train.repository}" for train in trains]
    for number in sorted(numbers_of(requests)):
        one = revisions.get(number)
        said.append(f"D{number}|{one and (one.diff, one.status, one.parents, one.repository)}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:24]


async def _one(
    doors: Doors, outlook: Outlook, bug: Bug, around: _Around, rules: Mapping[str, Rules]
) -> ReadBug:
    commits = {name: rows.get(bug.id, ()) for name, rows in around.commits.items()}
    requests = _requests(bug, outlook.trains, commits, around, rules)
    return ReadBug(
        bug=bug,
        requests=requests,
        commits=tuple(commit for rows in commits.values() for commit in rows),
        on_trains=around.on_trains.get(bug.id, ()),
        revisions={
            number: around.revisions[number] for number in numbers_of(requests) & around.revisions.keys()
        },
        analysis=await analyse(doors, outlook, bug, requests, commits, around.hashes, around.revisions),
        bugzilla=doors.bugzilla.url,
    )


def _requests(
    bug: Bug,
    trains: Sequence[Train],
    commits: Mapping[str, Sequence[CommitFact]],
    around: _Around,
    rules: Mapping[str, Rules],
) -> tuple[Request, ...]:
    """The bug's requests in the order of the trains, each read by its own repository's rules."""
    found: list[Request] = []
    for name, its in rules.items():
        found += requests_of(
            bug,
            [train for train in trains if train.repository == name],
            revisions=around.revisions,
            commits=commits.get(name, ()),
            hashes=around.hashes,
            rules=its,
        )
    if around.silence is not None:
        found = [_told(request, around.silence) for request in found]
    order = {train.name: place for place, train in enumerate(trains)}
    return tuple(sorted(found, key=lambda one: order[one.train]))


def _told(request: Request, silence: str) -> Request:
    """The request with the true reason why nothing is known of its revisions."""
    if not any(patch.source is PatchSource.REVISION for patch in request.series):
        return request
    series = tuple(
        msgspec.structs.replace(patch, missing=silence) if patch.source is PatchSource.REVISION else patch
        for patch in request.series
    )
    return msgspec.structs.replace(request, series=series, series_reason=silence)


async def _mapped(doors: Doors, hashes: Iterable[str]) -> Mapping[str, str | None]:
    """What the hash map says; hashes it was not asked about, or was silent on, are absent."""
    wanted = sorted(set(hashes))
    if doors.lando is None or not wanted:
        return {}
    try:
        return await doors.lando.gits_of(wanted)
    except ShipitError:
        # a silent map leaves them unmapped, which their requests say
        return {}


async def _commits(
    doors: Doors, outlook: Outlook, bugs: Sequence[int]
) -> dict[str, dict[int, tuple[CommitFact, ...]]]:
    """What each clone's main knows of each bug; a clone that cannot be read knows nothing."""
    found: dict[str, dict[int, tuple[CommitFact, ...]]] = {}
    since = doors.now() - LOOK_BACK
    for name in dict.fromkeys(train.repository for train in outlook.trains):
        clone, main = doors.clones[name], doors.settings.repository(name).main
        try:
            found[name] = await commits_of_bugs(clone.folder, main, bugs, since=since)
        except ShipitError as error:
            log.warning("clone.unread", repository=name, reason=error.detail)
    return found


async def _on_trains(
    doors: Doors, outlook: Outlook, bugs: Sequence[int]
) -> dict[int, tuple[CommitFact, ...]]:
    """What each train's branch knows of each bug beyond main; a branch that cannot be read knows nothing."""
    found: dict[int, tuple[CommitFact, ...]] = {}
    since = doors.now() - LOOK_BACK
    for train in outlook.trains:
        tip, main = outlook.tips.get(train.name), doors.settings.repository(train.repository).main
        if tip is None or train.branch == main:
            continue
        try:
            until = await doors.clones[train.repository].main_tip()
            rows = await commits_of_bugs(
                doors.clones[train.repository].folder, tip, bugs, since=since, until=until
            )
        except ShipitError as error:
            log.warning("train.unread", train=train.name, reason=error.detail)
            continue
        for bug, commits in rows.items():
            mine = (msgspec.structs.replace(one, on_main=False, train=train.name) for one in commits)
            found[bug] = (*found.get(bug, ()), *mine)
    return found
