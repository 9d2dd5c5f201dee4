# SPDX-License-Identifier: MPL-2.0
"""Write one part of a decision: look, compare with what was seen, write in order, read again.

Whoever dies here leaves rows that say how far it came. A write that may have gone out is looked for before it
is sent again: a comment by its author, words and age, a review by its transaction, a flag by how it stands.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from shipit.clients.bugzilla_batches import Unreadable, Why
from shipit.clients.bugzilla_writes import BugzillaWrites
from shipit.clients.http import KeyRefused
from shipit.clients.phabricator_writes import PhabricatorWrites
from shipit.errors import Missing, Unavailable
from shipit.storage import decisions, keys, outbox, wishes
from shipit.storage.decisions import Line
from shipit.storage.keys import Opened
from shipit.storage.outbox import Claimed, Lost, Outgoing
from shipit.storage.pool import Connection, Database
from shipit.storage.vault import Unsealable, Vault
from shipit.uplift.decision_checks import (
    Accounts,
    Fresh,
    differences,
    is_there,
    mark_of,
    stands,
    strict_differences,
)
from shipit.uplift.decision_outcomes import (
    QUIET,
    Denied,
    NotNow,
    Outcome,
    Unsure,
    Written,
    next_try,
)
from shipit.uplift.decision_states import PartState, WriteState
from shipit.uplift.decision_types import Difference, Kind, System, Write
from shipit.uplift.decision_words import differs

LEASE = timedelta(seconds=120)
# Longer than any call: nothing goes out that may be answered only after the claim has ended.
MARGIN = timedelta(seconds=60)
# A Bugzilla reads from copies that lag behind.
READ_AGAIN_FOR = timedelta(minutes=2)
READ_AGAIN_AFTER = timedelta(seconds=5)

log = structlog.get_logger(__name__)

Failpoint = Callable[[str], None]


def nowhere(name: str) -> None:
    """Real runners do not fail on purpose."""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a runner of decisions needs. phabricator: None where there is none.

    reading_key, reading_token: to look with where the decider has none. at: called with the name of each
    point where dying matters, for tests that die there.
    """

    database: Database
    vault: Vault
    bugzilla: BugzillaWrites
    phabricator: PhabricatorWrites | None
    reading_key: str | None = None
    reading_token: str | None = None
    lease: timedelta = LEASE
    margin: timedelta = MARGIN
    quiet: timedelta = QUIET
    read_again_for: timedelta = READ_AGAIN_FOR
    at: Failpoint = nowhere


class _Stop(Exception):
    """The part ends here, or waits for a person."""

    def __init__(self, state: PartState, message: str, found: Sequence[Difference] = ()) -> None:
        super().__init__(message)
        self.state, self.message, self.differences = state, message, tuple(found)


class _Later(Exception):
    """The part goes on at a later time."""

    def __init__(self, due_at: datetime, message: str) -> None:
        super().__init__(message)
        self.due_at, self.message = due_at, message


