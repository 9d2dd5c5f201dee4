# SPDX-License-Identifier: MPL-2.0
"""The embedded server: every way of running it, and what killed runs leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from fixtures_postgres import server_binaries
from real_parts import absent
from shipit.errors import CommandFailed, Refused, Unavailable
from shipit.storage import account, binaries, embedded
from shipit.storage.account import Way

IS_ROOT = os.geteuid() == 0
USUAL = Way.NAMESPACE if IS_ROOT else Way.DIRECT
NOBODY = 65534

# What another process runs to be killed.
OWNER = """
import sys, time
from pathlib import Path
from shipit.storage import binaries, embedded
folder = Path(sys.argv[1])
chosen = binaries.at(Path(sys.argv[2])) if len(sys.argv) > 2 else None
with embedded.run(folder, embedded.Options(durable=False, binaries=chosen)) as url:
    print(url, flush=True)
    time.sleep(600)
"""

# A server that begins by ignoring what it is told.
DEAF = """#!/bin/sh
[ "$1" = --version ] && exec {real}/postgres --version
trap '' INT
echo $$ > {begun}.new && mv {begun}.new {begun}
sleep 0.5
exec {real}/postgres "$@"
"""


def options(way: Way | None = None) -> embedded.Options:
    return embedded.Options(durable=False, way=way, binaries=server_binaries())


def usable(way: Way) -> Way:
    try:
        account.choose(way)
    except Unavailable:
        absent(f"postgresql-{way}", "needs root" if way is Way.NOBODY else f"not possible as {os.geteuid()}")
    return way


def every_process() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").glob("[0-9]*"))


def processes_in(folder: Path) -> list[int]:
    found = []
    for pid in every_process():
        with contextlib.suppress(OSError):
            if os.path.samefile(f"/proc/{pid}/cwd", folder):
                found.append(pid)
    return found


def parent_of(pid: int) -> int:
    """0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def interpreter_for_everybody() -> list[str]:
    """A command that runs our code as any user; our own interpreter may be in a folder private to root."""
    packages = ":".join(path for path in sys.path if path)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = ["/usr/bin/env", f"PYTHONPATH={packages}", python]
        if account.choose(Way.NOBODY).can_run(*command, "-c", "import shipit.storage.embedded"):
            return command
    absent("postgresql-direct", f"no {version} that somebody without root can run")
    raise AssertionError


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def temporary_folders(data_dir: Path) -> list[Path]:
    """Those of the present run: its socket's, and its programs' where it had to copy them."""
    places = [Path(name) for name in json.loads((data_dir / "places").read_text())]
    assert all(place.is_dir() for place in places)
    return places


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an initialised cluster and one row, to be copied."""
    folder = tmp_path_factory.mktemp("seed") / "data"
    with embedded.run(folder, options()) as url, psycopg.connect(url) as connection:
        connection.execute("create table kept as select 42 as answer")
    return folder


@pytest.fixture
def data_dir(seed: Path, tmp_path: Path) -> Path:
    """A folder used once before, cleanly."""
    return shutil.copytree(seed, tmp_path / "data")


@pytest.fixture
def own(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a server over `data_dir`; ready."""
    given = server_binaries()
    command = [sys.executable, "-c", OWNER, str(data_dir), *([str(given.folder)] if given else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        yield process
        process.kill()


def answer(url: str) -> object:
    with psycopg.connect(url) as connection:
        return connection.execute("select answer from kept").fetchone()


@pytest.mark.parametrize("way", list(Way))
def test_every_way_serves_keeps_data_and_leaves_nothing(way: Way, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with embedded.run(data_dir, options(usable(way))) as url, psycopg.connect(url) as connection:
        connection.execute("create table kept as select 42 as answer")
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        socket = Path(connection.info.host)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert len(os.fsencode(socket / ".s.PGSQL.5432")) < 107
        places = temporary_folders(data_dir) if way is not Way.DIRECT else []
        running = processes_in(data_dir / "cluster")
        owners = {os.stat(f"/proc/{pid}").st_uid for pid in running}
        assert owners == {NOBODY if way is Way.NOBODY else os.geteuid()}
    assert processes_in(data_dir / "cluster") == []
    assert not any(place.exists() for place in places)
    with embedded.run(data_dir, options(way)) as url:
        assert answer(url) == (42,)


def test_a_cluster_passes_from_one_way_to_another(data_dir: Path) -> None:
    if not IS_ROOT:
        absent("postgresql-nobody", "needs root")
    for way in (Way.NOBODY, Way.NAMESPACE, Way.NOBODY):
        with embedded.run(data_dir, options(usable(way))) as url:
            assert answer(url) == (42,)


def test_folders_private_to_root_are_no_obstacle_and_stay_private(tmp_path: Path) -> None:
    usable(Way.NOBODY)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    wheel = binaries.found()[0]
    for root in wheel.roots:
        shutil.copytree(root, private / root.name, symlinks=True, copy_function=os.link)
    hidden = wheel.moved_to(private)
    accounts = hashlib.sha256(Path("/etc/passwd").read_bytes()).digest()
    modes = {folder: folder.stat().st_mode for folder in [private, *private.parents, Path.home()]}
    wanted = embedded.Options(durable=False, way=Way.NOBODY, binaries=hidden)
    with embedded.run(private / "data", wanted) as url, psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        places = temporary_folders(private / "data")
        assert len(places) == 2, "a socket, and programs that nobody can reach where they are"
    assert {folder: folder.stat().st_mode for folder in modes} == modes
    assert hashlib.sha256(Path("/etc/passwd").read_bytes()).digest() == accounts
    assert not any(place.exists() for place in places)


def test_root_without_user_namespaces_runs_it_as_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usable(Way.NOBODY)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert account.choose().way is Way.NOBODY


def test_somebody_without_root_runs_it_directly(seed: Path) -> None:
    usable(Way.NOBODY)
    python = interpreter_for_everybody()
    with tempfile.TemporaryDirectory() as place:
        data_dir = Path(place) / "data"
        os.chmod(place, 0o755)
        data_dir.mkdir(mode=0o700)
        os.chown(data_dir, NOBODY, NOBODY)
        with subprocess.Popen(
            [*python, "-c", OWNER, str(data_dir)],
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            **account.choose(Way.NOBODY).identity,
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.endswith("data%2Fsocket"), "short enough to be beside the data"
            with psycopg.connect(url) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
            assert {os.stat(f"/proc/{pid}").st_uid for pid in processes_in(data_dir / "cluster")} == {NOBODY}
            process.send_signal(signal.SIGINT)
        assert processes_in(data_dir / "cluster") == []


def test_where_no_way_works_the_error_names_the_alternative() -> None:
    impossible = Way.DIRECT if IS_ROOT else Way.NOBODY
    with pytest.raises(Unavailable, match="DATABASE_URL"):
        account.choose(impossible)


def test_two_runs_on_one_folder_are_refused_with_the_holder(data_dir: Path) -> None:
    with embedded.run(data_dir, options()) as url:
        with (
            pytest.raises(Refused, match=f"in use by process {os.getpid()}"),
            embedded.run(data_dir, options()),
        ):
            pass
        assert answer(url) == (42,)


def test_a_killed_parent_takes_its_server_with_it(data_dir: Path, own: subprocess.Popen[str]) -> None:
    assert processes_in(data_dir / "cluster")
    own.kill()
    own.wait()
    wait_for(lambda: not processes_in(data_dir / "cluster"))
    with embedded.run(data_dir, options()) as url:
        assert answer(url) == (42,)
        assert "was not properly shut down" not in (data_dir / "server.log").read_text()


def test_a_parent_killed_while_its_server_is_still_deaf_takes_it_along(
    data_dir: Path, tmp_path: Path
) -> None:
    real = (server_binaries() or binaries.found()[0]).folder
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "initdb").symlink_to(real / "initdb")
    (slow / "postgres").write_text(DEAF.format(real=real, begun=tmp_path / "begun"))
    (slow / "postgres").chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", OWNER, str(data_dir), str(slow)]) as process:
        try:
            wait_for((tmp_path / "begun").exists)
        finally:
            process.kill()
    server = int((tmp_path / "begun").read_text())
    assert Path(f"/proc/{server}").exists()
    wait_for(lambda: not Path(f"/proc/{server}").exists())
    with embedded.run(data_dir, options()) as url:
        assert answer(url) == (42,)


def test_an_orphaned_server_is_stopped_by_the_next_run(data_dir: Path, own: subprocess.Popen[str]) -> None:
    server = int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])
    guard = parent_of(server)
    for pid in [guard, *(pid for pid in every_process() if parent_of(pid) == guard and pid != server)]:
        os.kill(pid, signal.SIGKILL)
    own.kill()
    own.wait()
    assert server in processes_in(data_dir / "cluster")
    places = temporary_folders(data_dir) if USUAL is not Way.DIRECT else []
    with embedded.run(data_dir, options()) as url:
        assert answer(url) == (42,)
        assert server not in processes_in(data_dir / "cluster")
    assert not any(place.exists() for place in places)


def test_a_server_killed_with_its_pid_file_left_starts_again(
    data_dir: Path, own: subprocess.Popen[str]
) -> None:
    server = int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGKILL)
    own.kill()
    own.wait()
    with embedded.run(data_dir, options()) as url:
        assert answer(url) == (42,)


