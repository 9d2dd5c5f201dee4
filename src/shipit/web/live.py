# SPDX-License-Identifier: MPL-2.0
"""What changes, told to open pages: each audience hears only of what it may see.

One task listens to the database and hands what it hears to the streams. A stream that is too slow, or that
comes back after a gap, is told to read afresh ("resync"); nothing is ever left out silently.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import structlog

from shipit.errors import ShipitError
from shipit.storage import visibility
from shipit.storage.notify import Change, Resync
from shipit.storage.pool import Database
from shipit.web.viewer import Audience

log = structlog.get_logger(__name__)

Changes = Callable[[], AsyncIterator[Change | Resync]]

_GATHER_SECONDS = 0.2
_QUEUE = 64
# Tables whose rows belong to no bug.
_OPEN_TABLES = frozenset({"trains", "board_lists", "rounds", "pipelines", "events"})


class Told(msgspec.Struct, frozen=True):
    """One event of a stream. ids: what changed; empty when that is much or must not be named."""

    table: str
    trains: tuple[str, ...]
    ids: tuple[str, ...]


@dataclass(eq=False)
class Stream:
    """One open page. The queue holds finished events; None ends it."""

    audience: Audience
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE))

    def put(self, event: bytes, resync: bytes) -> None:
        """Add an event; when the reader is far behind, one resync stands for all it has not read."""
        if self.queue.full():
            self.clear()
            event = resync
        self.queue.put_nowait(event)

    def clear(self) -> None:
        """Forget what was not read yet."""
        while not self.queue.empty():
            self.queue.get_nowait()


class Hub:
    """All open streams of this process, and the one task that listens for them."""

    def __init__(self, database: Database, changes: Changes, *, idle_seconds: float = 15.0) -> None:
        self._database = database
        self._changes = changes
        self._idle = idle_seconds
        self._streams: set[Stream] = set()
        self._restricted: dict[int, bool] = {}
        self._epoch = secrets.token_hex(4)
        self._numbers = dict.fromkeys(Audience, 0)
        self._is_stopped = False

    @property
    def idle_seconds(self) -> float:
        """Silence after which a stream says that it is there."""
        return self._idle

    @property
    def streams(self) -> int:
        """How many pages are open."""
        return len(self._streams)

    async def run(self) -> None:
        """Listen until cancelled."""
        gathered: list[Change | Resync] = []
        heard = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(gathered, heard))
            while True:
                await heard.wait()
                await asyncio.sleep(_GATHER_SECONDS)
                heard.clear()
                batch = gathered.copy()
                gathered.clear()
                await self._tell(batch)

    async def _listen(self, gathered: list[Change | Resync], heard: asyncio.Event) -> None:
        changes = self._changes()
        try:
            async for change in changes:
                gathered.append(change)
                heard.set()
        finally:
            # Gives the connection back now rather than when the collector comes by.
            close = getattr(changes, "aclose", None)
            if close is not None:
                await close()

    def stop(self) -> None:
        """End every stream now, and those that come later at once."""
        self._is_stopped = True
        for stream in self._streams:
            stream.clear()
            stream.queue.put_nowait(None)

    async def events(self, audience: Audience, last: str | None) -> AsyncIterator[bytes]:
        """The lines of one stream. last: the id that the page heard last, when it comes back."""
        with self._joined(audience) as stream:
            yield b"retry: 2000\n: connected\n\n"
            if last is not None and last != self.position(audience):
                yield self._resync(audience)
            while not self._is_stopped:
                try:
                    event = await asyncio.wait_for(stream.queue.get(), self._idle)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if event is None:
                    return
                yield event

    @contextlib.contextmanager
    def _joined(self, audience: Audience) -> Iterator[Stream]:
        stream = Stream(audience)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    async def _tell(self, gathered: list[Change | Resync]) -> None:
        try:
            if any(isinstance(each, Resync) for each in gathered):
                async with self._database.connection() as connection:
                    self._restricted = await visibility.all_restrictions(connection)
                self._resync_all()
                return
            # Who could see what before is asked for the whole batch, before any of it counts.
            now: dict[int, bool] = {}
            for change in merged(each for each in gathered if isinstance(each, Change)):
                await self._tell_one(change, now)
            self._restricted.update(now)
        except ShipitError as error:
            # Which rows may be named is unknown, so none is: everybody reads afresh what they may.
            log.warning("live: cannot ask who may be told", error=type(error).__name__)
            self._resync_all()

    async def _tell_one(self, change: Change, now: dict[int, bool]) -> None:
        ids = change.ids or ()
        silent: set[str] = set()
        restricted: set[str] = set()
        if change.table not in _OPEN_TABLES:
            found = await self._restrictions(change.table, ids)
            silent = set(ids) - {name for _, _, name in found}
            restricted = silent | {name for _, is_now, name in found if is_now}
            # A bug that has just become restricted is told of without its name: it must vanish from pages.
            silent |= {name for bug, is_now, name in found if is_now and self._restricted.get(bug, True)}
            now.update((bug, is_now) for bug, is_now, _ in found)
        shown = tuple(each for each in ids if each not in restricted)
        self._send(Audience.TRUSTED, Told(change.table, change.trains, ids))
        self._send(Audience.MEMBER, Told(change.table, change.trains, shown))
        if not ids or silent != set(ids):
            self._send(Audience.PUBLIC, Told(change.table, () if silent else change.trains, shown))

    async def _restrictions(self, table: str, ids: tuple[str, ...]) -> list[tuple[int, bool, str]]:
        async with self._database.connection() as connection:
            return await visibility.restrictions(connection, table, ids)

    def _send(self, audience: Audience, told: Told) -> None:
        self._numbers[audience] += 1
        data = msgspec.json.encode(told)
        event = f"id: {self.position(audience)}\nevent: change\ndata: ".encode() + data + b"\n\n"
        for stream in self._streams:
            if stream.audience is audience:
                stream.put(event, self._resync(audience))

    def _resync_all(self) -> None:
        for audience in Audience:
            self._numbers[audience] += 1
        for stream in self._streams:
            stream.put(self._resync(stream.audience), self._resync(stream.audience))

    def _resync(self, audience: Audience) -> bytes:
        return f"id: {self.position(audience)}\nevent: resync\ndata: {{}}\n\n".encode()

    def position(self, audience: Audience) -> str:
        """The id of the newest event: who hands it back hears whether anything was told since."""
        # Numbered per audience: a gap in the numbers would tell of what may not be seen. And named, so that
        # whoever comes back as another audience reads afresh.
        return f"{self._epoch}-{audience.value}-{self._numbers[audience]}"


def merged(changes: Iterable[Change]) -> list[Change]:
    """One change per table out of many, in the order in which the tables first changed; pure."""
    found: dict[str, Change] = {}
    for change in changes:
        old = found.get(change.table)
        if old is None:
            found[change.table] = change
            continue
        ids = None if old.ids is None or change.ids is None else tuple(dict.fromkeys(old.ids + change.ids))
        found[change.table] = Change(change.table, tuple(dict.fromkeys(old.trains + change.trains)), ids)
    return list(found.values())
