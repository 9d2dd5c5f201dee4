# SPDX-License-Identifier: MPL-2.0
"""Fault drills on real git: full disks, torn and corrupted clones, dying processes, servers that hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_builder import Repo, numbered, run_git
from shipit.errors import Unavailable
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome, SeriesResult
from shipit.vcs.clone import Clone
from shipit.vcs.git_store import GitTrials

pytestmark = pytest.mark.drill

PATCHES = 60


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A train and many patches for it; every one merges."""
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {f"f{n}.txt": numbered(40, l1=f"file {n}") for n in range(PATCHES)})
    told.branch("beta", "main")
    told.commit(
        "ours", {f"f{n}.txt": numbered(40, l1=f"file {n}", l30="ours") for n in range(PATCHES)}, on="beta"
    )
    for n in range(PATCHES):
        told.commit(
            f"Bug 2 - {n}", {f"f{n}.txt": numbered(40, l1=f"file {n}", l5="x")}, on=f"p{n}", start="main"
        )
    return told


def requests() -> list[Request]:
    return [Request("beta", (Commit(f"p{n}"),)) for n in range(PATCHES)]


def outcomes(results: list[SeriesResult]) -> list[Outcome]:
    return [result.outcome for result in results]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=4000", "tmpfs", place],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no tiny disk can be mounted here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_full_disk_is_an_error_with_its_reason_and_room_brings_the_trials_back(
    repo: Repo, small_disk: Path
) -> None:
    async with GitTrials(repo.path, scratch=small_disk, remembers=False) as trials:
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        full = await trials.run(requests())
        assert set(outcomes(full)) == {Outcome.ERROR}
        assert all("space" in (result.patches[0].reason or "").lower() for result in full)
        filler.unlink()
        freed = await trials.run(requests()[:20])
        assert set(outcomes(freed)) == {Outcome.CLEAN}


async def test_a_disk_that_fills_up_midway_fails_some_trials_and_no_other(
    repo: Repo, small_disk: Path
) -> None:
    """Each conflict-free merge writes objects; what was written before the disk was full stands."""
    big = [Request("beta", (Commit(f"p{n}"), Commit(f"p{(n + 1) % PATCHES}"))) for n in range(PATCHES)] * 3
    async with GitTrials(repo.path, scratch=small_disk, remembers=False) as trials:
        with (small_disk / "filler").open("wb") as file:
            file.write(b"x" * 60_000)
        results = await trials.run(big)
    assert set(outcomes(results)) <= {Outcome.CLEAN, Outcome.ERROR}
    assert Outcome.ERROR in outcomes(results)
    for result in results:
        assert result.outcome is Outcome.CLEAN or any(
            "space" in (patch.reason or "").lower() for patch in result.patches
        )


async def test_a_corrupted_object_is_the_error_of_those_who_need_it(repo: Repo) -> None:
    for pack in list((repo.path / "objects/pack").iterdir()):
        content = pack.read_bytes() if pack.suffix == ".pack" else b""
        pack.unlink()
        if content:
            run_git(repo.path, "unpack-objects", "-q", stdin=content)
    hit = [3, 17, 40]
    for n in hit:
        blob = run_git(repo.path, "rev-parse", f"p{n}:f{n}.txt").decode().strip()
        file = repo.path / "objects" / blob[:2] / blob[2:]
        file.chmod(0o644)
        content = file.read_bytes()
        file.write_bytes(content[:20] + b"\0" * 8 + content[28:])
    async with GitTrials(repo.path, workers=2) as trials:
        results = await trials.run(requests())
    assert [n for n, one in enumerate(outcomes(results)) if one is Outcome.ERROR] == hit
    assert set(outcomes(results)) == {Outcome.ERROR, Outcome.CLEAN}


async def test_a_pack_torn_in_the_middle_never_gives_a_wrong_answer(repo: Repo) -> None:
    run_git(repo.path, "repack", "-adq")
    async with GitTrials(repo.path) as trials:
        right = await trials.run(requests())
    (pack,) = (repo.path / "objects/pack").glob("*.pack")
    whole = pack.read_bytes()
    pack.chmod(0o644)
    chance = random.Random(7)
    for _ in range(6):
        torn = bytearray(whole)
        start = chance.randrange(100, len(torn) - 200)
        torn[start : start + 100] = bytes(chance.randrange(256) for _ in range(100))
        pack.write_bytes(torn)
        async with GitTrials(repo.path, workers=2) as trials:
            found = await trials.run(requests())
        for one, expected in zip(found, right, strict=True):
            assert one == expected or one.outcome in (Outcome.ERROR, Outcome.MISSING)
    pack.write_bytes(whole)
    async with GitTrials(repo.path) as trials:
        assert await trials.run(requests()) == right


