# SPDX-License-Identifier: MPL-2.0
"""The kinds by themselves: Taskcluster's rule and cancel, signoffs' groups and content, uplifts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from fixtures_pipelines import ENGINEER, HOSTS, Bench, benched, now, step
from fixtures_postgres import Database
from shipit.actions import signing
from shipit.actions import steps as acts
from shipit.actions.persons import Actor, actor
from shipit.clients.balrog import Balrog
from shipit.clients.http import open_session
from shipit.clients.task_groups import GroupTask, TaskGroups
from shipit.clients.taskcluster import Credentials
from shipit.errors import InvalidInput, Missing, NotAllowed, Refused
from shipit.events import slugs
from shipit.pipeline.states import Status
from shipit.pipeline.types import StepRow
from shipit.runner.pipelines import Runner
from shipit.steps import signoff
from shipit.steps.hosts import Hosts
from shipit.steps.taskcluster import judge
from shipit.steps.taskcluster_making import fire_of
from shipit.storage import steps as stored
from shipit.world.balrog import FakeBalrog
from shipit.world.server import Trouble, served
from shipit.world.task_groups import FakeTaskGroups

GROUP = "A" * 22
QUEUE = ["queue:*", "hooks:*", "auth:*"]


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    async with benched(database) as made:
        yield made


@contextlib.asynccontextmanager
async def with_taskcluster(database: Database, fake: FakeTaskGroups) -> AsyncIterator[Bench]:
    token = fake.add_client("runner", QUEUE)
    async with open_session() as session, served(fake) as url:
        groups = TaskGroups(session, url, Credentials("runner", token), timeout=2, attempts=1)
        async with benched(database, task_groups=groups) as bench:
            yield bench


async def create(bench: Bench, kind: str, uid: str, by: Actor = ENGINEER, **parameters: Any) -> StepRow:
    row, _ = await bench.act(acts.create, kind, uid, parameters, by, check_url=HOSTS.refusal, now=now())
    return row


async def read(bench: Bench, kind: str, uid: str) -> StepRow:
    return await bench.act(acts.read, kind, uid)


async def look(bench: Bench, kind: str, uid: str) -> StepRow:
    """Look at a step now, whatever its time."""
    await bench.act(stored.wake, kind, uid)
    await bench.turn()
    return await read(bench, kind, uid)


def task(state: str, **more: Any) -> GroupTask:
    return GroupTask(task_id=more.pop("task_id", "T"), state=state, **more)


@pytest.mark.parametrize(
    ("tasks", "required", "status"),
    [
        ([task("completed"), task("running")], {}, Status.IN_PROGRESS),
        ([task("completed"), task("unscheduled")], {}, Status.IN_PROGRESS),
        ([task("failed"), task("pending")], {}, Status.IN_PROGRESS),
        ([task("completed"), task("failed")], {}, Status.FAILURE),
        ([task("completed"), task("failed", label="extra")], {"kinds": ["build"]}, Status.FAILURE),
        (
            [task("completed", kind="build"), task("failed", kind="test")],
            {"kinds": ["build"]},
            Status.SUCCESS,
        ),
        ([task("completed", label="a"), task("failed", label="b")], {"labels": ["b"]}, Status.FAILURE),
        ([task("exception", reason="worker-shutdown", retries_left=3)], {}, Status.IN_PROGRESS),
        ([task("exception", reason="claim-expired", retries_left=0)], {}, Status.FAILURE),
        ([task("exception", reason="canceled", retries_left=3)], {}, Status.CANCELLED),
        ([task("completed"), task("exception", reason="canceled")], {}, Status.CANCELLED),
        ([task("failed"), task("exception", reason="canceled")], {}, Status.FAILURE),
        ([task("completed"), task("completed")], {}, Status.SUCCESS),
    ],
)
def test_t3_a_group_has_ended_only_when_nothing_of_it_will_go_on(
    tasks: list[GroupTask], required: dict[str, list[str]], status: Status
) -> None:
    assert judge(tasks, required)[0] is status


async def test_t1_a_group_of_more_than_a_thousand_tasks_is_read_whole(database: Database) -> None:
    fake = FakeTaskGroups()
    for number in range(2500):
        fake.add_task(GROUP, f"t{number}", "completed")
    fake.add_task(GROUP, "last", "running", label="the last")
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "taskcluster", "s", task_group_id=GROUP)
        await bench.turn()
        row = await read(bench, "taskcluster", "s")
        assert (row.status, row.details["tasks"]) == (Status.IN_PROGRESS, 2501)
        fake.resolve(GROUP, "last", "completed")
        await bench.act(stored.wake_groups, [GROUP])
        await bench.turn()
        assert (await read(bench, "taskcluster", "s")).status is Status.SUCCESS


async def test_t2_a_group_that_is_not_there_is_not_yet_there_until_its_time(database: Database) -> None:
    async with with_taskcluster(database, FakeTaskGroups()) as bench:
        await create(bench, "taskcluster", "soon", task_group_id=GROUP)
        await create(bench, "taskcluster", "late", task_group_id=GROUP, appear_seconds=0)
        await bench.turn()
        soon, late = await read(bench, "taskcluster", "soon"), await read(bench, "taskcluster", "late")
        assert (soon.status, "is not there yet" in soon.message) == (Status.IN_PROGRESS, True)
        assert (late.status, "is not there after 0 s" in late.message) == (Status.FAILURE, True)


async def test_a_failed_group_that_is_rerun_brings_step_and_pipeline_back(database: Database) -> None:
    fake = FakeTaskGroups()
    fake.add_task(GROUP, "a", "failed")
    async with with_taskcluster(database, fake) as bench:
        watch = step("tc", kind="taskcluster", parameters={"task_group_id": GROUP})
        await bench.put("p", watch, step("after", "tc"))
        await bench.turn(2)
        assert (await bench.load("p")).status is Status.FAILURE
        fake.resolve(GROUP, "a", "pending")
        await bench.act(stored.wake_groups, [GROUP])
        await bench.turn(2)
        row = await read(bench, "taskcluster", "p.tc.1")
        assert (row.status, (await bench.load("p")).status) == (Status.IN_PROGRESS, Status.IN_PROGRESS)
        assert bench.query("select finished_at from steps where uid = 'p.tc.1'") == [(None,)]
        fake.resolve(GROUP, "a", "completed")
        await look(bench, "taskcluster", "p.tc.1")
        await bench.turn()
        assert await bench.states("p") == {"tc": "success", "after": "in_progress"}


@pytest.mark.parametrize(("digest", "signers"), [({"$output": "tc.digest"}, []), ("the revision", ["ann@x"])])
async def test_a_rerun_in_a_group_that_succeeded_voids_the_signatures_of_what_changed(
    database: Database, digest: Any, signers: list[str]
) -> None:
    fake = FakeTaskGroups()
    fake.add_task(GROUP, "a", "completed")
    fake.add_client("ann@x", ["project:shipit:sign/releng"])
    async with with_taskcluster(database, fake) as bench:
        signed = {"policy": [{"releng": 2}], "subject": "ship", "digest": digest}
        await bench.put(
            "p",
            step("tc", kind="taskcluster", parameters={"task_group_id": GROUP}),
            step("sign", "tc", kind="signoff", parameters=signed),
            step("ship", "sign"),
        )
        await bench.turn(2)
        await sign(bench, "p.sign.1", ANN)
        fake.resolve(GROUP, "a", "pending")
        await bench.act(stored.wake_groups, [GROUP])
        await bench.turn(2)
        assert await bench.states("p") == {"tc": "in_progress", "sign": "blocked", "ship": "blocked"}
        with pytest.raises(Refused, match="has ended"):
            await sign(bench, "p.sign.1", BOB)
        fake.resolve(GROUP, "a", "completed")
        await bench.act(stored.wake_groups, [GROUP])
        await bench.turn(2)
        row = await read(bench, "signoff", "p.sign.2")
        assert [each["person"] for each in row.details["signatures"]] == signers
        assert len(row.details["missing"][0]) == 2 - len(signers)


async def test_d_si5_cancel_cancels_triggers_cancel_all_and_seals_whatever_fails(database: Database) -> None:
    fake = FakeTaskGroups()
    fake.add_hook("g", "make")
    fake.add_hook("g", "cancel-all")
    async with with_taskcluster(database, fake) as bench:
        await create(
            bench,
            "taskcluster",
            "s",
            hook={"group": "g", "id": "make"},
            cancel_hook={"group": "g", "id": "cancel-all"},
        )
        await bench.turn()
        group = (await read(bench, "taskcluster", "s")).memory["task_group_id"]
        fake.add_task(group, group, "running")
        fake.add_task(group, "other", "pending")
        fake.fail(Trouble.ERROR, containing="/cancel-all/trigger", times=1)
        _, what = await bench.act(acts.delete, "taskcluster", "s", ENGINEER, now=now())
        assert what == "is being cancelled"
        await bench.turn()
        assert group in fake.sealed, "sealed although the cancel-all hook failed"
        row = await look(bench, "taskcluster", "s")
        row = await look(bench, "taskcluster", "s")
        assert row.status is Status.CANCELLED
        assert [each.hook for each in fake.fired] == ["make", "cancel-all"]


async def test_d_si4_a_hook_whose_answer_was_lost_makes_one_task_group(database: Database) -> None:
    fake = FakeTaskGroups()
    fake.add_hook("g", "make")
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "taskcluster", "s", hook={"group": "g", "id": "make"})
        runner = Runner(bench.doors, now=now)
        await runner.claim()
        await runner.settle()
        # The call goes out, and whoever made it dies before it wrote down what came of it.
        async with bench.pool.connection() as connection:
            row = (await stored.claim(connection, limit=1, lease=timedelta(seconds=-1)))[0]
        assert row.memory["phase"] == "firing"
        await bench.doors.task_groups.make_by_hook("g", "make", {"taskId": slugs.task_id("step", "s")})
        await bench.turn()
        row = await read(bench, "taskcluster", "s")
        assert (row.memory["phase"], len(fake.fired)) == ("made", 1)


def long_ago(bench: Bench) -> None:
    """The time after which a hook's last fires can be believed has passed."""
    early = (now() - timedelta(minutes=2)).isoformat()
    bench.query(
        "update steps set memory = memory || jsonb_build_object('firing_since', %s::text)"
        " where kind = 'taskcluster' and uid = 's'",
        early,
    )


