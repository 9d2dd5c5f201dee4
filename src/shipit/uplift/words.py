# SPDX-License-Identifier: MPL-2.0
"""Which files hold words that localizers translate, and which of their changed lines are such words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

# Only here do .properties and .dtd mean words: elsewhere they configure a build, or describe a document.
_LOCALE_FOLDERS = frozenset(("locale", "locales", "l10n", "en-us", "res"))
_LOCALE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*", re.IGNORECASE)
_ANDROID_FOLDER = re.compile(r"values(?:-(?P<locale>.+))?")
_NOT_FOR_LOCALIZERS = re.compile(r"(?:^|/)(?:locales-preview|third_party|node_modules)/")
_SKIPPED = {
    ".ftl": re.compile(r"\s*(?:#.*)?"),
    ".properties": re.compile(r"\s*(?:[#!].*)?"),
    ".dtd": re.compile(r"\s*(?:<!--.*|-->|[^<>]*-->)?"),
    ".xml": re.compile(r"\s*(?:<!--.*|-->|[^<>\"]*-->|</?resources.*|<\?xml.*)?"),
}
_ATTRIBUTE = re.compile(r"""\s+(?:tools|moz):\w+=(?:"[^"]*"|'[^']*')""")


def is_string_file(path: str) -> bool:
    """Whether a file holds the words as their authors write them: not a translation, not a preview."""
    return _kind(path) is not None and not is_translation(path)


def is_translation(path: str) -> bool:
    """Whether a file holds what localizers made of the words."""
    if _kind(path) is None:
        return False
    parts = path.lower().split("/")[:-1]
    if PurePosixPath(path).suffix == ".xml":
        folder = _ANDROID_FOLDER.fullmatch(parts[-1]) if parts else None
        return folder is not None and folder["locale"] is not None
    for place, part in enumerate(parts[:-1]):
        if part in ("locales", "l10n") and _LOCALE.fullmatch(parts[place + 1]):
            return parts[place + 1] not in ("en-us", "en")
    return False


def words_changed(path: str, added: Iterable[bytes], deleted: Iterable[bytes]) -> int:
    """How many lines of words a diff adds to a string file; comments and what only moved do not count."""
    kind = _kind(path)
    if kind is None:
        return 0
    fresh, gone = (Counter(_bare(kind, line) for line in lines) for lines in (added, deleted))
    return sum(count for line, count in (fresh - gone).items() if line)


def _kind(path: str) -> str | None:
    """The ending by which a file's lines are read, None when it holds no words to translate."""
    if _NOT_FOR_LOCALIZERS.search(path):
        return None
    pure = PurePosixPath(path)
    if pure.name == "strings.xml":
        return ".xml"
    if pure.suffix == ".ftl":
        return ".ftl"
    if pure.suffix in (".properties", ".dtd") and _LOCALE_FOLDERS & {part.lower() for part in pure.parts}:
        return pure.suffix
    return None


def _bare(kind: str, line: bytes) -> str:
    """A line's words; empty for a comment, an empty line or what no localizer sees."""
    said = line.decode("utf-8", "backslashreplace").strip()
    if _SKIPPED[kind].fullmatch(said) or 'translatable="false"' in said:
        return ""
    return _ATTRIBUTE.sub("", said) if kind == ".xml" else said