async def test_workers_killed_again_and_again_cost_no_trial(repo: Repo, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    killed = []

    def kill_some() -> None:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes()
                if b"merge-tree" in words and str(scratch).encode() in words:
                    os.kill(int(path.name), signal.SIGKILL)
                    killed.append(path.name)

    async def assassin() -> None:
        while len(killed) < 12:
            kill_some()
            await asyncio.sleep(0)

    async with GitTrials(repo.path, scratch=scratch, workers=2, remembers=False) as trials:
        task = asyncio.create_task(assassin())
        results = await trials.run(requests() * 10)
        task.cancel()
    assert killed
    assert set(outcomes(results)) == {Outcome.CLEAN}


def test_a_killed_trial_process_leaves_nothing_that_the_next_one_does_not_sweep(
    repo: Repo, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    words = (
        "import asyncio, sys, pathlib\n"
        "from shipit.vcs.git_store import GitTrials\n"
        "async def main():\n"
        "    async with GitTrials(pathlib.Path(sys.argv[1]), scratch=pathlib.Path(sys.argv[2])):\n"
        "        print('open', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", words, repo.path, scratch], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    process.kill()
    process.wait()
    process.stdout.close()
    (left,) = scratch.iterdir()
    os.utime(left, (1, 1))

    async def again() -> None:
        async with GitTrials(repo.path, scratch=scratch):
            assert not left.exists()

    asyncio.run(again())


async def test_two_bots_on_one_clone_do_not_meet(repo: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "ours.git"
    words = (
        "import asyncio, sys, pathlib\n"
        "from shipit.merge.series import Request\n"
        "from shipit.merge.types import Commit\n"
        "from shipit.vcs.clone import Clone\n"
        "from shipit.vcs.git_store import GitTrials\n"
        "async def main():\n"
        "    clone = Clone(pathlib.Path(sys.argv[1]), sys.argv[2])\n"
        f"    await clone.update(['beta', *(f'p{{n}}' for n in range({PATCHES}))])\n"
        "    async with GitTrials(clone.folder) as trials:\n"
        f"        asked = [Request('beta', (Commit(f'p{{n}}'),)) for n in range({PATCHES})]\n"
        "        results = await trials.run(asked)\n"
        "    print({result.outcome.value for result in results})\n"
        "asyncio.run(main())\n"
    )
    bots = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", words, str(folder), f"file://{repo.path}", stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    said = [(await bot.communicate())[0] for bot in bots]
    assert said == [b"{'clean'}\n"] * 4
    assert await Clone(folder, f"file://{repo.path}").verify() is None


async def test_a_clone_killed_at_any_moment_is_whole_after_the_next_update(
    repo: Repo, tmp_path: Path
) -> None:
    chance = random.Random(3)
    words = (
        "import asyncio, sys, pathlib\n"
        "from shipit.vcs.clone import Clone\n"
        "asyncio.run(Clone(pathlib.Path(sys.argv[1]), sys.argv[2]).update(['beta']))\n"
    )
    folder = tmp_path / "ours.git"
    for _ in range(6):
        shutil.rmtree(folder, ignore_errors=True)
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            words,
            str(folder),
            f"file://{repo.path}",
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await asyncio.sleep(0.25 + chance.random() * 0.4)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bot.pid, signal.SIGKILL)
        await bot.wait()
        clone = Clone(folder, f"file://{repo.path}")
        await clone.update(["beta"])
        assert set(await clone.tips(["main", "beta"])) == {"main", "beta"}
        assert await clone.verify() is None


async def test_a_server_that_stops_talking_in_the_middle_is_given_up_in_time(
    repo: Repo, tmp_path: Path
) -> None:
    run_git(repo.path, "update-server-info")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asyncio.get_running_loop().run_in_executor(None, answer_half, server)
        clone = Clone(tmp_path / "ours.git", f"http://127.0.0.1:{port}/clone", timeout=2.0)
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await clone.update(["beta"])
        assert time.monotonic() - started < 15
    good = Clone(tmp_path / "ours.git", f"file://{repo.path}")
    assert set((await good.update(["beta"])).moved) == {"main", "beta"}


def answer_half(server: socket.socket) -> None:
    """Begin an answer and never end it."""
    with contextlib.suppress(OSError):
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n"
            b"Content-Length: 100000\r\n\r\n001e# service=git-upload-pack\n0000"
        )
        while connection.recv(4096):
            pass
        connection.close()
