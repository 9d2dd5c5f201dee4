# SPDX-License-Identifier: MPL-2.0
"""Read pages as a parser does, and the words that would break one that forgot to escape them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

# What people put into bugs, and what would break a page that forgot to escape it.
HOSTILE = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "<!--",
    "]]><x>",
    "</td></tr></table><h1>mine</h1>",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "javascript:alert(1)",
    "<a href='//evil.example.net'>click</a>",
    "\u202eright to left\u202c \ufffe",
    "&lt;script&gt; &amp; &#x3c;",
    "<style>*{display:none}</style>",
    "<iframe srcdoc='<script>1</script>'>",
]


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags
