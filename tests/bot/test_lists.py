# SPDX-License-Identifier: MPL-2.0
"""The board's lists from Bugzilla to the backend: exactly counted, cheap, and never emptied by a failure."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures_bot import AUTHOR, BOT, MANAGER, REVIEWER, SECURITY, Scene
from shipit.world.server import Trouble

BETA, RELEASE, ESR = "cf_{}_firefox149", "cf_{}_firefox148", "cf_{}_firefox_esr140"


def listed(scene: Scene) -> dict[tuple[str, str], list[int]]:
    """(train, list) → the bugs on it."""
    found: dict[tuple[str, str], list[int]] = {}
    for train, name, bug in scene.rows("select train, list, bug from board_bugs order by 1, 2, 3"):
        found.setdefault((train, name), []).append(bug)
    return found


def unavailable(scene: Scene) -> dict[tuple[str, str], str]:
    rows = scene.rows(
        "select train, list, unavailable_reason from board_lists where unavailable_since is not null"
    )
    return {(train, name): reason for train, name, reason in rows}


def tell(scene: Scene, number: int, **fields: Any) -> int:
    """A bug without a request."""
    resolution = fields.pop("resolution", "")
    bugs = scene.world.bugzilla
    made = bugs.file_bug("It is wrong", by=REVIEWER.email, number=number, assigned_to=AUTHOR.email, **fields)
    if resolution:
        bugs.change(made, by=REVIEWER.email, resolution=resolution, status="RESOLVED")
    return made


def tell_all(scene: Scene) -> None:
    affected = BETA.format("status")
    tell(scene, 3001, **{BETA.format("tracking"): "?"})
    tell(scene, 3002, **{BETA.format("tracking"): "?", RELEASE.format("tracking"): "?"})
    tell(scene, 3003, cf_tracking_firefox_relnote="?", **{affected: "fixed"})
    tell(scene, 3004, keywords=["sec-high"], groups=[SECURITY], **{affected: "affected"})
    tell(scene, 3005, resolution="FIXED", **{affected: "affected"})
    tell(scene, 3006, resolution="FIXED", **{ESR.format("status"): "affected"})
    tell(scene, 3007, resolution="FIXED", **{affected: "wontfix"})
    # the search finds it, the rule does not: its request is among the requests
    asked = scene.ask("beta", bug=3008)
    scene.world.bugzilla.change(asked, by=AUTHOR.email, resolution="FIXED", status="RESOLVED")
    scene.world.bugzilla.change(asked, by=AUTHOR.email, **{affected: "affected"})


FULL = {
    ("beta", "relnote"): [3003],
    ("beta", "security"): [3004],
    ("beta", "tracking"): [3001, 3002],
    ("beta", "unasked"): [3005],
    ("release", "tracking"): [3002],
}


async def test_round_reads_every_list_of_every_train_in_one_search(scene: Scene) -> None:
    tell_all(scene)
    result = await scene.round()
    assert result.errors == ()
    assert listed(scene) == FULL
    assert scene.rows("select bug from board_bugs where is_restricted") == [(3004,)]
    assert unavailable(scene) == {}
    assert scene.world.bugzilla.count("f1=OP") == 1
    scene.world.forget()
    result = await scene.round()
    assert listed(scene) == FULL
    assert result.calls["Bugzilla"] + result.calls["Ship It"] <= 10


async def test_bug_leaves_its_list_and_the_others_keep_since_when_they_are_there(scene: Scene) -> None:
    tell_all(scene)
    await scene.round()
    since = scene.rows("select min(since) from board_bugs")
    scene.world.bugzilla.change(3001, by=MANAGER.email, **{BETA.format("tracking"): "+"})
    scene.world.bugzilla.change(3005, by=MANAGER.email, **{BETA.format("status"): "fixed"})
    scene.clock.move(minutes=5)
    await scene.round()
    assert ("beta", "unasked") not in listed(scene)
    assert listed(scene)["beta", "tracking"] == [3002]
    assert scene.rows("select distinct since from board_bugs") == since


async def test_failing_bugzilla_never_empties_a_list(scene: Scene) -> None:
    tell_all(scene)
    await scene.round()
    read_at = scene.rows("select distinct read_at from board_lists")
    scene.world.bugzilla.fail(Trouble.ERROR, containing="f1=OP")
    result = await scene.round()
    assert result.trains_read == 4, "the requests are read all the same"
    assert listed(scene) == FULL
    assert scene.rows("select distinct read_at from board_lists") == read_at
    lists = {(t, n) for t, n in scene.rows("select train, list from board_lists")}
    assert set(unavailable(scene)) == lists and len(lists) == 16
    assert {one.bug for one in result.errors} == {None}
    since = scene.rows("select distinct unavailable_since from board_lists")
    await scene.round()
    assert scene.rows("select distinct unavailable_since from board_lists") == since
    scene.world.bugzilla.heal()
    await scene.round()
    assert (unavailable(scene), listed(scene)) == ({}, FULL)


async def test_field_that_bugzilla_does_not_know_yet_silences_only_its_lists(scene: Scene) -> None:
    tell_all(scene)
    del scene.world.bugzilla.state.custom_fields[ESR.format("tracking")]
    await scene.round()
    reason = f"Bugzilla does not know the field {ESR.format('tracking')}"
    assert unavailable(scene) == {("esr140", "tracking"): reason, ("esr140", "unasked"): reason}
    assert listed(scene) == FULL
    assert scene.world.bugzilla.count("f1=OP") == 2


async def test_bugzilla_that_names_nothing_any_more_is_not_believed_about_lists(scene: Scene) -> None:
    tell_all(scene)
    await scene.round()
    # every bug vanishes at once, as behind a key that lost its rights; we are not told of a hidden one
    scene.world.bugzilla.state.bugs.clear()
    await scene.round()
    assert listed(scene) == FULL
    assert len(unavailable(scene)) == 16


async def test_quiet_looks_do_not_search_for_lists_again_for_five_minutes(scene: Scene) -> None:
    tell_all(scene)
    await scene.round()
    scene.world.forget()
    await scene.look()
    assert scene.world.bugzilla.count("f1=OP") == 0
    tell(scene, 3010, **{BETA.format("tracking"): "?"})
    scene.clock.move(minutes=5)
    await scene.look()
    assert scene.world.bugzilla.count("f1=OP") == 1
    assert listed(scene)["beta", "tracking"] == [3001, 3002, 3010]


@pytest.mark.parametrize("size", [3])
async def test_lists_are_read_in_pages(scene: Scene, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shipit.clients.bugzilla_pages.PAGE", size)
    for number in range(3100, 3110):
        tell(scene, number, **{BETA.format("tracking"): "?"})
    await scene.round()
    assert listed(scene)["beta", "tracking"] == list(range(3100, 3110))


async def test_answered_question_is_told_with_its_request(scene: Scene) -> None:
    bug = scene.ask("beta")
    bugs = scene.world.bugzilla
    scene.clock.move(minutes=1)
    bugs.set_flag("needinfo", "?", by=MANAGER.email, bug=bug, requestee=AUTHOR.email)
    await scene.round()
    assert scene.rows("select facts->'needinfos'->0->>'cleared_at' from bugs") == [(None,)]
    scene.clock.move(minutes=1)
    bugs.set_flag("needinfo", "X", by=AUTHOR.email, bug=bug)
    await scene.round()
    assert scene.rows("select facts->'needinfos'->0->>'cleared_by' from bugs") == [(AUTHOR.email,)]
    assert BOT not in str(scene.rows("select facts->'needinfos' from bugs"))
