# SPDX-License-Identifier: MPL-2.0
"""Rollouts through Balrog: raised over time, each raise once, halted by a person, a machine or a stop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fixtures_pipelines import ENGINEER, HOSTS, Bench, benched, now, step
from fixtures_postgres import Database
from shipit.actions import pipelines as pipeline_acts
from shipit.actions import rollouts, signing, stops
from shipit.actions import steps as acts
from shipit.actions.persons import actor
from shipit.cli.stepping import step_doors
from shipit.cli.writing import whose_of
from shipit.clients.balrog import Balrog
from shipit.clients.http import open_session
from shipit.errors import NotAllowed, Refused
from shipit.pipeline.states import Status
from shipit.pipeline.types import StepRow
from shipit.runner.pipelines import Runner
from shipit.settings import Secret, Settings, Steps
from shipit.steps import rollout
from shipit.storage import keys
from shipit.storage import steps as stored
from shipit.storage.vault import Vault
from shipit.world.balrog import FakeBalrog
from shipit.world.server import served
from shipit.world.world import StandingClock

RELEASE = "Firefox-147.0-build2"
OUTSIDER = actor("eve@x", ["project:shipit:user"])
WATCHER = actor("telemetry", ["project:shipit:pipeline/firefox/ship"])
KEYS = {("ann@x", "balrog"): "ann-token"}


async def key_of(person: str, system: str) -> str | None:
    return KEYS.get((person, system))


class Stage:
    """A bench with a Balrog, and a clock that both go by."""

    def __init__(self, bench: Bench, fake: FakeBalrog, clock: StandingClock) -> None:
        self.bench, self.fake, self.clock = bench, fake, clock

    async def put(self, **more: Any) -> None:
        given = {"rule": "firefox-release", "percents": [25, 100], "pause_seconds": 3600, **more}
        await self.bench.put(
            "p", step("rate", kind="rollout", phase="ship", parameters=given), product="firefox"
        )

    async def look(self, **ahead: float) -> StepRow:
        """Let time pass, Balrog's agent work, and the runner look until nothing more follows at once."""
        self.clock.move(**(ahead or {"seconds": 30}))
        self.fake.enact()
        runner = Runner(self.bench.doors, now=self.clock)
        for _ in range(3):
            # the database goes by its own clock
            self.bench.query("update steps set due_at = now() where status = 'in_progress'")
            while await runner.work():
                await runner.settle()
        return await self.row()

    async def row(self) -> StepRow:
        return await self.bench.act(acts.read, "rollout", "p.rate.1")

    @property
    def rates(self) -> list[int]:
        return [rate for _, rate in self.fake.enacted]


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    clock = StandingClock(now())
    fake = FakeBalrog(clock)
    fake.add_rule(42, mapping=RELEASE, alias="firefox-release")
    fake.add_person("service-token", "shipit", "releng")
    fake.add_person("ann-token", "ann@x", "relman")
    async with open_session() as session, served(fake), contextlib.AsyncExitStack() as stack:
        balrog = Balrog(session, fake.api_url, token="service-token", timeout=2)
        bench = await stack.enter_async_context(benched(database, balrog=balrog, key_of=key_of))
        yield Stage(bench, fake, clock)


async def test_the_rate_is_raised_over_time(stage: Stage) -> None:
    await stage.put(mapping=RELEASE)
    row = await stage.look()
    assert "raises to 25 %" in row.message and not stage.rates
    row = await stage.look()
    assert (row.details["percent"], stage.rates) == (25, [25])
    assert "100 % from" in row.message
    await stage.look(minutes=50)
    assert stage.rates == [25]
    await stage.look(minutes=15)
    row = await stage.look()
    assert (row.status, row.output) == (Status.SUCCESS, {"rule": 42, "percent": 100})
    assert [each.what for each in await audit(stage)] == [
        "raise scheduled",
        "rate raised",
        "raise scheduled",
        "rate raised",
    ]


