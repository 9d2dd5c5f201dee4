# SPDX-License-Identifier: MPL-2.0
"""Which files a raw diff touches, read without trusting it; what is hostile is refused by name."""

from __future__ import annotations

import re

import msgspec

LARGEST_DIFF = 32 << 20
MOST_FILES = 20_000
LONGEST_PATH = 4096

_HUNK = re.compile(rb"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_INDEX = re.compile(rb"^index ([0-9a-f]{7,64})\.\.([0-9a-f]{7,64})(?: (\d{6}))?$")
# Names that git, or a file system it may be checked out on, takes for the repository itself.
_GIT_FOLDER = re.compile(r"(?:\.git|git~\d+)[\s.]*(?::.*)?$", re.IGNORECASE)
# Characters that HFS+ ignores inside a name.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


class Hostile(Exception):
    """A diff that may not be tried; the message says why."""


class FileDiff(msgspec.Struct):
    """One file of a diff. old, new: its paths, None when it is created or deleted.

    old_id: (abbreviated) id of the version it was made on, where the diff names it. old_mode: octal digits.
    """

    old: bytes | None = None
    new: bytes | None = None
    old_id: str | None = None
    old_mode: str | None = None


class RawFiles(msgspec.Struct, frozen=True):
    """A diff as read. strip: how many leading folders its paths have ("a/", "b/"): 0 or 1."""

    files: tuple[FileDiff, ...]
    strip: int

    @property
    def paths(self) -> frozenset[bytes]:
        """Every path it names."""
        return frozenset(path for file in self.files for path in (file.old, file.new) if path is not None)


def read_diff(diff: bytes) -> RawFiles:
    """The files of a git-style or plain unified diff; none when it is no diff. Raises Hostile."""
    if len(diff) > LARGEST_DIFF:
        raise Hostile(f"the diff has {len(diff)} bytes, more than {LARGEST_DIFF}")
    reader = _Reader(diff.split(b"\n"))
    reader.read()
    if len(reader.files) > MOST_FILES:
        raise Hostile(f"the diff touches {len(reader.files)} files, more than {MOST_FILES}")
    strip = 1 if all(_is_prefixed(file) for file in reader.files) else 0
    files = tuple(_stripped(file, strip) for file in reader.files)
    for file in files:
        for path in (file.old, file.new):
            if path is not None:
                check_path(path)
    return RawFiles(files, strip)


def check_path(path: bytes) -> None:
    """Refuse a path that could leave the tree or name the repository itself."""
    shown = path.decode("utf-8", "backslashreplace")[:100]
    if not path or len(path) > LONGEST_PATH:
        raise Hostile("the diff names a path that is empty or far too long")
    if path.startswith(b"/") or b"\0" in path or b"\n" in path:
        raise Hostile(f"the diff names the path {shown!r}: absolute, or with a line break in it")
    for part in path.split(b"/"):
        name = _IGNORED.sub("", part.decode("utf-8", "replace"))
        if name in ("", ".", "..") or _GIT_FOLDER.match(name):
            raise Hostile(
                f"the diff names the path {shown!r}: {name or 'an empty name'!r} is not allowed in it"
            )


class _Reader:
    """Walks the lines of a diff; hunks are skipped by their counts, so no content is taken for a header."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._at = 0
        self.files: list[FileDiff] = []
        self._file: FileDiff | None = None
        self._is_git = False

    def read(self) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if line.startswith(b"diff --git "):
                self._begin_git(line[len(b"diff --git ") :].rstrip(b"\r"))
            elif hunk := _HUNK.match(line):
                self._skip_hunk(int(hunk[1] or 1), int(hunk[2] or 1))
            elif line.startswith(b"GIT binary patch"):
                self._skip_binary()
            elif line.startswith(b"--- ") and self._next().startswith(b"+++ "):
                self._names(line, self._next())
                self._at += 1
            elif self._is_git and self._file is not None:
                self._header(self._file, line.rstrip(b"\r"))

    def _next(self) -> bytes:
        return self._lines[self._at] if self._at < len(self._lines) else b""

    def _begin(self) -> FileDiff:
        self._file = FileDiff()
        self.files.append(self._file)
        return self._file

    def _begin_git(self, names: bytes) -> None:
        file = self._begin()
        self._is_git = True
        file.old, file.new = _pair(names)

    def _names(self, old: bytes, new: bytes) -> None:
        file = self._file
        if file is None or not self._is_git:
            file = self._begin()
        # Whatever comes after belongs to another file unless a git header says so.
        self._is_git = False
        file.old, file.new = _name(old[4:]), _name(new[4:])

    def _header(self, file: FileDiff, line: bytes) -> None:
        if index := _INDEX.match(line):
            file.old_id = index[1].decode() if index[1].strip(b"0") else None
            file.old_mode = index[3].decode() if index[3] else file.old_mode
            return
        word, _, value = line.partition(b" ")
        rest = value.partition(b" ")[2]
        if line.startswith(b"new file mode "):
            file.old = None
        elif line.startswith(b"deleted file mode "):
            file.old_mode = rest.removeprefix(b"mode ").decode("ascii", "replace")
            file.new = None
        elif line.startswith(b"old mode "):
            file.old_mode = rest.decode("ascii", "replace")
        elif word in (b"rename", b"copy") and value.startswith(b"from "):
            file.old = b"a/" + _unquoted(rest)
        elif word in (b"rename", b"copy") and value.startswith(b"to "):
            file.new = b"b/" + _unquoted(rest)

    def _skip_hunk(self, old: int, new: int) -> None:
        while (old > 0 or new > 0) and self._at < len(self._lines):
            sign = self._lines[self._at][:1]
            if sign == b"\\":
                pass
            elif sign == b"-":
                old -= 1
            elif sign == b"+":
                new -= 1
            elif sign in (b" ", b"", b"\r"):
                old, new = old - 1, new - 1
            else:
                return
            self._at += 1

    def _skip_binary(self) -> None:
        for _ in range(2):
            if not re.match(rb"(?:literal|delta) \d+", self._next()):
                return
            while self._next().rstrip(b"\r"):
                self._at += 1
            self._at += 1


def _pair(names: bytes) -> tuple[bytes | None, bytes | None]:
    """The two paths of a "diff --git" line; without quotes they are equal but for their prefixes."""
    if quoted := re.fullmatch(rb'("(?:[^"\\]|\\.)*"|\S+) ("(?:[^"\\]|\\.)*"|\S+)', names):
        return _unquoted(quoted[1]), _unquoted(quoted[2])
    half = len(names) // 2
    return names[:half], names[half + 1 :]


def _name(text: bytes) -> bytes | None:
    text = text.rstrip(b"\r")
    name = _unquoted(text) if text.startswith(b'"') else text.partition(b"\t")[0].rstrip(b" ")
    return None if name == b"/dev/null" else name


def _unquoted(text: bytes) -> bytes:
    if not text.startswith(b'"'):
        return text
    inside = text[1 : text.rfind(b'"')] if text.count(b'"') > 1 else text[1:]

    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8) & 255]) if len(code) == 3 else _ESCAPES.get(code, code)

    return re.sub(rb"\\([0-7]{3}|.)", plain, inside, flags=re.DOTALL)


def _is_prefixed(file: FileDiff) -> bool:
    names = [(file.old, b"a/"), (file.new, b"b/")]
    return all(path is None or path.startswith(prefix) for path, prefix in names)


def _stripped(file: FileDiff, strip: int) -> FileDiff:
    def cut(path: bytes | None) -> bytes | None:
        return path[2:] if path is not None and strip else path

    return FileDiff(cut(file.old), cut(file.new), file.old_id, file.old_mode)
