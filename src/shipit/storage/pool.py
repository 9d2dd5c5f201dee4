# SPDX-License-Identifier: MPL-2.0
"""A few connections to PostgreSQL, each inside its instance's schema, with errors in our words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool

from shipit.errors import InvalidInput, Unavailable

Connection = psycopg.AsyncConnection[TupleRow]

_INSTANCE = re.compile(r"(?!pg_)[a-z][a-z0-9_]{0,39}")
# The second is a connection that the server ended, whatever its class in the standard says.
_LOST = (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout)
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many connections at most, and how long (seconds; 0 is for ever) anything may take.

    wait: for a connection of the open pool; opening: for the first. idle: a transaction in which nothing
    happens is ended, so that a stuck worker blocks nobody.
    """

    connections: int = 4
    wait: float = 10
    opening: float = 10
    connect: int = 5
    statement: float = 25
    lock: float = 10
    idle: float = 60


def conninfo(url: str, *, instance: str, limits: Limits | None = None, application: str = "shipit") -> str:
    """Connection string for `url` (postgres:// or postgresql://, its sslmode and the rest kept).

    Every connection made from it looks only into the schema named after the instance, so that several
    instances share a database without touching each other. Raises InvalidInput.
    """
    limits = limits or Limits()
    if not _INSTANCE.fullmatch(instance):
        raise InvalidInput("instance", expected="lower-case letters, digits and _, at most 40", got=instance)
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Neither the text nor its cause is shown: it may hold the password.
        raise InvalidInput("DATABASE_URL", expected="postgresql://user:password@host:port/database") from None
    settings = {
        "search_path": instance,
        "timezone": "UTC",
        # Ours are short statements with large estimates: compiling them takes longer than running them.
        "jit": "off",
        "statement_timeout": _milliseconds(limits.statement),
        "lock_timeout": _milliseconds(limits.lock),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle),
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    defaults: dict[str, str | int | None] = {
        "application_name": f"{application} {instance}",
        "connect_timeout": limits.connect,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    already = given.pop("options", None)
    return make_conninfo(
        "", **(defaults | given | {"options": f"{already} {options}" if already else options})
    )


class Database:
    """The open pool; `connection` is the only way in."""

    def __init__(self, pool: AsyncConnectionPool[Connection], *, instance: str) -> None:
        self._pool = pool
        self.instance = instance

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection for one transaction: committed at the end, rolled back on any exception.

        jsonb comes back decoded; pass values as `Jsonb(value)`, any msgspec type will do.
        Raises Unavailable when there is no answer in time, InvalidInput for a value that cannot be stored.
        """
        with translated():
            try:
                async with self._pool.connection() as connection:
                    yield connection
            except _LOST:
                # After a restart of the server every idle connection is dead: drop them all at once.
                await self._pool.check()
                raise


@contextlib.asynccontextmanager
async def open_pool(
    url: str, *, instance: str, limits: Limits | None = None, application: str = "shipit"
) -> AsyncIterator[Database]:
    """Keep at most `limits.connections` connections. Raises Unavailable when there is no answer."""
    limits = limits or Limits()
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        conninfo(url, instance=instance, limits=limits, application=application),
        min_size=1,
        max_size=limits.connections,
        timeout=limits.wait,
        max_idle=300,
        max_lifetime=1800,
        # Pauses double until then, and begin anew with the next who asks: a server that was away for minutes
        # is found again in seconds.
        reconnect_timeout=4,
        configure=_configure,
        open=False,
    )
    try:
        with translated():
            await pool.open(wait=True, timeout=limits.opening)
        yield Database(pool, instance=instance)
    finally:
        await pool.close(timeout=5)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Say psycopg's errors in our words; a mistake of ours (a wrong query, say) passes as it is."""
    try:
        yield
    except (*_LOST, psycopg.InterfaceError) as error:
        raise Unavailable("database", _first_line(error)) from error
    except psycopg.DataError as error:
        raise InvalidInput(
            "value", expected=f"something the database can store ({_first_line(error)})"
        ) from error


async def _configure(connection: Connection) -> None:
    set_json_loads(_decode, connection)
    set_json_dumps(msgspec.json.encode, connection)


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
