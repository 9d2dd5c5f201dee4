# SPDX-License-Identifier: MPL-2.0
"""What the bot and the backend tell each other: the bodies of the REST calls between them.

Both sides import these types, so that neither can drift. Times are timezone-aware.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from shipit.merge.advice import Advice
from shipit.merge.types import Outcome, SeriesResult
from shipit.trains.types import Train
from shipit.uplift.lists import ListName
from shipit.uplift.needinfos import Needinfo
from shipit.uplift.people import Deed
from shipit.uplift.types import Flag, PatchRef, Request


class TrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """A train as the bot found it.

    tip: commit at its head, None while the clone is unreadable (`tip_reason` says why).
    requests_read_at: when Bugzilla last answered for this train. requests_unavailable_since: since when it
    does not, None while it answers. An unavailable train keeps every request it had.
    """

    train: Train
    tip: str | None = None
    tip_at: datetime | None = None
    tip_reason: str | None = None
    requests_read_at: datetime | None = None
    requests_unavailable_since: datetime | None = None
    requests_unavailable_reason: str | None = None


class TrainsReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/trains: every train that exists now, in the order people read them."""

    trains: tuple[TrainReport, ...]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One merge trial of a request's series.

    series_digest: which patches were tried (sources, names and versions in order). key: proves the result
    unchanged as long as it is equal (engine, patches, the tip's entries of the touched paths); None when
    not computed.
    took_ms: wall milliseconds. engine: which engine said so ("git 2.39.5 batch").
    """

    request: str
    train: str
    tip: str
    series_digest: str
    key: str | None = None
    result: SeriesResult
    tried_at: datetime
    took_ms: float
    engine: str


class TrialsReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/trials: trials of requests that did not change otherwise."""

    trials: tuple[Trial, ...]


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """What a search for the prerequisites of one conflicting request found on one tip.

    key: see `shipit.uplift.needs.search_key`. advice: None with `reason` where nothing could be looked for.
    took_ms: wall milliseconds. engine: which engine merged ("git 2.39.5").
    """

    request: str
    train: str
    tip: str
    series_digest: str
    key: str
    advice: Advice | None = None
    reason: str | None = None
    searched_at: datetime
    took_ms: float = 0.0
    engine: str = ""


class SearchesReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/advice: what searches found."""

    searches: tuple[Searched, ...]


class Retarget(msgspec.Struct, frozen=True, kw_only=True):
    """An open request was carried from one train to another on merge day; nobody was asked again."""

    from_train: str
    to_train: str
    major: int | None
    at: datetime
    reason: str


class RequestReport(msgspec.Struct, frozen=True, kw_only=True):
    """One request, the version it aims at, and its newest trial if one was made this time.

    target_major: the train's major version when the request was made or re-targeted.
    series_digest: as in Trial; equal digests mean equal patches.
    """

    request: Request
    target_major: int | None = None
    series_digest: str
    retargets: tuple[Retarget, ...] = ()
    trial: Trial | None = None


class Contributor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a part in a bug. roles: shipit.uplift.analysis.Role; deeds: shipit.uplift.people.Deed."""

    email: str
    name: str
    roles: tuple[str, ...]
    deeds: tuple[Deed, ...] = ()


class BugReport(msgspec.Struct, frozen=True, kw_only=True):
    """All the bot read and found out about one bug; replaces what the backend knew about it.

    fields: cf_* values as given. landings: per train or "main", when and which commits. analysis: JSON object
    (shipit.uplift.analysis.Analysis); None with `analysis_error` when it failed. is_restricted: only people
    with the right may see it. digest: of everything this reading depended on; equal means nothing changed.
    requests_kept: names of trains whose requests could not be read this time and stay as they are.
    needinfos: every question asked on the bug, oldest first.
    """

    bug: int
    summary: str
    product: str
    component: str
    status: str
    resolution: str = ""
    severity: str = ""
    priority: str = ""
    keywords: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    is_restricted: bool
    fields: dict[str, str] = {}
    flags: tuple[Flag, ...] = ()
    needinfos: tuple[Needinfo, ...] = ()
    url: str
    changed: datetime
    read_at: datetime
    source: str
    digest: str
    contributors: tuple[Contributor, ...] = ()
    landings: tuple[dict[str, Any], ...] = ()
    relations: dict[str, tuple[int, ...]] = {}
    analysis: dict[str, Any] | None = None
    analysis_error: str | None = None
    requests: tuple[RequestReport, ...] = ()
    requests_kept: tuple[str, ...] = ()


class BugsReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/bugs: some bugs of a round, each taken or refused by itself. round: uid of the round.

    hidden: known bugs that Bugzilla does not show the bot any more; from now on only people with the right
    see them, until the bot can read them again.
    """

    round: str
    bugs: tuple[BugReport, ...]
    hidden: tuple[int, ...] = ()


class BugTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one reported bug: "created", "updated", "unchanged" or "refused" with the reason."""

    bug: int
    result: str
    reason: str | None = None


class BugsTaken(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of PUT /api/bugs, in the order given."""

    bugs: tuple[BugTaken, ...]


class KnownTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The newest trial of a request."""

    tip: str
    series_digest: str
    key: str | None
    outcome: Outcome
    tried_at: datetime
    result: SeriesResult


class KnownRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that the backend holds open, whole, so that a bot with an empty disk can go on.

    searched: key of the last search for its prerequisites, None when there was none.
    """

    request: Request
    target_major: int | None
    series_digest: str
    trial: KnownTrial | None = None
    searched: str | None = None


# Stored as the digest of a bug that Bugzilla no longer shows us: no reading has it, so that the next differs.
HIDDEN = "hidden"


class KnownBug(msgspec.Struct, frozen=True, kw_only=True):
    """A bug the backend holds with at least one open request."""

    bug: int
    changed: datetime
    read_at: datetime
    digest: str
    is_restricted: bool
    analysis_error: str | None
    requests: tuple[KnownRequest, ...]

    @property
    def is_hidden(self) -> bool:
        """Whether it is stored as one that Bugzilla did not show us when it was last asked."""
        return self.digest == HIDDEN


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Something a page asked of a worker with the clone.

    kind: "trial", "bug", "conflict" (show what does not merge) or "interdiff"; subject: request uid, for
    "bug" its number. detail: of an interdiff the digest of the older version, whose patches are `series`.
    done_at: set when it was there already.
    """

    uid: str
    kind: str
    subject: str
    asked_at: datetime
    detail: str = ""
    series: tuple[PatchRef, ...] = ()
    done_at: datetime | None = None


class DetailReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/requests/{uid}/details: what a worker made for a request's page.

    kind: "conflict" (content: shipit.merge.conflict_view.ConflictView) or "interdiff" (InterdiffView of
    shipit.merge.interdiff). key: of everything it depends on (`conflict_key`, `interdiff_key` of
    shipit.uplift.told).
    """

    request: str
    kind: Literal["conflict", "interdiff"]
    key: str
    content: dict[str, Any]
    made_at: datetime


class KnownPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a landing plan (see `shipit.uplift.plans.plan_key`) that the backend keeps."""

    train: str
    scope: str
    sees_restricted: bool
    key: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/known: what the backend knows, in one answer.

    unsent: keys of mails that somebody claimed a while ago and did not send. lists_read_at: when the oldest
    of the board's searched lists was read; None when one never was. plans: the keys of each train's.
    """

    trains: tuple[TrainReport, ...]
    bugs: tuple[KnownBug, ...]
    wishes: tuple[Wish, ...] = ()
    unsent: tuple[str, ...] = ()
    plans: tuple[KnownPlan, ...] = ()
    lists_read_at: datetime | None = None


class ListedBug(msgspec.Struct, frozen=True, kw_only=True):
    """A bug on one of the board's searched lists. sentence: why it is there. assignee: e-mail or name.

    fields: the cf_* values that lists look at. flags: those of the bug itself.
    """

    bug: int
    sentence: str
    summary: str
    product: str
    component: str
    severity: str = ""
    priority: str = ""
    keywords: tuple[str, ...] = ()
    assignee: str | None = None
    is_restricted: bool
    changed: datetime
    url: str
    fields: dict[str, str] = {}
    flags: tuple[Flag, ...] = ()


class ListReport(msgspec.Struct, frozen=True, kw_only=True):
    """One searched list of one train as read at `read_at`.

    unavailable: why it could not be read then; bugs is empty and what was last read stays.
    """

    train: str
    list: ListName
    read_at: datetime
    bugs: tuple[ListedBug, ...] = ()
    unavailable: str | None = None


class ListsReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/board/lists: every searched list of every train; lists it does not name are no more."""

    lists: tuple[ListReport, ...]


class RoundReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/rounds/{uid}: a round's end (or its state on the way). kind: "full" or "look".

    With `finished` set the holder's lease on `lease` is given back in the same step.

    errors: objects {bug, reason}; bug is None for what concerns no single bug.
    """

    uid: str
    kind: str
    holder: str
    started: datetime
    finished: datetime | None = None
    lease: str | None = None
    counts: dict[str, float] = {}
    errors: tuple[dict[str, Any], ...] = ()


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/leases/{name}: take or renew a lease for `seconds` (1 to 3600)."""

    holder: str
    seconds: int


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease until when. fence grows each time the holder changes; is_ours answers the asker."""

    name: str
    holder: str
    fence: int
    expires: datetime
    is_ours: bool


class MailReport(msgspec.Struct, frozen=True, kw_only=True):
    """PUT /api/mails/{key}: claim the sending of a mail; the first to claim it sends, and nobody twice."""

    subject: str
    recipients: tuple[str, ...]
    sent_at: datetime | None = None
    outcome: str | None = None
