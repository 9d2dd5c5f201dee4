# SPDX-License-Identifier: MPL-2.0
"""What a diff touches: per file the lines added and deleted, whether it is a test, its language."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from shipit.uplift.words import is_string_file, words_changed

# The names are those libmozdata gives; the files it has no name for are ours.
_LANGUAGES = {
    "Shell": (".sh", ".bash"),
    "Xml": (".xml", ".xst"),
    "Html": (".html", ".xhtml", ".htm"),
    "Css": (".css", ".scss"),
    "Javascript": (".js", ".jsm", ".mjs", ".cjs", ".jsx"),
    "TypeScript": (".ts", ".tsx"),
    "Makefile": (".mk", "Makefile", "Makefile.am", "Makefile.in", "configure.in", "autoconf.mk.in"),
    "C++": (".cpp", ".hpp", ".hh", ".cc", ".cxx"),
    "C": (".c", ".h"),
    "Objective-C": (".m", ".mm"),
    "Java": (".java",),
    "Kotlin": (".kt", ".kts"),
    "Swift": (".swift",),
    "Gradle": (".gradle",),
    "Font": (".ttf",),
    "Tests": ("reftest.list", "crashtests.list"),
    "Windows IDL": (".idl",),
    "WebIDL": (".webidl",),
    "IPDL": (".ipdl", ".ipdlh"),
    "Fluent": (".ftl",),
    "Mozilla XUL": (".xul",),
    "Ini": (".ini",),
    "License": ("LICENSE",),
    "Python": (".py",),
    "moz.build": ("moz.build",),
    "Rust": (".rs",),
    "Toml": (".toml",),
    "Yaml": (".yml", ".yaml"),
    "Json": (".json",),
}
_BY_ENDING = {ending: language for language, endings in _LANGUAGES.items() for ending in endings}
_NOT_TESTS = ("ini", "list", "in", "py", "json", "manifest")
_HUNK = re.compile(rb"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch does to one file. path: after the patch (before it, where the patch deletes the file).

    old_path: where the file was, when the patch moves or copies it. lines: diff lines with context. earlier,
    recent: commits on main that touched the path before (overall and in the window), None when not asked.
    words: lines of words for localizers that it adds or changes, None where the file holds none. backouts: of
    the recent commits those that back something out.
    """

    path: str
    old_path: str | None = None
    added: int = 0
    deleted: int = 0
    lines: int = 0
    is_binary: bool = False
    is_test: bool = False
    language: str | None = None
    earlier: int | None = None
    recent: int | None = None
    backouts: int | None = None
    words: int | None = None


def language(path: str) -> str | None:
    """The language a path is written in, by its name or ending; None where we have no name for it."""
    name = PurePosixPath(path).name
    return _BY_ENDING.get(name) or _BY_ENDING.get(PurePosixPath(name).suffix)


def is_test(path: str) -> bool:
    """Whether a path is test code: libmozdata's rule ("test" in it, manifests and drivers set aside)."""
    return "test" in path and not path.endswith(_NOT_TESTS)


def read_diff(diff: bytes) -> tuple[FileChange, ...]:
    """The files of a unified diff, git style or plain; hunk headers say what is a hunk's text.

    A diff that breaks off inside a hunk counts what is there.
    """
    reader = DiffReader()
    for line in diff.split(b"\n"):
        reader.take(line)
    return reader.files()


def languages(files: Iterable[FileChange]) -> tuple[str, ...]:
    """The languages of these files (both paths of a moved one), sorted."""
    paths = (path for file in files for path in (file.path, file.old_path) if path)
    return tuple(sorted({name for path in paths if (name := language(path))}))


class _Draft:
    def __init__(self, old: str | None = None, new: str | None = None) -> None:
        self.old, self.new = old, new
        self.added = self.deleted = self.lines = 0
        self.is_binary = False
        self.fresh: list[bytes] = []
        self.gone: list[bytes] = []

    def finished(self) -> FileChange | None:
        path = self.new or self.old
        if path is None:
            return None
        moved = self.old if self.new and self.old != self.new else None
        return FileChange(
            path=path,
            old_path=moved,
            added=self.added,
            deleted=self.deleted,
            lines=self.lines,
            is_binary=self.is_binary,
            is_test=is_test(path),
            language=language(path),
            words=words_changed(path, self.fresh, self.gone) if is_string_file(path) else None,
        )

    @property
    def has_words(self) -> bool:
        """Whether its lines are to be kept: one file of many holds words, and few lines of it change."""
        path = self.new or self.old
        return path is not None and is_string_file(path)


