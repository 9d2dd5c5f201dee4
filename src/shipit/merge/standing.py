# SPDX-License-Identifier: MPL-2.0
"""Read in commit messages which commits are the same patch, and which undo which."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

_CHERRY = re.compile(r"cherry[- ]picked from (?:commit )?([0-9a-f]{7,64})", re.IGNORECASE)
_BUG = re.compile(r"\bbugs?[ \t]*:?[ \t]*#?(\d{3,8})", re.IGNORECASE)
_HEX = re.compile(r"\b([0-9a-f]{7,64})\b")
_REVERT_SUBJECT = re.compile(r"^(?:revert|reverts|reverted|back(?:ed|ing|s)?[ -]?out)\b", re.IGNORECASE)
_REVERTS = re.compile(r"\breverts? commits?[ \t]+([0-9a-f, \tand]{7,})", re.IGNORECASE)
_CHANGESET = re.compile(
    r"back(?:ed|ing|s)?[ -]?out (?:changesets?|revisions?|commits?)\W+([0-9a-f]{7,64})", re.IGNORECASE
)
_QUOTED = re.compile(r'^revert(?:s|ed)?:?\s+"(.*)"', re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"[\s,;.]*\b(?:r|a|sr|ui-r|rs|f|approval)\s*[=?]\s*\S+", re.IGNORECASE)


class Landing(msgspec.Struct, frozen=True):
    """A commit on a train as its message and author tell. authored: Unix seconds."""

    id: str
    author: str
    authored: int
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0].strip()


class Backout(msgspec.Struct, frozen=True):
    """Who undid a commit: for certain (named it), or possibly (named its bug only)."""

    certain: str | None = None
    possible: tuple[str, ...] = ()


def bugs_of(text: str) -> frozenset[int]:
    """The bug numbers that a text names."""
    return frozenset(int(number) for number in _BUG.findall(text))


def is_backout(landing: Landing) -> bool:
    """Whether a commit says that it undoes others."""
    return bool(_REVERT_SUBJECT.match(landing.subject) or _REVERTS.search(landing.message))


def is_twin(one: Landing, other: Landing) -> bool:
    """Whether another commit says it is the same patch: picked from it, or same author, time and subject."""
    if any(one.id.startswith(name.lower()) for name in _CHERRY.findall(other.message)):
        return True
    if is_backout(one) != is_backout(other):
        return False
    same_author = (one.author, one.authored) == (other.author, other.authored)
    return same_author and _plain(one.subject) == _plain(other.subject)


def backed_out_by(landing: Landing, history: Sequence[Landing]) -> Backout:
    """Which commit of a history (newest first) undid a landing, and was not undone itself."""
    names = [commit.id for commit in history]
    later = history[: names.index(landing.id)] if landing.id in names else history
    possible = []
    for place, commit in enumerate(later):
        if not is_backout(commit):
            continue
        match = _undoes(commit, landing)
        if match is None:
            continue
        if backed_out_by(commit, later[:place]).certain is not None:
            continue
        if match:
            return Backout(certain=commit.id)
        possible.append(commit.id)
    return Backout(possible=tuple(possible))


def _undoes(backout: Landing, landing: Landing) -> bool | None:
    """True when it names the commit, False when it names only its bug, None when neither."""
    named = [name.lower() for name in named_by(backout)]
    if any(landing.id.startswith(name) for name in named):
        return True
    quoted = quoted_by(backout)
    if quoted is not None and not named:
        return True if is_same_subject(quoted, landing.subject) else None
    if quoted is not None or is_backout(landing):
        return None
    # Hashes of another system (hg) say nothing here; the bug does.
    shared = bugs_of(backout.message) & bugs_of(landing.subject)
    return False if shared else None


def named_by(backout: Landing) -> list[str]:
    """The (full or short) hashes of commits that a backout says it undoes."""
    names: list[str] = []
    for listed in _REVERTS.findall(backout.message):
        names += _HEX.findall(listed)
    return names + _CHANGESET.findall(backout.message)


def quoted_by(backout: Landing) -> str | None:
    """The subject that a backout quotes: of 'Revert "Bug 1 - x"' it is 'Bug 1 - x'."""
    quoted = _QUOTED.match(backout.subject)
    return quoted[1] if quoted else None


def is_same_subject(one: str, other: str) -> bool:
    """Whether two subjects are the same but for reviewers and approvals."""
    return _plain(one) == _plain(other)


def _plain(subject: str) -> str:
    """A subject without reviewers and approvals, which a sheriff may add when picking it."""
    return " ".join(_TAGS.sub("", subject).split()).rstrip(".,; ").casefold()
