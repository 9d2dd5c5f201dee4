# SPDX-License-Identifier: MPL-2.0
"""Persistent merge processes: managed against a process that speaks git's protocol and dies as told.

Where this machine's git answers a pipe, `test_merging.py` and `test_trials.py` run on these workers too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from shipit.vcs.workers import Workers, own_memory

# Answers each line at once; a line is `name` or `name:deed`. What it did is written to a log.
SPEAKER = """\
import os, sys, time
log = open(sys.argv[1], "a", buffering=1)
print("start", file=log)
hoard = []
for line in sys.stdin.buffer:
    name, _, deed = line.decode().strip().partition(":")
    print(name, file=log)
    if deed == "fatal":
        sys.exit("fatal: unable to read 1234")
    if deed == "die" or (deed == "die-once" and open(sys.argv[1]).read().split().count(name) == 1):
        os.kill(os.getpid(), 9)
    if deed == "hang":
        time.sleep(60)
    if deed == "complain":
        print("error: Could not read 1234", file=sys.stderr, flush=True)
    if deed == "babble":
        sys.stdout.write("7\\0what\\0\\0")
    if deed == "eat":
        hoard.append(bytearray(os.urandom(1 << 20) * 40))
    sys.stdout.write(f"1\\0{name}\\0\\0")
    sys.stdout.flush()
"""


class Room:
    """A pool of speakers and the log of what they did."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.script = folder / "speaker.py"
        self.script.write_text(SPEAKER)

    def pool(self, count: int = 1, **options: float) -> Workers:
        argv = (sys.executable, "-S", str(self.script), str(self.log))
        return Workers(argv, count=count, **options)  # type: ignore[arg-type]

    @property
    def starts(self) -> int:
        return self.log.read_text().split().count("start")


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def told(*deeds: str) -> list[bytes]:
    return [f"m{place}{':' + deed if deed else ''}\n".encode() for place, deed in enumerate(deeds)]


async def test_one_process_answers_run_after_run(room: Room) -> None:
    pool = room.pool()
    for _ in range(3):
        answers = await pool.merge(told(*[""] * 300))
        assert [answer.tree for answer in answers] == [f"m{place}" for place in range(300)]
    assert await pool.merge([]) == []
    await pool.stop()
    assert room.starts == 1


async def test_what_git_dies_of_is_its_own_error_and_nothing_else_is_done_twice(room: Room) -> None:
    pool = room.pool()
    answers = await pool.merge(told("", "", "fatal", "", ""))
    await pool.stop()
    assert [answer.tree for answer in answers] == ["m0", "m1", None, "m3", "m4"]
    assert "unable to read 1234" in (answers[2].reason or "")
    assert room.log.read_text().split() == ["start", "m0", "m1", "m2", "start", "m3", "m4"]


async def test_a_merge_whose_process_somebody_killed_is_tried_again(room: Room) -> None:
    pool = room.pool(2)
    answers = await pool.merge(told(*["", "die-once"] * 10))
    await pool.stop()
    assert [answer.tree for answer in answers] == [f"m{place}" for place in range(20)]


async def test_a_merge_that_kills_every_process_is_given_up_and_spares_the_others(room: Room) -> None:
    pool = room.pool()
    answers = await pool.merge(told("", "die", ""))
    await pool.stop()
    assert [answer.tree for answer in answers] == ["m0", None, "m2"]
    assert "signal 9" in (answers[1].reason or "")


async def test_a_hung_merge_is_an_error_in_time(room: Room) -> None:
    pool = room.pool(patience=0.5)
    started = time.monotonic()
    answers = await pool.merge(told("", "hang", ""))
    await pool.stop()
    assert time.monotonic() - started < 30
    assert [answer.tree for answer in answers] == ["m0", None, "m2"]
    assert "hung" in (answers[1].reason or "")


@pytest.mark.parametrize("deed", ["complain", "babble"])
async def test_who_of_many_is_meant_by_a_complaint_is_found_out(room: Room, deed: str) -> None:
    pool = room.pool()
    answers = await pool.merge(told("", "", deed, ""))
    await pool.stop()
    assert [answer.tree for answer in answers] == ["m0", "m1", None, "m3"]
    assert answers[2].reason is not None


async def test_a_process_is_replaced_after_so_many_merges_or_so_much_memory(room: Room) -> None:
    pool = room.pool(recycle_after=100)
    for _ in range(6):
        await pool.merge(told(*[""] * 50))
    assert room.starts == 3
    await pool.stop()
    hungry = room.pool(most_memory=60 << 20)
    for _ in range(4):
        await hungry.merge(told("eat"))
    await hungry.stop()
    assert room.starts == 3 + 2


async def test_a_cancelled_run_leaves_no_process(room: Room) -> None:
    pool = room.pool(2)
    task = asyncio.create_task(pool.merge(told(*["hang"] * 4)))
    while not room.log.exists() or room.log.read_text().count("m") < 2:
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = [path for path in Path("/proc").glob("[0-9]*") if str(room.log).encode() in _words(path)]
    assert left == []
    assert (await pool.merge(told("")))[0].tree == "m0"
    await pool.stop()


def _words(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


async def test_a_program_that_is_not_there_is_the_error_of_each_merge() -> None:
    answers = await Workers(("no-such-git-here",)).merge(told("", ""))
    assert all("cannot be started" in (answer.reason or "") for answer in answers)


async def test_memory_is_what_a_process_holds_alone() -> None:
    assert own_memory(os.getpid()) > 1 << 20
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, signal.SIG_DFL)
    assert own_memory(process.pid) == 0
