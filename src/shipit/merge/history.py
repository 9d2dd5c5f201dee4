# SPDX-License-Identifier: MPL-2.0
"""What a search for missing commits needs to know of a history: commits, their words, what each touched."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from shipit.merge.regions import Change

_BUG = re.compile(r"\bbugs?[ \t]*:?[ \t]*#?(\d{1,8})", re.IGNORECASE)
_ISSUE = re.compile(r"(?<![\w(])#(\d{2,8})\b")
_PULL = re.compile(r"\s*\(#\d+\)")
_TAGS = re.compile(r"[\s,;.]*\b(?:r|a|sr|ui-r|rs|f|approval)\s*[=?]\s*\S+", re.IGNORECASE)
# A squash may name several: "(cherry picked from commits A & B)", "from commit A, B and C".
_CHERRY = re.compile(
    r"cherry[- ]picked from (?:commits?:? )?([0-9a-f]{7,64}(?:(?:[\s,;&+]|and|commits?)+[0-9a-f]{7,64})*)",
    re.IGNORECASE,
)
# No abbreviation of a commit is shorter.
_SHORTEST = 7
_HEX = re.compile(r"\b([0-9a-f]{7,64})\b")
_UNDOES = re.compile(r"^(?:revert|reverts|reverted|back(?:ed|ing|s)?[ -]?out)\b", re.IGNORECASE)
_REVERTS = re.compile(r"\b(?:this )?reverts? commits?[ \t]+([0-9a-f, \tand]{7,})", re.IGNORECASE)
_OUT = re.compile(
    r"back(?:ed|ing|s)?[ -]?out (?:changesets?|revisions?|commits?)\W+([0-9a-f]{7,64})", re.IGNORECASE
)
_QUOTED = re.compile(r'^(?:revert(?:s|ed)?|back(?:ed|ing|s)?[ -]?out):?\s+"(.*)"', re.IGNORECASE | re.DOTALL)
_CAUSE = re.compile(
    r"\b(?:fix(?:es|ed)?|regress(?:ed|ion|es)?|caused?|broken?|introduced|follow[- ]?up)\b[^\n]{0,40}?"
    r"(?:\bbugs?[ \t]*#?(?P<bug>\d{1,8})|\b(?P<commit>[0-9a-f]{10,64})\b|(?<!\w)#(?P<issue>\d{2,8}))",
    re.IGNORECASE,
)


class Said(msgspec.Struct, frozen=True):
    """What a commit's message says of other commits and bugs.

    bugs: of its subject, in order. picked: commits it was picked from. undoes: commits it says it undoes;
    quoted: the subject it undoes; is_backout: it undoes something. causes: bugs and (beginnings of) commits
    that it names as what it mends.
    """

    bugs: tuple[int, ...] = ()
    picked: tuple[str, ...] = ()
    undoes: tuple[str, ...] = ()
    quoted: str | None = None
    is_backout: bool = False
    cause_bugs: tuple[int, ...] = ()
    cause_commits: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """A commit of an index. position: parents are below their children. patch: the same for equal changes.

    tree, base: ids of its tree and of its first parent's (None: of no known tree, or a merge). parents:
    positions, those outside of the index left out. paths: which it changes; old_paths: what those that it
    renames were called; lines: how many it adds and removes, None where the index does not say.
    """

    position: int
    id: str
    tree: str
    base: str | None
    parents: tuple[int, ...]
    is_merge: bool
    author: str
    authored: int
    committed: int
    subject: str
    said: Said
    patch: bytes
    paths: tuple[bytes, ...]
    lines: int | None
    old_paths: tuple[bytes, ...] = ()

    @property
    def bug(self) -> int | None:
        """The bug it is for, as its subject says."""
        return self.said.bugs[0] if self.said.bugs else None


class History(Protocol):
    """An index of commits."""

    def find(self, id_: str) -> Entry | None:
        """The commit with a full id."""

    def at(self, position: int) -> Entry:
        """The commit at a position."""

    def changes(self, path: bytes) -> Sequence[Change]:
        """Everything that commits did to a path (under this or as the old name), oldest first."""

    def apart(self, one: Collection[int], other: Collection[int]) -> tuple[set[int], set[int]]:
        """Commits below (and at) the first positions and not the others, and the other way round."""


def read_message(message: str) -> Said:
    """What a commit message says of other commits and bugs."""
    subject, _, body = message.strip().partition("\n")
    undoes = [name for listed in _REVERTS.findall(message) for name in _HEX.findall(listed)]
    undoes += _OUT.findall(message)
    quoted = _QUOTED.match(subject)
    plain = _PULL.sub("", subject)
    bugs = [int(number) for number in _BUG.findall(plain)] or [
        int(number) for number in _ISSUE.findall(plain)
    ]
    causes = list(_CAUSE.finditer(body))
    return Said(
        bugs=tuple(dict.fromkeys(bugs)),
        picked=tuple(
            name.lower() for listed in _CHERRY.findall(message) for name in _HEX.findall(listed.lower())
        ),
        undoes=tuple(name.lower() for name in undoes),
        quoted=plain_subject(quoted[1]) if quoted else None,
        is_backout=bool(_UNDOES.match(subject) or undoes),
        cause_bugs=tuple(
            dict.fromkeys(int(m["bug"] or m["issue"]) for m in causes if m["bug"] or m["issue"])
        ),
        cause_commits=tuple(dict.fromkeys(m["commit"].lower() for m in causes if m["commit"])),
    )


@lru_cache(maxsize=100_000)
def plain_subject(subject: str) -> str:
    """A subject without reviewers, approvals and pull request, which change when it is picked."""
    return " ".join(_TAGS.sub("", _PULL.sub("", subject)).split()).rstrip(".,; ").casefold()


class Twins:
    """Which commits of main a branch carries under another id, of those that it still has."""

    def __init__(self, history: History, own: Iterable[int]) -> None:
        """own: positions of the branch's own commits."""
        self._history = history
        self.own = sorted(own)
        self.standing = self._not_undone(self.own)
        self._patches: dict[bytes, int] = {}
        self._same: dict[tuple[str, int, str], int] = {}
        self._picked: dict[str, int] = {}
        self._short: list[tuple[str, int]] = []
        for position in self.standing:
            entry = history.at(position)
            if entry.patch:
                self._patches[entry.patch] = position
            self._same[entry.author, entry.authored, plain_subject(entry.subject)] = position
            for name in entry.said.picked:
                self._picked[name] = position
                if len(name) < 40:
                    self._short.append((name, position))

    def of(self, entry: Entry) -> int | None:
        """The position of the branch's commit that is the same patch; None when there is none."""
        found = self._picked.get(entry.id)
        if found is None and self._short:
            found = next((own for name, own in self._short if entry.id.startswith(name)), None)
        if found is None and entry.patch:
            found = self._patches.get(entry.patch)
        if found is None:
            found = self._same.get((entry.author, entry.authored, plain_subject(entry.subject)))
        return found

    def _not_undone(self, own: Sequence[int]) -> list[int]:
        """Those of the branch's commits that no later one undid; such a backout goes with what it undid."""
        standing = dict.fromkeys(own)
        by_id: dict[str, list[Entry]] = {}
        by_subject: dict[str, list[int]] = {}
        for position in own:
            entry = self._history.at(position)
            said = entry.said
            undone = None
            if said.undoes:
                named = (
                    one.position
                    for name in said.undoes
                    for one in by_id.get(name[:_SHORTEST], ())
                    if one.id.startswith(name) and one.position in standing
                )
                undone = max(named, default=None)
            elif said.is_backout and said.quoted:
                alike = (one for one in by_subject.get(said.quoted, ()) if one in standing)
                undone = max(alike, default=None)
            if undone is not None:
                del standing[undone]
                del standing[position]
            by_id.setdefault(entry.id[:_SHORTEST], []).append(entry)
            by_subject.setdefault(plain_subject(entry.subject), []).append(position)
        return list(standing)


def changes_by(changes: Sequence[Change], position: int) -> Sequence[Change]:
    """Of the changes of a path (oldest first) those of one commit."""
    start = bisect_left(changes, position, key=_position)
    return [change for change in changes[start : start + 8] if change.position == position]


def _position(change: Change) -> int:
    return change.position
