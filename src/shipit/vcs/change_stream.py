# SPDX-License-Identifier: MPL-2.0
"""What many commits changed, line by line, read from one stream of diffs without keeping their text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.regions import Span
from shipit.vcs.git import GitAnswer
from shipit.vcs.shadow import Shadow

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ID_BYTES = 8
_RENAMES = ("-M", "-l1000")
_PLAIN = ("--no-renames",)
# Few commits change more (imports, a squash of strings), and reading their lines would cost as much as all
# others together. A search that comes by reads those that it meets.
MOST_PATHS = 16


class TouchedFile(msgspec.Struct, frozen=True):
    """A path as a commit changed it; see `shipit.merge.regions.Change`."""

    status: str
    path: bytes
    old_path: bytes
    old: bytes
    new: bytes
    spans: tuple[Span, ...] | None = None


class Touched(msgspec.Struct, frozen=True):
    """What a commit changed. patch: the same for equal changes, empty for none.

    lines: how many it adds and removes; None when that was not read.
    """

    files: tuple[TouchedFile, ...]
    patch: bytes = b""
    lines: int | None = 0


async def read_touched(shadow: Shadow, names: Sequence[str]) -> dict[str, Touched]:
    """What each commit (full id) changed; of a merge the paths that are as in none of its parents.

    Raises CommandFailed when a tree cannot be read. The lines of a commit that changed very many paths are
    not read, and content that cannot be read leaves its commit's lines unknown.
    """
    plain = await _read_files(shadow, names, _PLAIN)
    by_lines = [name for name in names if 0 < len(plain[name]) <= MOST_PATHS and plain[name][0].status != "X"]
    found = await _read_texts(shadow, by_lines)
    # without its lines a commit's renames are still worth knowing
    rest = [name for name in names if name not in found and len(plain[name]) > 1]
    renamed = await _read_files(shadow, rest, _RENAMES) if rest else {}
    return {name: found.get(name) or _without_lines(renamed.get(name, plain[name])) for name in names}


async def count_lines(shadow: Shadow, names: Sequence[str]) -> dict[str, int]:
    """How many lines each commit (full id) adds and removes; none where one of them cannot be read."""
    answer = await shadow.git(
        *("diff-tree", "--stdin", "--always", "-r", "--root", "--numstat", *_RENAMES, "--format=commit %H"),
        stdin="\n".join(names).encode() + b"\n",
        timeout=600,
        check=False,
    )
    counts = dict.fromkeys(names, 0) if answer.code == 0 else {}
    name = ""
    for line in answer.stdout.splitlines() if counts else ():
        if line.startswith(b"commit "):
            name = line[7:].decode("ascii", "replace")
        elif line:
            # a binary file has dashes for numbers
            counts[name] += sum(int(word) for word in line.split(b"\t")[:2] if word.isdigit())
    return counts


async def _read_files(
    shadow: Shadow, names: Sequence[str], renames: Sequence[str]
) -> dict[str, list[TouchedFile]]:
    answer = await shadow.git(
        *("diff-tree", "--stdin", "--always", "-c", "-r", "--root", "-z", "--raw", "--abbrev=40", *renames),
        "--format=%H",
        stdin="\n".join(names).encode() + b"\n",
        timeout=600,
        check=False,
    )
    if answer.code == 0:
        return _read_raw(answer.stdout, names)
    # a rename is found by reading contents, of which one may be missing: that commit does without
    if len(names) == 1 and renames == _PLAIN:
        raise CommandFailed(("git", "diff-tree"), answer.code, answer.complaint)
    if len(names) == 1:
        return await _read_files(shadow, names, _PLAIN)
    half = len(names) // 2
    return {
        **await _read_files(shadow, names[:half], renames),
        **await _read_files(shadow, names[half:], renames),
    }


def _read_raw(stream: bytes, names: Sequence[str]) -> dict[str, list[TouchedFile]]:
    fields = stream.split(b"\0")
    found: dict[str, list[TouchedFile]] = {}
    at = 0
    for name in names:
        if fields[at].lstrip(b"\n").decode("ascii", "replace") != name:
            raise CommandFailed(("git", "diff-tree"), 0, f"expected commit {name} in its answer")
        # between a commit's name and its files, or the next commit, may be an empty field
        at = _past_empty(fields, at + 1)
        files: list[TouchedFile] = []
        while at < len(fields) and (entry := fields[at].lstrip(b"\n")).startswith(b":"):
            at = _read_entry(fields, at, entry, files)
        at = _past_empty(fields, at)
        found[name] = files
    return found


def _past_empty(fields: Sequence[bytes], at: int) -> int:
    while at < len(fields) and not fields[at].strip(b"\n"):
        at += 1
    return at


def _read_entry(fields: Sequence[bytes], at: int, entry: bytes, files: list[TouchedFile]) -> int:
    colons = len(entry) - len(entry.lstrip(b":"))
    words = entry.lstrip(b":").split(b" ")
    status = "X" if colons > 1 else words[-1][:1].decode()
    old_path = path = fields[at + 1]
    at += 2
    if status in "RC":
        path = fields[at]
        at += 1
    old, new = (words[place][: 2 * _ID_BYTES].decode() for place in (colons + 1, 2 * colons + 1))
    files.append(TouchedFile(status, path, old_path, bytes.fromhex(old), bytes.fromhex(new)))
    return at


async def _read_texts(shadow: Shadow, names: Sequence[str]) -> dict[str, Touched]:
    """Commits with their lines; one of which a content is missing is left out."""
    found: dict[str, Touched] = {}
    rest = list(names)
    while rest:
        answer = await shadow.git(
            *("diff-tree", "--stdin", "--always", "-r", "--root", "-z", "--raw", "--abbrev=40", "-p", "-U0"),
            *(*_RENAMES, "--no-ext-diff", "--no-textconv", "--no-color", "--format=commit %H"),
            stdin="\n".join(rest).encode() + b"\n",
            timeout=600,
            check=False,
        )
        told = _cut(answer.stdout, rest)
        whole = len(told) if answer.code == 0 else max(0, len(told) - 1)
        if answer.code == 0 and whole < len(rest):
            raise CommandFailed(("git", "diff-tree"), 0, "it did not answer for every commit")
        found |= {name: _with_lines(*one) for name, one in zip(rest[:whole], told, strict=False)}
        if answer.code != 0 and _is_hopeless(answer):
            break
        # it died of the one after the last whole one: the others need not suffer
        rest = rest[whole + 1 :]
    return found


def _is_hopeless(answer: GitAnswer) -> bool:
    return answer.code is None or answer.code < 0


def _cut(stream: bytes, names: Sequence[str]) -> list[tuple[list[TouchedFile], bytes]]:
    """Files and text of the first commits, in order; of the last one maybe not all."""
    told: list[tuple[list[TouchedFile], bytes]] = []
    at = 0
    for place, name in enumerate(names):
        header = f"commit {name}\0".encode()
        if not stream.startswith(header, at):
            break
        files, at = _entries_at(stream, at + len(header))
        end = at
        if stream.startswith(b"diff --git ", at):
            # no line of a text begins with a letter but those that git itself writes
            following = f"\ncommit {names[place + 1]}\0".encode() if place + 1 < len(names) else None
            found = stream.find(following, at) if following is not None else -1
            end = len(stream) if found < 0 else found + 1
        told.append((files, stream[at:end]))
        at = end
    return told


def _entries_at(stream: bytes, at: int) -> tuple[list[TouchedFile], int]:
    """The raw entries that begin at a place, and the place behind them."""
    files: list[TouchedFile] = []
    at += stream.startswith(b"\n", at)
    while stream.startswith(b":", at):
        first = stream.find(b"\0", at)
        second = stream.find(b"\0", first + 1)
        third = stream.find(b"\0", second + 1)
        if second < 0:
            break
        fields = [stream[at:first], stream[first + 1 : second], stream[second + 1 : third]]
        at = third + 1 if _read_entry(fields, 0, fields[0], files) == len(fields) else second + 1
    while stream.startswith(b"\0", at):
        at += 1
    return files, at


def _without_lines(files: Sequence[TouchedFile]) -> Touched:
    # what brought the content is as good a name for the same change as its lines
    digest = b"".join(file.path + b"\0" + file.old + file.new for file in files if file.status != "X")
    return Touched(tuple(files), _digest(digest) if digest else b"", None if digest else 0)


def _with_lines(files: Sequence[TouchedFile], text: bytes) -> Touched:
    spans, patch, count = _read_text(text, files)
    known = tuple(
        TouchedFile(file.status, file.path, file.old_path, file.old, file.new, found)
        for file, found in zip(files, spans, strict=True)
    )
    return Touched(known, patch, count)


def _read_text(text: bytes, files: Sequence[TouchedFile]) -> tuple[list[tuple[Span, ...] | None], bytes, int]:
    """Spans of each file, the digest of the whole change, and the number of changed lines."""
    lines = text.split(b"\n")
    is_ended = b"\n\\ " not in text
    spans: list[list[Span] | None] = [[] for _ in files]
    digest = hashlib.blake2b(digest_size=12)
    owners = [place for place, file in enumerate(files) for _ in range(2 if file.status == "T" else 1)]
    file, count, at, size = -1, 0, 0, len(lines)
    own: list[Span] | None = None
    while at < size:
        line = lines[at]
        at += 1
        if line.startswith(b"@@ ") and file >= 0 and (match := _HUNK.match(line)):
            old, removed, new, added = (1 if number is None else int(number) for number in match.groups())
            if own is not None:
                old_start, new_start = old - (removed > 0), new - (added > 0)
                own.append((old_start, old_start + removed, new_start, new_start + added))
            changed = removed + added
            end = at + changed
            part = lines[at:end]
            if not is_ended:
                part, end = _ended(lines, at, changed)
            digest.update(b"".join(part).translate(None, b" \t\r"))
            at = end
            count += changed
        elif line.startswith(b"diff --git "):
            file += 1
            if file >= len(owners):
                break
            own = spans[owners[file]]
            digest.update(files[owners[file]].path + b"\0" + files[owners[file]].status.encode())
        elif line.startswith((b"Binary files ", b"GIT binary patch")) and file >= 0:
            own = spans[owners[file]] = None
            digest.update(files[owners[file]].old + files[owners[file]].new)
    patch = digest.digest() if files else b""
    return [None if one is None else tuple(one) for one in spans], patch, count


def _ended(lines: Sequence[bytes], at: int, count: int) -> tuple[list[bytes], int]:
    """The lines of a hunk without git's remarks on an end without a newline, and the place behind them."""
    part: list[bytes] = []
    while at < len(lines) and (len(part) < count or lines[at].startswith(b"\\")):
        if not lines[at].startswith(b"\\"):
            part.append(lines[at])
        at += 1
    return part, at


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=12).digest()
