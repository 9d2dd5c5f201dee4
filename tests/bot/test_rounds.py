# SPDX-License-Identifier: MPL-2.0
"""Rounds from end to end: what is read, tried and reported, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fixtures_bot import FREE_LINE, OWN_LINE, SECURITY, Scene
from shipit.bot.rounds import LEASE, run_round

ODD = "### firefox-beta Uplift Approval Request\nJust take it, it is low risk I guess."


async def test_first_round_reads_tries_and_reports_everything(scene: Scene) -> None:
    clean = scene.ask("beta", "release")
    conflict = scene.ask("beta", "esr140", on="beta")
    # B4: the original tried only what was already on main
    review = scene.ask("release", kind="revision")
    rebased = scene.ask("beta", kind="rebased", on="beta")
    raw = scene.ask("esr128", kind="attachment", on="esr128")
    stack = scene.ask("beta", kind="revision", stack=3, on="beta")
    empty = scene.ask("beta", is_empty=True)
    nothing = scene.ask("release", kind="nothing")
    result = await scene.round()
    assert result.errors == ()
    assert (result.bugs, result.requests, result.trials, result.skipped_unchanged) == (8, 10, 10, 0)
    assert scene.outcomes() == {
        (clean, "beta"): "clean",
        (clean, "release"): "clean",
        (conflict, "beta"): "conflict",
        (conflict, "esr140"): "clean",
        (review, "release"): "clean",
        (rebased, "beta"): "clean",
        (raw, "esr128"): "conflict",
        (stack, "beta"): "conflict",
        (empty, "beta"): "empty",
        (nothing, "release"): "missing",
    }
    (patches,) = scene.rows("select patches from trials where request like %s", f"{stack}-%")[0]
    assert [one["outcome"] for one in patches] == ["clean", "clean", "conflict"], "B1, B8: a stack is tried"


async def test_unchanged_round_asks_little_and_tries_nothing(scene: Scene) -> None:
    for _ in range(10):
        scene.ask("beta", "release", "esr128", "esr140")
    await scene.round()
    scene.world.forget()
    result = await scene.round()
    # B10: the original analysed every bug again every half hour
    assert (result.bugs, result.requests, result.trials, result.skipped_unchanged) == (10, 40, 0, 10)
    assert result.errors == ()
    assert result.calls["Bugzilla"] == scene.asked()
    assert result.calls["Bugzilla"] + result.calls["Ship It"] <= 10


async def test_first_round_asks_bugzilla_for_many_bugs_at_once(scene: Scene) -> None:
    for _ in range(12):
        scene.ask("beta", "release")
    result = await scene.round()
    assert result.requests == 24
    # four trains, decided, a page that may go on, and four parts of all bugs at once
    assert result.calls["Bugzilla"] <= 12


async def test_flag_is_followed_from_asked_to_cleared(scene: Scene) -> None:
    bug = scene.ask("beta", "release")
    seen = []
    await scene.round()
    seen.append(scene.states(bug))
    for status in "+-X":
        scene.decide(bug, "beta", status)
        result = await scene.round()
        assert result.plan[0].reason == "changed in Bugzilla"
        seen.append(scene.states(bug))
    assert seen == [
        {"beta": "requested", "release": "requested"},
        {"beta": "approved", "release": "requested"},
        {"beta": "rejected", "release": "requested"},
        {"release": "requested"},
    ]
    (history,) = scene.rows("select history from requests where bug = %s and train = 'beta'", bug)[0]
    assert [(one["what"], one["to"]) for one in history][:3] == [
        ("seen", "requested"),
        ("state", "approved"),
        ("state", "rejected"),
    ]


async def test_new_diff_of_which_bugzilla_says_nothing_is_read_and_tried(scene: Scene) -> None:
    bug = scene.ask("beta", kind="revision")
    await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "clean"}
    changed = scene.world.bugzilla.last_change(bug)
    scene.revise(bug, OWN_LINE["beta"])
    result = await scene.round()
    assert scene.world.bugzilla.last_change(bug) == changed
    # B3: the original looked only at the first revision and the branch
    assert [step.reason for step in result.plan] == ["its patches or the trains' flags changed"]
    assert scene.outcomes() == {(bug, "beta"): "conflict"}
    scene.revise(bug, FREE_LINE)
    look = await scene.look()
    assert (look.trials, scene.outcomes()) == (1, {(bug, "beta"): "clean"})


async def test_moved_tip_is_tried_without_reading_bugs(scene: Scene) -> None:
    one, other = scene.ask("beta", "release"), scene.ask("beta")
    await scene.round()
    tip = scene.product.move("beta")
    scene.world.forget()
    result = await scene.round()
    assert [(step.task, step.bug, step.train) for step in result.plan] == [
        ("try", one, "beta"),
        ("try", other, "beta"),
    ]
    assert (result.trials, result.skipped_unchanged) == (2, 2)
    assert scene.world.bugzilla.count("/comment") == 0
    assert scene.rows("select distinct tip from trials where tip = %s", tip) == [(tip,)]


async def test_look_finds_a_new_request_a_decision_and_a_moved_branch(scene: Scene) -> None:
    old = scene.ask("beta")
    await scene.round()
    assert (await scene.look()).plan == ()
    scene.clock.move(minutes=1)
    new = scene.ask("release")
    result = await scene.look()
    assert ([step.bug for step in result.plan], result.trials) == ([new], 1)
    scene.decide(old, "beta", "+")
    await scene.look()
    assert scene.states(old) == {"beta": "approved"}
    scene.product.move("release")
    scene.world.forget()
    result = await scene.look()
    assert [(step.task, step.bug) for step in result.plan] == [("try", new)]
    assert scene.asked("schedule") == 0, "a schedule does not change every 30 s"


async def test_quiet_look_leaves_no_round_behind(scene: Scene) -> None:
    scene.ask("beta")
    await scene.round()
    before = scene.rows("select count(*) from rounds")
    await scene.look()
    assert scene.rows("select count(*) from rounds") == before
    assert scene.rows("select count(*) from leases where expires > now()") == [(0,)]


async def test_one_bug_by_number_is_read_whether_it_changed_or_not(scene: Scene) -> None:
    bug, other = scene.ask("beta"), scene.ask("beta")
    result = await scene.round(only=bug)
    assert [step.bug for step in result.plan] == [bug]
    assert scene.outcomes() == {(bug, "beta"): "clean"}
    result = await scene.round(only=bug)
    assert [(step.bug, step.reason) for step in result.plan] == [(bug, "asked for by name")]
    await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "clean", (other, "beta"): "clean"}


async def test_dry_run_tells_the_plan_and_writes_nothing(scene: Scene) -> None:
    bug = scene.ask("beta")
    result = await scene.round(is_dry=True)
    assert [(step.task, step.bug, step.reason) for step in result.plan] == [("read", bug, "new")]
    assert result.trials == 0
    for table in ("bugs", "requests", "trials", "trains", "rounds", "leases", "mails"):
        assert scene.rows(f"select count(*) from {table}") == [(0,)], table


async def test_two_rounds_never_overlap(scene: Scene) -> None:
    scene.ask("beta")
    await scene.doors.backend.take_lease(LEASE, "another bot", 60)
    result = await scene.round()
    assert (result.is_ours, result.trials) == (False, 0)
    assert "another bot is at work until" in result.errors[0].reason
    assert scene.rows("select count(*) from bugs") == [(0,)]
    # whoever was killed with the lease in hand keeps it only as long as it lasts
    with scene.database.connect() as connection:
        connection.execute("update leases set expires = now() - interval '1 second'")
    result = await scene.round()
    assert (result.is_ours, result.trials) == (True, 1)
    assert (await scene.round()).is_ours, "a round gives its lease back"


async def test_dead_backend_ends_the_round_and_the_next_bot_need_not_wait(scene: Scene) -> None:
    scene.ask("beta")
    scene.world.bugzilla.state.bugs.clear()
    await scene.round()
    async with scene.another_bot() as doors:
        assert (await run_round(doors)).is_ours


async def test_wishes_of_pages_are_fulfilled(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()
    (uid,) = scene.rows("select uid from requests")[0]
    with scene.database.connect() as connection:
        for number, (kind, subject) in enumerate([("trial", uid), ("bug", "2999"), ("bug", "weird")]):
            connection.execute(
                "insert into wishes (uid, kind, subject) values (%s, %s, %s)", (f"w{number}", kind, subject)
            )
    result = await scene.look()
    assert (result.trials, [step.bug for step in result.plan]) == (1, [bug, 2999])
    done = dict(scene.rows("select uid, result from wishes where done_at is not null"))
    assert done["w0"] == {"error": None}
    assert "2999" in str(done["w1"]) or "not exist" in str(done["w1"])
    assert set(done) == {"w0", "w1", "w2"}


async def test_restricted_bug_is_reported_as_restricted(scene: Scene) -> None:
    bug = scene.ask("beta", kind="revision", groups=(SECURITY,))
    await scene.round()
    assert scene.rows("select is_restricted from bugs where id = %s", bug) == [(True,)]
    assert scene.outcomes() == {(bug, "beta"): "clean"}


async def test_every_request_has_its_own_form_and_analysis(scene: Scene) -> None:
    bug = scene.ask("beta", "release")
    odd = scene.ask("beta", form=ODD)
    await scene.round()
    forms = dict(scene.rows("select train, form->>'train_hint' from requests where bug = %s", bug))
    assert forms == {"beta": "firefox-beta", "release": "firefox-release"}, (
        "B11: each train has its own request"
    )
    ((facts, error),) = scene.rows("select facts, analysis_error from bugs where id = %s", bug)
    assert error is None
    (patch,) = facts["analysis"]["patches"]
    assert (patch["reviewers"], [file["path"] for file in patch["files"]]) == (
        ["tbrand"],
        ["src/part000.txt"],
    )
    assert patch["recent"] is not None, "three releases back are known"
    reading = facts["analysis"]["reading"]
    assert reading["type"] == "mozdata"
    assert {one["flag"] for one in reading["uplifts"]} == {
        f"approval-mozilla-{train}" for train in ("beta", "release", "esr128", "esr140")
    }
    people = {one["email"]: one["roles"] for one in facts["contributors"]}
    assert people["mira@people.example"] == ["assignee", "author", "uplift requester"]
    assert "reviewer" in people["tomas@people.example"]
    # B13: a form in words nobody foresaw made every report fail for a month
    ((parsed, raw),) = scene.rows(
        "select (form->>'is_parsed')::boolean, form->>'raw' from requests where bug = %s", odd
    )
    assert (parsed, raw.endswith(ODD)) == (False, True)


async def test_patches_that_have_not_landed_have_facts_too(scene: Scene) -> None:
    review = scene.ask("beta", kind="revision", stack=2)
    raw = scene.ask("esr140", kind="attachment")
    result = await scene.round()
    assert result.errors == ()
    found = {
        bug: {one["name"]: one for one in facts["analysis"]["patches"]}
        for bug, facts in scene.rows("select id, facts from bugs")
    }
    names = [f"D{number}" for number in scene.revisions(review)]
    assert list(found[review]) == names
    first = found[review][names[0]]
    assert (first["kind"], first["author"]["email"]) == ("revision", "mira@people.example")
    assert [(file["path"], file["added"], file["deleted"]) for file in first["files"]] == [
        ("src/part000.txt", 1, 1)
    ]
    assert first["overall"]["commits"] == 1, "the file was touched once before"
    (attached,) = found[raw].values()
    assert (attached["kind"], attached["author"]["email"]) == ("attachment", "mira@people.example")
    assert scene.world.phabricator.count("getrawdiff") == 2, "each diff is fetched once, trials included"


async def test_result_is_the_contract_of_acceptance(scene: Scene) -> None:
    scene.ask("beta")
    result = await scene.round()
    shown = msgspec.to_builtins(result)
    assert {"bugs", "requests", "trials", "skipped_unchanged", "http_calls", "seconds", "errors"} <= set(
        shown
    )
    assert shown["http_calls"] == sum(shown["calls"].values()) > 0
    assert 0 < shown["seconds"] < 60


async def test_bug_without_a_request_of_ours_is_not_read_every_time(scene: Scene) -> None:
    obsolete = scene.ask("beta")
    (attachment,) = scene.carriers(obsolete)
    scene.world.bugzilla.obsolete(attachment, by="mira@people.example")
    result = await scene.round()
    assert (result.bugs, result.requests, result.errors) == (0, 0, ())
    assert scene.rows("select count(*) from bugs") == [(0,)], "nobody asked for it: not stored"
    assert (await scene.round()).plan == ()
    async with scene.another_bot() as doors:
        assert (await run_round(doors)).plan == ()
    scene.clock.move(minutes=1)
    scene.world.bugzilla.attachment(attachment).is_obsolete = False
    scene.world.bugzilla.change(obsolete, by="mira@people.example", priority="P1")
    await scene.round()
    assert scene.outcomes() == {(obsolete, "beta"): "clean"}


async def test_broken_memory_of_barren_bugs_costs_only_a_reading(scene: Scene) -> None:
    bug = scene.ask("beta")
    scene.world.bugzilla.obsolete(scene.carriers(bug)[0], by="mira@people.example")
    await scene.round()
    file = Path(scene.settings.bot.cache) / "barren.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("half a file")
    result = await scene.round()
    assert ([step.bug for step in result.plan], result.errors) == ([bug], ())
    assert (await scene.round()).plan == ()
