# SPDX-License-Identifier: MPL-2.0
"""What every page for people has: head, header, footer and assets; and the small pieces pages are made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib import resources

PLACES = (("/", "Requests"), ("/events", "Events"))


def _asset(name: str) -> bytes:
    return resources.files(__package__).joinpath("assets", name).read_bytes()


ASSETS = {
    "page.css": ("text/css", _asset("page.css")),
    "page.js": ("text/javascript", _asset("page.js")),
    "icon.svg": ("image/svg+xml", _asset("icon.svg")),
}
_VERSIONS = {name: hashlib.sha256(content).hexdigest()[:12] for name, (_, content) in ASSETS.items()}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What goes around a page. All but title and label is HTML that is safe already.

    place: path of the page. links, label: those within it, and what they are called. hears: the one table
    whose changes touch it; "": every other one.
    """

    title: str
    place: str
    label: str
    links: str
    main: str
    is_demo: bool
    hears: str = ""


def document(frame: Frame) -> str:
    """The whole page."""
    demo = '<p class="demo" role="note">This data is invented.</p>' if frame.is_demo else ""
    places = "".join(
        f'<a href="{path}"{" aria-current=page" if path == frame.place else ""}>{word}</a>'
        for path, word in PLACES
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(frame.title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/assets/page.css?v={_VERSIONS["page.css"]}">'
        f'<link rel="icon" href="/assets/icon.svg?v={_VERSIONS["icon.svg"]}" type="image/svg+xml">'
        f'<script src="/assets/page.js?v={_VERSIONS["page.js"]}" defer></script></head><body>'
        f'<a class="skip" href="#main">To the {escape(frame.label.lower())}</a>{demo}'
        f'<header><h1>Ship It</h1><nav class="places" aria-label="Pages">{places}</nav>'
        f'<nav class="within" aria-label="{escape(frame.label)}">{frame.links}</nav>'
        '<span class="live" role="status" data-state="none">Not live</span></header>'
        f'<main id="main" data-hears="{escape(frame.hears)}">{frame.main}</main>'
        '<footer><a href="/schema">API</a></footer></body></html>'
    )


def time_tag(at: datetime) -> str:
    """A moment that an open page shows as its age."""
    return f'<time datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M} UTC</time>'


def moment_tag(at: datetime) -> str:
    """A moment that stays one: after "since" the moment itself reads well, an age does not."""
    return f'<time class="moment" datetime="{at.isoformat()}">{at:%Y-%m-%d %H:%M} UTC</time>'


def digest(text: str) -> str:
    """What tells an open page whether a piece differs from the one it shows."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