def test_a_pid_file_whose_number_now_belongs_to_somebody_else_is_no_obstacle(data_dir: Path) -> None:
    (data_dir / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}/cluster\n0\n5432\n")
    with embedded.run(data_dir, options()) as url:
        assert answer(url) == (42,)


def test_a_shell_that_stands_in_the_cluster_is_left_alone(data_dir: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=data_dir / "cluster") as bystander:
        with embedded.run(data_dir, options()) as url:
            assert answer(url) == (42,)
        assert bystander.poll() is None
        bystander.kill()


def test_an_initialisation_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with subprocess.Popen([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE) as process:
        wait_for(lambda: list(data_dir.glob("cluster.new-*/PG_VERSION")))
        process.kill()
    assert not (data_dir / "cluster").exists()
    with embedded.run(data_dir, options()) as url, psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert sorted(entry.name for entry in data_dir.iterdir() if "new" in entry.name) == []


def test_a_folder_as_deep_as_can_be_is_no_obstacle(seed: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a" * 60] * 3)
    with embedded.run(shutil.copytree(seed, deep / "data"), options(USUAL)) as url:
        assert answer(url) == (42,)


def test_data_of_another_major_version_are_refused_by_name(data_dir: Path) -> None:
    (data_dir / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Unavailable, match="written by PostgreSQL 9"), embedded.run(data_dir, options()):
        pass


def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    (data_dir / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(CommandFailed, match="pg_control"), embedded.run(data_dir, options()):
        pass
    assert processes_in(data_dir / "cluster") == []


def test_the_server_gets_no_secret_of_ours_and_its_log_is_private(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIPIT_BUGZILLA_API_KEY", "canary-of-a-secret")
    with embedded.run(data_dir, options()):
        server = int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])
        assert b"canary" not in Path(f"/proc/{server}/environ").read_bytes()
    assert stat.S_IMODE((data_dir / "server.log").stat().st_mode) == 0o600


async def test_the_loop_goes_on_while_it_starts_and_stops(data_dir: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick())
    async with embedded.server(data_dir, options()) as url:
        assert ticks > 1
        assert await asyncio.to_thread(answer, url) == (42,)
    ticking.cancel()
    assert processes_in(data_dir / "cluster") == []


async def test_a_start_that_is_cancelled_leaves_no_server(data_dir: Path) -> None:
    async def start() -> None:
        async with embedded.server(data_dir, options()):
            pytest.fail("cancelled before it was ready")

    starting = asyncio.create_task(start())
    await asyncio.sleep(0.02)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes_in(data_dir / "cluster") == []
    with embedded.run(data_dir, options()) as url:
        assert answer(url) == (42,)
