# SPDX-License-Identifier: MPL-2.0
"""Whatever fails, a round loses nothing, says what it could not find out, and does the rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from fixtures_bot import SECURITY, Scene
from shipit.bot.rounds import run_round
from shipit.errors import ShipitError
from shipit.world.server import Trouble


def unavailable(scene: Scene) -> dict[str, str | None]:
    """train → why its requests could not be read, of those that could not."""
    return dict(
        scene.rows(
            "select name, requests_unavailable_reason from trains"
            " where requests_unavailable_since is not null"
        )
    )


async def test_bug_that_becomes_hidden_is_kept_and_shown_to_nobody_else(scene: Scene) -> None:
    hidden, other = scene.ask("beta"), scene.ask("beta")
    await scene.round()
    scene.clock.move(minutes=1)
    scene.world.bugzilla.change(other, by="mira@people.example", priority="P1")
    groups = scene.world.bugzilla.bug(hidden).lists["groups"]
    groups.append("nobody-of-us")
    result = await scene.round()
    assert [(one.bug, one.reason) for one in result.errors] == [
        (hidden, "Bugzilla does not show it to us now: it is restricted there, or gone")
    ]
    assert (result.skipped_unchanged, result.is_whole) == (1, True)
    assert scene.outcomes() == {(hidden, "beta"): "clean", (other, "beta"): "clean"}
    stored = "select is_restricted, facts->>'hidden_reason' from bugs where id = %s"
    assert scene.rows(stored, hidden) == [
        (True, "Bugzilla no longer shows this bug to the bot: it is restricted there, or gone")
    ]
    scene.product.move("beta")
    result = await scene.round()
    # what nobody may read is not tried either, and it does not make the quiet rounds dearer
    assert ([one.bug for one in result.errors], result.trials) == ([hidden], 1)
    scene.world.forget()
    result = await scene.round()
    assert (result.trials, result.calls["Bugzilla"]) == (0, scene.asked())
    assert scene.world.bugzilla.count("anywordssubstr") == 2, "one search for all trains is still believed"
    assert result.calls["Bugzilla"] + result.calls["Ship It"] <= 10
    assert (await scene.look()).errors == (), "a look tells it once"
    result = await scene.round(only=hidden)
    assert [trouble.bug for trouble in result.errors] == [hidden]
    assert "not authorized" in result.errors[0].reason
    groups.remove("nobody-of-us")
    await scene.round()
    assert scene.rows(stored, hidden) == [(False, None)]
    assert (await scene.round()).errors == ()


async def test_only_bug_of_all_is_hidden_when_bugzilla_says_that_we_may_not_see_it(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()
    scene.world.bugzilla.bug(bug).lists["groups"].append("nobody-of-us")
    result = await scene.round()
    assert ([one.bug for one in result.errors], result.trains_read) == ([bug], 4)
    assert scene.rows("select is_restricted, digest from bugs") == [(True, "hidden")]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("how", ["round", "look"])
async def test_bugzilla_that_knows_no_bug_at_all_is_not_believed(scene: Scene, count: int, how: str) -> None:
    bugs = [scene.ask("beta") for _ in range(count)]
    await scene.round()
    answer = scene.world.bugzilla.answer

    async def empty(request: Any, handler: Any) -> Any:
        return web.json_response({"bugs": []})

    scene.world.bugzilla.answer = empty  # type: ignore[method-assign]
    result = await getattr(scene, how)()
    reason = f"Bugzilla names none of the {count} bugs we know"
    assert unavailable(scene) == dict.fromkeys(("beta", "release", "esr128", "esr140"), reason)
    assert {one.reason for one in result.errors} == {f"{train}: {reason}" for train in unavailable(scene)}
    assert (result.trains_read, result.is_whole) == (0, False)
    assert scene.rows("select distinct is_restricted from bugs") == [(False,)]
    assert scene.rows(
        "select (counts->>'trains_read')::numeric from rounds order by started desc limit 1"
    ) == [(0,)]
    scene.world.bugzilla.answer = answer  # type: ignore[method-assign]
    result = await scene.round()
    assert (result.errors, unavailable(scene), result.trains_read) == ((), {}, 4)
    assert scene.outcomes() == dict.fromkeys(((bug, "beta") for bug in bugs), "clean")


async def test_train_of_whose_pending_bugs_none_is_named_is_the_only_unavailable_one(scene: Scene) -> None:
    lost, other = [scene.ask("beta"), scene.ask("beta")], scene.ask("release")
    await scene.round()
    answer = scene.world.bugzilla.answer

    async def forgetful(request: Any, handler: Any) -> Any:
        if any(str(bug) in request.path for bug in lost):
            return web.json_response({"bugs": []})
        said = await answer(request, handler)
        if not request.path.endswith("/rest/bug"):
            return said
        named = msgspec.json.decode(said.body)
        return web.json_response({"bugs": [one for one in named["bugs"] if one["id"] not in lost]})

    scene.world.bugzilla.answer = forgetful  # type: ignore[method-assign]
    result = await scene.round()
    reason = "Bugzilla names none of the 2 bugs we know to be pending"
    assert (unavailable(scene), result.trains_read) == ({"beta": reason}, 3)
    assert scene.rows("select distinct is_restricted from bugs") == [(False,)]
    assert scene.outcomes(other) == {(other, "release"): "clean"}


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.GARBAGE])
async def test_silent_bugzilla_deletes_nothing(scene: Scene, trouble: Trouble) -> None:
    bug = scene.ask("beta", "release")
    await scene.round()
    before = scene.outcomes()
    scene.world.bugzilla.fail(trouble)
    scene.product.move("beta")
    result = await scene.round()
    # B9: the original took an empty answer for "nothing requested" and deleted every bug
    assert scene.outcomes() == before == {(bug, "beta"): "clean", (bug, "release"): "clean"}
    assert result.trials == 1, "the branch moved, which needs no Bugzilla"
    assert set(unavailable(scene)) == {"beta", "release", "esr128", "esr140"}
    since = scene.rows("select requests_unavailable_since from trains where name = 'beta'")
    await scene.round()
    assert scene.rows("select requests_unavailable_since from trains where name = 'beta'") == since
    scene.world.heal()
    scene.decide(bug, "beta", "+")
    result = await scene.round()
    assert (result.errors, unavailable(scene), scene.states(bug)["beta"]) == ((), {}, "approved")


async def test_one_train_whose_search_fails_is_the_only_unavailable_one(scene: Scene) -> None:
    bug = scene.ask("beta", "release")
    await scene.round()
    scene.world.bugzilla.fail(containing="v1=approval-mozilla-beta?")
    scene.world.bugzilla.fail(containing="anywordssubstr&v1=approval-mozilla-beta?")
    other = scene.ask("release")
    result = await scene.round()
    assert set(unavailable(scene)) == {"beta"}
    assert set(scene.outcomes()) == {(bug, "beta"), (bug, "release"), (other, "release")}
    assert any(trouble.reason.startswith("beta: ") for trouble in result.errors)


async def test_bugzilla_that_stops_in_mid_round_is_asked_again_next_time(scene: Scene) -> None:
    old = scene.ask("beta")
    await scene.round()
    new = scene.ask("beta")
    scene.world.bugzilla.fail(containing=f"/rest/bug/{new}")
    result = await scene.round()
    assert [trouble.bug for trouble in result.errors] == [new]
    assert scene.outcomes() == {(old, "beta"): "clean"}
    scene.world.heal()
    assert (await scene.round()).errors == ()
    assert scene.outcomes() == {(old, "beta"): "clean", (new, "beta"): "clean"}


async def test_bugzilla_that_does_not_understand_the_question_has_not_lost_its_requests(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()

    answer = scene.world.bugzilla.answer

    async def deaf(request: Any, handler: Any) -> Any:
        if "anywordssubstr" in request.query_string:
            return web.json_response({"bugs": []})
        return await answer(request, handler)

    scene.world.bugzilla.answer = deaf  # type: ignore[method-assign]
    other = scene.ask("beta")
    result = await scene.round()
    assert result.errors == ()
    assert set(scene.outcomes()) == {(bug, "beta"), (other, "beta")}


async def test_silent_schedule_leaves_the_last_trains_with_their_age(scene: Scene) -> None:
    bug = scene.ask("beta", "esr140")
    await scene.round()
    scene.world.schedule.fail()
    scene.product.move("beta")
    result = await scene.round()
    assert result.trials == 1
    assert set(scene.outcomes()) == {(bug, "beta"), (bug, "esr140")}
    rows = scene.rows("select name, schedule_unavailable_since is not null from trains order by name")
    assert rows == [("beta", True), ("esr128", True), ("esr140", True), ("release", True)]


async def test_silent_phabricator_keeps_the_known_and_shows_the_new_with_the_reason(scene: Scene) -> None:
    known = scene.ask("beta", kind="revision")
    await scene.round()
    scene.decide(known, "beta", "+")
    new = scene.ask("beta", kind="revision")
    scene.world.phabricator.fail()
    result = await scene.round()
    assert scene.states(known) == {"beta": "requested"}, "kept as it was"
    assert scene.outcomes() == {(known, "beta"): "clean", (new, "beta"): "missing"}
    ((reason,),) = scene.rows("select series_reason from requests where bug = %s", new)
    assert reason.startswith("Phabricator: ")
    assert any(trouble.bug == known and "Phabricator" in trouble.reason for trouble in result.errors)
    scene.world.heal()
    await scene.round()
    assert scene.states(known) == {"beta": "approved"}
    assert scene.outcomes() == {(known, "beta"): "clean", (new, "beta"): "clean"}


async def test_silent_hash_map_costs_only_what_needs_it(scene: Scene) -> None:
    bug = scene.ask("beta")
    mapped = scene.ask("beta", kind="nothing")
    commit = scene.product.patch("main", 11, 20, "No bug - told in Mercurial's name. r=tbrand")
    scene.world.lando.add(commit, "f" * 40)
    scene.world.bugzilla.comment(
        mapped, f"https://hg.mozilla.org/integration/autoland/rev/{'f' * 40}", by="bridge@people.example"
    )
    scene.world.lando.fail()
    await scene.round()
    # B2: a hash that nobody knows ended the original's whole run
    assert scene.outcomes() == {(bug, "beta"): "clean", (mapped, "beta"): "missing"}
    scene.world.heal()
    await scene.round(only=mapped)
    assert scene.outcomes() == {(bug, "beta"): "clean", (mapped, "beta"): "clean"}


async def test_clone_that_cannot_be_fetched_keeps_its_tips_and_says_so(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()
    gone = scene.product.folder.rename(scene.product.folder.with_name("gone.git"))
    result = await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "clean"}
    assert any("clone firefox.git" in trouble.reason for trouble in result.errors)
    ((tip, reason),) = scene.rows("select tip, tip_reason from trains where name = 'beta'")
    assert tip == scene.product.tip("beta")
    assert reason
    gone.rename(scene.product.folder)
    assert (await scene.round()).errors == ()


async def test_half_deleted_clone_is_made_anew(scene: Scene) -> None:
    bug = scene.ask("beta")
    await scene.round()
    clone = scene.doors.clones["firefox"].folder
    for pack in clone.glob("objects/pack/*"):
        pack.unlink()
    for loose in clone.glob("objects/??/*"):
        loose.unlink()
    scene.product.move("beta")
    result = await scene.round()
    assert (result.errors, result.trials) == ((), 1)
    assert scene.outcomes() == {(bug, "beta"): "clean"}


async def test_bug_that_cannot_be_understood_does_not_stop_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    weird, other = scene.ask("beta"), scene.ask("beta")
    bugs = scene.doors.bugzilla.bugs

    async def poisoned(ids: Any, **more: Any) -> Any:
        found = await bugs(ids, **more)
        # a shape that no parser of ours can produce today
        found[weird] = msgspec.structs.replace(found[weird], comments=None)
        return found

    monkeypatch.setattr(scene.doors.bugzilla, "bugs", poisoned)
    result = await scene.round()
    # B5, B12: one unsupported bug aborted the rest, and no report was sent
    assert [trouble.bug for trouble in result.errors] == [weird]
    assert "it cannot be understood (TypeError" in result.errors[0].reason
    assert scene.outcomes() == {(other, "beta"): "clean"}


async def test_patch_that_cannot_be_fetched_is_an_error_and_tried_again(scene: Scene) -> None:
    bug, other = scene.ask("beta", kind="attachment"), scene.ask("beta")
    scene.world.bugzilla.fail(containing="/bug/attachment/")
    await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "error", (other, "beta"): "clean"}
    scene.world.heal()
    await scene.round()
    assert scene.outcomes()[bug, "beta"] == "error", "not at once"
    scene.clock.move(minutes=6)
    await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "clean", (other, "beta"): "clean"}


async def test_fetched_diffs_are_kept_for_us_alone_and_pruned(scene: Scene) -> None:
    scene.ask("beta", kind="attachment", groups=(SECURITY,))
    await scene.round()
    folder = Path(scene.settings.bot.cache) / "diffs"
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    scene.world.forget()
    scene.product.move("beta")
    await scene.round()
    assert scene.world.bugzilla.count("/bug/attachment/") == 0
    os.utime(file, (0, 0))
    await scene.round()
    assert list(folder.iterdir()) == []


@asynccontextmanager
async def backend_down(scene: Scene, what: str) -> AsyncIterator[None]:
    """The backend does not answer one kind of call."""
    ask = scene.doors.backend._ask

    async def broken(method: str, path: str, *rest: Any) -> Any:
        if path.startswith(what):
            raise ShipitError("the backend is down")
        return await ask(method, path, *rest)

    scene.doors.backend._ask = broken  # type: ignore[method-assign]
    try:
        yield
    finally:
        scene.doors.backend._ask = ask  # type: ignore[method-assign]


@pytest.mark.parametrize("call", ["/api/known", "/api/trains", "/api/bugs", "/api/rounds", "/api/leases"])
async def test_backend_that_stops_at_any_call_loses_nothing(scene: Scene, call: str) -> None:
    bug = scene.ask("beta")
    async with backend_down(scene, call):
        with pytest.raises(ShipitError):
            await scene.round()
    await scene.doors.backend.drop_lease("bot", scene.doors.holder)
    result = await scene.round()
    assert result.errors == ()
    assert scene.outcomes() == {(bug, "beta"): "clean"}


async def test_round_whose_lease_was_taken_over_gives_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.ask("beta")
    monkeypatch.setattr("shipit.bot.rounds.LEASE_SECONDS", 3)
    scene.world.bugzilla.fail(Trouble.SLOW, seconds=20)
    running = asyncio.create_task(scene.round())
    await asyncio.sleep(0.5)
    with scene.database.connect() as connection:
        connection.execute("update leases set holder = 'another', expires = now() + interval '1 minute'")
    result = await running
    assert (result.is_ours, result.errors[0].reason) == (
        False,
        "the round was given up: another took over the lease",
    )
    scene.world.heal()


async def test_empty_disk_goes_on_from_what_the_backend_knows(scene: Scene, tmp_path: Path) -> None:
    bug = scene.ask("beta", kind="revision")
    await scene.round()
    moved = msgspec.structs.replace(scene.settings.bot, cache=str(tmp_path / "fresh"))
    async with scene.another_bot(bot=moved) as doors:
        result = await run_round(doors)
    assert (result.errors, result.trials, result.skipped_unchanged) == ((), 0, 1)
    assert scene.outcomes() == {(bug, "beta"): "clean"}


async def test_backend_out_of_reach_ends_the_round_before_anything_is_read(scene: Scene) -> None:
    scene.ask("beta")
    other = msgspec.structs.replace(
        scene.settings,
        backend=msgspec.structs.replace(scene.settings.backend, url="http://127.0.0.1:1", port=1),
    )
    async with scene.another_bot(backend=other.backend) as doors:
        with pytest.raises(ShipitError, match="Ship It"):
            await run_round(doors)
    assert scene.asked() == 0
