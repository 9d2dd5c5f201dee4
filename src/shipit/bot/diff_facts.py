# SPDX-License-Identifier: MPL-2.0
"""The facts of patches that have not landed: revisions under review and attached diffs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from shipit.bot.doors import Doors
from shipit.bot.outlook import Outlook
from shipit.errors import ShipitError
from shipit.uplift.analysis import Failed, PatchFacts, Source
from shipit.uplift.types import Bug, PatchRef, PatchSource, Person, Request, Revision
from shipit.vcs.facts import facts_of_diff
from shipit.vcs.history import History

# Nobody's name: such an author is no contributor.
UNKNOWN = ""
_SOURCES = {PatchSource.REVISION: Source.PHABRICATOR, PatchSource.ATTACHMENT: Source.BUGZILLA}


async def facts_of_diffs(
    doors: Doors,
    outlook: Outlook,
    bug: Bug,
    requests: Sequence[Request],
    revisions: Mapping[int, Revision],
    *,
    addresses: Mapping[str, str],
    now: datetime,
) -> dict[str, PatchFacts | Failed]:
    """The facts of each diff of the requests' series by its name, counted in its train's repository.

    The diffs fetched here are those that trials need next; they are kept.
    """
    repository = {train.name: train.repository for train in outlook.trains}
    wanted: dict[str, tuple[PatchRef, str]] = {}
    for request in requests:
        for patch in request.series:
            if patch.source is not PatchSource.COMMIT and patch.missing is None:
                wanted.setdefault(patch.name, (patch, repository[request.train]))
    diffs = doors.diffs
    found: dict[str, PatchFacts | Failed] = {}
    for name, (patch, place) in wanted.items():
        diff = await diffs.read(patch)
        history = doors.histories.get(place)
        reason = diff if isinstance(diff, str) else await _followed(doors, place, history)
        if reason is not None or history is None or isinstance(diff, str):
            found[name] = Failed(
                subject=name,
                reason=reason or "its repository has no clone",
                source=_SOURCES[patch.source],
                at=now,
            )
            continue
        author, at = _who_and_when(bug, patch, revisions, addresses, now)
        found[name] = await asyncio.to_thread(
            facts_of_diff,
            history,
            name,
            diff,
            kind=patch.source,
            author=author,
            message=patch.title or bug.summary,
            authored_at=at,
            now=now,
            recent_since=outlook.recent_since(now),
            addresses=addresses,
        )
    return found


async def _followed(doors: Doors, repository: str, history: History | None) -> str | None:
    """Bring the history up to main; the reason when it cannot be read."""
    if history is None:
        return None
    try:
        await history.follow(await doors.clones[repository].main_tip())
    except ShipitError as error:
        return f"the history of {repository} cannot be read: {error.detail}"
    return None


def _who_and_when(
    bug: Bug,
    patch: PatchRef,
    revisions: Mapping[int, Revision],
    addresses: Mapping[str, str],
    now: datetime,
) -> tuple[Person, datetime]:
    """Who made a diff and when, as far as anybody says."""
    if patch.source is PatchSource.REVISION:
        one = revisions.get(int(patch.name.removeprefix("D")))
        nick = one.author if one else None
        author = Person(name=nick or UNKNOWN, email=addresses.get((nick or "").lower()), nick=nick)
        return author, (one.changed if one and one.changed else now)
    attached = next((one for one in bug.attachments if str(one.id) == patch.version), None)
    if attached is None:
        return Person(name=UNKNOWN), now
    return Person(name=attached.creator, email=attached.creator), attached.created or now
