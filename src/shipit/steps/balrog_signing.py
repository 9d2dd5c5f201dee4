# SPDX-License-Identifier: MPL-2.0
"""Scheduled changes of Balrog: who must sign there, and signing as the persons who asked us to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shipit.clients.balrog import Balrog, ScheduledChange
from shipit.errors import Missing, Refused
from shipit.steps.contract import Doors

WANTED = "wanted_signatures"
"""In a step's memory: person -> role, for those who asked and have not signed in Balrog yet."""
SYSTEM = "balrog"


def waits(change: ScheduledChange, now: datetime) -> str:
    """What a scheduled change waits for, in words."""
    lacking = who(change)
    told = [f"must still be signed in Balrog by {lacking}"] if lacking else ["signed in Balrog"]
    if change.when is not None and change.when > now:
        told.append(f"happens at {change.when:%Y-%m-%d %H:%M:%S %Z} at the earliest")
    return "; ".join(told)


def who(change: ScheduledChange) -> str:
    """Who must sign: "1 of relman and 2 of releng"; empty when nobody."""
    return " and ".join(f"{count} of {role}" for role, count in sorted(change.missing().items()))


def details(kind: str, change: ScheduledChange, url: str) -> dict[str, Any]:
    """What everybody may see of it."""
    return {
        "object": kind,
        "sc_id": change.sc_id,
        "signoffs": change.signoffs,
        "required": change.required,
        "when": change.when.isoformat() if change.when else None,
        "sign_at": f"{url}/scheduled_changes/{kind}/{change.sc_id}",
        "who": who(change),
    }


def asked(memory: Mapping[str, Any], person: str, role: str) -> dict[str, Any]:
    """The memory of a step after a person asked to sign with a role."""
    return {**memory, WANTED: {**memory.get(WANTED, {}), person: role}}


async def sign_wanted(
    kind: str, change: ScheduledChange, balrog: Balrog, doors: Doors, memory: dict[str, Any]
) -> tuple[ScheduledChange, list[str]]:
    """Sign for everybody who asked, each with their own token, then look again; (change, what went wrong).

    Balrog takes the same signature twice as one, so it does no harm that we may die in between. Raises
    Unavailable: then it is asked for again.
    """
    problems = []
    wanted = dict(memory.get(WANTED, {}))
    for person, role in wanted.items():
        token = await doors.key_of(person, SYSTEM) if doors.key_of is not None else None
        if token is None:
            problems.append(f"{person} could not sign: they gave no key for Balrog")
            continue
        try:
            await balrog.sign(kind, change.sc_id, role, token=token)
        except (Refused, Missing) as error:
            problems.append(f"{person} could not sign: {error.detail}")
    if wanted:
        memory.pop(WANTED)
        change = await balrog.scheduled_change(kind, change.sc_id)
    return change, problems
