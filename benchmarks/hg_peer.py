# SPDX-License-Identifier: MPL-2.0
"""The original's method of trying an uplift: `hg graft --tool :merge` in a working copy."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shipit.vcs.hg import hg_program

Case = tuple[str, str]
"""Tip and patch, full hashes."""


@dataclass
class Row:
    """One engine's figures for some cases."""

    name: str
    count: int
    cpu: float = 0.0
    wall: float = 0.0

    @property
    def each(self) -> float:
        """CPU milliseconds per trial."""
        return 1000 * self.cpu / self.count


def cpu_of(pids: Sequence[int]) -> float:
    """Seconds of CPU of this process, of the children that have ended, and of these living ones."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    ticks = os.sysconf("SC_CLK_TCK")
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        seconds += (int(words[11]) + int(words[12])) / ticks
    return seconds


@contextmanager
def measured(row: Row, pids: Sequence[int] = ()) -> Iterator[None]:
    """Add what happens inside to a row."""
    cpu, wall = cpu_of(pids), time.perf_counter()
    yield
    row.cpu += cpu_of(pids) - cpu
    row.wall += time.perf_counter() - wall


class Plain:
    """hg as the original drove it: one command server with a working copy."""

    def __init__(self, repo: Path) -> None:
        env = {"PATH": os.environ["PATH"], "HGRCPATH": "", "HGPLAIN": "1", "HGUSER": "b", "LC_ALL": "C.UTF-8"}
        self._process = subprocess.Popen(
            [hg_program(), "-R", repo, "--cwd", repo, "serve", "--cmdserver", "pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )
        self.pid = self._process.pid
        self._frame()

    def _frame(self) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        channel, length = struct.unpack(">cI", self._process.stdout.read(5))
        if not channel.isupper():
            return channel, self._process.stdout.read(length)
        assert self._process.stdin is not None
        # A prompt: the original answered "changed" to all of them.
        self._process.stdin.write(struct.pack(">I", 2) + b"c\n")
        self._process.stdin.flush()
        return channel, b""

    def run(self, *words: str) -> tuple[int, bytes]:
        """Exit code and output."""
        assert self._process.stdin is not None
        args = "\0".join(words).encode()
        self._process.stdin.write(b"runcommand\n" + struct.pack(">I", len(args)) + args)
        self._process.stdin.flush()
        said = b""
        while True:
            channel, frame = self._frame()
            if channel == b"r":
                return struct.unpack(">i", frame)[0], said
            said += frame if channel == b"o" else b""

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def original(repo: Path, cases: Sequence[Case]) -> tuple[Row, Row, list[bool]]:
    """The original's method, with and without the checkout of the tip; whether each case merged."""
    whole = Row("the original's method: `update -C`, `graft --tool :merge`, `update -C`", len(cases))
    graft = Row("the same without the checkout of the tip", len(cases))
    verdicts = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        # A clone of its own: every graft stays in it as a draft head.
        subprocess.run(
            [hg_program(), "clone", "-q", "-U", "--pull", repo, work],
            check=True,
            env={**os.environ, "HGRCPATH": ""},
        )
        plain = Plain(work)
        plain.run("update", "-q", "-C", cases[0][0])
        for tip, patch in cases:
            with measured(whole, [plain.pid]):
                plain.run("update", "-q", "-C", tip)
                with measured(graft, [plain.pid]):
                    code, _ = plain.run("graft", "--tool", ":merge", "-r", patch)
                    verdicts.append(code == 0)
                    if code:
                        plain.run("graft", "--abort")
                    plain.run("update", "-q", "-C", tip)
        plain.close()
    return whole, graft, verdicts
