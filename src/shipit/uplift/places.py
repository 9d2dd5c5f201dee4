# SPDX-License-Identifier: MPL-2.0
"""Where a request is asked and answered: the flags that carry it, and the revisions behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from shipit.uplift.types import Attachment, Bug, Flag, Place, Revision

# What Mozilla's bridge makes of a revision's status on the attachment's flag.
FLAG_OF_STATUS = {
    "accepted": "+",
    "abandoned": "-",
    "needs-revision": "-",
    "changes-planned": "",
    "needs-review": "?",
    "draft": "?",
}
WORDS = {"?": "asked", "+": "approved", "-": "rejected", "": "not set"}
CLOSED = frozenset({"published", "abandoned"})


def places_of(
    carriers: Iterable[tuple[int | None, int | None]],
    flag: str,
    bug: Bug,
    revisions: Mapping[int, Revision],
    is_for_train: Callable[[Revision], bool],
) -> tuple[Place, ...]:
    """The places of a request. carriers: (attachment or None for the bug itself, its revision's number)."""
    return tuple(
        place_now(Place(attachment=attachment, revision=number), flag, bug, revisions, is_for_train)
        for attachment, number in carriers
    )


def place_now(
    place: Place,
    flag: str,
    bug: Bug,
    revisions: Mapping[int, Revision],
    is_for_train: Callable[[Revision], bool] | None = None,
) -> Place:
    """The same place as it stands in what was read now. is_for_train None: what was known of that stays."""
    held = _held(place.attachment, flag, bug)
    revision = revisions.get(place.revision) if place.revision is not None else None
    is_uplift = place.is_uplift
    if revision is not None and is_for_train is not None:
        is_uplift = is_for_train(revision)
    return Place(
        attachment=place.attachment,
        flag=held.id if held else None,
        status=held.status if held else "",
        setter=held.setter if held else None,
        revision=place.revision,
        phid=revision.phid if revision else None,
        revision_status=revision.status if revision else None,
        author=revision.author if revision else None,
        diff=revision.diff if revision else None,
        is_uplift=is_uplift,
    )


def decided_there(places: Sequence[Place]) -> tuple[Place, ...]:
    """Those whose uplift revision is open: the decision is made there, and the flag follows by itself."""
    return tuple(place for place in places if place.is_uplift and place.revision_status not in CLOSED)


def difference(place: Place) -> str | None:
    """What differs between a revision and the flag that should follow it; None when they agree."""
    if not place.is_uplift or place.revision_status is None:
        return None
    expected = FLAG_OF_STATUS.get(place.revision_status)
    if expected is None or expected == place.status:
        return None
    says = WORDS.get(place.status, place.status)
    where = f"attachment {place.attachment}" if place.attachment is not None else "the bug"
    return f"D{place.revision} is {place.revision_status}, but the flag on {where} is {says}."


def _held(attachment: int | None, flag: str, bug: Bug) -> Flag | None:
    flags: tuple[Flag, ...] = bug.flags
    if attachment is not None:
        found: Attachment | None = next((one for one in bug.attachments if one.id == attachment), None)
        if found is None or found.is_obsolete:
            return None
        flags = found.flags
    mine = [one for one in flags if one.name == flag]
    return max(mine, key=lambda one: one.id) if mine else None