async def test_a_hook_that_takes_no_task_id_is_never_triggered_twice(database: Database) -> None:
    fake = FakeTaskGroups()
    fake.add_hook("g", "make")
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "taskcluster", "s", hook={"group": "g", "id": "make", "takes_task_id": False})
        runner = Runner(bench.doors, now=now)
        await runner.claim()
        await runner.settle()
        async with bench.pool.connection() as connection:
            await stored.claim(connection, limit=1, lease=timedelta(seconds=-1))
        await bench.doors.task_groups.make_by_hook("g", "make", {})
        await bench.turn()
        assert (await read(bench, "taskcluster", "s")).status is Status.IN_PROGRESS, "not yet to be told"
        long_ago(bench)
        row = await look(bench, "taskcluster", "s")
        assert (row.status, len(fake.fired)) == (Status.FAILURE, 1)
        assert "not known whether" in row.message


DECISION = "D" * 22
PROMOTE = {"decision_task": DECISION, "name": "release-promotion", "input": {"build_number": 7}}


def with_actions() -> FakeTaskGroups:
    fake = FakeTaskGroups()
    fake.add_decision(DECISION, "release-promotion", "cancel-all")
    return fake


async def test_an_action_of_a_decision_task_makes_the_group(database: Database) -> None:
    fake = with_actions()
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "taskcluster", "s", action=PROMOTE)
        await bench.turn()
        fired = fake.fired[0]
        assert fired.payload["user"] == {
            "input": {"build_number": 7},
            "taskId": None,
            "taskGroupId": DECISION,
        }
        row = await read(bench, "taskcluster", "s")
        assert (row.memory["task_group_id"], row.status) == (fired.task, Status.IN_PROGRESS)
        # The group is done before the action's task has made all of it.
        fake.add_task(fired.task, "first", "completed")
        row = await look(bench, "taskcluster", "s")
        assert (row.status, "still makes tasks" in row.message) == (Status.IN_PROGRESS, True)
        fake.tasks[fired.task] = "completed"
        assert (await look(bench, "taskcluster", "s")).status is Status.SUCCESS


