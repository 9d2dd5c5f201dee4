# SPDX-License-Identifier: MPL-2.0
"""Who wrote lines of a file at a commit of a clone, in few processes, each bounded in time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.conflict_view import Blame, Span, Wrote
from shipit.vcs.commits import seconds, text
from shipit.vcs.git import GitAnswer
from shipit.vcs.shadow import Shadow

BLAME_SECONDS = 20.0
LONGEST_SUBJECT = 200

_HEAD = re.compile(rb"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?\Z")
_BUG = re.compile(r"\bbugs?[\s:#]*(\d{1,8})", re.IGNORECASE)
_TOO_LONG = f"naming who wrote its lines took longer than {BLAME_SECONDS:g} s"

Lines = tuple[int, int]


class Blamed(msgspec.Struct, frozen=True):
    """Blame of one file at one commit, and the commits that it names."""

    blame: Blame
    commits: Mapping[str, Wrote] = {}


class GitBlamer:
    """Blame in a shadow of a git clone."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow = shadow

    async def after(self, commit: str, tree: str) -> str | None:
        """A commit with another tree upon a commit: its lines that are not older are this name's."""
        words = ("commit-tree", tree, "-p", commit, "-m", "Earlier patches of the series")
        answer = await self._shadow.git(*words, check=False)
        return answer.stdout.decode("ascii").strip() if answer.code == 0 else None

    async def blame(self, commit: str, path: bytes, blob: str | None, lines: Sequence[Lines]) -> Blamed:
        """Who wrote `lines` of the file, and what last touched it. Never raises; a reason says what failed.

        blob: id of its content as the merge saw it, None where the side has no such file: then only what
        removed it is named.
        """
        try:
            return await self._blame(commit, path, blob, lines)
        except CommandFailed as error:
            return Blamed(Blame(reason=f"who wrote it cannot be read: {error.detail[:200]}"))

    async def _blame(self, commit: str, path: bytes, blob: str | None, lines: Sequence[Lines]) -> Blamed:
        name: bytes | None = path
        if blob is not None:
            name = await self._name_of(commit, path, blob)
        if name is None:
            return Blamed(Blame(reason="the file is not in this form in its history"))
        last = await self._ask(
            "log", "-1", "-z", "--format=%H%x00%an%x00%ct%x00%s", commit, "--", _word(name)
        )
        named = _last(last)
        spans: tuple[Span, ...] = ()
        reason = None
        if lines:
            ranges = [word for first, end in lines for word in ("-L", f"{first},{end}")]
            answer = await self._ask("blame", "--porcelain", *ranges, commit, "--", _word(name))
            if answer.code == 0:
                spans, found = read_porcelain(answer.stdout)
                named |= found
            else:
                reason = _TOO_LONG if answer.code is None else f"git refused: {answer.complaint[:200]}"
        return Blamed(Blame(spans=spans, last=next(iter(_last(last)), None), reason=reason), named)

    async def _name_of(self, commit: str, path: bytes, blob: str) -> bytes | None:
        """The path at which the commit has this content: the same, or the one it was moved from."""
        listed = await self._ask("ls-tree", "-z", commit, "--", _word(path))
        if any(name == blob for name, _ in _entries(listed.stdout)):
            return path
        every = await self._ask("ls-tree", "-r", "-z", commit)
        return next((found for name, found in _entries(every.stdout) if name == blob), None)

    async def _ask(self, *words: str) -> GitAnswer:
        return await self._shadow.git("--literal-pathspecs", *words, timeout=BLAME_SECONDS, check=False)


def read_porcelain(output: bytes) -> tuple[tuple[Span, ...], dict[str, Wrote]]:
    """Spans ascending, and the commits, out of what `git blame --porcelain` said."""
    spans: list[Span] = []
    facts: dict[str, dict[bytes, bytes]] = {}
    commit = ""
    for line in output.split(b"\n"):
        if line.startswith(b"\t"):
            commit = ""
        elif not commit and (head := _HEAD.match(line)):
            commit, number = head[1].decode(), int(head[2])
            facts.setdefault(commit, {})
            last = spans[-1] if spans else None
            if last is not None and (last.commit, last.last + 1) == (commit, number):
                spans[-1] = Span(first=last.first, last=number, commit=commit)
            else:
                spans.append(Span(first=number, last=number, commit=commit))
        elif commit:
            key, _, value = line.partition(b" ")
            facts[commit][key] = value
    return tuple(spans), {
        name: wrote(name, *(text(said.get(key, b"")) for key in (b"author", b"committer-time", b"summary")))
        for name, said in facts.items()
    }


def wrote(commit: str, author: str, at: str, subject: str) -> Wrote:
    """A commit as blame names it. at: seconds since 1970."""
    bug = _BUG.search(subject)
    name = author.partition("<")[0].strip() or author.strip("< ")
    return Wrote(
        commit=commit,
        author=name.partition("@")[0][:100],
        at=datetime.fromtimestamp(seconds(at), UTC),
        subject=subject[:LONGEST_SUBJECT],
        bug=int(bug[1]) if bug else None,
    )


def _last(answer: GitAnswer) -> dict[str, Wrote]:
    fields = answer.stdout.rstrip(b"\0\n").split(b"\0")
    if answer.code != 0 or len(fields) < 4:
        return {}
    name = fields[0].decode("ascii", "replace")
    return {name: wrote(name, *(text(field) for field in fields[1:4]))}


def _entries(listed: bytes) -> list[tuple[str, bytes]]:
    """(id, path) of the entries that `ls-tree -z` lists."""
    records = (record.partition(b"\t") for record in listed.split(b"\0") if record)
    return [(facts.split(b" ")[-1].decode("ascii", "replace"), path) for facts, _, path in records]


def _word(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
