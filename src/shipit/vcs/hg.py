# SPDX-License-Identifier: MPL-2.0
"""The one door to Mercurial's processes: no configuration, of the user or of the clone, may run anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from shipit.errors import CommandFailed, InvalidInput
from shipit.vcs.git import GitAnswer, end_group, kept_environment

LOCAL_TIMEOUT = 120.0
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
LARGEST_FRAME = 1 << 28

EXTENSION = Path(__file__).resolve().parent.parent / "hgext" / "shipit_trials.py"
_NEUTRAL = (
    f"extensions.shipit_trials={EXTENSION}",
    "format.manifestcachesize=2",
    "ui.interactive=false",
    "ui.ssh=ssh -oBatchMode=yes -oConnectTimeout=30",
    "ui.timeout=30",
    "ui.merge=internal:fail",
    "phases.publish=false",
    "subrepos.allowed=false",
    "experimental.evolution=",
)


class Died(CommandFailed):
    """The command server ended, or was silent for too long and was ended."""


def hg_program() -> str:
    """The hg beside this Python (the `mercurial` package), else the machine's. Raises CommandFailed."""
    beside = Path(sys.executable).with_name("hg")
    if beside.is_file():
        return str(beside)
    found = shutil.which("hg")
    if found is None:
        raise CommandFailed(("hg",), None, "there is no hg here: install the package `mercurial`")
    return found


def is_hg(folder: Path) -> bool:
    """Whether a folder is a Mercurial repository."""
    return (folder / ".hg").is_dir()


def environment() -> dict[str, str]:
    """The whole environment of an hg process: no configuration of anybody, not even of the repository."""
    own = {"HGENCODING": "UTF-8", "HGRCPATH": "", "HGRCSKIPREPO": "1", "HGPLAIN": "1"}
    return {**kept_environment(), "LC_ALL": "C", **own}


def command(repo: Path | None, *args: str, settings: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The full argv of an hg command on a repository."""
    chosen = (*_NEUTRAL, *(f"{key}={value}" for key, value in (settings or {}).items()))
    words = [word for setting in chosen for word in ("--config", setting)]
    place = ["-R", str(repo)] if repo is not None else []
    return (hg_program(), *words, *place, *args)


async def hg(
    repo: Path | None,
    *args: str,
    timeout: float = LOCAL_TIMEOUT,  # noqa: ASYNC109 - on timeout the process group must die too
    check: bool = True,
    settings: Mapping[str, str] | None = None,
) -> GitAnswer:
    """Run one hg command to its end.

    timeout: seconds, then the whole process group is killed. check: raise CommandFailed unless it exits with
    0; without it a timeout answers code None. Raises CommandFailed when hg cannot be started at all.
    """
    words = ("hg", *args)
    argv = command(repo, *args, settings=settings)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(words, None, f"cannot start: {error}") from error
    stdout, stderr = b"", b""
    timed_out = False
    try:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        timed_out = True
        stderr = f"timed out after {timeout:g} s".encode()
    finally:
        await end_group(process)
    answer = GitAnswer(None if timed_out else process.returncode, stdout, stderr)
    if check and answer.code != 0:
        raise CommandFailed(words, answer.code, answer.stderr.decode("utf-8", "replace"))
    return answer


class HgServer:
    """One `hg serve --cmdserver pipe` on a clone, started when asked first and anew after it died."""

    def __init__(self, repo: Path, scratch: Path, *, patience: float = ANSWER_SECONDS) -> None:
        """repo: the clone, only read. scratch: where trees are kept. patience: seconds for an answer."""
        if not is_hg(repo):
            raise InvalidInput("repository", expected="a Mercurial repository", got=str(repo))
        self._repo = repo
        self._scratch = scratch
        self._patience = patience
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._listener: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self.version = ""
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def memory(self) -> int:
        """Bytes that the server holds now; 0 while it does not run, or where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def ask(self, question: str, **words: object) -> list[dict[str, Any]]:
        """All answers to a question. Raises CommandFailed with the server's reason, Died when it is gone."""
        return [answer async for answer in self.stream(question, **words)]

    async def stream(self, question: str, **words: object) -> AsyncIterator[dict[str, Any]]:
        """As `ask`, one answer after another as they come."""
        async with self._busy:
            if self._process is None:
                await self._start()
            is_whole = False
            try:
                async for answer in self._exchange(question, words):
                    yield answer
                is_whole = True
            except CommandFailed as error:
                is_whole = not isinstance(error, Died)
                raise
            finally:
                # Half an exchange leaves a pipe that nobody can read on.
                if not is_whole:
                    await self.close()

    async def close(self) -> None:
        """End the server with all its processes."""
        process, self._process = self._process, None
        if process is not None:
            await end_group(process)
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def _start(self) -> None:
        argv = command(self._repo, "serve", "--cmdserver", "pipe")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(("hg", "serve"), None, f"cannot start: {error}") from error
        self.starts += 1
        self._said.clear()
        self._listener = asyncio.create_task(self._listen(self._process))
        try:
            async with asyncio.timeout(START_SECONDS):
                _, hello = await self._frame()
            if b"shipittrials" not in hello:
                raise CommandFailed(("hg", "serve"), None, "it did not load our extension")
            async for answer in self._exchange("open", {"scratch": str(self._scratch)}):
                self.version = str(answer["version"])
        except TimeoutError:
            await self.close()
            raise Died(("hg", "serve"), None, "it did not start in time") from None
        except CommandFailed:
            await self.close()
            raise

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self._said.append(line.decode("utf-8", "replace").rstrip()[:500])

    async def _exchange(self, question: str, words: Mapping[str, object]) -> AsyncIterator[dict[str, Any]]:
        request = json.dumps({"ask": question, **words}).encode("ascii")
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(b"shipittrials\n" + struct.pack(">I", len(request)) + request)
            async with asyncio.timeout(self._patience):
                await self._process.stdin.drain()
            while True:
                async with asyncio.timeout(self._patience):
                    channel, frame = await self._frame()
                if channel != b"r":
                    continue
                answer = json.loads(frame)
                if "end" in answer:
                    break
                yield answer
        except TimeoutError:
            raise Died(("hg", "serve"), None, f"no answer in {self._patience:g} s") from None
        except (BrokenPipeError, ConnectionResetError, ValueError) as error:
            raise await self._dead(str(error)) from error
        if "failed" in answer:
            raise CommandFailed(("hg", question), None, str(answer["failed"]))

    async def _frame(self) -> tuple[bytes, bytes]:
        assert self._process is not None and self._process.stdout is not None
        try:
            head = await self._process.stdout.readexactly(5)
            length = struct.unpack(">I", head[1:])[0]
            # An upper-case channel asks us for input, which there is none of.
            if head[:1].isupper() or length > LARGEST_FRAME:
                raise await self._dead("unreadable words on its pipe")
            return head[:1], await self._process.stdout.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise await self._dead("it ended") from error

    async def _dead(self, reason: str) -> Died:
        """What is known of the server's end."""
        code = None
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    code = await self._process.wait()
        if self._listener is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.shield(self._listener)
        return Died(("hg", "serve"), code, "\n".join(self._said) or reason)