async def test_an_action_whose_task_fails_fails_before_its_group_appears(database: Database) -> None:
    fake = with_actions()
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "taskcluster", "s", action=PROMOTE)
        await bench.turn()
        fake.tasks[fake.fired[0].task] = "failed"
        row = await look(bench, "taskcluster", "s")
        assert (row.status, "the action's task" in row.message) == (Status.FAILURE, True)


async def fired_and_forgotten(bench: Bench, fire: bool) -> None:
    """A runner that dies after it wrote that it fires; its call did or did not come through."""
    await create(bench, "taskcluster", "s", action=PROMOTE)
    runner = Runner(bench.doors, now=now)
    await runner.claim()
    await runner.settle()
    async with bench.pool.connection() as connection:
        row = (await stored.claim(connection, limit=1, lease=timedelta(seconds=-1)))[0]
    assert row.memory["phase"] == "firing"
    if fire:
        done, _ = await fire_of(row.parameters, bench.doors.task_groups)
        await bench.doors.task_groups.make_by_hook(done.hook_group, done.hook_id, done.payload)
    long_ago(bench)
    await look(bench, "taskcluster", "s")


@pytest.mark.parametrize("came_through", [True, False])
async def test_an_action_is_triggered_once_though_nobody_knows_whether_it_was(
    database: Database, came_through: bool
) -> None:
    fake = with_actions()
    async with with_taskcluster(database, fake) as bench:
        # Somebody else's action of the same hook is not taken for ours.
        await bench.doors.task_groups.make_by_hook(
            "project-gecko",
            "action",
            {
                "decision": {"action": {"name": "release-promotion"}},
                "user": {"input": {"build_number": 6}, "taskGroupId": DECISION},
            },
        )
        await fired_and_forgotten(bench, came_through)
        row = await read(bench, "taskcluster", "s")
        assert (row.memory["phase"], row.memory["task_id"]) == ("made", fake.fired[1].task)
        assert len(fake.fired) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "ship-it-all"}, "no action 'ship-it-all' for its group (there are cancel-all, release-"),
        ({"decision_task": "E" * 22}, "Artifact not found"),
    ],
)
async def test_an_action_that_is_not_there_is_said_in_words(
    database: Database, change: dict[str, Any], words: str
) -> None:
    fake = with_actions()
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "taskcluster", "s", action={**PROMOTE, **change}, appear_seconds=0)
        await bench.turn()
        row = await read(bench, "taskcluster", "s")
        assert (row.status, words in row.message, fake.fired) == (Status.FAILURE, True, [])


