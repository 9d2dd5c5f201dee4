# SPDX-License-Identifier: MPL-2.0
"""Repositories told for git and converted by Mercurial's own `convert`; and hg commands for tests."""

from __future__ import annotations

import functools
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from git_builder import Repo
from real_parts import absent
from shipit.errors import CommandFailed
from shipit.vcs.hg import hg_program


def need_hg() -> str:
    """The hg program, or skip (fail where required)."""
    try:
        return hg_program()
    except CommandFailed as error:
        absent("hg", str(error))
        raise


class _Server:
    """One command server for all commands of the tests: a process for each would take most of their time."""

    def __init__(self) -> None:
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": "/nonexistent",
            "HGRCPATH": "",
            "HGUSER": "Ada <ada@example.org>",
            "HGPLAIN": "1",
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self._process = subprocess.Popen(
            [need_hg(), "serve", "--cmdserver", "pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            cwd="/",
        )
        self._frame()

    def _frame(self) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        channel, length = struct.unpack(">cI", self._process.stdout.read(5))
        return channel, b"" if channel.isupper() else self._process.stdout.read(length)

    def run(self, words: Sequence[str]) -> tuple[int, bytes, bytes]:
        """Exit code, output and errors of a command."""
        assert self._process.stdin is not None
        args = "\0".join(words).encode()
        self._process.stdin.write(b"runcommand\n" + struct.pack(">I", len(args)) + args)
        self._process.stdin.flush()
        said = {b"o": b"", b"e": b""}
        while True:
            channel, frame = self._frame()
            if channel == b"r":
                return struct.unpack(">i", frame)[0], said[b"o"], said[b"e"]
            if channel in said:
                said[channel] += frame


@functools.cache
def _server() -> _Server:
    return _Server()


def run_hg(repo: Path, *words: str, check: bool = True) -> bytes:
    """An hg command on a repository, without the configuration of whoever runs the tests."""
    code, out, err = _server().run(
        ["-R", str(repo), "--cwd", str(repo if repo.is_dir() else repo.parent), *words]
    )
    if check and code:
        raise AssertionError(f"hg {words[:3]}: {err.decode(errors='replace')}")
    return out


class Converted:
    """A Mercurial clone of a told repository. hashes: git hash to hg hash."""

    def __init__(self, repo: Repo, folder: Path, *, options: Sequence[str] = ()) -> None:
        self.path = folder
        settings = ("extensions.convert=", "convert.git.similarity=50", *options)
        words = [word for setting in settings for word in ("--config", setting)]
        run_hg(folder, *words, "convert", "--quiet", "-s", "git", str(repo.path), str(folder))
        lines = (folder / ".hg/shamap").read_text("ascii").splitlines()
        self.hashes = dict(line.split() for line in lines)

    def id(self, name: str) -> str:
        """The hg hash of a git hash; other names stay."""
        return self.hashes.get(name, name)


def new_hg(folder: Path) -> Path:
    """An empty Mercurial repository."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run_hg(folder, "init", str(folder))
    return folder


def commit_hg(repo: Path, message: str, files: dict[str, bytes | None], *words: str) -> str:
    """Commit files in the working copy of a test's repository and answer the hash."""
    for path, content in files.items():
        file = repo / path
        if content is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    run_hg(repo, "addremove", "--similarity", "0", "--quiet")
    run_hg(repo, "commit", "-m", message, *words)
    return run_hg(repo, "log", "-r", ".", "-T", "{node}").decode()
