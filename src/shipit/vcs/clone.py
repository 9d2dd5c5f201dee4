# SPDX-License-Identifier: MPL-2.0
"""Our bare clone of a repository: main and the trains' branches only, kept fresh, mended when broken."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import msgspec

from shipit.errors import CommandFailed, InvalidInput, Missing, Unavailable
from shipit.vcs.git import GitAnswer, git

LOCK_SECONDS = 600.0
ASK_SECONDS = 60.0
MAINTENANCE_SECONDS = 3600.0
# Whoever looks whether a clone is being maintained holds that lock for a moment.
LOOK_SECONDS = 0.5
# A server that sends less than this for so long has hung: curl then gives up by itself.
_SLOW = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
PROGRESS_SECONDS = 5.0
_STAGE = re.compile(rb"([A-Z][a-z]+ [a-z]+): +(\d{1,3})%")
_BRANCH = re.compile(r"(?!-)(?!.*(?:\.\.|@\{|//|/$|\.lock$))[A-Za-z0-9._/+@=-]{1,200}")
# What a broken object store makes git say; a broken network says none of it.
_BROKEN = (
    b"bad object",
    b"missing blob",
    b"missing tree",
    b"missing commit",
    b"is corrupt",
    b"corrupt loose",
    b"bad packed object",
    b"inflate",
    b"unable to read",
    b"did not send all necessary objects",
    b"not a git repository",
    b"bad config",
    b"invalid sha1 pointer",
    b"unresolved deltas",
    b"index file",
)


class Updated(msgspec.Struct, frozen=True):
    """What an update brought. moved: branch to (id before, None when new; id now).

    absent: branches asked for that the remote does not have. is_renewed: the clone was broken, and is new.
    """

    moved: Mapping[str, tuple[str | None, str]]
    absent: tuple[str, ...] = ()
    is_renewed: bool = False


class Clone:
    """A bare clone in `folder`; several processes may share it, one updates at a time."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        main: str = "main",
        timeout: float = 900.0,
        lock_timeout: float = LOCK_SECONDS,
        told: Callable[[str], None] | None = None,
    ) -> None:
        """url: where it comes from, without a password in it. timeout: seconds for one branch's fetch.

        lock_timeout: seconds to wait while another process updates it. told: hears in words for people how
        far a first clone is, every few seconds.
        """
        parts = urlsplit(url)
        if parts.password is not None or url.startswith("-") or "::" in url.partition("/")[0]:
            raise InvalidInput("repository url", expected="a plain address without a password")
        self.folder = folder
        self.url = url
        self.main = main
        self._timeout = timeout
        self._lock_timeout = lock_timeout
        self._told = told

    async def update(self, branches: Sequence[str]) -> Updated:
        """Fetch main and `branches`, cloning first where there is no clone, anew where it is broken.

        What was fetched before an interruption is kept: the next update goes on from there. Raises
        Unavailable with the reason; the clone then stands as the last update left it.
        """
        wanted = tuple(dict.fromkeys((self.main, *branches)))
        for branch in wanted:
            if not _BRANCH.fullmatch(branch):
                raise InvalidInput("branch", expected="a plain branch name", got=branch)
        async with self._alone():
            try:
                broken = await self._damage()
                if broken is None:
                    return await self._fetch(self.folder, wanted)
            except _Broken as error:
                broken = str(error)
            return await self._renew(wanted, broken)

    async def tips(self, branches: Sequence[str]) -> dict[str, str]:
        """The commit of each branch that the clone has. Raises Unavailable when there is no clone."""
        known = await self._refs(self.folder)
        return {branch: known[branch] for branch in branches if branch in known}

    async def main_tip(self) -> str:
        """The commit of main. Raises Missing or Unavailable."""
        tips = await self.tips((self.main,))
        if self.main not in tips:
            raise Missing(f"the clone {self.folder.name} has no branch {self.main}")
        return tips[self.main]

    async def verify(self) -> str | None:
        """What is wrong with the clone's objects, None when all are there and whole; minutes on a big one."""
        try:
            answer = await git(
                self.folder,
                "fsck",
                "--connectivity-only",
                "--no-dangling",
                "--no-progress",
                timeout=MAINTENANCE_SECONDS,
                check=False,
            )
        except CommandFailed as error:
            return error.detail
        if answer.code == 0:
            return None
        found = answer.stdout.decode("utf-8", "replace").strip()[-500:]
        return found or answer.complaint or f"git fsck ended with {answer.code}"

    async def renew(self, branches: Sequence[str]) -> Updated:
        """Clone anew beside the old clone and put it in its place. Raises Unavailable."""
        async with self._alone():
            return await self._renew(tuple(dict.fromkeys((self.main, *branches))), "as asked")

    async def maintain(self) -> None:
        """Tidy up off the hot path: pack loose objects, join packs, index history. Raises Unavailable.

        Updates and trials go on meanwhile; while another process tidies up, this one is told so.
        """
        async with self._alone("maintained", patience=LOOK_SECONDS):
            for task in ("loose-objects", "incremental-repack", "commit-graph"):
                if task == "incremental-repack" and not list(self.folder.glob("objects/pack/*.pack")):
                    continue
                words = ("maintenance", "run", "--quiet", f"--task={task}")
                answer = await git(self.folder, *words, timeout=MAINTENANCE_SECONDS, check=False)
                self._complain(answer)

    @asynccontextmanager
    async def _alone(self, deed: str = "updated", *, patience: float | None = None) -> AsyncIterator[None]:
        """Nobody else does that to this clone meanwhile, in this process or another.

        patience: seconds to wait for whoever does; None: as long as for an update.
        """
        name = f"clone {self.folder.name}"
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with self._lock_file(deed).open("wb") as handle:
                await self._lock(handle, self._lock_timeout if patience is None else patience)
                yield
        except OSError as error:
            raise Unavailable(name, f"its folder cannot be used: {error.strerror}") from error

    def _lock_file(self, deed: str) -> Path:
        name = f".{self.folder.name}.lock" if deed == "updated" else f".{self.folder.name}.{deed}.lock"
        return self.folder.parent / name

    def _is_maintained(self) -> bool:
        """Whether somebody tidies the clone up now."""
        try:
            with self._lock_file("maintained").open("r+b") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    async def _lock(self, handle: BinaryIO, patience: float) -> None:
        waits_until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > waits_until:
                    name = f"clone {self.folder.name}"
                    raise Unavailable(name, "another process has been at it for too long") from None
                await asyncio.sleep(0.1)

    async def _damage(self) -> str | None:
        """Whether the clone is broken for sure, seen without reading it all; None also when there is none."""
        if not self.folder.exists():
            await self._begin(self.folder)
            return None
        self._sweep(self.folder)
        try:
            known = await self._refs(self.folder)
        except Unavailable as error:
            return error.detail
        if not known:
            return None
        names = "".join(f"{name}^{{tree}}\n" for name in known.values())
        answer = await git(self.folder, "cat-file", "--batch-check", stdin=names.encode(), check=False)
        if answer.code != 0 or b" missing" in answer.stdout:
            return f"the tip of a branch cannot be read {answer.complaint}".strip()
        return None

    async def _begin(self, folder: Path) -> None:
        try:
            await git(
                None,
                "init",
                "--quiet",
                "--bare",
                "--template=",
                f"--initial-branch={self.main}",
                "--",
                str(folder),
            )
            for key, value in (
                ("gc.auto", "0"),
                ("maintenance.auto", "false"),
                ("core.logAllRefUpdates", "false"),
            ):
                await git(folder, "config", key, value)
        except CommandFailed as error:
            raise Unavailable(f"clone {self.folder.name}", error.stderr) from error

    async def _refs(self, folder: Path) -> dict[str, str]:
        """Branch to commit. Raises Unavailable when the folder is no readable clone."""
        answer = await git(
            folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/", check=False
        )
        if answer.code != 0:
            raise Unavailable(f"clone {self.folder.name}", answer.complaint or "it cannot be read")
        pairs = (line.split(" ", 1) for line in answer.stdout.decode("utf-8", "replace").splitlines())
        return {ref.removeprefix("refs/heads/"): name for name, ref in pairs}

    async def _fetch(self, folder: Path, wanted: Sequence[str]) -> Updated:
        before = await self._refs(folder)
        remote = await self._remote(wanted)
        stale = [branch for branch in wanted if branch in remote and remote[branch] != before.get(branch)]
        # main first and alone: it holds nearly everything, and what is fetched stays when the rest fails.
        first = [branch for branch in stale if branch == self.main]
        for group in (first, [branch for branch in stale if branch != self.main]):
            if group:
                await self._fetch_group(folder, group, is_first=group == first and self.main not in before)
        if stale:
            # Without it trials are slower, never wrong.
            with contextlib.suppress(CommandFailed):
                await git(folder, "commit-graph", "write", "--reachable", "--split", timeout=self._timeout)
        after = await self._refs(folder)
        moved = {
            branch: (before.get(branch), after[branch])
            for branch in wanted
            if branch in after and after[branch] != before.get(branch)
        }
        return Updated(moved, tuple(branch for branch in wanted if branch not in remote))

    async def _remote(self, wanted: Sequence[str]) -> dict[str, str]:
        names = [f"refs/heads/{branch}" for branch in wanted]
        answer = await git(
            None,
            *_SLOW,
            "ls-remote",
            "--",
            self.url,
            *names,
            timeout=min(ASK_SECONDS, self._timeout),
            check=False,
        )
        self._complain(answer)
        pairs = (line.split("\t", 1) for line in answer.stdout.decode("utf-8", "replace").splitlines())
        return {ref.removeprefix("refs/heads/"): name for name, ref in pairs if ref in names}

    async def _fetch_group(self, folder: Path, branches: Sequence[str], *, is_first: bool) -> None:
        specs = [f"+refs/heads/{branch}:refs/heads/{branch}" for branch in branches]
        progress = Progress(f"cloning {self.folder.name}", self._told) if is_first and self._told else None
        answer = await git(
            folder,
            *_SLOW,
            "fetch",
            "--progress" if progress else "--quiet",
            "--no-tags",
            "--no-auto-maintenance",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--",
            self.url,
            *specs,
            timeout=self._timeout,
            check=False,
            heard=progress.hear if progress else None,
        )
        self._sweep(folder)
        if answer.code != 0 and any(word in answer.stderr for word in _BROKEN):
            raise _Broken(self._said(answer))
        self._complain(answer)

    def _sweep(self, folder: Path) -> None:
        """Remove what a killed git left behind; we hold the clone's lock, so no other update needs it."""
        locks = ("*.lock", "refs/heads/**/*.lock")
        # half-written packs may be those of a git that maintains the clone meanwhile
        halves = () if self._is_maintained() else ("objects/pack/tmp_*", "objects/??/tmp_obj_*")
        for pattern in (*locks, *halves):
            for left in folder.glob(pattern):
                left.unlink(missing_ok=True)
        for left in folder.glob("objects/tmp_objdir-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _complain(self, answer: GitAnswer) -> None:
        if answer.code == 0:
            return
        raise Unavailable(f"clone {self.folder.name}", self._said(answer))

    def _said(self, answer: GitAnswer) -> str:
        # What ends with a carriage return was overwritten: progress.
        words = re.sub(r"[^\r\n]*\r", "", answer.complaint).strip() or f"git ended with {answer.code}"
        # A user name in an address is nobody's business in a log.
        return re.sub(r"(\w+://)[^/@\s]+@", r"\1", words)

    async def _renew(self, wanted: Sequence[str], broken: str) -> Updated:
        """Clone aside; only a whole new clone takes the broken one's place."""
        aside = self.folder.with_name(f"{self.folder.name}.new")
        gone = self.folder.with_name(f"{self.folder.name}.broken")
        shutil.rmtree(aside, ignore_errors=True)
        await self._begin(aside)
        try:
            updated = await self._fetch(aside, wanted)
        except (Unavailable, _Broken) as error:
            shutil.rmtree(aside, ignore_errors=True)
            detail = f"it is broken ({broken}) and cannot be cloned anew: {error}"
            raise Unavailable(f"clone {self.folder.name}", detail) from error
        shutil.rmtree(gone, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(gone)
        aside.rename(self.folder)
        shutil.rmtree(gone, ignore_errors=True)
        return Updated(updated.moved, updated.absent, is_renewed=True)


class Progress:
    """Turns what git says of its progress into few words for people."""

    def __init__(self, name: str, told: Callable[[str], None], *, every: float = PROGRESS_SECONDS) -> None:
        """every: seconds between two words of the same stage."""
        self._name = name
        self._told = told
        self._every = every
        self._rest = b""
        self._stage = ""
        self._next = 0.0

    def hear(self, piece: bytes) -> None:
        """Take in the next piece of git's stderr."""
        *whole, self._rest = re.split(rb"[\r\n]", (self._rest + piece)[-4096:])
        for line in whole:
            found = _STAGE.match(line.removeprefix(b"remote: "))
            if found is None:
                continue
            stage, percent = found[1].decode(), int(found[2])
            now = time.monotonic()
            if stage != self._stage or now >= self._next or percent == 100:
                self._stage, self._next = stage, now + self._every
                self._told(f"{self._name}: {stage.lower()}, {percent} %")


class _Broken(Exception):
    """The clone, not the network, is what failed."""