async def test_cancelling_an_action_triggers_the_cancel_all_of_its_decision_task(database: Database) -> None:
    fake = with_actions()
    async with with_taskcluster(database, fake) as bench:
        cancels = {"decision_task": DECISION}
        await create(bench, "taskcluster", "s", action=PROMOTE, cancel_action=cancels)
        await bench.turn()
        group = fake.fired[0].task
        fake.add_task(group, "one", "running")
        await bench.act(acts.delete, "taskcluster", "s", ENGINEER, now=now())
        await bench.turn()
        row = await look(bench, "taskcluster", "s")
        named = [each.payload["decision"]["action"]["name"] for each in fake.fired]
        assert named == ["release-promotion", "cancel-all"]
        assert (row.status, group in fake.sealed) == (Status.CANCELLED, True)


# --- signoff ------------------------------------------------------------------------------------------


def member(person: str, *groups: str) -> Actor:
    return actor(person, [f"project:shipit:sign/{group}" for group in groups])


ANN, BOB = member("ann@x", "releng"), member("bob@x", "releng")
BOB_WHO_RUNS = actor("bob@x", ["project:shipit:pipeline/*", "project:shipit:sign/releng"])


async def sign(bench: Bench, uid: str, who: Actor, **more: Any) -> StepRow:
    return await bench.act(signing.sign, uid, who, now=now(), **more)


async def test_a_signature_expires(bench: Bench) -> None:
    await create(bench, "signoff", "s", policy=[{"releng": 2}], expires_seconds=1)
    early = now() - timedelta(seconds=5)
    await bench.act(signing.sign, "s", ANN, now=early)
    row = await sign(bench, "s", BOB)
    assert row.details["missing"] == [["releng"]]
    row = await sign(bench, "s", ANN)
    assert row.details["missing"] == [[]]


async def test_a_changed_content_voids_every_signature_and_keeps_them_on_record(bench: Bench) -> None:
    await create(bench, "signoff", "s", policy=[{"releng": 2}], digest="d1")
    await sign(bench, "s", ANN, digest="d1")
    row = await bench.act(signing.change_content, "s", ENGINEER, digest="d2", now=now())
    assert row.details["missing"] == [["releng", "releng"]]
    assert [each["why"] for each in row.details["signatures"]] == ["the content changed"]
    with pytest.raises(Refused, match="'d2' now"):
        await sign(bench, "s", BOB, digest="d1")
    await sign(bench, "s", ANN)
    row = await sign(bench, "s", BOB)
    await bench.turn()
    assert (await read(bench, "signoff", "s")).output == {"signed_by": ["ann@x", "bob@x"], "digest": "d2"}


