# SPDX-License-Identifier: MPL-2.0
"""Hindsight: was the forecast right? Recorded releases, forecast with what was known at each moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shipit.pipeline.definition import read
from shipit.pipeline.forecast import forecast
from shipit.pipeline.states import State
from shipit.pipeline.types import Facts, Node

PHASES = ("promote", "push", "ship")
MOST_HISTORY = 100
_STEPS = [
    {"uid": uid, "kind": "recorded", "requires": PHASES[place - 1 : place]}
    for place, uid in enumerate(PHASES)
]
_CHAIN = read({"steps": _STEPS}, lambda kind, parameters: [])


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How forecasts held. inside: ended between early and late, where eight of ten should.

    by_middle: ended by the likely time, where half should. unknown: too little history, so none was made.
    """

    releases: int
    forecasts: int
    inside: int
    by_middle: int
    unknown: int


class _Run(msgspec.Struct, frozen=True):
    """A release as recorded: when its phases' graphs were added, and when it was archived."""

    product: str
    at: tuple[datetime, ...]


def calibration(transitions: Iterable[Mapping[str, Any]]) -> Calibration:
    """Forecast each release that went by promote, push and ship, at the begin and the middle of each phase.

    A phase lasts until the next one's graph was added, the last until the archive. Known are earlier releases
    of the product whose phase had ended by then.
    """
    runs = _runs(transitions)
    made = inside = by_middle = unknown = 0
    for run in runs:
        for place in range(len(PHASES)):
            for now in (run.at[place], run.at[place] + (run.at[place + 1] - run.at[place]) / 2):
                found = forecast(_facts(run, place), _known(runs, run, now), now)
                if found.early is None or found.likely is None or found.late is None:
                    unknown += 1
                    continue
                made += 1
                inside += found.early <= run.at[-1] <= found.late
                by_middle += run.at[-1] <= found.likely
    return Calibration(
        releases=len(runs), forecasts=made, inside=inside, by_middle=by_middle, unknown=unknown
    )


def _facts(run: _Run, place: int) -> Facts:
    """The pipeline while its phase of this place runs."""
    nodes = {}
    for number, uid in enumerate(PHASES):
        state = State.SUCCESS if number < place else State.BLOCKED
        nodes[uid] = Node(uid=uid, state=state)
    nodes[PHASES[place]] = Node(
        uid=PHASES[place], state=State.IN_PROGRESS, attempt=1, started_at=run.at[place]
    )
    return Facts(uid="recorded", definition=_CHAIN, nodes=nodes)


def _known(runs: Sequence[_Run], run: _Run, now: datetime) -> dict[str, list[float]]:
    """By phase, how long it took in other releases of the product, the latest of those that had ended."""
    others = [each for each in runs if each.product == run.product and each is not run]
    known: dict[str, list[float]] = {}
    for place, uid in enumerate(PHASES):
        ended = sorted((each.at[place + 1], each.at[place]) for each in others if each.at[place + 1] <= now)
        known[uid] = [(end - begin).total_seconds() for end, begin in ended[-MOST_HISTORY:]]
    return known


def _runs(transitions: Iterable[Mapping[str, Any]]) -> list[_Run]:
    """The archived releases whose last build went by all phases in order and was not given up."""
    releases: dict[str, list[Mapping[str, Any]]] = {}
    for row in transitions:
        releases.setdefault(row["release"], []).append(row)
    found = [run for rows in releases.values() if (run := _run(rows)) is not None]
    return sorted(found, key=lambda run: run.at)


def _run(rows: Sequence[Mapping[str, Any]]) -> _Run | None:
    archived = [_at(row) for row in rows if row["event"] == "moved-to-archive"]
    numbers = [row["buildnum"] for row in rows if row.get("buildnum") is not None]
    if not archived or not numbers:
        return None
    last = [row for row in rows if row.get("buildnum") == max(numbers)]
    graphs = [row for row in last if row["event"] == "graph-added"]
    begun = {
        phase: min((_at(row) for row in graphs if row["phase"] == phase), default=None) for phase in PHASES
    }
    at = [when for when in begun.values() if when is not None] + archived[-1:]
    is_whole = len(at) == len(PHASES) + 1 and at == sorted(at)
    if not is_whole or any(row["event"] == "build-aborted" for row in last):
        return None
    return _Run(str(rows[0]["product"]), tuple(at))


def _at(row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(row["date"])
