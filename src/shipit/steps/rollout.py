# SPDX-License-Identifier: MPL-2.0
"""A step that raises the rate of an update rule of Balrog over time, until somebody or something halts it.

Each raise is a scheduled change in Balrog, signed there by whoever Balrog wants. What it says is asked before
anything is written, so a raise whose answer was lost is found and not made twice. Halting raises no more
and takes back what waits; it needs nobody else. Going on is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shipit.clients.balrog import Balrog, Rule, ScheduledChange
from shipit.errors import InvalidInput, Missing, Refused
from shipit.pipeline.schema import Problem
from shipit.pipeline.schema import problems as problems_of
from shipit.pipeline.states import Status
from shipit.pipeline.types import Note, Progress, StepRow, Stop
from shipit.signoff import policy as policies
from shipit.steps import balrog_signing
from shipit.steps.contract import Doors
from shipit.steps.gates import held
from shipit.storage import steps

LOOK_SECONDS = 15.0
SETTLE_SECONDS = 60.0
# Balrog takes no change that is due already.
AHEAD = timedelta(seconds=20)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rule", "percents"],
    "properties": {
        "rule": {"type": ["integer", "string"], "description": "number or alias of the rule"},
        "percents": {
            "type": "array",
            "minItems": 1,
            "maxItems": 20,
            "items": {"type": "integer", "minimum": 0, "maximum": 100},
        },
        "pause_seconds": {"type": "number", "minimum": 0, "maximum": 31536000},
        "mapping": {"type": "string", "description": "release the rule must offer, else nothing is raised"},
        "signers": {"description": "policy of whoever lets it go on after a halt"},
    },
}


def problems(parameters: Mapping[str, Any]) -> list[Problem]:
    """As the schema says; several percents ascend."""
    found = problems_of(dict(parameters), SCHEMA)
    percents = parameters.get("percents")
    if not found and isinstance(percents, list) and percents != sorted(set(percents)):
        found.append(Problem("/percents", "each larger than the one before", repr(percents)[:80]))
    if "signers" in parameters:
        found += [
            Problem(f"/signers{each.pointer}", each.expected, each.got)
            for each in policies.policy_problems(parameters["signers"])
        ]
    return found


def begin(parameters: Mapping[str, Any], now: datetime) -> Progress:
    """Nothing was raised yet."""
    told = ", ".join(f"{percent} %" for percent in parameters["percents"])
    memory: dict[str, Any] = {"reached": []}
    details = _details(parameters, memory)
    return Progress(
        message=f"about to raise {parameters['rule']} to {told}", details=details, memory=memory, due_at=now
    )


def cancel(row: StepRow, now: datetime) -> Progress | None:
    """A raise may wait in Balrog, which only a look can take back."""
    return None


def halted(row: StepRow, *, by: str, reason: str, now: datetime) -> Progress:
    """How it stands when somebody halted it; the next look takes back a raise that waits."""
    halt = {"by": by, "reason": reason, "at": now.isoformat()}
    memory = {**row.memory, "halt": halt, "resume": None}
    return Progress(
        message=f"halted by {by}: {reason}",
        details=_details(row.parameters, memory),
        memory=memory,
        due_at=now,
    )


def resumes(row: StepRow, signoff: str, now: datetime) -> Progress:
    """How it stands while a signoff decides whether it goes on."""
    memory = {**row.memory, "resume": signoff}
    return Progress(message=row.message, details=_details(row.parameters, memory), memory=memory, due_at=now)


async def look(row: StepRow, doors: Doors, now: datetime) -> Progress:
    """Raise to the next percent when its time has come, or say what is waited for."""
    if doors.balrog is None or not doors.balrog.can_write:
        return _ended(row, Status.FAILURE, "no Balrog to write to is configured (balrog_url, balrog_token)")
    look = _Look(row, doors, doors.balrog, now)
    try:
        return await look.taken()
    except (Missing, InvalidInput) as error:
        return _ended(row, Status.FAILURE, error.detail)
    except Refused as error:
        # A right may be granted, a change that stands in the way may go.
        return look.waits(error.detail, rest=30.0)


class _Look:
    """One look: the facts, and what follows."""

    def __init__(self, row: StepRow, doors: Doors, balrog: Balrog, now: datetime) -> None:
        self.row, self.doors, self.balrog, self.now = row, doors, balrog, now
        self.memory = dict(row.memory)
        self.rule: Rule | None = None
        self.waiting: ScheduledChange | None = None
        self.notes: list[Note] = []

    async def taken(self) -> Progress:
        row, now = self.row, self.now
        self.rule = rule = await self.balrog.rule(row.parameters["rule"])
        changes = await self.balrog.scheduled_for(rule.rule_id)
        self.waiting = changes[0] if changes else None
        if row.wants_cancel:
            await self._take_back()
            return _ended(row, Status.CANCELLED, f"cancelled; the rate stays at {rule.rate} %", self)
        wanted = row.parameters.get("mapping")
        if wanted is not None and rule.mapping != wanted:
            await self._take_back()
            message = (
                f"rule {rule.rule_id} offers {rule.mapping or 'nothing'}, not {wanted}: nothing is raised"
            )
            return _ended(row, Status.FAILURE, message, self)
        self._count_reached(rule)
        if why := await self._held():
            await self._take_back()
            return self.waits(f"stays at {rule.rate} %: {why}")
        percent = self._next()
        if percent is None:
            return _ended(row, Status.SUCCESS, f"{rule.rate} % are offered {rule.mapping}", self)
        begins = self._begins_at()
        if begins > now:
            self.memory["next_at"] = begins.isoformat()
            told = f"{rule.rate} % are offered it; {percent} % from {begins:%Y-%m-%d %H:%M:%S %Z}"
            return self.waits(told, rest=min(SETTLE_SECONDS, (begins - now).total_seconds()))
        self.memory.pop("next_at", None)
        return await self._raise(rule, percent)

    def _count_reached(self, rule: Rule) -> None:
        """Note what is reached, also by somebody's own hand in Balrog."""
        while (percent := self._next()) is not None and (
            rule.rate == percent or (percent > 0 and rule.rate > percent)
        ):
            before = self.memory["reached"][-1]["percent"] if self.memory["reached"] else None
            entry = {"percent": percent, "at": self.now.isoformat()}
            self.memory["reached"] = [*self.memory["reached"], entry]
            was = "" if before is None else f"{before} %"
            self._note("rate raised", was, f"{percent} %", f"rule {rule.rule_id}")

    def _next(self) -> int | None:
        percents, done = self.row.parameters["percents"], len(self.memory["reached"])
        return int(percents[done]) if done < len(percents) else None

    def _begins_at(self) -> datetime:
        if not self.memory["reached"]:
            return self.now
        last = datetime.fromisoformat(self.memory["reached"][-1]["at"])
        return last + timedelta(seconds=float(self.row.parameters.get("pause_seconds", 0)))

    async def _held(self) -> str:
        """Why nothing may be raised now; empty when it may."""
        halt, resume = self.memory.get("halt"), self.memory.get("resume")
        async with self.doors.database.connection() as connection:
            if halt and resume:
                signed = await steps.read(connection, "signoff", resume)
                if signed is not None and signed.status is Status.SUCCESS:
                    self._note("goes on", "", "", f"signed as {resume}")
                    self.memory.pop("halt"), self.memory.pop("resume")
                    halt = None
            stop = await held(connection, self.row, self.now)
        if halt:
            signing = f"; going on is to be signed: {resume}" if resume else ""
            return f"halted by {halt['by']}: {halt['reason']}{signing}"
        if isinstance(stop, Stop):
            return f"stopped by {stop.author}: {stop.reason}"
        return stop

    async def _take_back(self) -> None:
        """Withdraw a raise of ours that waits, known by its percentage.

        Whoever scheduled the same: it must not be made after a halt, and what was scheduled just before a
        crash is remembered nowhere else.
        """
        if self.waiting is not None and self.waiting.rate in self.row.parameters["percents"]:
            await self.balrog.withdraw(self.waiting)
            self._note("raise taken back", f"{self.waiting.rate} %", "", f"change {self.waiting.sc_id}")
            self.waiting = None

    async def _raise(self, rule: Rule, percent: int) -> Progress:
        if self.waiting is None:
            await self.balrog.schedule_rate(rule, percent, self.now + AHEAD)
            self._note("raise scheduled", f"{rule.rate} %", f"{percent} %", f"rule {rule.rule_id}")
            return self.waits(f"raises to {percent} %: scheduled in Balrog", rest=1.0)
        change = self.waiting
        if change.rate != percent:
            who = change.scheduled_by or "somebody"
            return self.waits(f"{who} has another change of rule {rule.rule_id} in Balrog ({change.sc_id})")
        change, problems = await balrog_signing.sign_wanted(
            "rules", change, self.balrog, self.doors, self.memory
        )
        told = balrog_signing.waits(change, self.now)
        return self.waits(f"raises to {percent} %: {'; '.join([told, *problems])}", change=change)

    def waits(
        self, message: str, *, rest: float = LOOK_SECONDS, change: ScheduledChange | None = None
    ) -> Progress:
        return Progress(
            message=message,
            details=_details(self.row.parameters, self.memory, self.rule, change, self.balrog.url),
            memory=self.memory,
            due_at=self.now + timedelta(seconds=max(1.0, rest)),
            notes=tuple(self.notes),
        )

    def _note(self, what: str, before: str, after: str, reason: str) -> None:
        subject = self.row.pipeline or f"rollout/{self.row.uid}"
        note = Note(
            subject=subject,
            step=self.row.uid,
            actor="runner",
            what=what,
            before=before,
            after=after,
            reason=reason,
        )
        self.notes.append(note)