async def test_whoever_asks_does_not_sign_when_excluded(bench: Bench) -> None:
    more = {"requester": "ann@x", "exclude_requester": True}
    await create(bench, "signoff", "s", policy=[{"releng": 1}], **more)
    with pytest.raises(NotAllowed):
        await sign(bench, "s", ANN)
    await sign(bench, "s", BOB)


async def test_whoever_put_it_asks_for_it_whatever_it_says(bench: Bench) -> None:
    more = {"requester": "ann@x", "exclude_requester": True}
    await create(bench, "signoff", "s", BOB_WHO_RUNS, policy=[{"releng": 1}], **more)
    with pytest.raises(NotAllowed, match="whoever asks for it does not sign it"):
        await sign(bench, "s", BOB)


async def test_who_signs_for_every_group_signs_for_no_person(bench: Bench) -> None:
    await create(bench, "signoff", "s", policy=[{"boss@x": 1}])
    with pytest.raises(NotAllowed, match="in no group that signs this"):
        await sign(bench, "s", actor("eve@x", ["project:shipit:sign/*"]))
    await sign(bench, "s", member("boss@x", "none"))


async def test_an_arming_delay_leaves_time_to_take_back(bench: Bench) -> None:
    await create(bench, "signoff", "s", policy=[{"releng": 1}], arming_seconds=3600)
    row = await sign(bench, "s", ANN)
    assert "takes effect at" in row.message
    await bench.turn()
    assert (await read(bench, "signoff", "s")).status is Status.IN_PROGRESS
    row = await bench.act(signing.revoke, "s", ANN, now=now(), why="not yet")
    assert "must still be signed by 1 of releng" in row.message
    with pytest.raises(Refused, match="has not signed"):
        await bench.act(signing.revoke, "s", ANN, now=now())


async def test_a_delegation_is_needed_on_record_and_ends(bench: Bench) -> None:
    await create(bench, "signoff", "s", policy=[{"releng": 2}])
    outsider = member("eve@x", "qa")
    with pytest.raises(NotAllowed):
        await sign(bench, "s", outsider)
    until = now() + timedelta(days=1)
    how = {"to": "eve@x", "group": "releng", "reason": "holiday", "until": until, "now": now()}
    with pytest.raises(NotAllowed):
        await bench.act(signing.delegate, outsider, **how)
    with pytest.raises(InvalidInput):
        await bench.act(signing.delegate, ANN, **{**how, "until": now() + timedelta(days=400)})
    await bench.act(signing.delegate, ANN, **how)
    row = await sign(bench, "s", outsider)
    assert row.details["signatures"][0]["delegated"] == ["releng"]
    with pytest.raises(Refused, match="signed already"):
        await sign(bench, "s", outsider)


async def test_a_delegation_that_ended_before_the_effect_counts_no_more(bench: Bench) -> None:
    await create(bench, "signoff", "s", policy=[{"releng": 1}], arming_seconds=3600)
    until = now() + timedelta(days=1)
    how = {"to": "eve@x", "group": "releng", "reason": "holiday", "until": until, "now": now()}
    number = await bench.act(signing.delegate, ANN, **how)
    await sign(bench, "s", member("eve@x", "qa"))
    with pytest.raises(Missing):
        await bench.act(signing.end_delegation, BOB, number)
    await bench.act(signing.end_delegation, ANN, number)
    with pytest.raises(Missing):
        await bench.act(signing.end_delegation, ANN, number)
    row = await read(bench, "signoff", "s")
    later = await signoff.look(row, bench.doors, now() + timedelta(hours=2))
    assert (later.status, later.details["missing"]) == (Status.IN_PROGRESS, [["releng"]])


async def test_who_left_the_group_before_the_effect_does_not_count(database: Database) -> None:
    fake = FakeTaskGroups()
    fake.add_client("ann@x", ["project:shipit:sign/releng"])
    async with with_taskcluster(database, fake) as bench:
        await create(bench, "signoff", "s", policy=[{"releng": 1}])
        await sign(bench, "s", ANN)
        fake.remove_client("ann@x")
        await bench.turn()
        row = await read(bench, "signoff", "s")
        assert (row.status, row.details["missing"]) == (Status.IN_PROGRESS, [["releng"]])
        assert "no longer in the group" in row.details["signatures"][0]["why"]
        fake.add_client("bob@x", ["project:shipit:sign/*"])
        await sign(bench, "s", BOB)
        await bench.turn()
        assert (await read(bench, "signoff", "s")).status is Status.SUCCESS


