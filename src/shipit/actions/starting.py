# SPDX-License-Identifier: MPL-2.0
"""Start a release of a kind by its version and revision: the build number and the uid are given here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shipit.actions import pipelines as acts
from shipit.actions.merge_days import merge_day
from shipit.actions.persons import Actor
from shipit.actions.rights import may_act
from shipit.actions.stops import next_build
from shipit.errors import InvalidInput, Missing, ShipitError
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.schema import Problem, pointer
from shipit.pipeline.templates import TEMPLATES, make
from shipit.pipeline.types import StepDefinition
from shipit.settings import ReleaseKind
from shipit.storage import pipelines
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection
from shipit.trains.types import Train

MERGE_DAY = "merge-day"
# What a person says of a release; everything else of it is its kind's.
ASKED = ("version", "revision")
# Stands for what a person will say, where only the kind is checked.
_SAMPLE = {"version": "1.0", "revision": "0" * 40, "build": 1, "merges": [{"behavior": "bump-main"}]}


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """The newest release of a kind."""

    uid: str
    version: str
    build: int | None


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """The newest commit of a train that was seen, and when."""

    commit: str
    at: datetime


class KindView(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of release, for whoever would start one.

    wants: what they must say. version: as the calendar has it, where it does. steps: what happens, in order
    and in words; empty while the calendar that says it was not read. has_build: whether it gets a build
    number. tip: of its train. why_not: why they may not, empty when they may.
    """

    name: str
    description: str
    template: str
    product: str
    train: str | None
    wants: tuple[str, ...]
    version: str
    steps: tuple[str, ...]
    has_build: bool
    last: Last | None
    tip: Tip | None
    why_not: str


def problems(kinds: Iterable[ReleaseKind]) -> list[str]:
    """What is wrong with the kinds as they are set, each with its place: no release could be started."""
    found: list[str] = []
    for place, kind in enumerate(kinds):
        where = f"releases[{place}]"
        if kind.template not in TEMPLATES:
            found.append(f"{where}.template: expected one of {', '.join(TEMPLATES)}, got {kind.template!r}")
            continue
        try:
            acts.checked(make(kind.template, _values(kind, _sample(kind))), lambda url: None)
        except InvalidDefinition as error:
            found += [f"{where}.values{each.pointer}: expected {each.expected}" for each in error.problems]
    return found


async def kinds_for(connection: Connection, kinds: Sequence[ReleaseKind], by: Actor) -> list[KindView]:
    """What may be started, as far as they may."""
    trains = await pipelines.trains(connection)
    return [await _view(connection, kind, trains, by) for kind in kinds]


async def start(
    connection: Connection,
    kinds: Iterable[ReleaseKind],
    name: str,
    given: Mapping[str, Any],
    by: Actor,
    *,
    check_url: acts.CheckUrl,
    now: datetime,
) -> tuple[Stored, bool]:
    """Start a release; (its pipeline, whether it is new).

    given: version, revision, and other values of the template. A revision that is being built, or was, is not
    built a second time unless that build was cancelled: so asking again starts nothing twice.
    Raises Missing, InvalidInput, InvalidDefinition, NotAllowed.
    """
    kind = _find(kinds, name)
    if changed := [name for name in _settled(kind) if name in given]:
        expected = "not to be given: its kind says it, or it is given out here"
        raise InvalidDefinition([Problem(pointer("", name), expected) for name in changed])
    values = _values(kind, {**_calendar(kind, await pipelines.trains(connection)), **given})
    for wanted in _wants(kind):
        if not str(values.get(wanted, "")).strip():
            raise InvalidInput(wanted, expected="to be given")
    product, version, has_build = str(values["product"]), str(values["version"]), _has_build(kind)
    # Refused before a number is given out for it.
    checked = acts.checked(make(kind.template, {**values, **({"build": 1} if has_build else {})}), check_url)
    by.need_pipeline(product, (step.phase for step in checked.steps))
    await pipelines.lock_builds(connection, product, version)
    if not has_build:
        uid = f"{product}-{kind.template}-{version}"
        return await acts.create(
            connection, uid, make(kind.template, values), by, check_url=check_url, now=now
        )
    same = await pipelines.of_revision(
        connection,
        product=product,
        version=version,
        revision=str(values["revision"]),
        template=kind.template,
    )
    if same is not None:
        return await acts.load(connection, same), False
    uid, number = await _next(connection, by, product, version)
    definition = make(kind.template, {**values, "build": number})
    return await acts.create(connection, uid, definition, by, check_url=check_url, now=now)


