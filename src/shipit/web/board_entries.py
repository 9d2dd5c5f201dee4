# SPDX-License-Identifier: MPL-2.0
"""Requests, and bugs of lists, as entries of a table or a feed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from shipit.uplift.board import Group
from shipit.web.board_lists import ListRow
from shipit.web.board_shapes import BoardRow
from shipit.web.board_writing import Entry

REQUEST_COLUMNS = (
    "train",
    "bug",
    "summary",
    "product",
    "component",
    "state",
    "group",
    "merge",
    "why",
    "risk",
    "files",
    "lines added",
    "lines deleted",
    "who",
    "requested at",
    "tags",
    "security",
    "disagrees",
    "decided",
    "url",
)
LIST_COLUMNS = (
    "train",
    "list",
    "bug",
    "summary",
    "product",
    "component",
    "severity",
    "keywords",
    "assignee",
    "why",
    "since",
    "security",
    "url",
)


def request_entry(row: BoardRow, *, train: str, groups: Mapping[Group, str], url: str) -> Entry:
    """A request of the board. groups: their titles; url: of our pages."""
    link = f"{url}/requests/{row.uid}"
    group = groups.get(row.group, row.group.value)
    size, decided = row.size, row.decided
    return Entry(
        title=f"{row.here.word}: bug {row.bug}, {row.summary}",
        link=link,
        mark=f"{link}#{row.state.value}-{row.here.key.value}",
        sentence=" ".join((f"{group}.", row.here.sentence, *row.here.notes)),
        at=row.here.at or row.requested_at,
        cells=(
            train,
            row.bug,
            row.summary,
            row.product,
            row.component,
            row.state.value,
            group,
            row.here.word,
            row.here.sentence,
            row.risk or "",
            size.files if size else "",
            size.added if size else "",
            size.deleted if size else "",
            row.who.name if row.who else "",
            _moment(row.requested_at),
            ", ".join(row.tags),
            _yes(row.is_restricted),
            ", ".join(row.disagrees),
            f"{decided.word} by {decided.by}" if decided else "",
            link,
        ),
    )


def list_entry(row: ListRow, *, train: str, title: str, url: str) -> Entry:
    """A bug of a list; its link leads to its request, or to the bug where it has none. title: of the list."""
    link = f"{url}/requests/{row.request}" if row.request else (row.url or "")
    return Entry(
        title=f"Bug {row.bug}: {row.summary}",
        link=link,
        mark=f"{link}#{train}-{title}",
        sentence=row.sentence,
        at=row.since,
        cells=(
            train,
            title,
            row.bug,
            row.summary,
            row.product,
            row.component,
            row.severity,
            ", ".join(row.keywords),
            row.assignee or "",
            row.sentence,
            _moment(row.since),
            _yes(row.is_restricted),
            link,
        ),
    )


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
