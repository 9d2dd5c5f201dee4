# SPDX-License-Identifier: MPL-2.0
"""Where a verdict about one request is written: on its open uplift revisions, or on its flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shipit.trains.types import Train
from shipit.uplift.decision_edits import UNSET
from shipit.uplift.decision_types import CannotDecide, Decider, Kind, NotWritten, Row, Write
from shipit.uplift.types import Place
from shipit.uplift.verdicts import Verdict

FLAG_AFTER = {Verdict.APPROVE: "+", Verdict.REJECT: "-", Verdict.WITHDRAW: ""}
REVISION_AFTER = {
    Verdict.APPROVE: ("accept", "accepted"),
    Verdict.REJECT: ("reject", "needs-revision"),
    Verdict.WITHDRAW: ("plan-changes", "changes-planned"),
}
CLOSED_DOORS = frozenset({"draft"})


def on_revisions(
    verdict: Verdict, there: Sequence[Place], comment: str, decider: Decider
) -> tuple[Write, ...]:
    """Parents first, in the order of the places; the words stand once, on the last."""
    action, after = REVISION_AFTER[verdict]
    writes = []
    for place in there:
        assert place.revision is not None
        if place.revision_status in CLOSED_DOORS:
            raise CannotDecide(
                "places", f"D{place.revision} is a draft: its author has not sent it for review"
            )
        if verdict is Verdict.WITHDRAW and place.author != decider.phabricator:
            why = f"only its author takes D{place.revision} back (Plan Changes); reject it instead"
            raise CannotDecide("verdict", why)
        if (
            verdict is not Verdict.WITHDRAW
            and place.author is not None
            and place.author == decider.phabricator
        ):
            raise CannotDecide(
                "person", f"D{place.revision} is your own, which Phabricator lets nobody judge"
            )
        if place.revision_status == after:
            continue
        is_last = place is there[-1]
        transactions: list[dict[str, Any]] = [{"type": action, "value": True}]
        if is_last and comment:
            transactions.append({"type": "comment", "value": comment})
        writes.append(
            Write(
                kind=Kind.REVISION,
                id=place.revision,
                object=f"D{place.revision}",
                rows=(Row("status", place.revision_status or "unknown", after),),
                body={"transactions": transactions},
                comment=comment if is_last and comment else None,
            )
        )
    return tuple(writes)


def flags_follow(there: Sequence[Place], train: Train) -> list[NotWritten]:
    """The flags that are left to the revisions."""
    why = "follows the revision by itself"
    return [NotWritten(where(place), train.approval_flag or "flag", why) for place in there]


class OnFlags(msgspec.Struct, frozen=True):
    """What a verdict does to flags: calls of their own, flags on the bug itself, and those left alone."""

    writes: tuple[Write, ...]
    on_bug: tuple[dict[str, Any], ...]
    rows_on_bug: tuple[Row, ...]
    untouched: tuple[NotWritten, ...]


def on_flags(verdict: Verdict, places: Sequence[Place], train: Train) -> OnFlags:
    """One call for each attachment, naming the flag by its id, so that another flag is never met."""
    after, name = FLAG_AFTER[verdict], train.approval_flag
    if name is None:
        raise CannotDecide("train", f"{train.name} has no approval flag")
    moved = [place for place in places if place.status != after]
    return OnFlags(
        writes=tuple(
            Write(
                kind=Kind.ATTACHMENT,
                id=place.attachment,
                object=f"attachment {place.attachment}",
                rows=(Row(name, shown(place.status), shown(after)),),
                body={"flags": [_set(place, name, after)]},
            )
            for place in moved
            if place.attachment is not None
        ),
        on_bug=tuple(_set(place, name, after) for place in moved if place.attachment is None),
        rows_on_bug=tuple(
            Row(name, shown(place.status), shown(after)) for place in moved if place.attachment is None
        ),
        untouched=tuple(
            NotWritten(where(place), name, f"is {shown(after)} already")
            for place in places
            if place.status == after
        ),
    )


def _set(place: Place, name: str, after: str) -> dict[str, Any]:
    which: dict[str, Any] = {"name": name} if place.flag is None else {"id": place.flag}
    return which | {"status": after or "X"}


def where(place: Place) -> str:
    """What carries the flag, for people."""
    return "bug" if place.attachment is None else f"attachment {place.attachment}"


def shown(status: str) -> str:
    """A flag's status, for people."""
    return status or UNSET
