# SPDX-License-Identifier: MPL-2.0
"""Run a PostgreSQL server of our own over a folder: a private Unix socket, nothing changed outside.

The folder holds `lock` (who uses it), `cluster` (the server's data), `server.log`, and `places` (the
temporary folders of the run, so that the next one can remove what a killed one left).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from shipit.errors import CommandFailed, Refused, Unavailable
from shipit.storage import account as accounts
from shipit.storage import binaries as programs
from shipit.storage import guard, leftovers
from shipit.storage.account import Account, Way
from shipit.storage.binaries import Binaries

_INITDB_SECONDS = 180
_START_SECONDS = 60
# The longest path of a Unix socket is 107 bytes, and libpq appends this name to the folder's.
_SOCKET_NAME = "/.s.PGSQL.5432"
_LONGEST_SOCKET = 106
# High, so that it collides with no descriptor that the guard uses.
_LOWEST_DESCRIPTOR = 100


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run it. durable: False trades safety against power cuts for speed (tests).

    way: None takes the first that works. binaries: None takes the first found that fits the data.
    """

    database: str = "shipit"
    durable: bool = True
    max_connections: int = 40
    way: Way | None = None
    binaries: Binaries | None = None


@contextlib.asynccontextmanager
async def server(data_dir: Path, options: Options | None = None) -> AsyncIterator[str]:
    """A running server over `data_dir` (made if need be); yields the URL of its database.

    Raises Refused when another process uses the folder, Unavailable when no server can run here.
    """
    running = run(data_dir, options)
    starting = asyncio.ensure_future(asyncio.to_thread(running.__enter__))
    try:
        try:
            url = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait([starting])
            raise
        yield url
    finally:
        if starting.done() and not starting.cancelled() and starting.exception() is None:
            await asyncio.shield(asyncio.to_thread(running.__exit__, None, None, None))


