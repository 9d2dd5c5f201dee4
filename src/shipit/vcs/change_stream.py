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


class TouchedFile(msgspec.Struct, frozen=True):
    """A path as a commit changed it; see `shipit.merge.regions.Change`."""

    status: str
    path: bytes
    old_path: bytes
    old: bytes
    new: bytes
    spans: tuple[Span, ...] | None = None


class Touched(msgspec.Struct, frozen=True):
    """What a commit changed. patch: the same for equal changes, empty for none; lines: added and removed."""

    files: tuple[TouchedFile, ...]
    patch: bytes = b""
    lines: int = 0


async def read_touched(shadow: Shadow, names: Sequence[str]) -> dict[str, Touched]:
    """What each commit (full id) changed; of a merge the paths that are as in none of its parents.

    Raises CommandFailed when a tree cannot be read. Content that cannot be read leaves its commit's lines
    unknown.
    """
    files = await _read_files(shadow, names, _RENAMES)
    plain = [name for name in names if files[name] and files[name][0].status != "X"]
    texts = await _read_texts(shadow, plain)
    return {name: _with_lines(files[name], texts.get(name)) for name in names}


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
    if len(names) == 1 and renames == ("--no-renames",):
        raise CommandFailed(("git", "diff-tree"), answer.code, answer.complaint)
    if len(names) == 1:
        return await _read_files(shadow, names, ("--no-renames",))
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


async def _read_texts(shadow: Shadow, names: Sequence[str]) -> dict[str, bytes]:
    """The diff of each commit without context; a commit of which a content is missing is left out."""
    found: dict[str, bytes] = {}
    rest = list(names)
    while rest:
        answer = await shadow.git(
            *("diff-tree", "--stdin", "--always", "-r", "--root", "-p", "-U0", *_RENAMES),
            *("--no-ext-diff", "--no-textconv", "--no-color", "--format=commit %H"),
            stdin="\n".join(rest).encode() + b"\n",
            timeout=600,
            check=False,
        )
        texts = _cut(answer.stdout, rest)
        whole = len(texts) if answer.code == 0 else len(texts) - 1
        if answer.code == 0 and whole < len(rest):
            raise CommandFailed(("git", "diff-tree"), 0, "it did not answer for every commit")
        found |= dict(zip(rest[: max(0, whole)], texts, strict=False))
        if answer.code != 0 and _is_hopeless(answer):
            break
        # it died of the one after the last whole one: the others need not suffer
        rest = rest[max(0, whole) + 1 :]
    return found


def _is_hopeless(answer: GitAnswer) -> bool:
    return answer.code is None or answer.code < 0


def _cut(stream: bytes, names: Sequence[str]) -> list[bytes]:
    """The texts of the first commits, in order, where the header of the next expected one begins a line."""
    texts: list[bytes] = []
    start = -1
    for name in names:
        header = f"commit {name}\n".encode()
        at = 0 if start < 0 else start
        found = stream.find(header, at)
        while found > 0 and stream[found - 1 : found] != b"\n":
            found = stream.find(header, found + 1)
        if found < 0:
            break
        if start >= 0:
            texts.append(stream[start:found])
        start = found + len(header)
    if start >= 0:
        texts.append(stream[start:])
    return texts


def _with_lines(files: Sequence[TouchedFile], text: bytes | None) -> Touched:
    if text is None:
        # what brought the content is as good a name for the same change as its lines
        digest = b"".join(file.path + b"\0" + file.old + file.new for file in files if file.status != "X")
        return Touched(tuple(files), _digest(digest) if digest else b"")
    spans, patch, count = _read_text(text, files)
    known = tuple(
        msgspec.structs.replace(file, spans=found) for file, found in zip(files, spans, strict=True)
    )
    return Touched(known, patch, count)


def _read_text(text: bytes, files: Sequence[TouchedFile]) -> tuple[list[tuple[Span, ...] | None], bytes, int]:
    """Spans of each file, the digest of the whole change, and the number of changed lines."""
    lines = text.split(b"\n")
    spans: list[list[Span] | None] = [[] for _ in files]
    digest = hashlib.blake2b(digest_size=12)
    owners = [place for place, file in enumerate(files) for _ in range(2 if file.status == "T" else 1)]
    file, count, at = -1, 0, 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith(b"diff --git "):
            file += 1
            if file >= len(owners):
                break
            digest.update(files[owners[file]].path + b"\0" + files[owners[file]].status.encode())
        elif line.startswith(b"@@ ") and file >= 0 and (match := _HUNK.match(line)):
            old, removed, new, added = (int(number) if number is not None else 1 for number in match.groups())
            old_start, new_start = old - (removed > 0), new - (added > 0)
            own = spans[owners[file]]
            if own is not None:
                own.append((old_start, old_start + removed, new_start, new_start + added))
            at = _past(lines, at, removed + added, digest)
            count += removed + added
        elif line.startswith((b"Binary files ", b"GIT binary patch")) and file >= 0:
            spans[owners[file]] = None
            digest.update(files[owners[file]].old + files[owners[file]].new)
    patch = digest.digest() if files else b""
    return [None if one is None else tuple(one) for one in spans], patch, count


def _past(lines: Sequence[bytes], at: int, count: int, digest: hashlib.blake2b) -> int:
    """Over the lines of a hunk, their content without whitespace into the digest."""
    end = at + count
    part = lines[at:end]
    if any(line.startswith(b"\\") for line in part[-count:]) or (
        end < len(lines) and lines[end].startswith(b"\\")
    ):
        end = at
        seen = 0
        while end < len(lines) and (seen < count or lines[end].startswith(b"\\")):
            seen += not lines[end].startswith(b"\\")
            end += 1
        part = [line for line in lines[at:end] if not line.startswith(b"\\")]
    digest.update(b"".join(part).translate(None, b" \t\r"))
    return end


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=12).digest()
