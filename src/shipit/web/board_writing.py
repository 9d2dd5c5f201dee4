# SPDX-License-Identifier: MPL-2.0
"""A view of the board written as CSV, RSS 2.0 and Atom. Pure."""

from __future__ import annotations

import csv as tables
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from shipit.uplift.board import Group
from shipit.web.board_shapes import BoardRow, BoardTrain

COLUMNS = (
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
# What a spreadsheet takes for the beginning of a formula, also in its wide forms.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


class View(NamedTuple):
    """What is written. groups: their titles. url: of the pages; query: of the board's address."""

    train: BoardTrain
    as_of: datetime | None
    more: bool
    rows: Sequence[BoardRow]
    groups: Mapping[Group, str]
    url: str
    query: str

    @property
    def address(self) -> str:
        """The board with this view."""
        return f"{self.url}/?train={self.train.name}" + (f"&{self.query}" if self.query else "")

    @property
    def updated(self) -> datetime:
        """When anything of it last changed, as far as it says."""
        found = [at for row in self.rows if (at := _updated(row))]
        return max(found, default=self.as_of or datetime(2000, 1, 1, tzinfo=UTC))


def csv(view: View) -> str:
    """RFC 4180, every cell quoted; none begins a formula."""
    out = io.StringIO()
    writer = tables.writer(out, quoting=tables.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in view.rows:
        writer.writerow([_cell(each) for each in _cells(row, view)])
    return out.getvalue()


def rss(view: View) -> str:
    """RSS 2.0."""
    items = "".join(
        f"<item><title>{_text(_title(row))}</title><link>{_text(_link(row, view))}</link>"
        f'<guid isPermaLink="false">{_text(_mark(row, view))}</guid>'
        f"<description>{_text(_sentence(row, view))}</description>"
        + (f"<pubDate>{format_datetime(at)}</pubDate>" if (at := _updated(row)) else "")
        + "</item>"
        for row in view.rows
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>'
        f"<title>{_text(_heading(view))}</title><link>{_text(view.address)}</link>"
        "<description>Uplift requests and where they stand.</description>"
        f"<lastBuildDate>{format_datetime(view.updated)}</lastBuildDate>{items}</channel></rss>\n"
    )


def atom(view: View) -> str:
    """Atom (RFC 4287)."""
    entries = "".join(
        f"<entry><id>{_text(_mark(row, view))}</id><title>{_text(_title(row))}</title>"
        f"<link href={_attribute(_link(row, view))}/>"
        f"<updated>{(_updated(row) or view.updated).isoformat()}</updated>"
        f"<summary>{_text(_sentence(row, view))}</summary></entry>"
        for row in view.rows
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>{_text(view.address)}</id><title>{_text(_heading(view))}</title>"
        f"<link href={_attribute(view.address)}/><updated>{view.updated.isoformat()}</updated>"
        f"<author><name>Ship It</name></author>{entries}</feed>\n"
    )


def _cells(row: BoardRow, view: View) -> list[object]:
    size, decided = row.size, row.decided
    return [
        view.train.name,
        row.bug,
        row.summary,
        row.product,
        row.component,
        row.state.value,
        view.groups.get(row.group, row.group.value),
        row.here.word,
        row.here.sentence,
        row.risk or "",
        size.files if size else "",
        size.added if size else "",
        size.deleted if size else "",
        row.who.name if row.who else "",
        row.requested_at.isoformat() if row.requested_at else "",
        ", ".join(row.tags),
        "yes" if row.is_restricted else "no",
        ", ".join(row.disagrees),
        f"{decided.word} by {decided.by}" if decided else "",
        _link(row, view),
    ]


def _cell(value: object) -> str:
    text = "".join(letter if letter >= " " else " " for letter in str(value))
    return f"'{text}" if str(value).startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _heading(view: View) -> str:
    return f"Ship It: {view.train.title}"


def _title(row: BoardRow) -> str:
    return f"{row.here.word}: bug {row.bug}, {row.summary}"


def _sentence(row: BoardRow, view: View) -> str:
    return " ".join((f"{view.groups.get(row.group, row.group.value)}.", row.here.sentence, *row.here.notes))


def _mark(row: BoardRow, view: View) -> str:
    """What makes an entry a new one: the request, and how it stands."""
    return f"{_link(row, view)}#{row.state.value}-{row.here.key.value}"


def _link(row: BoardRow, view: View) -> str:
    return f"{view.url}/requests/{row.uid}"


def _updated(row: BoardRow) -> datetime | None:
    return row.here.at or row.requested_at


def _text(value: str) -> str:
    return escape(_plain(value))


def _attribute(value: str) -> str:
    return quoteattr(_plain(value))


def _plain(value: str) -> str:
    """Without the characters that XML has no place for."""
    return _NOT_IN_XML.sub(" ", value)
