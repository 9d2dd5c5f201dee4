# SPDX-License-Identifier: MPL-2.0
"""What a verdict comes to for each request and each bug, put together to one part for each bug."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from shipit.trains.types import Train
from shipit.uplift.decision_checks import seen_of
from shipit.uplift.decision_edits import Edits
from shipit.uplift.decision_types import CannotDecide, Facts, Kind, NotWritten, Part, Row, Stamp, Write
from shipit.uplift.types import Place

_T = TypeVar("_T")


class One(msgspec.Struct, frozen=True, kw_only=True):
    """What the verdict comes to for one subject. request: its uid, None where it is the bug alone."""

    bug: int
    request: str | None = None
    train: Train
    stamp: Stamp | None = None
    places: tuple[Place, ...] = ()
    comment: str
    edits: Edits
    writes: tuple[Write, ...] = ()
    flags_on_bug: tuple[dict[str, Any], ...] = ()
    rows_on_bug: tuple[Row, ...] = ()
    comment_is_written: bool = False
    not_written: tuple[NotWritten, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What it is about, as refusals name it."""
        return self.request or named(self.bug)


def named(bug: int) -> str:
    """A bug that is decided about without a request, as refusals and live updates name it."""
    return f"bug {bug}"


def part_of(bug: int, ones: Sequence[One], facts: Facts) -> Part:
    """All about one bug together: every flag first, then one write of the bug with all the words."""
    stored = facts.bugs[bug]
    fields: dict[str, str] = {}
    for one in ones:
        for name, value in one.edits.fields.items():
            if fields.setdefault(name, value) != value:
                raise CannotDecide(f"fields.{name}", "it would be set to two values")
    held = {name: said for one in ones for name, said in one.edits.held.items()}
    writes = [*(write for one in ones for write in one.writes), *_on_bug(bug, ones, fields)]
    places = tuple((one.train.approval_flag or "", place) for one in ones for place in one.places)
    return Part(
        bug=bug,
        is_restricted=stored.is_restricted,
        requests=tuple(one.request for one in ones if one.request is not None),
        stamps={one.request: one.stamp for one in ones if one.request is not None and one.stamp is not None},
        writes=tuple(sorted(writes, key=_order)),
        not_written=_once(each for one in ones for each in (*one.not_written, *one.edits.not_written)),
        notes=_once(note for one in ones for note in one.notes),
        seen=seen_of(stored.changed, places, {name: stored.fields[name] for name in fields}, held),
        places=places,
    )


def _on_bug(bug: int, ones: Sequence[One], fields: Mapping[str, str]) -> list[Write]:
    """The one write of a bug, if there is anything to write: words, fields and flags in one transaction."""
    words = "\n".join(_once(one.comment for one in ones if one.comment and not one.comment_is_written))
    flags = _each(flag for one in ones for flag in (*one.flags_on_bug, *one.edits.flags))
    rows = _once(row for one in ones for row in (*one.rows_on_bug, *one.edits.rows))
    body: dict[str, Any] = dict(fields)
    if words:
        body["comment"] = {"body": words}
    if flags:
        body["flags"] = flags
    if not body:
        return []
    return [Write(kind=Kind.BUG, id=bug, object=f"bug {bug}", rows=rows, body=body, comment=words or None)]


def _once(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))


def _each(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _order(write: Write) -> int:
    return list(Kind).index(write.kind)
