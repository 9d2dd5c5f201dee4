# SPDX-License-Identifier: MPL-2.0
"""Which rows of the board an address asks for, and in which order: the same on page, CSV and feed. Pure.

Words of the address: `q` (words that must all be found), `group`, `status`, `state`, `product`,
`component`, `tag`, `risk`, `who`, `security` (yes, no), `disagrees` (yes, no), and `sort` (a `-` before it
turns it round).
Several values of one word are separated by commas, or the word comes again; any of them fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from shipit.errors import InvalidInput
from shipit.uplift.board import Group
from shipit.uplift.standing import StandingKey
from shipit.uplift.types import RequestState

_LATE = datetime.max.replace(tzinfo=UTC)
_RISKS = ("high", "medium", "low", "none")
_MOST_VALUES = 50
_MOST_TEXT = 300


class Sort(StrEnum):
    """What the rows of a group are ordered by. BEFORE: what must be decided first."""

    BEFORE = "before"
    AGE = "age"
    RISK = "risk"
    SIZE = "size"
    BUG = "bug"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of a row. lines: changed by its patches, None while not measured."""

    uid: str
    bug: int
    group: Group
    status: StandingKey
    state: RequestState
    rank: int
    summary: str
    product: str
    component: str
    tags: tuple[str, ...]
    who: str
    risk: str | None
    lines: int | None
    is_restricted: bool
    disagrees: bool
    requested_at: datetime | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an address asks for. values: by word, any of which fits; words: of `q`, lower case."""

    words: tuple[str, ...] = ()
    values: Mapping[str, frozenset[str]] = {}
    sort: Sort = Sort.BEFORE
    is_reversed: bool = False


def read(query: Iterable[tuple[str, str]], *, others: frozenset[str] = frozenset()) -> Wanted:
    """What a query asks for. others: words of the address that choose no rows.

    Raises InvalidInput, naming the word, for one that is unknown or has a value that cannot be: a filter that
    silently did nothing would show too much.
    """
    given: dict[str, list[str]] = {}
    for name, value in query:
        if name in others:
            continue
        if name not in _CHOICES and name not in ("q", "sort"):
            raise InvalidInput(f"query.{name[:60]}", expected=f"one of {', '.join((*_CHOICES, 'q', 'sort'))}")
        given.setdefault(name, []).append(value)
    values = {
        name: _read_values(name, found) for name, found in given.items() if name in _CHOICES and any(found)
    }
    sort, is_reversed = _read_sort(given.get("sort", []))
    text = " ".join(given.get("q", []))
    if len(text) > _MOST_TEXT:
        raise InvalidInput("query.q", expected=f"at most {_MOST_TEXT} characters")
    return Wanted(words=tuple(text.lower().split()), values=values, sort=sort, is_reversed=is_reversed)


def chosen(rows: Sequence[Row], wanted: Wanted) -> list[Row]:
    """The rows that are wanted, by group, and within a group in the order that is wanted."""
    found = [row for row in rows if _fits(row, wanted)]
    found.sort(key=_ORDERS[Sort.BEFORE])
    found.sort(key=_ORDERS[wanted.sort], reverse=wanted.is_reversed)
    return sorted(found, key=lambda row: _GROUPS[row.group])


def _fits(row: Row, wanted: Wanted) -> bool:
    if not all(_value(row, name) & values for name, values in wanted.values.items()):
        return False
    text = " ".join((row.summary, row.product, row.component, row.who, *row.tags, str(row.bug))).lower()
    return all(word in text for word in wanted.words)


def _value(row: Row, name: str) -> frozenset[str]:
    found = _CHOICES[name][0](row)
    return frozenset((found,) if isinstance(found, str) else found)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


_YES = ("yes", "no")
# word -> (what of a row it is compared with, the values there are; None: any)
_CHOICES: dict[str, tuple[Callable[[Row], str | Iterable[str]], tuple[str, ...] | None]] = {
    "group": (lambda row: row.group.value, tuple(Group)),
    "status": (lambda row: row.status.value, tuple(StandingKey)),
    "state": (lambda row: row.state.value, tuple(RequestState)),
    "product": (lambda row: row.product, None),
    "component": (lambda row: row.component, None),
    "tag": (lambda row: row.tags, None),
    "risk": (lambda row: row.risk or "none", _RISKS),
    "who": (lambda row: row.who, None),
    "security": (lambda row: _yes(row.is_restricted), _YES),
    "disagrees": (lambda row: _yes(row.disagrees), _YES),
}

_GROUPS = {group: place for place, group in enumerate(Group)}
_ORDERS: dict[Sort, Callable[[Row], Any]] = {
    Sort.BEFORE: lambda row: (row.rank, row.requested_at or _LATE, row.uid),
    Sort.AGE: lambda row: row.requested_at or _LATE,
    Sort.RISK: lambda row: _RISKS.index(row.risk or "none"),
    Sort.SIZE: lambda row: -1 if row.lines is None else row.lines,
    Sort.BUG: lambda row: row.bug,
}


def _read_values(name: str, given: list[str]) -> frozenset[str]:
    # A component may have a comma in its name: then the word comes by itself.
    known = _CHOICES[name][1]
    values = {part.strip() for each in given for part in each.split(",")} | {each.strip() for each in given}
    values -= {""}
    if len(values) > _MOST_VALUES:
        raise InvalidInput(f"query.{name}", expected=f"at most {_MOST_VALUES} values")
    unknown = [value for each in given for value in each.split(",") if known and value.strip() not in known]
    if unknown and known:
        raise InvalidInput(f"query.{name}", expected=f"some of {', '.join(known)}", got=unknown[0])
    return frozenset(values)


def _read_sort(given: list[str]) -> tuple[Sort, bool]:
    if not given or not given[-1]:
        return Sort.BEFORE, False
    text = given[-1]
    try:
        return Sort(text.removeprefix("-")), text.startswith("-")
    except ValueError as error:
        expected = f"one of {', '.join(Sort)}, perhaps with - before it"
        raise InvalidInput("query.sort", expected=expected, got=text) from error
