# SPDX-License-Identifier: MPL-2.0
"""The demo's releases: some that were shipped, and one on its way, held up by a step that failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shipit.actions import pipelines as acts
from shipit.actions import signing
from shipit.actions.persons import Actor, actor
from shipit.errors import Missing, ShipitError
from shipit.pipeline.states import Event, State
from shipit.pipeline.types import Facts
from shipit.settings import ReleaseKind
from shipit.storage import invented, pipelines, rounds, steps
from shipit.storage.pool import Connection, Database
from shipit.world import people
from shipit.world.phases import HOOK, play
from shipit.world.world import World

RULE, BALROG_TOKEN = 42, "demo-balrog-token"
MANAGER_TOKEN = "demo-balrog-token-of-rosa"
PATIENCE_SECONDS = 120.0
QE = actor("demo/ines", ("project:shipit:user", "project:shipit:sign/qe"))
COLLEAGUE = actor("demo/lotte", ("project:shipit:user", "project:shipit:sign/relman"))
STARTER = Actor(people.ENGINEER.identity, people.ENGINEER.identity, people.ENGINEER.scopes)
# Step -> minutes that it takes, as a rule.
MINUTES = {
    "uplifts": 6.0,
    "build": 112.0,
    "repack": 38.0,
    "partials": 41.0,
    "bouncer": 2.0,
    "stage": 9.0,
    "qe": 150.0,
    "verify": 34.0,
    "push": 22.0,
    "relman": 200.0,
    "store": 12.0,
    "publish": 1490.0,
    "shipped": 3.0,
}
_HOOK = {"group": HOOK[0], "id": HOOK[1]}
KINDS = (
    ReleaseKind(
        name="beta",
        template="beta",
        product="firefox",
        train="beta",
        values={"hook": _HOOK, "signers": [{"relman": 1}], "qa": "qe", "phase_hours": 12},
    ),
    ReleaseKind(
        name="release candidate",
        template="release-candidate",
        product="firefox",
        values={"hook": _HOOK, "signers": [{"relman": 2}, {"relman": 1, "releng": 1}], "qa": "qe"},
    ),
    ReleaseKind(
        name="merge day",
        template="merge-day",
        product="firefox",
        values={"hook": _HOOK, "signers": [{"relman": 1, "releng": 1}]},
    ),
)
"""What its people may start."""


def definition(train: str, version: str, build: int, mapping: str) -> dict[str, Any]:
    """A beta from its uplifts to its users."""

    def group(
        uid: str, title: str, phase: str, *requires: str, work: str = "", **more: Any
    ) -> dict[str, Any]:
        payload = {"work": work or uid, "version": version}
        hook = {"group": HOOK[0], "id": HOOK[1], "payload": payload}
        parameters = {"hook": hook, "appear_seconds": 20}
        return _step(uid, "taskcluster", title, phase, requires, parameters, **more)

    signed = {"requester": STARTER.person, "exclude_requester": True}
    relman = {
        "policy": [{"relman": 2}],
        "subject": f"publish the update rules of Firefox {version} build {build}",
        "digest": {"$output": "stage.digest"},
        **signed,
    }
    qe = {"policy": [{"qe": 1}], "subject": f"QE of Firefox {version} build {build}"}
    rollout = {
        "rule": RULE,
        "percents": [25, 100],
        "pause_seconds": 86400,
        "mapping": mapping,
        "signers": [{"relman": 2}],
    }
    steps = [
        _step("uplifts", "uplifts", "Uplifts", "promote", (), {"train": train}),
        group("build", "Build and sign", "promote", "uplifts", timeout_seconds=28800),
        group("repack", "Repack languages", "promote", "build"),
        group("partials", "Partial updates", "promote", "build", attempts=3, backoff_seconds=0.5),
        group("bouncer", "Register downloads", "promote", "build", attempts=3, backoff_seconds=0.5),
        group("stage", "Stage candidates", "promote", "repack", "partials"),
        _step("qe", "signoff", "QE signoff", "push", ("stage",), qe),
        group("verify", "Update verify", "push", "stage", work="update-verify"),
        group("push", "Push to mirrors", "push", "qe", "verify", "bouncer"),
        _step("relman", "signoff", "Relman signoff", "ship", ("stage",), relman),
        group("store", "Store package", "ship", "push"),
        _step("publish", "rollout", "Publish update rules", "ship", ("push", "relman"), rollout),
        group("shipped", "Mark as shipped", "ship", "publish", work="ship"),
    ]
    return {
        "product": "firefox",
        "version": version,
        "build": build,
        "template": "beta",
        "steps": steps,
        "rollbacks": {
            "push": {
                "description": "remove the files from the release folder; nobody is offered them yet",
                "steps": [_manual("undo", "Remove the files from the release folder")],
            },
            "ship": {
                "description": "shut the updates off, then set the rule back to the former beta",
                "steps": [
                    _step(
                        "shutoff",
                        "shutoff",
                        "Shut the updates off",
                        "ship",
                        (),
                        {"product": "Firefox", "channel": "beta"},
                    ),
                    {**_manual("rule", "Set the rule back to the former beta"), "requires": ["shutoff"]},
                ],
            },
        },
    }


async def tell(world: World, database: Database, stop: asyncio.Event) -> None:
    """Let the task groups go on, and wake the steps that wait for them, as a broker would have it done."""

    async def told(groups: list[str]) -> None:
        async with database.connection() as connection:
            await steps.wake_groups(connection, groups)

    await play(world.taskcluster, world.balrog, stop, told)


def prepare(world: World) -> None:
    """What the world outside must have: the update rule, and the people who sign."""
    world.balrog.add_rule(RULE, mapping="Firefox-beta", rate=0, channel="beta", alias="firefox-beta")
    world.balrog.add_person(BALROG_TOKEN, "shipit", "releng")
    world.balrog.add_person(MANAGER_TOKEN, "rosa@example.com", "relman")
    world.balrog.needed[("Firefox", "beta")] = {"relman": 1}
    for each in (QE, COLLEAGUE):
        world.taskcluster.add_client(each.client, each.scopes)


async def seed(world: World, database: Database, stop: asyncio.Event) -> None:
    """Once the trains are known: earlier betas, and one on its way."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            train, major = await _train(database, stop)
            await _earlier(database, train, major)
            await _on_its_way(world, database, train, f"{major}.0b4", stop)
    except (ShipitError, TimeoutError):
        # A demo whose world is changed meanwhile by its visitor goes its own way.
        pass
    await stop.wait()


