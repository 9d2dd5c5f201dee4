# SPDX-License-Identifier: MPL-2.0
"""A real git repository with trains, told commit by commit and written by one `git fast-import`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from shipit.errors import CommandFailed

_QUIET = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


class Author:
    """Who wrote a commit."""

    def __init__(self, name: str, email: str) -> None:
        self.name = name
        self.email = email


class Tale:
    """Commits told one after another; `write` makes a bare repository of them and returns the hashes.

    Files are text of numbered lines, so that an edit says which line it touches.
    """

    def __init__(self) -> None:
        self._stream: list[bytes] = []
        self._marks = 0
        self._trees: dict[str, dict[str, bytes]] = {}
        self._tips: dict[str, int] = {}

    def tree(self, branch: str) -> Mapping[str, bytes]:
        """The files of the branch as they stand."""
        return self._trees[branch]

    def tip(self, branch: str) -> int:
        """The mark of the branch's newest commit."""
        return self._tips[branch]

    def branch(self, name: str, *, start: str) -> None:
        """A new branch where `start` stands now."""
        self._trees[name] = dict(self._trees[start])
        self._tips[name] = self._tips[start]
        self._stream.append(b"reset refs/heads/%s\nfrom :%d\n\n" % (name.encode(), self._tips[start]))

    def commit(
        self,
        branch: str,
        message: str,
        changes: Mapping[str, bytes | None],
        *,
        author: Author,
        when: datetime,
    ) -> int:
        """One commit; `changes` maps a path to its new content, None deletes it. Returns its mark."""
        self._marks += 1
        tree = self._trees.setdefault(branch, {})
        stamp = f"{author.name} <{author.email}> {int(when.timestamp())} +0000"
        text = message.encode()
        lines = [
            f"commit refs/heads/{branch}\nmark :{self._marks}\nauthor {stamp}\ncommitter {stamp}\n".encode(),
            b"data %d\n" % len(text) + text + b"\n",
        ]
        if branch in self._tips:
            lines.append(b"from :%d\n" % self._tips[branch])
        for path, content in changes.items():
            if content is None:
                lines.append(f"D {path}\n".encode())
                del tree[path]
            else:
                lines.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
                tree[path] = content
        self._stream.append(b"".join(lines) + b"\n")
        self._tips[branch] = self._marks
        return self._marks

    def edited(self, branch: str, path: str, lines: Mapping[int, str]) -> dict[str, bytes | None]:
        """The change that replaces lines (1-based) of a file as it stands on the branch."""
        text = self._trees[branch][path].decode().split("\n")
        for number, line in lines.items():
            text[number - 1] = line
        return {path: "\n".join(text).encode()}

    def write(self, folder: Path) -> dict[int, str]:
        """Make or extend the bare repository at `folder`; returns mark -> commit hash."""
        if not (folder / "HEAD").exists():
            _git("init", "--quiet", "--bare", "--initial-branch=main", str(folder))
        marks = folder / "tale-marks"
        command = ["-C", str(folder), "fast-import", "--quiet", "--force", f"--export-marks={marks}"]
        if marks.exists():
            command.append(f"--import-marks={marks}")
        _git(*command, stdin=b"".join(self._stream))
        self._stream.clear()
        rows = (line.split() for line in marks.read_text(encoding="ascii").splitlines())
        return {int(mark[1:]): sha for mark, sha in rows}


def diff_between(folder: Path, old: str, new: str) -> bytes:
    """The git diff of two commits, as a reviewer would have uploaded it."""
    return _git("-C", str(folder), "diff", "--no-color", "--no-ext-diff", "--no-textconv", old, new)


def _git(*words: str, stdin: bytes | None = None) -> bytes:
    command = ("git", *words)
    done = subprocess.run(
        command, input=stdin, capture_output=True, timeout=120, env={**os.environ, **_QUIET}, check=False
    )
    if done.returncode:
        raise CommandFailed(command, done.returncode, done.stderr.decode("utf-8", "replace"))
    return done.stdout