def _ended(row: StepRow, status: Status, message: str, look: _Look | None = None) -> Progress:
    memory = row.memory if look is None else look.memory
    rule = None if look is None else look.rule
    output = {"rule": rule.rule_id, "percent": rule.rate} if rule is not None else {}
    return Progress(
        status=status,
        message=message,
        details=_details(row.parameters, memory, rule),
        output=output if status is Status.SUCCESS else {},
        memory=memory,
        notes=() if look is None else tuple(look.notes),
    )


def _details(
    parameters: Mapping[str, Any],
    memory: Mapping[str, Any],
    rule: Rule | None = None,
    change: ScheduledChange | None = None,
    url: str = "",
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "rule": parameters["rule"],
        "percents": parameters["percents"],
        "reached": memory["reached"],
        "halted": memory.get("halt"),
        "resume": memory.get("resume"),
        "signers": parameters.get("signers"),
        "next_at": memory.get("next_at"),
        "by": memory.get("next_at"),
    }
    if memory.get("halt"):
        shown["who"] = _who_lets_it_go_on(parameters, memory)
    if rule is not None:
        shown |= {"percent": rule.rate, "mapping": rule.mapping, "channel": rule.channel}
    if change is not None:
        shown |= balrog_signing.details("rules", change, url)
    return shown


def _who_lets_it_go_on(parameters: Mapping[str, Any], memory: Mapping[str, Any]) -> str:
    """Who can move a halted rollout: somebody asks, and the signers sign."""
    signers = " or ".join(" and ".join(sorted(each)) for each in parameters.get("signers") or ())
    if memory.get("resume"):
        return signers or "whoever was asked to sign"
    return f"whoever may act on its phase asks, then {signers or 'whom they name'} must sign"
