# SPDX-License-Identifier: MPL-2.0
"""A tiny language to tell git repositories with; every commit comes a minute after the last."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ADA = "Ada <ada@example.org>"
BEN = "Ben <ben@example.org>"
FIRST = 1_760_000_000

File = bytes | tuple[str, bytes] | None
"""Content of a plain file, or (mode, content or link target or commit of a submodule); None removes it."""


def run_git(repo: Path, *words: str | bytes, stdin: bytes | None = None, check: bool = True) -> bytes:
    """A git command without the configuration of whoever runs the tests."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    done = subprocess.run(["git", "-C", repo, *words], input=stdin, capture_output=True, check=False, env=env)
    if check and done.returncode:
        raise AssertionError(f"git {words[:3]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def lines(*words: str, end: str = "\n") -> bytes:
    """A file of one word on each line."""
    return "".join(word + end for word in words).encode()


def numbered(count: int, **changed: str) -> bytes:
    """A file of `count` lines "line N"; `l3="x"` says what line 3 is instead."""
    return lines(*(changed.get(f"l{number}", f"line {number}") for number in range(1, count + 1)))


class Repo:
    """A bare repository being told."""

    def __init__(self, path: Path, *, options: Sequence[str] = ()) -> None:
        self.path = path
        self._clock = FIRST
        path.mkdir(parents=True)
        run_git(path, "init", "-q", "--bare", "-b", "main", *options, ".")

    def commit(
        self,
        message: str,
        files: Mapping[str | bytes, File] | None = None,
        *,
        on: str = "main",
        start: str | None = None,
        also: Sequence[str] = (),
        author: str = ADA,
        authored: int | None = None,
    ) -> str:
        """Commit onto branch `on` and answer the id. start: the first parent, the branch's tip by default.

        start="": a root commit. also: more parents (a merge commit).
        """
        self._clock += 60
        ref = f"refs/heads/{on}"
        out = [b"commit %s\nmark :1\n" % ref.encode()]
        out.append(f"author {author} {authored or self._clock} +0000\n".encode())
        out.append(f"committer {author} {self._clock} +0000\n".encode())
        out.append(_data(message.encode()))
        found = self._found(ref) if start is None else ""
        if start:
            found = self.id(start)
        if found:
            out.append(f"from {found}\n".encode())
        out += [f"merge {self.id(other)}\n".encode() for other in also]
        for path, file in (files or {}).items():
            out.append(_change(path if isinstance(path, bytes) else path.encode(), file))
        head = b"reset %s\n\n" % ref.encode() if start is not None else b""
        told = head + b"".join(out) + b"\nget-mark :1\n"
        # Processes are what telling costs: the commit's name comes from the one that made it.
        return run_git(self.path, "fast-import", "--quiet", "--force", stdin=told).decode().strip()

    def branch(self, name: str, at: str) -> None:
        """Make or move a branch."""
        run_git(self.path, "update-ref", f"refs/heads/{name}", self.id(at))

    def revert(self, commit: str, *, on: str = "main", message: str | None = None) -> str:
        """Undo a commit of files on a branch, which must not have touched them since."""
        files: dict[str | bytes, File] = {}
        listed = run_git(self.path, "diff-tree", "-r", "-z", "--no-commit-id", "--name-only", commit)
        for path in filter(None, listed.split(b"\0")):
            before = run_git(self.path, "ls-tree", "-z", f"{commit}^", b"--", path)
            files[path] = run_git(self.path, "cat-file", "blob", before.split()[2]) if before else None
        subject = run_git(self.path, "log", "-1", "--format=%s", commit).decode().strip()
        words = f'Revert "{subject}"\n\nThis reverts commit {commit}.\n' if message is None else message
        return self.commit(words, files, on=on)

    def has(self, name: str) -> bool:
        """Whether a ref or commit is there."""
        return bool(run_git(self.path, "rev-parse", "--verify", "--quiet", name, check=False))

    def _found(self, name: str) -> str:
        words = ("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        return run_git(self.path, *words, check=False).decode().strip()

    def id(self, name: str) -> str:
        """The full id of a ref or commit."""
        if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name):
            return name
        return run_git(self.path, "rev-parse", "--verify", f"{name}^{{commit}}").decode().strip()

    def tree(self, name: str) -> str:
        """The tree of a ref or commit."""
        return run_git(self.path, "rev-parse", f"{name}^{{tree}}").decode().strip()

    def show(self, name: str) -> bytes:
        """A file ("tree:path")."""
        return run_git(self.path, "cat-file", "blob", name)

    def diff(self, one: str, other: str, *options: str) -> bytes:
        """The raw diff between two commits."""
        return run_git(self.path, "diff", "--binary", "--full-index", *options, one, other)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _change(path: bytes, file: File) -> bytes:
    quoted = b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
    if file is None:
        return b"D %s\n" % quoted
    mode, content = file if isinstance(file, tuple) else ("100644", file)
    if mode == "160000":
        return b"M 160000 %s %s\n" % (content, quoted)
    return b"M %s inline %s\n" % (mode.encode(), quoted) + _data(content)
