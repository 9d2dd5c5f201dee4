# SPDX-License-Identifier: MPL-2.0
"""Read a bug's uplift requests: one per train and patch set, with its state, people, series and form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial

from shipit.trains.types import Train
from shipit.uplift.flags import Reading, readings
from shipit.uplift.form_choice import FoundForm, choose, uplift_forms
from shipit.uplift.forms import form_of_revision
from shipit.uplift.landings import CommitFact, Landed, landed_on_main
from shipit.uplift.places import places_of
from shipit.uplift.series import (
    RULES,
    Rules,
    Series,
    is_for_train,
    of_attachments,
    of_landings,
    of_revisions,
    revision_number,
)
from shipit.uplift.types import Attachment, Bug, Form, Request, RequestState, Revision


def requests_of(
    bug: Bug,
    trains: Sequence[Train],
    *,
    revisions: Mapping[int, Revision] | None = None,
    commits: Sequence[CommitFact] = (),
    hashes: Mapping[str, str | None] | None = None,
    rules: Rules = RULES,
) -> tuple[Request, ...]:
    """The bug's requests, in the order of `trains`: one per (train, patch set, state).

    revisions: by number, what Phabricator said (pass the last known ones when it is silent: which patches
    form a set depends on their stack). commits, hashes: see `landed_on_main`. A patch set is what carries the
    flag: revisions of one stack, or all flagged attachments that are no revisions. Nothing that carries a
    train's flag is ever left out.
    """
    known = revisions or {}
    landed = landed_on_main(bug, commits, hashes, kind=rules.kind, patterns=rules.patterns)
    forms = uplift_forms(bug)
    found = []
    for train in trains:
        if train.approval_flag:
            sets = _patch_sets(bug, readings(bug, train.approval_flag), known, rules)
            found += [_request(bug, train, one, sets, forms, landed, known, rules) for one in sets]
    return tuple(found)


def uid_of(bug: int, train: str, patches: Sequence[str]) -> str:
    """A request's name: the same as long as the same revisions or attachments carry the flag."""
    digest = hashlib.sha256("\n".join(sorted(patches)).encode()).hexdigest()
    return f"{bug}-{train}-{digest[:10]}"


def _patch_sets(
    bug: Bug, carried: Sequence[Reading], revisions: Mapping[int, Revision], rules: Rules
) -> list[tuple[Reading, ...]]:
    """Readings that make one request together: same state, and same stack or all no revisions."""
    by_id = {one.id: one for one in bug.attachments}
    root = _roots(revisions)
    sets: dict[tuple[RequestState, str], list[Reading]] = {}
    for reading in carried:
        number = _number(reading, by_id, rules)
        if number is None:
            place = "raw"
        elif number in revisions:
            place = f"stack {root[number]}"
        else:
            place = "unseen"
        sets.setdefault((reading.state, place), []).append(reading)
    return [tuple(one) for one in sets.values()]


def _roots(revisions: Mapping[int, Revision]) -> dict[int, int]:
    """Each known revision's stack, named by its smallest number."""
    parent = {number: number for number in revisions}

    def find(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number, revision in revisions.items():
        for other in revision.parents:
            if other in parent:
                low, high = sorted((find(number), find(other)))
                parent[high] = low
    return {number: find(number) for number in revisions}


def _request(
    bug: Bug,
    train: Train,
    mine: tuple[Reading, ...],
    sets: Sequence[tuple[Reading, ...]],
    forms: Sequence[FoundForm],
    landed: Sequence[Landed],
    revisions: Mapping[int, Revision],
    rules: Rules,
) -> Request:
    by_id = {one.id: one for one in bug.attachments}
    numbers = {number: one.attachment for one in mine if (number := _number(one, by_id, rules)) is not None}
    attachments = tuple(one.attachment for one in mine if one.attachment is not None)
    names = [f"D{number}" for number in numbers] or [f"attachment {one}" for one in attachments] or ["bug"]
    asked = [one for one in mine if one.requested_at is not None]
    first = min(asked, key=lambda one: str(one.requested_at)) if asked else mine[0]
    last = max(mine, key=lambda one: str(one.decided_at or ""))
    others = frozenset(
        one.attachment for those in sets if those is not mine for one in those if one.attachment is not None
    )
    form, older = choose(forms, train, attachments=attachments, others=others, until=last.decided_at)
    is_only_set = sum(those[0].state is not RequestState.CLEARED for those in sets) <= 1
    series = _series(
        bug, train, numbers, [by_id[one] for one in attachments], landed, revisions, is_only_set, rules
    )
    return Request(
        uid=uid_of(bug.id, train.name, names),
        bug=bug.id,
        train=train.name,
        state=mine[0].state,
        attachments=attachments,
        series=series.patches,
        series_reason=series.reason,
        requested_by=next((one.requested_by for one in (first, *mine) if one.requested_by), None),
        requested_at=first.requested_at,
        decided_by=last.decided_by,
        decided_at=last.decided_at,
        form=form or _field_form(numbers, revisions),
        older_forms=older,
        places=places_of(
            [(one.attachment, _number(one, by_id, rules)) for one in mine],
            train.approval_flag or "",
            bug,
            revisions,
            partial(is_for_train, train=train),
        ),
    )


def _series(
    bug: Bug,
    train: Train,
    numbers: Mapping[int, int | None],
    attachments: Sequence[Attachment],
    landed: Sequence[Landed],
    revisions: Mapping[int, Revision],
    is_only_set: bool,
    rules: Rules,
) -> Series:
    if numbers:
        return of_revisions(
            numbers, revisions, bug=bug, train=train, landed=landed, is_only_set=is_only_set, rules=rules
        )
    if not attachments and landed:
        return of_landings(landed)
    return of_attachments(attachments, landed, is_only_set=is_only_set)


def _field_form(numbers: Mapping[int, int | None], revisions: Mapping[int, Revision]) -> Form | None:
    for number in sorted(numbers):
        form = form_of_revision(revisions[number]) if number in revisions else None
        if form is not None:
            return form
    return None


def _number(reading: Reading, by_id: Mapping[int, Attachment], rules: Rules) -> int | None:
    attachment = by_id.get(reading.attachment) if reading.attachment is not None else None
    return revision_number(attachment, rules) if attachment else None