class DiffReader:
    """Lines in, files out; for readers of a stream in which several diffs follow each other."""

    def __init__(self) -> None:
        self.drafts: list[_Draft] = []
        # What the current hunk still owes; inside it no line is a header, whatever it says.
        self.old_left = self.new_left = 0
        self.old_name: bytes | None = None
        self.has_words = False

    @property
    def is_in_hunk(self) -> bool:
        """Whether the next line belongs to a hunk."""
        return self.old_left > 0 or self.new_left > 0

    def files(self) -> tuple[FileChange, ...]:
        """The files read so far."""
        return tuple(file for draft in self.drafts if (file := draft.finished()) is not None)

    def take(self, line: bytes) -> None:
        """Read one line, without its line end."""
        if self.is_in_hunk:
            self._body(line)
        elif line.startswith(b"diff --git "):
            self.drafts.append(_Draft(*_git_header(line[11:])))
        elif line.startswith(b"--- "):
            self.old_name = line[4:]
        elif line.startswith(b"+++ ") and self.old_name is not None:
            self._both_sides(self.old_name, line[4:])
        elif not self.drafts:
            return
        elif match := _HUNK.match(line):
            self.old_left, self.new_left = int(match[2] or 1), int(match[4] or 1)
            self.has_words = self.drafts[-1].has_words
        elif line.startswith((b"new file mode", b"deleted file mode")):
            self._one_sided(is_new=line.startswith(b"new"))
        elif line.startswith((b"rename from ", b"copy from ")):
            self.drafts[-1].old = _path(line.split(b" from ", 1)[1], b"")
        elif line.startswith((b"rename to ", b"copy to ")):
            self.drafts[-1].new = _path(line.split(b" to ", 1)[1], b"")
        elif line.startswith((b"Binary file", b"GIT binary patch")):
            self.drafts[-1].is_binary = True

    def _both_sides(self, old: bytes, new: bytes) -> None:
        draft = self.drafts[-1] if self.drafts else None
        if draft is None or draft.lines or draft.is_binary:
            draft = _Draft()  # a plain diff has no "diff --git" line to begin a file
            self.drafts.append(draft)
        draft.old, draft.new = _path(old, b"a/"), _path(new, b"b/")
        self.old_name = None

    def _one_sided(self, *, is_new: bool) -> None:
        if is_new:
            self.drafts[-1].old = None
        else:
            self.drafts[-1].new = None

    def _body(self, line: bytes) -> None:
        mark, draft = line[:1], self.drafts[-1]
        if mark == b"\\":
            return
        draft.lines += 1
        if mark == b"+":
            draft.added += 1
            self.new_left -= 1
            if self.has_words:
                draft.fresh.append(line[1:])
        elif mark == b"-":
            draft.deleted += 1
            self.old_left -= 1
            if self.has_words:
                draft.gone.append(line[1:])
        else:
            self.old_left -= 1
            self.new_left -= 1


def _git_header(names: bytes) -> tuple[str | None, str | None]:
    """Both paths of a "diff --git" line; later lines correct ambiguous ones."""
    if names.startswith(b'"'):
        old, _, new = names.partition(b'" "')
        return (_path(old + b'"', b"a/"), _path(b'"' + new, b"b/")) if new else (None, None)
    half = len(names) // 2
    if names[half : half + 1] == b" " and names[2:half] == names[half + 3 :]:
        return _path(names[:half], b"a/"), _path(names[half + 1 :], b"b/")
    old, _, new = names.partition(b" b/")
    return _path(old, b"a/"), _path(new, b"") if new else None


def _path(name: bytes, prefix: bytes) -> str | None:
    name = name.split(b"\t", 1)[0].rstrip(b"\r")
    if name.startswith(b'"') and name.endswith(b'"') and len(name) > 1:
        name = _ESCAPE.sub(_unescaped, name[1:-1])
    if name == b"/dev/null":
        return None
    return name.removeprefix(prefix).decode("utf-8", "backslashreplace")


def _unescaped(match: re.Match[bytes]) -> bytes:
    text = match[1]
    return bytes([int(text, 8) & 0xFF]) if len(text) == 3 else _LETTERS.get(text, text)
