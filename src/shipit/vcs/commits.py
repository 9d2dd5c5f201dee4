# SPDX-License-Identifier: MPL-2.0
"""Commits of a clone read in bulk: what their messages name, and what their diffs touch."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shipit.uplift.sizes import DiffReader, FileChange
from shipit.uplift.types import Person
from shipit.vcs.git import git

MESSAGE_LIMIT = 8192
LARGEST_DIFF = 1 << 24
_LATEST = 253402300799  # the last second a datetime can say
_HASH = re.compile(r"[0-9a-f]{7,64}\Z")
_NAME_LIST = re.compile(r"(?<![\w/?&-])r[=?!](#?[\w.-]+(?:,(?:r[=?!])?#?[\w.-]+)*)")
# What is written where nobody reviewed.
_NOBODY = frozenset(("me", "oops", "none", "bustage", "backout", "fix", "trivial"))
_BACKOUT = re.compile(
    r"(?:bug \d+\s*[-:,.]?\s*)?"
    r'(?:back(?:ed)?[ -]?out\b|revert(?:ed|s)? (?:"|bug\b|changeset|commit|[0-9a-f]{7,}))',
    re.IGNORECASE,
)


class Head(msgspec.Struct, frozen=True):
    """A commit without its tree. authored, committed: seconds since 1970; message: cut to MESSAGE_LIMIT."""

    name: str
    parents: tuple[str, ...]
    author: Person
    authored: int
    committed: int
    message: str


def reviewers_of(message: str) -> tuple[str, ...]:
    """The nicks a commit message names with r=, r? or r!, lower case, in order; groups keep their "#"."""
    nicks: dict[str, None] = {}
    for match in _NAME_LIST.finditer(message):
        for word in match[1].split(","):
            nick = re.sub(r"^r[=?!]", "", word).rstrip(".-").lower()
            if nick and nick not in _NOBODY:
                nicks[nick] = None
    return tuple(nicks)


def is_backout(message: str) -> bool:
    """Whether a commit says of itself that it backs out or reverts something."""
    return _BACKOUT.match(message.lstrip()[:200]) is not None


def text(raw: bytes) -> str:
    """Bytes of git as text; what is not UTF-8 is shown escaped."""
    return raw.decode("utf-8", "backslashreplace")


def seconds(raw: bytes | str) -> int:
    """A time as git prints it; 0 where a commit's own is unreadable, bounded to what a datetime can say."""
    return min(int(raw), _LATEST) if raw.isdigit() else 0


async def resolve(repo: Path, names: Sequence[str]) -> dict[str, str | None]:
    """Full hash of each name (a full or shortened hash); None where the clone has no such commit."""
    asked = [name for name in dict.fromkeys(names) if _HASH.match(name)]
    found: dict[str, str | None] = dict.fromkeys(names)
    if asked:
        lines = "".join(f"{name}^{{commit}}\n" for name in asked).encode()
        answer = await git(repo, "cat-file", "--batch-check", stdin=lines)
        for name, line in zip(asked, answer.stdout.decode("ascii", "replace").splitlines(), strict=True):
            words = line.split()
            found[name] = words[0] if len(words) == 3 and words[1] == "commit" else None
    return found


async def read_heads(repo: Path, hashes: Sequence[str]) -> dict[str, Head]:
    """Author, times, parents and message of each commit (full hashes that exist). Raises CommandFailed."""
    if not hashes:
        return {}
    answer = await git(
        repo,
        *("log", "--no-walk=unsorted", "--stdin", "-z"),
        "--format=%H%x00%P%x00%an%x00%ae%x00%at%x00%ct%x00%B",
        stdin="\n".join(hashes).encode() + b"\n",
    )
    fields = iter(text(part) for part in answer.stdout.split(b"\0"))
    heads = {}
    for name, parents, author, email, authored, committed, message in zip(*[fields] * 7, strict=False):
        person = Person(name=author[:200] or email[:200], email=email[:200] or None)
        heads[name] = Head(
            name=name,
            parents=tuple(parents.split()),
            author=person,
            authored=seconds(authored),
            committed=seconds(committed),
            message=message[:MESSAGE_LIMIT],
        )
    return heads


async def read_diff(repo: Path, commit: str) -> bytes:
    """A commit's diff (full hash) to its first parent. Raises CommandFailed, also beyond LARGEST_DIFF."""
    answer = await git(
        repo,
        *("diff-tree", "-r", "--root", "--diff-merges=first-parent", "-p", "-M", "-l1000"),
        *("--no-commit-id", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", commit),
        largest=LARGEST_DIFF,
    )
    return answer.stdout


async def read_files(repo: Path, hashes: Sequence[str]) -> dict[str, tuple[FileChange, ...]]:
    """What each commit changes in its first parent. Raises CommandFailed, also beyond LARGEST_DIFF."""
    if not hashes:
        return {}
    answer = await git(
        repo,
        *("diff-tree", "--stdin", "--always", "-r", "--root", "--diff-merges=first-parent", "-p"),
        # Eight lines of context: how hg.mozilla.org shows a patch, on which libmozdata's sizes are counted.
        *("-M", "-l1000", "-U8", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"),
        "--format=commit %H",
        stdin="\n".join(hashes).encode() + b"\n",
        largest=LARGEST_DIFF,
    )
    return await asyncio.to_thread(_read_stream, answer.stdout, hashes)


def _read_stream(stream: bytes, hashes: Sequence[str]) -> dict[str, tuple[FileChange, ...]]:
    """Cut a stream of diffs where the next expected commit begins; no line inside a hunk can pretend that."""
    found: dict[str, tuple[FileChange, ...]] = {}
    expected = [f"commit {name}".encode() for name in hashes]
    reader, at = DiffReader(), -1
    for line in stream.split(b"\n"):
        if at + 1 < len(expected) and line == expected[at + 1] and not reader.is_in_hunk:
            if at >= 0:
                found[hashes[at]] = reader.files()
            reader, at = DiffReader(), at + 1
        else:
            reader.take(line)
    if at >= 0:
        found[hashes[at]] = reader.files()
    return {name: found.get(name, ()) for name in hashes}