@contextlib.contextmanager
def run(data_dir: Path, options: Options | None = None) -> Iterator[str]:
    """The same for callers without an event loop."""
    options = options or Options()
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(data_dir), contextlib.ExitStack() as borrowed:
        cluster = data_dir / "cluster"
        leftovers.recover(data_dir)
        account = accounts.choose(options.way)
        binaries = _reachable(_fitting(options, cluster), account, data_dir, borrowed)
        leftovers.give(cluster, account.uid, account.gid)
        if not (cluster / "PG_VERSION").exists():
            _initialise(cluster, binaries, account, durable=options.durable)
        socket = _socket_folder(account, data_dir, borrowed)
        url = f"postgresql://postgres@/{quote(options.database)}?host={quote(str(socket), safe='')}"
        process = _start(data_dir, binaries, account, socket, options)
        try:
            _wait_until_ready(process, url, options.database, data_dir / "server.log")
            yield url
        finally:
            _stop(process, cluster)


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    with open(data_dir / "lock", "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip()
            raise Refused(
                f"{data_dir} is in use by process {holder or 'unknown'}; stop that or choose another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _fitting(options: Options, cluster: Path) -> Binaries:
    """Binaries of the major version that wrote the cluster, the preferred ones when there is none yet."""
    available = [options.binaries] if options.binaries else programs.found()
    if not available:
        raise Unavailable("database", "no PostgreSQL on this machine; install one, or set DATABASE_URL")
    try:
        written_by = int((cluster / "PG_VERSION").read_text().strip())
    except FileNotFoundError:
        return available[0]
    for each in available:
        if each.major == written_by:
            return each
    have = ", ".join(str(each.major) for each in available)
    raise Unavailable(
        "database",
        f"{cluster} was written by PostgreSQL {written_by}, here is {have}; remove it to start afresh",
    )


def _reachable(
    binaries: Binaries, account: Account, data_dir: Path, borrowed: contextlib.ExitStack
) -> Binaries:
    """The binaries where the account can run them: in place, else copied (the way to them may be private)."""
    if account.can_run(binaries.program("postgres"), "--version"):
        return binaries
    for parent in leftovers.temporary_folders():
        place = leftovers.borrow(data_dir, borrowed, parent, mode=0o755)
        for root in binaries.roots:
            shutil.copytree(
                root, place / root.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a")
            )
        copied = binaries.moved_to(place)
        if account.can_run(copied.program("postgres"), "--version"):
            return copied
    raise Unavailable(
        "database", f"PostgreSQL's programs in {binaries.folder} cannot be run as user {account.uid}"
    )


def _socket_folder(account: Account, data_dir: Path, borrowed: contextlib.ExitStack) -> Path:
    beside = data_dir / "socket"
    if account.way is Way.DIRECT and _fits(beside):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700)
        return beside
    # The account may have no way through the parents of our folder, or the path is too long for a socket.
    for parent in leftovers.temporary_folders():
        place = leftovers.borrow(data_dir, borrowed, parent, mode=0o700)
        if _fits(place):
            leftovers.give(place, account.uid, account.gid)
            return place
    raise Unavailable("database", "no temporary folder has a path short enough for a Unix socket")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(_SOCKET_NAME) <= _LONGEST_SOCKET


@contextlib.contextmanager
def _named(cluster: Path, account: Account) -> Iterator[tuple[str, tuple[int, ...]]]:
    """How the account can name the cluster, and the descriptors it needs for that.

    Another identity than ours may not pass through the folders above, so it gets the folder itself, open.
    """
    if account.way is Way.DIRECT:
        yield str(cluster), ()
        return
    opened = os.open(cluster, os.O_RDONLY | os.O_DIRECTORY)
    try:
        high = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    finally:
        os.close(opened)
    try:
        yield f"/proc/self/fd/{high}", (high,)
    finally:
        os.close(high)


def _initialise(cluster: Path, binaries: Binaries, account: Account, *, durable: bool) -> None:
    """Write a new cluster aside and move it in place when whole: an interrupted one is never started."""
    # A name of its own: an initdb that outlived its killed parent must not write into ours.
    fresh = Path(tempfile.mkdtemp(prefix=leftovers.UNFINISHED, dir=cluster.parent))
    leftovers.give(fresh, account.uid, account.gid)
    # A collation that is the same on every machine and in every version.
    locale = ["--locale=C"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    with _named(fresh, account) as (name, descriptors), tempfile.TemporaryFile() as said:
        command = [binaries.program("initdb"), "-D", name, "-U", "postgres", "--auth=trust", "-E", "UTF8"]
        command += locale if durable else [*locale, "--no-sync"]
        process = guard.start(command, account, said, descriptors)
        try:
            code = process.wait(_INITDB_SECONDS)
        finally:
            guard.release(process)
        if code != 0:
            said.seek(0)
            raise CommandFailed(tuple(command), code, said.read().decode(errors="replace"))
    fresh.rename(cluster)


def _start(
    data_dir: Path, binaries: Binaries, account: Account, socket: Path, options: Options
) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "max_connections": options.max_connections,
        "shared_buffers": "32MB",
        "max_wal_size": "256MB",
        "jit": "off",
        "timezone": "UTC",
        "log_checkpoints": "off",
    }
    if binaries.major >= 18:
        settings["io_method"] = "sync"
    if not options.durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with _named(data_dir / "cluster", account) as (name, descriptors), _log(data_dir) as log:
        command = [binaries.program("postgres"), "-D", name, "-k", str(socket)]
        command += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return guard.start(command, account, log, descriptors)


def _log(data_dir: Path) -> BinaryIO:
    # A failed statement is logged with its values, so nobody else may read it.
    descriptor = os.open(data_dir / "server.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, database: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    maintenance = psycopg.conninfo.make_conninfo(url, dbname="postgres", connect_timeout=5)
    while True:
        try:
            with psycopg.connect(maintenance, autocommit=True) as connection:
                _ensure_database(connection, database)
                return
        except psycopg.OperationalError as refused:
            code = process.poll()
            if code is not None:
                raise CommandFailed(("postgres",), code, log.read_text(errors="replace")) from refused
            if time.monotonic() > deadline:
                raise Unavailable(
                    "database", f"the embedded server does not answer after {_START_SECONDS} s: {refused}"
                ) from refused
        time.sleep(0.02)


def _ensure_database(connection: psycopg.Connection[TupleRow], database: str) -> None:
    known = connection.execute("select 1 from pg_database where datname = %s", [database]).fetchone()
    if known is None:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))


def _stop(process: subprocess.Popen[bytes], cluster: Path) -> None:
    """Stop the server, and be firmer with one that does not end."""
    try:
        guard.release(process)
    except subprocess.TimeoutExpired:
        leftovers.end_processes(cluster, (signal.SIGQUIT, signal.SIGKILL))
        process.kill()
        process.wait(guard.STOP_SECONDS)