# --- balrog -------------------------------------------------------------------------------------------


async def test_s6_a_scheduled_change_of_balrog_is_mirrored_with_who_must_sign_there(
    database: Database,
) -> None:
    fake = FakeBalrog()
    fake.add_rule(42, mapping="Firefox-147.0-build2")
    fake.needed[("Firefox", "release")] = {"releng": 1, "relman": 2}
    change = {
        "sc_id": 7,
        "rule_id": 42,
        "complete": False,
        "when": 4102444800000,
        "signoffs": {"ann": "releng"},
    }
    async with open_session() as session, served(fake):
        balrog = Balrog(session, fake.api_url)
        async with benched(database, balrog=balrog) as bench:
            await create(bench, "balrog", "gone", object="rules", sc_id=7)
            await bench.turn()
            row = await read(bench, "balrog", "gone")
            assert (row.status, "has no scheduled change 7" in row.message) == (Status.FAILURE, True)
            fake.changes[7] = change
            await create(bench, "balrog", "s", object="rules", sc_id=7)
            await bench.turn()
            row = await read(bench, "balrog", "s")
            assert "signed in Balrog by 2 of relman; happens at 2100-01-01" in row.message
            fake.fail(Trouble.BUSY)
            row = await look(bench, "balrog", "s")
            assert (row.status, "Balrog" in row.message) == (Status.IN_PROGRESS, True)
            fake.heal()
            change["complete"] = True
    async with open_session() as session, served(fake), contextlib.AsyncExitStack() as stack:
        balrog = Balrog(session, fake.api_url)
        bench = await stack.enter_async_context(benched(database, balrog=balrog))
        assert (await look(bench, "balrog", "s")).status is Status.SUCCESS


# --- uplifts, hosts -----------------------------------------------------------------------------------


async def test_uplifts_lists_what_is_approved_and_not_landed_without_naming_the_restricted(
    bench: Bench,
) -> None:
    bench.query("insert into trains (name, channel, repository, branch) values ('beta', 'beta', 'r', 'b')")
    for bug, is_restricted in ((1, False), (2, False), (3, True)):
        bench.query("insert into bugs (id, summary, is_restricted) values (%s, 's', %s)", bug, is_restricted)
        bench.query(
            "insert into requests (uid, bug, train, state, target_major)"
            " values (%s, %s, 'beta', 'approved', 147)",
            f"r{bug}",
            bug,
        )
    landed = (
        "insert into trials (request, train, series_digest, tip, key, outcome)"
        " values (%s, 'beta', 'd', 't', 'k', 'landed')"
    )
    bench.query(landed, "r1")
    await create(bench, "uplifts", "u", train="beta", major=147)
    await bench.turn()
    row = await read(bench, "uplifts", "u")
    assert row.message == "approved and not landed on beta: bug 2"
    assert (row.details["contains"], row.details["missing"]) == ([1], [2])
    bench.query(landed, "r2")
    row = await look(bench, "uplifts", "u")
    assert row.message == "waits for the approved uplifts of beta to land", "not even counted"
    bench.query(landed, "r3")
    row = await look(bench, "uplifts", "u")
    assert (row.status, row.output) == (Status.SUCCESS, {"bugs": [1, 2]})


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://steps.example.com/x", True),
        ("https://a.steps.org/x", True),
        ("http://steps.example.com/x", False),
        ("https://steps.example.com.evil.org/x", False),
        ("https://evil.org/steps.example.com", False),
        ("https://user:pw@steps.example.com/x", False),
        ("https://steps.example.com/x?y=z", False),
        ("http://127.0.0.1:80/x", False),
        ("http://[::1]/x", False),
        ("https://169.254.169.254/latest", False),
        ("https://steps.example.com:bad/x", False),
    ],
)
def test_p5_only_hosts_that_are_named_are_called(url: str, is_allowed: bool) -> None:
    assert (Hosts(("steps.example.com", "*.steps.org")).refusal(url) is None) is is_allowed
