# SPDX-License-Identifier: MPL-2.0
"""The fields and flags of a bug that a decision sets besides its verdict: checked, and worded exactly."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from shipit.trains.types import Train
from shipit.uplift.decision_types import BugFacts, CannotDecide, Facts, NotWritten, Row
from shipit.uplift.types import Flag
from shipit.uplift.verdicts import (
    RELNOTE,
    STATUS,
    STATUS_VALUES,
    TRACKING,
    TRACKING_VALUES,
    Verdict,
    Wanted,
)

NEEDINFO = "needinfo"
UNSET = "not set"
_SHIPPED = re.compile(r"(?:nightly|\d{1,4})\+")


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """What is set on the bug. flags: as Bugzilla takes them. held: flags by name as they stand now."""

    fields: dict[str, str] = {}
    flags: tuple[dict[str, Any], ...] = ()
    held: dict[str, str] = {}
    rows: tuple[Row, ...] = ()
    not_written: tuple[NotWritten, ...] = ()


def edits_of(wanted: Wanted, bug: BugFacts, train: Train, facts: Facts, *, asked: str | None) -> Edits:
    """What is set on a bug for a train. asked: who is, when nobody is named. Raises CannotDecide."""
    fields: dict[str, str] = {}
    rows: list[Row] = []
    same: list[NotWritten] = []
    for given, value in wanted.fields.items():
        name = _field(given, train, facts)
        _check_field(name, value, bug, facts)
        if bug.fields[name] == value:
            same.append(NotWritten(f"bug {bug.id}", name, f"is {value} already"))
        else:
            fields[name] = value
            rows.append(Row(name, bug.fields[name], value))
    flags: list[dict[str, Any]] = []
    held: dict[str, str] = {}
    for name, status in wanted.flags.items():
        _check_flag(name, status)
        mine = [flag for flag in bug.flags if flag.name == name]
        held[name] = spelled_flags(mine)
        flags += _generic(name, status, mine)
        rows.append(Row(name, held[name], UNSET if status == "X" else status))
    if wanted.verdict is Verdict.ASK:
        whom = wanted.requestee or asked or ""
        if any(one.name == NEEDINFO and one.requestee == whom for one in bug.flags):
            same.append(NotWritten(f"bug {bug.id}", NEEDINFO, f"{whom} is asked already"))
        else:
            flags.append({"name": NEEDINFO, "status": "?", "requestee": whom, "new": True})
            rows.append(Row(NEEDINFO, UNSET, f"? {whom}"))
    return Edits(fields=fields, flags=tuple(flags), held=held, rows=tuple(rows), not_written=tuple(same))


def spelled_flags(flags: list[Flag]) -> str:
    """How the flags of one name stand, for people and for comparing."""
    said = [f"{flag.status} {flag.requestee}" if flag.requestee else flag.status for flag in flags]
    return ", ".join(sorted(said)) or UNSET


def _field(given: str, train: Train, facts: Facts) -> str:
    if given == RELNOTE and facts.relnote_field is not None:
        return facts.relnote_field
    if given not in (STATUS, TRACKING):
        return given
    name = train.status_flag if given == STATUS else train.tracking_flag
    if name is None:
        raise CannotDecide(f"fields.{given}", f"{train.name} has no such field while its version is unknown")
    return name


def _check_field(name: str, value: str, bug: BugFacts, facts: Facts) -> None:
    if not name.startswith(("cf_status_", "cf_tracking_")) and name != facts.relnote_field:
        raise CannotDecide(f"fields.{name}", "only status and tracking fields are set here")
    if name not in bug.fields:
        raise CannotDecide(f"fields.{name}", f"bug {bug.id} has no such field")
    is_status = name.startswith("cf_status_")
    allowed = STATUS_VALUES if is_status else TRACKING_VALUES
    if value not in allowed and (is_status or not _SHIPPED.fullmatch(value)):
        raise CannotDecide(f"fields.{name}", f"one of {', '.join(allowed)}, not {value!r}")
    trains = facts.decider.trains
    owner = next((one for one in facts.trains.values() if name in (one.status_flag, one.tracking_flag)), None)
    if owner is not None and trains is not None and owner.name not in trains:
        raise CannotDecide(f"fields.{name}", f"this needs the scope project:shipit:decide/{owner.name}")


def _check_flag(name: str, status: str) -> None:
    if status not in ("?", "+", "-", "X"):
        raise CannotDecide(f"flags.{name}", f"?, +, - or X, not {status!r}")
    if name.startswith("approval-"):
        raise CannotDecide(f"flags.{name}", "an approval is decided with approve, reject or withdraw")
    if name == NEEDINFO and status != "X":
        raise CannotDecide("flags.needinfo", "somebody is asked with the verdict ask")


def _generic(name: str, status: str, mine: list[Flag]) -> list[dict[str, Any]]:
    if status == "X":
        if not mine:
            raise CannotDecide(f"flags.{name}", "it is not set")
        return [{"id": flag.id, "status": "X"} for flag in mine]
    if len(mine) > 1:
        raise CannotDecide(
            f"flags.{name}", "it is set more than once; which one is meant cannot be said here"
        )
    if mine and mine[0].status == status:
        raise CannotDecide(f"flags.{name}", f"it is {status} already")
    return [{"id": mine[0].id, "status": status}] if mine else [{"name": name, "status": status}]
