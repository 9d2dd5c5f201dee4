# SPDX-License-Identifier: MPL-2.0
"""The full analysis of a bug: libmozdata's reading, and the facts of its patches from the clone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shipit.bot.diff_facts import facts_of_diffs
from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.clients import mozdata
from shipit.errors import ShipitError
from shipit.uplift.analysis import Analysis, Failed, PatchFacts, Source, assemble
from shipit.uplift.landings import CommitFact
from shipit.uplift.types import Bug, PatchSource, Person, Request, Revision
from shipit.vcs.opening import read_patches

_NICK = re.compile(r"[\[(|]?:([A-Za-z0-9][\w.-]{0,40})")


async def analyse(
    doors: Doors,
    outlook: Outlook,
    bug: Bug,
    requests: Sequence[Request],
    commits: Mapping[str, Sequence[CommitFact]],
    hashes: Mapping[str, str | None],
    revisions: Mapping[int, Revision],
) -> Analysis:
    """Everything we can find out about a bug; each part that fails is kept with its reason.

    commits: what each repository's main knows of the bug. hashes: other names of commits, as the map says.
    revisions: of the requests' series, by number.
    """
    now = doors.now()
    people = people_of(bug, (commit for rows in commits.values() for commit in rows))
    named = _named(requests, commits)
    facts = await _facts(doors, outlook, named, addresses_of(people), now)
    facts |= await facts_of_diffs(
        doors, outlook, bug, requests, revisions, addresses=addresses_of(people), now=now
    )
    known = {name: one for name, one in facts.items() if isinstance(one, PatchFacts)}
    twins = {other: known[name] for other, name in hashes.items() if name in known}
    reading = await mozdata.analyse(
        bug,
        commits=twins | known,
        flags=comments_of_requests(outlook, requests),
        releases=outlook.releases,
        now=now,
        people=people,
        bugzilla_url=doors.bugzilla.url,
    )
    undoing = {commit.sha for rows in commits.values() for commit in rows if commit.is_backout}
    undoing -= _in_series(requests)
    # What only undoes is read, so that what it undid is not taken for landed; it is no patch of the bug.
    patches = [one for name, one in facts.items() if name not in undoing]
    return assemble(bug, reading=reading, patches=patches, now=now)


def comments_of_requests(outlook: Outlook, requests: Iterable[Request]) -> dict[str, int | None]:
    """Each train's approval flag with the comment that holds its request's form, None where none is known."""
    found: dict[str, int | None] = {
        train.approval_flag: None for train in outlook.trains if train.approval_flag
    }
    flags = {train.name: train.approval_flag for train in outlook.trains}
    for request in sorted(requests, key=lambda one: str(one.requested_at or "")):
        flag = flags.get(request.train)
        if flag and request.form is not None and request.form.comment is not None:
            found[flag] = request.form.comment
    return found


def people_of(bug: Bug, commits: Iterable[CommitFact]) -> tuple[Person, ...]:
    """Whoever may be behind a nick or an author's name: the bug's own people and the commits' authors."""
    found = {one.email.lower(): one for one in (bug.creator, bug.assignee) if one is not None and one.email}
    for commit in commits:
        name, _, rest = commit.author.rpartition("<")
        email = rest.rstrip("> ")
        if "@" in email:
            found.setdefault(email.lower(), Person(name=name.strip() or email, email=email))
    return tuple(found.values())


def addresses_of(people: Iterable[Person]) -> dict[str, str]:
    """Nick (lower case) to e-mail, as people write it into their names: "Mira Anand [:mira]"."""
    found: dict[str, str] = {}
    for person in people:
        if not person.email:
            continue
        nicks = [person.nick] if person.nick else []
        for nick in (*nicks, *_NICK.findall(person.name)):
            found.setdefault(nick.lower(), person.email)
    return found


def _in_series(requests: Iterable[Request]) -> set[str]:
    return {
        patch.version
        for request in requests
        for patch in request.series
        if patch.source is PatchSource.COMMIT and patch.missing is None
    }


def _named(requests: Sequence[Request], commits: Mapping[str, Sequence[CommitFact]]) -> dict[str, set[str]]:
    """Repository → commits whose facts are wanted; those that no main knows under "" (any may have them)."""
    named = {repository: {commit.sha for commit in rows} for repository, rows in commits.items()}
    others = _in_series(requests) - {name for names in named.values() for name in names}
    return named | {"": others}


async def _facts(
    doors: Doors,
    outlook: Outlook,
    named: Mapping[str, set[str]],
    addresses: Mapping[str, str],
    now: datetime,
) -> dict[str, PatchFacts | Failed]:
    """Facts of commits, per repository in one go; a commit that one repository lacks another may have."""
    found: dict[str, PatchFacts | Failed] = {}
    since = outlook.recent_since(now)
    for repository in dict.fromkeys(train.repository for train in outlook.trains):
        lacking = {name for name in named.get("", ()) if not isinstance(found.get(name), PatchFacts)}
        wanted = sorted(named.get(repository, set()) | lacking)
        history = doors.histories.get(repository)
        if history is None or not wanted:
            continue
        try:
            await history.follow(await doors.clones[repository].main_tip())
            found |= await read_patches(
                history, wanted, now=now, recent_since=since, addresses=dict(addresses)
            )
        except ShipitError as error:
            reason = f"the history of {repository} cannot be read: {error.detail}"
            found |= {
                name: Failed(subject=name[:100], reason=reason, source=Source.CLONE, at=now)
                for name in wanted
                if name not in found
            }
    return found
