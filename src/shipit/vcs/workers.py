# SPDX-License-Identifier: MPL-2.0
"""Persistent merge processes that answer each line at once: one dies or hangs, no other merge is lost.

For a git that takes trees (2.45 and newer); older ones say nothing before their input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from shipit.merge.store import Merged
from shipit.vcs.answers import Unreadable, read_some
from shipit.vcs.git import environment

PATIENCE = 60.0
RECYCLE_AFTER = 5_000
MOST_MEMORY = 200 << 20
# Lines of one question; their bytes fit into a pipe, so that writing them never waits for reading.
CHUNK = 128
# A merge whose process was killed by somebody is innocent until this many were.
MOST_ATTEMPTS = 5
# While many answers are due, they are fetched in few reads.
_NAP_SECONDS = 0.002
_MANY = 8


class Death(msgspec.Struct, frozen=True):
    """Why a process stopped answering. is_guilty: the merge in turn is what it died of.

    is_vague: it complained, and any of the merges asked may be why.
    """

    reason: str
    is_guilty: bool = True
    is_vague: bool = False


class Worker:
    """One merge process; started when first asked, and again when it is gone. Its methods block."""

    def __init__(self, argv: Sequence[str], *, patience: float, recycle_after: int, most_memory: int) -> None:
        self._argv = argv
        self._patience = patience
        self._recycle_after = recycle_after
        self._most_memory = most_memory
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: BinaryIO | None = None
        self._heard = 0
        self._merges = 0
        self._guard = threading.Lock()
        self.starts = 0

    def ask(self, lines: Sequence[bytes]) -> tuple[list[Merged], Death | None]:
        """The answers to the first lines, all of them unless it died of the one after."""
        try:
            process = self._running()
        except OSError as error:
            return [], Death(f"git cannot be started: {error}")
        assert process.stdin is not None
        # It may have died, or be stopped, meanwhile: listening will tell.
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write(b"".join(lines))
            process.stdin.flush()
        done: list[Merged] = []
        death = self._hear(process, len(lines), done)
        if death is None and (complaint := self._complaint()) and "error: " in complaint:
            # A tree that git cannot read is an empty one to it: it complains and goes on.
            done.clear()
            death = Death(f"git could not merge: {complaint}", is_vague=len(lines) > 1)
        self._merges += len(done)
        if death is not None or self._is_worn(process):
            self.stop()
        return done, death

    def stop(self) -> None:
        """End the process, at any moment and from any thread."""
        with self._guard:
            process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        if self._stderr is not None:
            self._stderr.close()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its process
        process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(),
            start_new_session=True,
        )
        self._heard = self._merges = 0
        self.starts += 1
        with self._guard:
            self._process = process
        return process

    def _hear(self, process: subprocess.Popen[bytes], wanted: int, done: list[Merged]) -> Death | None:
        """Read answers into `done` until all are there, or it is known why not."""
        assert process.stdout is not None
        # Somebody may stop the process (and close its pipes) while we listen: then there is no descriptor.
        try:
            descriptor = process.stdout.fileno()
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            rest = b""
            since = time.perf_counter()
            while len(done) < wanted:
                if not poll.poll(self._patience * 1000):
                    return Death(f"the merge hung for {self._patience:g} s")
                if wanted - len(done) > _MANY:
                    time.sleep(_NAP_SECONDS)
                chunk = os.read(descriptor, 1 << 18)
                if not chunk:
                    return self._obituary(process)
                answers, used = read_some(rest + chunk)
                rest = (rest + chunk)[used:]
                now = time.perf_counter()
                each = (now - since) / max(1, len(answers))
                done += [msgspec.structs.replace(answer, seconds=each) for answer in answers]
                since = now if answers else since
        except (ValueError, OSError):
            return Death("the merge was stopped", is_guilty=False)
        except Unreadable as error:
            return Death(f"unreadable answer of git merge-tree: {error}", is_vague=wanted > 1)
        return Death("git answered more than it was asked") if len(done) > wanted or rest else None

    def _obituary(self, process: subprocess.Popen[bytes]) -> Death:
        try:
            code = process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return Death("git closed its answers and did not end")
        if code < 0:
            return Death(f"the merge was killed by signal {-code}", is_guilty=False)
        return Death(f"git could not merge: {self._complaint() or f'exit code {code}'}")

    def _complaint(self) -> str:
        """What it newly said on stderr, at most 500 characters."""
        if self._stderr is None:
            return ""
        size = os.fstat(self._stderr.fileno()).st_size
        words = os.pread(self._stderr.fileno(), 1 << 16, self._heard) if size > self._heard else b""
        self._heard = size
        return words.decode("utf-8", "replace").strip()[-500:]

    def _is_worn(self, process: subprocess.Popen[bytes]) -> bool:
        return self._merges >= self._recycle_after or own_memory(process.pid) > self._most_memory


def own_memory(pid: int) -> int:
    """Bytes that a process alone holds (what it maps of files aside); 0 where the system does not tell."""
    try:
        _, resident, of_files, *_ = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(of_files)) * os.sysconf("SC_PAGE_SIZE")


class Workers:
    """A pool of merge processes that share a queue."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        count: int = 1,
        patience: float = PATIENCE,
        recycle_after: int = RECYCLE_AFTER,
        most_memory: int = MOST_MEMORY,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """argv: the whole command. patience: seconds a process may be silent on one merge.

        recycle_after, most_memory: merges, and bytes of its own, after which a process is replaced.
        """
        self.workers = [
            Worker(argv, patience=patience, recycle_after=recycle_after, most_memory=most_memory)
            for _ in range(count)
        ]
        self._progress = progress

    async def merge(self, lines: Sequence[bytes]) -> list[Merged]:
        """The outcome of each line, in order. Never raises for what one merge cannot do."""
        places = list(range(len(lines)))
        size = max(1, min(CHUNK, -(-len(lines) // len(self.workers))))
        waiting = deque(places[start : start + size] for start in range(0, len(places), size))
        results: dict[int, Merged] = {}
        attempts: dict[int, int] = {}

        async def work(worker: Worker) -> None:
            while waiting:
                chunk = waiting.popleft()
                done, death = await _in_thread(worker, [lines[place] for place in chunk])
                results.update(zip(chunk, done, strict=False))
                rest = chunk[len(done) :]
                settled = len(done)
                if death is not None and death.is_vague:
                    waiting.extendleft([place] for place in rest)
                elif death is not None and rest:
                    first = rest.pop(0)
                    attempts[first] = attempts.get(first, 0) + 1
                    if rest:
                        waiting.appendleft(rest)
                    if death.is_guilty or attempts[first] >= MOST_ATTEMPTS:
                        results[first] = Merged(reason=death.reason)
                        settled += 1
                    else:
                        waiting.appendleft([first])
                if self._progress is not None:
                    self._progress(settled)

        await asyncio.gather(*(work(worker) for worker in self.workers))
        return [results[place] for place in places]

    async def stop(self) -> None:
        """End every process; the next question starts them again."""
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in self.workers))


async def _in_thread(worker: Worker, lines: Sequence[bytes]) -> tuple[list[Merged], Death | None]:
    asked = asyncio.get_running_loop().run_in_executor(None, worker.ask, lines)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        worker.stop()
        await asyncio.wait([asked])
        raise