async def audit(stage: Stage) -> list[Any]:
    found = await stage.bench.act(pipeline_acts.pipelines.history, "p")
    return [each for each in found if each.step == "p.rate.1"]


@pytest.mark.parametrize("late", ["error", "drop"])
async def test_a_raise_whose_answer_was_lost_is_made_once(stage: Stage, late: str) -> None:
    await stage.put(percents=[25])
    stage.fake.fail_after_effect(late)
    await stage.look()
    assert len(stage.fake.changes) == 1
    row = await stage.look()
    assert (row.status, stage.rates, len(stage.fake.changes)) == (Status.SUCCESS, [25], 1)


async def test_a_person_or_a_machine_halts_and_going_on_is_signed(stage: Stage) -> None:
    await stage.put(percents=[25, 50], signers=[{"relman": 1}])
    await stage.look()
    await stage.look()
    await stage.look(minutes=61)
    assert [each["backgroundRate"] for each in stage.fake.changes.values() if not each["complete"]] == [50]
    bench, clock = stage.bench, stage.clock
    with pytest.raises(NotAllowed):
        await bench.act(rollouts.halt, "p.rate.1", OUTSIDER, reason="no", now=clock())
    await bench.act(rollouts.halt, "p.rate.1", WATCHER, reason="crashes doubled", now=clock())
    row = await stage.look(seconds=1)
    assert "stays at 25 %: halted by telemetry: crashes doubled" in row.message
    assert not [each for each in stage.fake.changes.values() if not each["complete"]], "taken back"
    row = await stage.look(hours=5)
    assert stage.rates == [25]
    assert row.details["signers"] == [{"relman": 1}], "so nobody is asked who signs"
    assert row.details["who"] == "whoever may act on its phase asks, then relman must sign"
    name = await bench.act(rollouts.resume, "p.rate.1", ENGINEER, policy=None, now=clock())
    with pytest.raises(Refused, match="already asked"):
        await bench.act(rollouts.resume, "p.rate.1", ENGINEER, policy=None, now=clock())
    row = await stage.look()
    assert stage.rates == [25]
    assert (row.details["resume"], row.details["who"]) == (name, "relman"), "also after a look"
    signer = actor("kim@x", ["project:shipit:sign/relman"])
    await bench.act(signing.sign, name, signer, now=clock())
    await stage.look()
    await stage.look()
    row = await stage.look()
    assert (row.status, stage.rates) == (Status.SUCCESS, [25, 50])
    words = [each.what for each in await audit(stage)]
    assert words.count("raise taken back") == words.count("goes on") == words.count("halted") == 1


@pytest.mark.parametrize("how", ["stop", "hold"])
async def test_a_stop_or_a_hold_halts_a_rollout_that_runs(stage: Stage, how: str) -> None:
    await stage.put()
    await stage.look()
    assert len(stage.fake.changes) == 1
    if how == "stop":
        more = {"product": "firefox", "phase": "", "reason": "a bad bug", "now": now()}
        await stage.bench.act(stops.stop, ENGINEER, **more)
    else:
        await stage.bench.act(pipeline_acts.hold, "p", ENGINEER, reason="a bad bug", now=now())
    row = await stage.look(seconds=1)
    assert "stays at 0 %" in row.message and "a bad bug" in row.message
    assert stage.fake.changes == {}
    await stage.look()
    assert stage.rates == []


async def test_cancelling_takes_back_what_waits_and_says_where_it_stays(stage: Stage) -> None:
    await stage.put()
    await stage.look()
    await stage.bench.act(pipeline_acts.cancel, "p", ENGINEER, now=now())
    row = await stage.look(seconds=1)
    assert (row.status, row.message) == (Status.CANCELLED, "cancelled; the rate stays at 0 %")
    assert stage.fake.changes == {}


async def test_a_rule_that_offers_another_release_is_left_alone(stage: Stage) -> None:
    await stage.put(mapping="Firefox-147.0-build1")
    row = await stage.look()
    assert (row.status, stage.fake.changes) == (Status.FAILURE, {})
    assert f"offers {RELEASE}" in row.message


