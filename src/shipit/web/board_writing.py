# SPDX-License-Identifier: MPL-2.0
"""A view of a train (its requests, or one of its lists) written as CSV, RSS 2.0 and Atom. Pure."""

from __future__ import annotations

import csv as tables
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

# What a spreadsheet takes for the beginning of a formula, also in its wide forms.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NOT_IN_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


class Entry(NamedTuple):
    """A row. mark: what makes it a new one to whoever reads feeds; cells: under the view's columns."""

    title: str
    link: str
    mark: str
    sentence: str
    at: datetime | None
    cells: Sequence[object]


class View(NamedTuple):
    """What is written. address: the page with this view; about: what it is, in a sentence."""

    title: str
    about: str
    address: str
    as_of: datetime | None
    columns: Sequence[str]
    entries: Sequence[Entry]

    @property
    def updated(self) -> datetime:
        """When anything of it last changed, as far as it says."""
        found = [entry.at for entry in self.entries if entry.at]
        return max(found, default=self.as_of or datetime(2000, 1, 1, tzinfo=UTC))


def csv(view: View) -> str:
    """RFC 4180, every cell quoted; none begins a formula."""
    out = io.StringIO()
    writer = tables.writer(out, quoting=tables.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(view.columns)
    for entry in view.entries:
        writer.writerow([_cell(each) for each in entry.cells])
    return out.getvalue()


def rss(view: View) -> str:
    """RSS 2.0."""
    items = "".join(
        f"<item><title>{_text(entry.title)}</title><link>{_text(entry.link)}</link>"
        f'<guid isPermaLink="false">{_text(entry.mark)}</guid>'
        f"<description>{_text(entry.sentence)}</description>"
        + (f"<pubDate>{format_datetime(entry.at)}</pubDate>" if entry.at else "")
        + "</item>"
        for entry in view.entries
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel>'
        f"<title>{_text(view.title)}</title><link>{_text(view.address)}</link>"
        f"<description>{_text(view.about)}</description>"
        f"<lastBuildDate>{format_datetime(view.updated)}</lastBuildDate>{items}</channel></rss>\n"
    )


def atom(view: View) -> str:
    """Atom (RFC 4287)."""
    entries = "".join(
        f"<entry><id>{_text(entry.mark)}</id><title>{_text(entry.title)}</title>"
        f"<link href={_attribute(entry.link)}/>"
        f"<updated>{(entry.at or view.updated).isoformat()}</updated>"
        f"<summary>{_text(entry.sentence)}</summary></entry>"
        for entry in view.entries
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>{_text(view.address)}</id><title>{_text(view.title)}</title>"
        f"<link href={_attribute(view.address)}/><updated>{view.updated.isoformat()}</updated>"
        f"<author><name>Ship It</name></author>{entries}</feed>\n"
    )


def _cell(value: object) -> str:
    text = "".join(letter if letter >= " " else " " for letter in str(value))
    return f"'{text}" if str(value).startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _text(value: str) -> str:
    return escape(_plain(value))


def _attribute(value: str) -> str:
    return quoteattr(_plain(value))


def _plain(value: str) -> str:
    """Without the characters that XML has no place for."""
    return _NOT_IN_XML.sub(" ", value)
