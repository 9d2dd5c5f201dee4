# SPDX-License-Identifier: MPL-2.0
"""What every kind of step is: a module with these names. Adding a kind is one file and one row in `KINDS`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shipit.clients.balrog import Balrog
from shipit.clients.steps import StepServices
from shipit.clients.task_groups import TaskGroups
from shipit.pipeline.schema import Problem
from shipit.pipeline.types import Progress, StepRow
from shipit.storage.pool import Database


@dataclass(frozen=True, kw_only=True)
class Doors:
    """What a kind may use when it looks at a step. None: there is no such service here."""

    database: Database
    services: StepServices | None = None
    task_groups: TaskGroups | None = None
    balrog: Balrog | None = None
    key_of: Callable[[str, str], Awaitable[str | None]] | None = None
    """(person, system) -> the key that person gave us for it, None when they gave none."""


class Kind(Protocol):
    """One kind of step. A look may be repeated at any time, by anybody: its effects are idempotent."""

    SCHEMA: Mapping[str, Any]

    def problems(self, parameters: Mapping[str, Any]) -> list[Problem]:
        """Everything wrong with the parameters, with pointers below them."""

    def begin(self, parameters: Mapping[str, Any], now: datetime) -> Progress:
        """How a new step stands, before anything was done; decides without asking anybody."""

    def cancel(self, row: StepRow, now: datetime) -> Progress | None:
        """How the step stands when cancelled; None when that takes a look (`wants_cancel` is set)."""

    async def look(self, row: StepRow, doors: Doors, now: datetime) -> Progress:
        """Act, and say how the step stands now. Unavailable, raised: looked at again after a pause."""