async def _train(database: Database, stop: asyncio.Event) -> tuple[str, int]:
    while not stop.is_set():
        async with database.connection() as connection:
            if not await rounds.last_ends(connection, limit=1):
                await asyncio.sleep(0.2)
                continue
            for each in await pipelines.trains(connection):
                if each.channel == "beta" and each.major is not None:
                    return each.name, each.major
        await asyncio.sleep(0.2)
    raise Missing("the demo ended before it knew its trains")


async def _earlier(database: Database, train: str, major: int) -> None:
    """Betas of the last weeks, each as long as such things take, a little more or less."""
    dice = random.Random(7)
    now = datetime.now(UTC)
    async with database.connection() as connection:
        for number in range(12, 0, -1):
            version = f"{major}.0b{4 - number}" if number < 4 else f"{major - 1}.0b{13 - number}"
            given = definition(train, version, 1, "Firefox-beta")
            given["steps"][0]["parameters"]["major"] = major
            made = acts.checked(given, lambda url: None)
            begin = now - timedelta(days=2.5 * number, hours=3)
            times: dict[str, tuple[datetime, datetime]] = {}
            for step in made.steps:
                start = max([begin, *(times[uid][1] for uid in step.requires)])
                minutes = MINUTES[step.uid] * dice.uniform(0.85, 1.3)
                times[step.uid] = (start, start + timedelta(minutes=minutes))
            uid = f"firefox-{version}-build1"
            await invented.past(connection, uid, given, made, times, by=STARTER.person)