async def _next(connection: Connection, by: Actor, product: str, version: str) -> tuple[str, int]:
    """A number nobody had, also none who put their pipeline by hand."""
    while True:
        number = await next_build(connection, by, product=product, version=version)
        uid = f"{product}-{version}-build{number}"
        if await pipelines.digest(connection, uid) is None:
            return uid, number


async def _view(connection: Connection, kind: ReleaseKind, trains: Sequence[Train], by: Actor) -> KindView:
    calendar = _calendar(kind, trains)
    made = acts.checked(make(kind.template, _values(kind, {**_sample(kind), **calendar})), lambda url: None)
    is_known = kind.template != MERGE_DAY or "merges" in calendar or "merges" in kind.values
    last = await pipelines.last_of(connection, kind.product, kind.template)
    tip = None if kind.train is None else await pipelines.tip(connection, kind.train)
    lacking = [step.phase for step in made.steps if not may_act(by, kind.product, step.phase)]
    return KindView(
        name=kind.name,
        description=TEMPLATES[kind.template].description,
        template=kind.template,
        product=kind.product,
        train=kind.train,
        wants=_wants(kind),
        version=str(calendar.get("version", "")),
        steps=tuple(_words(step) for step in made.steps) if is_known else (),
        has_build=_has_build(kind),
        last=None if last is None else Last(uid=last[0], version=last[1], build=last[2]),
        tip=None if tip is None else Tip(commit=tip[0], at=tip[1]),
        why_not=_refusal(kind.product, lacking) if by.person else "log in to start a release",
    )


def _words(step: StepDefinition) -> str:
    if step.kind != "signoff":
        return step.description
    named = [[f"{count} of {name}" for name, count in one.items()] for one in step.parameters["policy"]]
    return f"{step.description}, by {', or by '.join(' and '.join(one) for one in named)}"


def _refusal(product: str, phases: Sequence[str]) -> str:
    scopes = ", ".join(f"project:shipit:pipeline/{product}/{phase}" for phase in dict.fromkeys(phases))
    return f"this needs {scopes}" if scopes else ""


def _find(kinds: Iterable[ReleaseKind], name: str) -> ReleaseKind:
    by_name = {kind.name: kind for kind in kinds}
    if name not in by_name:
        known = ", ".join(by_name) or "none: the setting `releases` names them"
        raise Missing(f"there is no kind of release {name[:64]!r}; there are {known}")
    return by_name[name]


def _values(kind: ReleaseKind, given: Mapping[str, Any]) -> dict[str, Any]:
    train = {"train": kind.train} if kind.train is not None else {}
    return {**train, **kind.values, **given, "product": kind.product}


def _settled(kind: ReleaseKind) -> tuple[str, ...]:
    """What whoever starts a release has no say in: who signs it above all."""
    train = ("train",) if kind.train is not None else ()
    return tuple(dict.fromkeys((*kind.values, *train, "product", *(["build"] if _has_build(kind) else []))))


def _sample(kind: ReleaseKind) -> dict[str, Any]:
    known = TEMPLATES[kind.template].values["properties"]
    return {name: value for name, value in _SAMPLE.items() if name in known and name not in kind.values}


def _calendar(kind: ReleaseKind, trains: Sequence[Train]) -> dict[str, Any]:
    """What the calendar says of a merge day; nothing for other kinds, and while it was not read."""
    if kind.template != MERGE_DAY:
        return {}
    try:
        day = merge_day(trains)
    except ShipitError:
        return {}
    at = {} if day.at is None else {"at": day.at.isoformat()}
    return {"version": day.version, "merges": list(day.merges), **at}


def _wants(kind: ReleaseKind) -> tuple[str, ...]:
    required = TEMPLATES[kind.template].values["required"]
    return tuple(name for name in ASKED if name in required and name not in kind.values)


def _has_build(kind: ReleaseKind) -> bool:
    return "build" in TEMPLATES[kind.template].values["properties"]
