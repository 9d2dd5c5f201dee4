# SPDX-License-Identifier: MPL-2.0
"""What the bot does after its trials: searches what conflicts miss, and keeps landing plans fresh."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fixtures_bot import AUTHOR, BRIDGE, FREE_LINE, SECURITY, TRAINS, Scene, form_for
from shipit.bot import searches
from shipit.bot.aftermath import Aftermath
from shipit.bot.rounds import run_round


def advice_of(scene: Scene, bug: int) -> list[tuple[Any, ...]]:
    return scene.rows(
        "select a.needs, a.is_verified, a.key, a.content, a.reason from advice a"
        " join requests r on r.uid = a.request where r.bug = %s order by a.train",
        bug,
    )


def plan_of(scene: Scene, train: str, scope: str = "pending") -> dict[str, Any]:
    ((content,),) = scene.rows(
        "select content from plans where train = %s and scope = %s and not sees_restricted", train, scope
    )
    return content  # type: ignore[no-any-return]


def built_on_another(scene: Scene) -> tuple[int, str]:
    """A bug whose patch rewrites a line that a commit of main wrote, which beta lacks; and that commit."""
    product = scene.product
    missing = product.patch("main", len(scene._numbers), FREE_LINE, "Bug 900 - First. r=tbrand", text="first")
    return scene.ask("beta"), missing


async def test_every_conflict_is_searched_once_and_told_to_the_backend(scene: Scene) -> None:
    bug, missing = built_on_another(scene)
    own = scene.ask("beta", on="beta")
    await scene.round()
    ((needs, verified, key, content, _),) = advice_of(scene, bug)
    assert (needs, verified) == ([900], True)
    assert [one["revision"] for one in content["prerequisites"]] == [missing]
    ((needs, verified, _, content, _),) = advice_of(scene, own)
    assert (needs, verified) == ([], False)
    assert [one["bug"] for one in content["in_the_way"]] == [1001]
    # nothing changed: nothing is searched again, though a whole round looks
    at = scene.rows("select searched_at from advice order by request")
    await scene.round()
    assert scene.rows("select searched_at from advice order by request") == at
    # the train moved: the conflict is another
    scene.product.move("beta")
    await scene.round()
    assert advice_of(scene, bug)[0][2] != key


@pytest.mark.drill
async def test_a_raw_diff_is_searched_as_what_it_will_be_on_main(scene: Scene) -> None:
    product = scene.product
    missing = product.patch("main", 0, FREE_LINE, "Bug 900 - First. r=tbrand", text="first")
    bug = scene.ask("beta", kind="revision")
    await scene.round()
    assert scene.outcomes(bug) == {(bug, "beta"): "conflict"}
    ((needs, verified, _, content, _),) = advice_of(scene, bug)
    assert (needs, verified, [one["revision"] for one in content["prerequisites"]]) == (
        [900],
        True,
        [missing],
    )


async def test_the_mail_about_a_conflict_says_what_it_needs(scene: Scene) -> None:
    built_on_another(scene)
    await scene.round()
    (sent,) = [mail for mail in scene.world.taskcluster.mails if mail.address == AUTHOR.email]
    assert "Needs bug 900. Ask for bug 900 on beta as well" in sent.content


@pytest.mark.drill
async def test_a_search_that_hangs_is_given_up_and_the_trials_are_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(searches, "advise", never)
    monkeypatch.setattr(searches, "SEARCH_SECONDS", 0.05)
    bug, _ = built_on_another(scene)
    result = await scene.round()
    assert (scene.outcomes(bug), result.errors) == ({(bug, "beta"): "conflict"}, ())
    assert "given up after 0.05 s" in advice_of(scene, bug)[0][4]


@pytest.mark.drill
async def test_watching_tells_trials_before_it_searches(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = asyncio.Event()
    real = searches.advise

    async def slow(*given: Any) -> Any:
        await going.wait()
        return await real(*given)

    monkeypatch.setattr(searches, "advise", slow)
    bug, _ = built_on_another(scene)
    async with Aftermath(scene.doors) as aftermath:
        aftermath.start()
        scene.clock.move(minutes=5)
        await run_round(scene.doors, aftermath=aftermath)
        # the round is over, another bug is asked for and tried, and the search has not even begun
        other = scene.ask("beta")
        scene.clock.move(minutes=5)
        await run_round(scene.doors, aftermath=aftermath)
        assert scene.outcomes(other) == {(other, "beta"): "clean"}
        assert advice_of(scene, bug) == []
        going.set()
        async with asyncio.timeout(20):
            while not advice_of(scene, bug):
                await asyncio.sleep(0.02)
    assert advice_of(scene, bug)[0][0] == [900]


def ask_in(scene: Scene, bug: int, line: int, text: str) -> int:
    """Another bug, whose landed patch edits the same file as that bug's; its number."""
    product, world = scene.product, scene.world
    made = world.bugzilla.file_bug("Another", by=AUTHOR.email, assigned_to=AUTHOR.email)
    revision = max(world.phabricator.revisions, default=5000) + 1
    words = f"Bug {made} - {text}. r=tbrand\n\nDifferential Revision: https://phab.example/D{revision}"
    commit = product.patch(product.main, scene._numbers[bug], line, words, text=text)
    world.phabricator.revise(
        words,
        product.diff(commit),
        by="mira",
        repository="firefox-main",
        base=None,
        bug=made,
        parents=[],
        number=revision,
        status="published",
        view="public",
    )
    root = world.phabricator.url
    attached = world.bugzilla.attach_revision(made, revision, by=BRIDGE, title=words, root=root)
    world.bugzilla.comment(made, f"https://github.com/mozilla-firefox/firefox/commit/{commit}", by=BRIDGE)
    world.bugzilla.request_uplift(attached, "beta", by=AUTHOR.email, form=form_for("beta"))
    return made