async def test_somebody_elses_change_of_the_rule_is_waited_for(stage: Stage) -> None:
    rule = stage.fake.rules[42]
    stage.fake.changes[7] = {
        **rule,
        "sc_id": 7,
        "complete": False,
        "when": (stage.clock() + timedelta(days=1)).timestamp() * 1000,
        "backgroundRate": 3,
        "scheduled_by": "bob",
        "sc_data_version": 1,
        "signoffs": {},
    }
    await stage.put()
    row = await stage.look()
    assert "bob has another change of rule 42" in row.message
    assert list(stage.fake.changes) == [7]


async def test_a_person_signs_in_balrog_with_their_own_key_and_role(stage: Stage) -> None:
    stage.fake.needed[("Firefox", "release")] = {"relman": 1}
    await stage.put(percents=[25])
    await stage.look()
    row = await stage.look()
    assert "signed in Balrog by 1 of relman" in row.message and not stage.rates
    act = stage.bench.act
    with pytest.raises(Refused, match="needed: relman"):
        await act(rollouts.sign_in_balrog, "rollout", "p.rate.1", WATCHER, role="qa", now=now())
    # Somebody without a key of their own cannot, and the service's own right is not used for them.
    await act(rollouts.sign_in_balrog, "rollout", "p.rate.1", WATCHER, role="relman", now=now())
    runner = Runner(stage.bench.doors, now=stage.clock)
    await runner.claim()
    await runner.settle()
    assert "telemetry could not sign: they gave no key" in (await stage.row()).message
    ann = actor("ann@x", ["project:shipit:user"])
    await act(rollouts.sign_in_balrog, "rollout", "p.rate.1", ann, role="relman", now=now())
    await stage.look(seconds=1)
    assert next(iter(stage.fake.changes.values()))["signoffs"] == {"ann@x": "relman"}
    row = await stage.look()
    assert (row.status, stage.rates) == (Status.SUCCESS, [25])


async def test_a_shutoff_is_made_once_and_needs_no_signature(stage: Stage) -> None:
    stage.fake.fail_after_effect("drop")
    where = {"product": "Firefox", "channel": "release"}
    for uid in ("a", "b"):
        await stage.bench.act(
            acts.create, "shutoff", uid, where, ENGINEER, check_url=HOSTS.refusal, now=now()
        )
    for uid in ("a", "b"):
        await stage.bench.act(stored.wake, "shutoff", uid)
        await stage.bench.turn()
        await stage.bench.act(stored.wake, "shutoff", uid)
        await stage.bench.turn()
        assert (await stage.bench.act(acts.read, "shutoff", uid)).status is Status.SUCCESS
    assert len(stage.fake.shutoffs) == 1


def test_percents_ascend() -> None:
    found = rollout.problems({"rule": 1, "percents": [50, 25]})
    assert [each.pointer for each in found] == ["/percents"]
    assert rollout.problems({"rule": 1, "percents": [0]}) == []


async def test_a_persons_own_key_is_opened_for_them_alone(stage: Stage) -> None:
    secret = Secret("a secret of at least sixteen characters")
    settings = Settings(secret_key=(secret,))
    async with open_session() as session:
        doors = step_doors(settings, session, stage.bench.pool)
        assert doors.key_of is not None and await doors.key_of("ann@x", "balrog") is None
        async with stage.bench.pool.connection() as connection:
            vault = Vault([secret.reveal()])
            more = {"key": "ann-token", "account": "ann@x", "account_id": ""}
            await keys.put(connection, vault, "ann@x", "balrog", **more)
        assert await doors.key_of("ann@x", "balrog") == "ann-token"
        assert await doors.key_of("bob@x", "balrog") is None
        whose = whose_of(Settings(steps=Steps(balrog_url=stage.fake.api_url)), session)
        assert (await whose("balrog", "ann-token")).name == "ann@x"
        with pytest.raises(Refused):
            await whose("balrog", "somebody-elses")
