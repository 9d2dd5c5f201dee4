# SPDX-License-Identifier: MPL-2.0
"""Read the board's other lists: one search for all trains; what could not be read says why and stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shipit.bot.outlook import Outlook
from shipit.bot.progress import Round
from shipit.bot.searching import Seen
from shipit.clients.bugzilla import Bugzilla
from shipit.errors import ShipitError
from shipit.trains.types import Train
from shipit.uplift.lists import ListName, Search, Words, fields_of, places, searched_of, searches
from shipit.uplift.report import Known, ListedBug, ListReport, ListsReport
from shipit.uplift.types import Bug

# Quick looks read them again when they are older than this, or when a page asked for a bug.
LISTS_LAST = timedelta(minutes=5)

Key = tuple[str, ListName]


async def read_lists(this: Round, known: Known, outlook: Outlook, seen: Seen) -> None:
    """Search for every list of every train and tell the backend: two calls when nothing goes on in pages."""
    if this.only is not None or (this.since is not None and not _are_due(this, known)):
        return
    doors, settings = this.doors, this.doors.settings.bugzilla
    words = Words(relnote_field=settings.relnote_field, security_keywords=settings.security_keywords)
    trains = [train for train in outlook.trains if searched_of(train, words)]
    if not trains:
        return
    doors.told("asking Bugzilla for the board's lists")
    bugs, lacking, trouble = await _found(doors.bugzilla, trains, words)
    if trouble is not None:
        this.failed(None, f"the board's other lists: {trouble}")
    failed = lacking if trouble is None else dict.fromkeys(_keys(trains, words), trouble)
    # a Bugzilla that is not believed about a train's requests is not believed about its lists either
    failed |= {
        (train.name, name): seen.unavailable[train.name]
        for train in trains
        if train.name in seen.unavailable
        for name in searched_of(train, words)
    }
    await doors.backend.put_lists(
        ListsReport(
            lists=tuple(
                ListReport(
                    train=train.name,
                    list=name,
                    read_at=this.started,
                    bugs=bugs.get((train.name, name), ()) if (train.name, name) not in failed else (),
                    unavailable=failed.get((train.name, name)),
                )
                for train in trains
                for name in searched_of(train, words)
            )
        )
    )


def _are_due(this: Round, known: Known) -> bool:
    is_old = known.lists_read_at is None or this.started - known.lists_read_at >= LISTS_LAST
    return is_old or any(wish.kind == "bug" for wish in known.wishes)


async def _found(
    bugzilla: Bugzilla, trains: Sequence[Train], words: Words
) -> tuple[dict[Key, tuple[ListedBug, ...]], dict[Key, str], str | None]:
    """The bugs of each list; which lists this Bugzilla cannot have, and why; why none could be read at all.

    A list it cannot have says so on the board and is no trouble of the round: products differ in fields.
    """
    wanted, fields = searches(trains, words), fields_of(trains, words)
    try:
        answers, unknown = await bugzilla.matching([one.terms for one in wanted], fields=fields)
    except ShipitError as error:
        return {}, {}, error.detail
    rows: dict[Key, list[ListedBug]] = {}
    for answer in answers.values():
        # one that cannot be understood is one the lists lack; it is told with its requests, if it has any
        if isinstance(answer, Bug):
            for place in places(answer, trains, words):
                rows.setdefault((place.train, place.list), []).append(
                    _row(answer, place.sentence, bugzilla.url, fields)
                )
    found = {key: tuple(sorted(those, key=lambda one: one.bug)) for key, those in rows.items()}
    return found, _lacking(wanted, unknown, trains, words), None


def _keys(trains: Sequence[Train], words: Words) -> list[Key]:
    return [(train.name, name) for train in trains for name in searched_of(train, words)]


def _lacking(
    wanted: Sequence[Search], unknown: Mapping[str, str], trains: Sequence[Train], words: Words
) -> dict[Key, str]:
    """Lists whose search asks about a field that Bugzilla does not know."""
    lacking: dict[Key, str] = {}
    for search in wanted:
        reason = next((unknown[term.field] for term in search.terms if term.field in unknown), None)
        if reason is None:
            continue
        for train in trains:
            if search.train in (None, train.name) and search.list in searched_of(train, words):
                lacking[train.name, search.list] = reason
    return lacking


def _row(bug: Bug, sentence: str, bugzilla: str, fields: Sequence[str]) -> ListedBug:
    assignee = bug.assignee
    return ListedBug(
        bug=bug.id,
        sentence=sentence,
        summary=bug.summary,
        product=bug.product,
        component=bug.component,
        severity=bug.severity,
        priority=bug.priority,
        keywords=bug.keywords,
        assignee=(assignee.email or assignee.name) if assignee else None,
        is_restricted=bug.is_restricted,
        changed=bug.changed,
        url=f"{bugzilla}/show_bug.cgi?id={bug.id}",
        fields={name: bug.fields[name] for name in fields if name in bug.fields},
        flags=bug.flags,
    )