async def _on_its_way(
    world: World, database: Database, train: str, version: str, stop: asyncio.Event
) -> None:
    uid = f"firefox-{version}-build1"
    given = definition(train, version, 1, "Firefox-beta")
    act = _acting(database)
    await act(acts.create, uid, given, STARTER, check_url=lambda url: None)
    skip = {"reason": "not for betas"}
    await act(acts.change_step, uid, "store", Event.SKIP_ASKED, STARTER, **skip)
    await _until(database, uid, stop, lambda facts: facts.nodes["uplifts"].served is not None)
    await asyncio.sleep(2)
    if (await act(acts.load, uid)).facts.nodes["uplifts"].state is State.IN_PROGRESS:
        because = {"reason": "what has not landed goes into the next beta"}
        await act(acts.change_step, uid, "uplifts", Event.CANCEL_ASKED, STARTER, **because)
        await act(acts.change_step, uid, "uplifts", Event.SKIP_ASKED, STARTER, **because)
    await _until(database, uid, stop, lambda facts: facts.nodes["relman"].state is State.IN_PROGRESS)
    await act(signing.sign, f"{uid}.qe.1", QE, comment="smoke tests are green")
    await act(signing.sign, f"{uid}.relman.1", COLLEAGUE, comment="no blockers left")
    settled = (State.SUCCESS, State.FAILURE)
    await _until(
        database,
        uid,
        stop,
        lambda facts: facts.nodes["bouncer"].state in settled and facts.nodes["qe"].state in settled,
    )
    await _date_back(database, uid)


async def _date_back(database: Database, uid: str) -> None:
    """As if it had begun this morning."""
    async with database.connection() as connection:
        nodes = (await acts.load(connection, uid)).facts.nodes
        now = datetime.now(UTC)
        ago = {
            "uplifts": (234, 228),
            "build": (228, 116),
            "repack": (116, 78),
            "partials": (72, 31),
            "bouncer": (79, 78),
            "stage": (31, 22),
            "qe": (22, 8),
            "verify": (22, None),
            "relman": (22, None),
        }
        times = {name: _span(now, begin, end) for name, (begin, end) in ago.items()}
        tries = {f"{name}.{max(1, nodes[name].attempt)}": times[name] for name in ago}
        tries |= {
            "partials.1": _span(now, 116, 76),
            "bouncer.1": _span(now, 116, 115),
            "bouncer.2": _span(now, 99, 98),
        }
        await invented.move(connection, uid, times, tries)
        await pipelines.tell(connection, [uid])


def _span(now: datetime, begin: float, end: float | None) -> tuple[datetime, datetime | None]:
    return now - timedelta(minutes=begin), None if end is None else now - timedelta(minutes=end)


def _acting(database: Database) -> Callable[..., Awaitable[Any]]:
    async def act(call: Callable[..., Awaitable[Any]], *args: Any, **more: Any) -> Any:
        if call is not acts.load:
            more["now"] = datetime.now(UTC)
        async with database.connection() as connection:
            return await call(connection, *args, **more)

    return act


async def _until(database: Database, uid: str, stop: asyncio.Event, holds: Callable[[Facts], bool]) -> None:
    while not stop.is_set():
        async with database.connection() as connection:
            if holds((await _load(connection, uid)).facts):
                return
        await asyncio.sleep(0.2)


async def _load(connection: Connection, uid: str) -> pipelines.Stored:
    return await acts.load(connection, uid)


def _step(
    uid: str,
    kind: str,
    title: str,
    phase: str,
    requires: tuple[str, ...],
    parameters: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    step = {"uid": uid, "kind": kind, "description": title, "phase": phase, "requires": list(requires)}
    return {**step, "parameters": parameters, **more}


def _manual(uid: str, title: str) -> dict[str, Any]:
    return {"uid": uid, "kind": "manual", "description": title, "parameters": {"instructions": title}}
