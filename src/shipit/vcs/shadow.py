# SPDX-License-Identifier: MPL-2.0
"""A private bare repository that sees a clone's objects and refs, but none of its configuration or hooks.

Whatever git writes during trials goes into the shadow and vanishes with it: the clone never grows, two
workers on one clone never meet, and nothing that a clone's config, info/attributes or hooks say can run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from shipit.errors import InvalidInput, Unavailable
from shipit.vcs.git import GitAnswer, git

PREFIX = "shipit-shadow-"
MEMORY = Path("/dev/shm")
ROOM = 1 << 30
EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}

_CONFIG = """\
[core]
\trepositoryFormatVersion = {version}
\tbare = true
\tlogAllRefUpdates = false
\tlooseCompression = 0
\tfsync = none
\tprotectHFS = true
\tprotectNTFS = true
[extensions]
{extensions}[merge]
\trenames = true
\tdirectoryRenames = conflict
\trenameLimit = 7000
\tconflictStyle = diff3
[diff]
\trenameLimit = 7000
[attr]
\ttree = {empty}
"""
# A leftover younger than this may belong to a process that has not taken its lock yet.
_SETTLE_SECONDS = 60.0


def git_directory(path: Path) -> Path:
    """The git directory of a bare clone, a work tree or a linked work tree; InvalidInput when it is none."""
    if (path / ".hg").is_dir():
        raise InvalidInput("repository", expected="a git clone (this one is Mercurial's)", got=str(path))
    dot = path / ".git"
    if dot.is_file():
        named = dot.read_bytes().decode("utf-8", "surrogateescape").strip().removeprefix("gitdir:").strip()
        found = path / named
    else:
        found = dot if dot.is_dir() else path
    if not (found / "HEAD").is_file():
        raise InvalidInput("repository", expected="a git repository (bare or not)", got=str(path))
    return found.resolve()


def _common_directory(directory: Path) -> Path:
    pointer = directory / "commondir"
    if not pointer.is_file():
        return directory
    return (directory / pointer.read_text("utf-8", "surrogateescape").strip()).resolve()


class Shadow:
    """A clone as trials see it. Use as an async context manager; `path` is its git directory while open."""

    def __init__(self, repo: Path, *, scratch: Path | None = None) -> None:
        """repo: the clone, only ever read. scratch: folder for shadows; in memory by default."""
        self._repo = repo
        self._scratch = scratch or roomy_memory() or Path(tempfile.gettempdir())
        self._lock: BinaryIO | None = None
        self.path = Path()
        self.hash_name = "sha1"

    @property
    def empty_tree(self) -> str:
        """Id of the tree without entries."""
        return EMPTY_TREE[self.hash_name]

    @property
    def objects(self) -> Path:
        """Where everything new is written."""
        return self.path / "objects"

    async def __aenter__(self) -> Shadow:
        directory = git_directory(self._repo)
        common = _common_directory(directory)
        if not (common / "objects").is_dir():
            raise Unavailable("clone", f"{self._repo.name} has no objects: it was not cloned to its end")
        if (common / "reftable").is_dir():
            raise Unavailable("clone", f"{self._repo.name} keeps its refs as reftable, which we cannot read")
        self._scratch.mkdir(parents=True, exist_ok=True)
        sweep(self._scratch)
        self.hash_name = await _object_format(common)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._scratch))
        try:
            self._lock_folder()
            self._furnish(directory, common)
        except OSError as error:
            await self.__aexit__(None, None, None)
            raise Unavailable("scratch folder", f"{error.strerror} at {self._scratch}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def git(
        self,
        *args: str,
        stdin: bytes | None = None,
        timeout: float = 120.0,  # noqa: ASYNC109 - the door kills the process group
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> GitAnswer:
        """Run a git command on the shadow (see `shipit.vcs.git.git`)."""
        return await git(self.path, *args, stdin=stdin, timeout=timeout, check=check, env=env)

    def refresh(self) -> None:
        """Take over where the clone's HEAD points now (its other refs are always seen live)."""
        directory = git_directory(self._repo)
        (self.path / "HEAD").write_bytes((directory / "HEAD").read_bytes())

    def empty(self) -> None:
        """Forget everything written so far. Only when no process runs in it."""
        shutil.rmtree(self.objects, ignore_errors=True)
        self._furnish_objects()

    def _lock_folder(self) -> None:
        self._lock = (self.path / "owner").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def _furnish(self, directory: Path, common: Path) -> None:
        self._alternate = common / "objects"
        extensions = "" if self.hash_name == "sha1" else f"\tobjectFormat = {self.hash_name}\n"
        version = 1 if extensions else 0
        config = _CONFIG.format(version=version, extensions=extensions, empty=self.empty_tree)
        (self.path / "config").write_text(config)
        (self.path / "HEAD").write_bytes((directory / "HEAD").read_bytes())
        (self.path / "refs").symlink_to(common / "refs")
        # These two may appear and vanish in the clone: a dangling link reads as "not there".
        (self.path / "packed-refs").symlink_to(common / "packed-refs")
        (self.path / "shallow").symlink_to(common / "shallow")
        self._furnish_objects()

    def _furnish_objects(self) -> None:
        (self.objects / "info").mkdir(parents=True)
        (self.objects / "pack").mkdir()
        quoted = str(self._alternate).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        line = f'"{quoted}"\n'.encode("utf-8", "surrogateescape")
        (self.objects / "info" / "alternates").write_bytes(line)


def roomy_memory() -> Path | None:
    """The folder that Linux keeps in memory, where it has room: many small files cost a disk dearly."""
    try:
        is_roomy = shutil.disk_usage(MEMORY).free >= ROOM and os.access(MEMORY, os.W_OK)
    except OSError:
        return None
    return MEMORY if is_roomy else None


def sweep(scratch: Path) -> None:
    """Remove shadows whose owner died: a killed process cannot clean up, its lock is free."""
    for left in scratch.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime < _SETTLE_SECONDS:
                continue
            with (left / "owner").open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)


async def _object_format(common: Path) -> str:
    config = common / "config"
    if not config.is_file():
        return "sha1"
    if b"objectformat" not in config.read_bytes().lower():
        return "sha1"
    # Only parsed as text by git: no include is followed and nothing of it takes effect.
    answer = await git(
        None, "config", "--no-includes", "-f", str(config), "--get", "extensions.objectformat", check=False
    )
    name = answer.stdout.decode("utf-8", "replace").strip().lower() or "sha1"
    if not re.fullmatch(r"sha1|sha256", name):
        raise Unavailable("clone", f"unknown object format {name[:20]!r}")
    return name