async def test_a_plan_says_what_lands_first(scene: Scene) -> None:
    first = scene.ask("beta")
    second = ask_in(scene, first, FREE_LINE, "second")
    scene.decide(first, "beta", "+")
    await scene.round()
    assert [one["bug"] for one in plan_of(scene, "beta", "approved")["order"]] == [first]
    pending = plan_of(scene, "beta")
    assert [one["bug"] for one in pending["order"]] == [first, second]
    (waiting,) = pending["conflicts"]
    assert (waiting["bug"], waiting["lands"], len(waiting["after"])) == (second, True, 1)
    assert f"merges cleanly with bug {first} landed first" in waiting["reason"]


@pytest.mark.drill
async def test_plans_are_made_again_only_when_heads_patches_or_decisions_change(scene: Scene) -> None:
    every = "select train, scope, sees_restricted, made_at from plans order by 1, 2, 3"
    bug = scene.ask("beta")
    await scene.round()
    made = scene.rows(every)
    assert {row[0] for row in made} == set(TRAINS)
    await scene.round()
    assert scene.rows(every) == made
    scene.decide(bug, "beta", "+")
    await scene.round()
    assert {row[:3] for row in set(scene.rows(every)) - set(made)} == {
        ("beta", "approved", False),
        ("beta", "approved", True),
    }
    made = scene.rows(every)
    scene.product.move("beta")
    await scene.round()
    assert {row[0] for row in set(scene.rows(every)) - set(made)} == {"beta"}


async def test_a_restricted_bug_is_in_no_plan_that_everybody_sees(scene: Scene) -> None:
    secret, public = scene.ask("beta", groups=(SECURITY,)), scene.ask("beta")
    await scene.round()
    assert [one["bug"] for one in plan_of(scene, "beta")["order"]] == [public]
    ((content,),) = scene.rows(
        "select content from plans where train = 'beta' and scope = 'pending' and sees_restricted"
    )
    assert [one["bug"] for one in content["order"]] == [secret, public]


async def test_what_is_left_behind_on_main_is_listed_with_its_cause(scene: Scene) -> None:
    bug = scene.ask("beta")
    product = scene.product
    words = f"Bug 950 - Mend it. r=tbrand\n\nThis fixes a regression from bug {bug}."
    fix = product.patch("main", 11, 3, words)
    scene.decide(bug, "beta", "+")
    await scene.round()
    behind = plan_of(scene, "beta", "approved")["left_behind"]
    assert [(one["revision"], one["bug"], one["of_bug"]) for one in behind] == [(fix, 950, bug)]