class Writing:
    """One claimed part on its way."""

    def __init__(self, outside: Outside, one: Claimed, *, claimed_at: float) -> None:
        """claimed_at: a reading of time.monotonic() from before it was claimed."""
        self._out, self._one = outside, one
        self._held_since = claimed_at
        self._looked_at = datetime.now(UTC)
        self._keys: dict[System, Opened] = {}

    async def run(self) -> None:
        """Bring the part as far as it comes now, and note how far that is."""
        try:
            try:
                await self._write()
            except _Stop as stop:
                await self._finish(stop.state, stop.message, stop.differences)
            except _Later as later:
                async with self._out.database.connection() as connection:
                    await outbox.give_back(connection, self._one, due_at=later.due_at, message=later.message)
        except Lost:
            log.info("decisions.fenced", decision=self._one.decision)
        self._out.at("left")

    async def _write(self) -> None:
        async with self._out.database.connection() as connection:
            rows = await outbox.writes(connection, self._one)
        if rows:
            await self._open_keys({row.write.system for row in rows})
            fresh = await self._look(rows)
            self._out.at("looked")
            self._compare(rows, fresh)
            for row in rows:
                if row.state is not WriteState.DONE:
                    await self._settle(row, fresh)
            self._out.at("written")
            message = await self._read_again()
        else:
            message = ""
        await self._finish(PartState.DONE, message, ())

    # --- looking --------------------------------------------------------------------------------------

    async def _open_keys(self, needed: set[System]) -> None:
        """The decider's keys: those that are needed to write, and where there are others, to look with."""
        who = self._one.person
        for system in System:
            async with self._out.database.connection() as connection:
                try:
                    key = await keys.opened(connection, self._out.vault, who, system.value)
                except Unsealable as error:
                    raise _Stop(PartState.STUCK, error.detail) from error
            name = system.value.capitalize()
            if key is not None and key.refused_why is None:
                self._keys[system] = key
            elif system in needed:
                why = "has no key here" if key is None else "has a key that is not taken any more"
                raise _Stop(PartState.STUCK, f"{name}: {who} {why}")

    async def _look(self, rows: Sequence[Outgoing]) -> Fresh:
        """The bug and its revisions as they are now, as the decider sees them."""
        self._looked_at = datetime.now(UTC)
        try:
            return await self._looked(rows)
        except KeyRefused as error:
            raise await self._key_refused(error) from error
        except Unavailable as error:
            raise self._later(NotNow(error.detail, error.retry_at)) from error

    async def _looked(self, rows: Sequence[Outgoing]) -> Fresh:
        part = self._one.part
        key = self._keys[System.BUGZILLA].key if System.BUGZILLA in self._keys else self._out.reading_key
        named = [name for name in part.seen.facts if name.startswith("cf_")]
        bug = (await self._out.bugzilla.bugs([part.bug], key, fields=named))[part.bug]
        if isinstance(bug, Unreadable):
            if bug.why is Why.FAILED:
                raise Unavailable("Bugzilla", bug.reason)
            raise _Stop(PartState.STUCK, f"Bugzilla does not show the bug to whoever decided: {bug.reason}")
        numbers = {place.revision for _, place in part.places if place.is_uplift and place.revision}
        token = self._token()
        if self._out.phabricator is None or (numbers and token is None):
            return Fresh(bug=bug, revisions=None)
        if not numbers or token is None:
            return Fresh(bug=bug)
        mine = self._keys.get(System.PHABRICATOR)
        written = [row.write.id for row in rows if row.write.kind is Kind.REVISION]
        return Fresh(
            bug=bug,
            revisions=await self._out.phabricator.revisions(numbers, token),
            deeds={
                number: await self._out.phabricator.deeds(number, token, phid=mine.account_id)
                for number in written
                if mine is not None
            },
        )

    def _token(self) -> str | None:
        mine = self._keys.get(System.PHABRICATOR)
        return mine.key if mine is not None else self._out.reading_token

    def _compare(self, rows: Sequence[Outgoing], fresh: Fresh) -> None:
        """Nothing may have changed since the page was drawn; of a part that began, nothing still to write."""
        part = self._one.part
        if not self._one.resumed and all(row.attempts == 0 for row in rows):
            found = differences(part, fresh, self._accounts)
            if found:
                raise _Stop(PartState.CHANGED, differs(found), found)
            return
        settled = [row.write for row in rows if row.state is WriteState.DONE or self._is_there(row, fresh)]
        found = strict_differences(part, fresh, settled)
        if found:
            raise _Stop(PartState.STUCK, f"Meanwhile: {differs(found)}".rstrip("."), found)

    @property
    def _accounts(self) -> Accounts:
        bugzilla = self._keys.get(System.BUGZILLA)
        phabricator = self._keys.get(System.PHABRICATOR)
        return Accounts(
            bugzilla=bugzilla.account if bugzilla else None,
            phabricator=phabricator.account if phabricator else None,
            phid=phabricator.account_id if phabricator else None,
        )

    def _is_there(self, row: Outgoing, fresh: Fresh) -> bool:
        """Whether a try that was not answered took effect all the same."""
        return row.state is WriteState.SENDING and is_there(
            row.write, fresh, self._accounts, mark=row.mark or 0
        )

    # --- writing --------------------------------------------------------------------------------------

    async def _settle(self, row: Outgoing, fresh: Fresh) -> None:
        """Bring one write to its end, or raise why it cannot be brought there now."""
        if row.state is WriteState.SENDING:
            if self._is_there(row, fresh):
                await self._moved(row, WriteState.DONE, "it is there; the answer to the try was lost")
                return
            # What the service still works on is not there yet: it is given time, and looked for again.
            quiet_until = (row.sent_at or self._looked_at) + self._out.quiet
            if self._looked_at < quiet_until:
                raise _Later(quiet_until, f"{row.answer or 'a try was not answered'}; it is looked for first")
        self._check_claim()
        began = time.monotonic()
        async with self._out.database.connection() as connection:
            mark = mark_of(row.write, fresh) if row.mark is None else row.mark
            await outbox.sending(connection, self._one, row.position, mark=mark, lease=self._out.lease)
            self._out.at("marked, not committed")
        self._held_since = began
        self._out.at("marked")
        self._check_claim()
        outcome = await self._send(row.write)
        self._out.at("sent")
        await self._note(row, outcome)
        self._out.at("noted")

    def _check_claim(self) -> None:
        """Whoever was asleep for long may not write: somebody else may have taken the part up."""
        if time.monotonic() - self._held_since > (self._out.lease - self._out.margin).total_seconds():
            raise _Later(datetime.now(UTC), "it took too long")

    async def _send(self, write: Write) -> Outcome:
        key = self._keys[write.system].key
        if write.system is System.BUGZILLA:
            return await self._out.bugzilla.write(write, key)
        assert self._out.phabricator is not None
        return await self._out.phabricator.write(write, key)

    async def _note(self, row: Outgoing, outcome: Outcome) -> None:
        match outcome:
            case Written(answer):
                await self._moved(row, WriteState.DONE, answer)
            case Denied(answer, is_key):
                await self._moved(row, WriteState.FAILED, answer)
                if is_key:
                    await self._refuse_key(row.write.system, answer)
                name = row.write.system.value.capitalize()
                raise _Stop(PartState.STUCK, f"{name} refused {row.write.object}: {answer}".rstrip("."))
            case Unsure(reason):
                await self._moved(row, WriteState.SENDING, reason)
                raise self._later(outcome)
            case NotNow(reason):
                await self._moved(row, WriteState.WAITS, reason)
                raise self._later(outcome)

    def _later(self, outcome: Unsure | NotNow) -> _Later | _Stop:
        due_at = next_try(
            outcome,
            first_try=self._one.first_try_at,
            now=datetime.now(UTC),
            roll=random.random(),
            quiet=self._out.quiet,
        )
        if due_at is None:
            return _Stop(PartState.STUCK, f"it was tried for a day: {outcome.reason}")
        return _Later(due_at, outcome.reason)

    async def _moved(self, row: Outgoing, state: WriteState, answer: str) -> None:
        async with self._out.database.connection() as connection:
            await outbox.moved(connection, self._one, row.position, state, answer)
            what = {WriteState.DONE: "written", WriteState.FAILED: "refused"}.get(state, "not answered")
            await decisions.note(connection, self._line(what, row.write, answer))
            self._out.at("noted, not committed")

    # --- after ----------------------------------------------------------------------------------------

    async def _read_again(self) -> str:
        """Read what was written; what differs for long is told, since somebody may have changed it since."""
        async with self._out.database.connection() as connection:
            rows = await outbox.writes(connection, self._one)
        fresh = await self._look(rows)
        self._out.at("read again")
        amiss = [
            row.write.object
            for row in rows
            if not (
                stands(row.write, fresh)
                and (
                    row.write.comment is None
                    or is_there(row.write, fresh, self._accounts, mark=row.mark or 0)
                )
            )
        ]
        if not amiss:
            return ""
        now = datetime.now(UTC)
        if now - max(row.sent_at or now for row in rows) < self._out.read_again_for:
            raise _Later(now + READ_AGAIN_AFTER, f"{', '.join(amiss)} is not to be read as written yet")
        return f"But {', '.join(amiss)} reads otherwise now: somebody may have changed it since."

    async def _key_refused(self, error: KeyRefused) -> _Stop:
        system = System.PHABRICATOR if error.service == "Phabricator" else System.BUGZILLA
        await self._refuse_key(system, error.detail)
        return _Stop(PartState.STUCK, error.detail)

    async def _refuse_key(self, system: System, why: str) -> None:
        """Not to be tried again: a few wrong keys, and a service lets nobody in."""
        if system not in self._keys:
            return
        async with self._out.database.connection() as connection:
            used = self._keys[system].sealed
            await keys.refuse(connection, self._one.person, system.value, used, why)

    async def _finish(self, state: PartState, message: str, found: Sequence[Difference]) -> None:
        """Note the end, and ask the bot to read the bug again, so that pages show what is."""
        async with self._out.database.connection() as connection:
            await outbox.finish(connection, self._one, state, message, tuple(found))
            line = self._line(state.value, None, "", why=message)
            await decisions.note(connection, line)
            if self._one.part.writes:
                await _ask_to_read(connection, self._one)
            self._out.at("finished, not committed")
        self._out.at("finished")

    def _line(self, what: str, write: Write | None, answer: str, *, why: str = "") -> Line:
        rows = write.rows if write is not None else ()
        return Line(
            actor=self._one.person,
            what=what,
            decision=self._one.decision,
            bug=self._one.bug,
            requests=self._one.part.requests,
            object=write.object if write is not None else "",
            before="; ".join(f"{row.field} {row.before}" for row in rows),
            after="; ".join(f"{row.field} {row.after}" for row in rows),
            why=why,
            answer=answer[:4000],
        )


async def _ask_to_read(connection: Connection, one: Claimed) -> None:
    try:
        await wishes.ask(connection, "bug", str(one.bug), asked_by=one.person)
    except Missing:
        # The bot reads it at this very moment, and will see that it changed.
        log.info("decisions.wish", decision=one.decision)
