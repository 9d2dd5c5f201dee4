# SPDX-License-Identifier: MPL-2.0
"""Mails: once per state, to the people concerned, nothing of a security bug, none lost, none twice."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from fixtures_bot import FREE_LINE, OWN_LINE, SECURITY, Scene
from shipit.bot.rounds import run_round
from shipit.errors import ShipitError
from shipit.world.taskcluster import Mail

MIRA = "mira@people.example"


def mails(scene: Scene) -> list[Mail]:
    return scene.world.taskcluster.mails


async def test_new_conflict_is_told_once_to_whom_it_concerns(scene: Scene) -> None:
    bug = scene.ask("beta", "release", on="beta")
    await scene.round()
    assert [(one.address, one.subject) for one in mails(scene)] == [
        (MIRA, f"Bug {bug}: conflict with beta - Part 0 is wrong")
    ]
    assert "src/part000.txt (content)" in mails(scene)[0].content
    # B14: the original wrote again at each run, or never; and not after a restart either
    await scene.round()
    scene.product.move("beta")
    await scene.round()
    async with scene.another_bot() as doors:
        scene.clock.move(minutes=5)
        await run_round(doors, only=bug)
    assert len(mails(scene)) == 1


async def test_conflict_that_comes_when_the_train_moves_is_told(scene: Scene) -> None:
    bug = scene.ask("beta", kind="revision")
    await scene.round()
    scene.product.patch("beta", 0, FREE_LINE, "Bug 77 - In the way. r=tbrand", text="in the way")
    await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "conflict"}
    assert [one.subject for one in mails(scene)] == [f"Bug {bug}: conflict with beta - Part 0 is wrong"]
    scene.revise(bug, FREE_LINE + 4)
    await scene.round()
    assert scene.outcomes() == {(bug, "beta"): "clean"}
    scene.revise(bug, OWN_LINE["beta"])
    await scene.round()
    assert len(mails(scene)) == 2, "another patch that conflicts is another state"


async def test_mail_about_a_security_bug_holds_nothing_of_it(scene: Scene) -> None:
    bug = scene.ask("beta", on="beta", groups=(SECURITY,))
    await scene.round()
    (mail,) = mails(scene)
    text = mail.subject + mail.content
    for secret in ("Part 0", "part000", "wrong", "Mend", "beta", scene.product.tip("beta")[:12]):
        assert secret not in text, secret
    assert str(bug) in text
    assert scene.rows("select subject from mails") == [(f"Bug {bug}: an uplift request needs you",)]


async def test_mail_about_a_security_bug_goes_only_to_whom_it_concerns(scene: Scene) -> None:
    scene.ask("beta", on="beta", groups=(SECURITY,))
    public = scene.ask("beta", on="beta")
    everybody = "uplifts@people.example"
    told = msgspec.structs.replace(scene.settings.bot, notify=(everybody,))
    async with scene.another_bot(bot=told) as doors:
        await run_round(doors)
    assert sorted(one.address for one in mails(scene)) == [MIRA, MIRA, everybody]
    assert [str(public) in one.subject for one in mails(scene) if one.address == everybody] == [True]
    assert sorted(len(one) for (one,) in scene.rows("select recipients from mails")) == [1, 2]


async def test_mail_claimed_by_a_bot_that_died_is_sent_by_the_next(scene: Scene) -> None:
    scene.ask("beta", on="beta")

    class Killed(BaseException):
        pass

    async def die(address: str, subject: str, text: str) -> None:
        raise Killed

    dying = dataclasses.replace(scene.doors, send=die)
    with pytest.raises(Killed):
        await run_round(dying)
    assert scene.rows("select sent_at from mails") == [(None,)]
    await scene.round()
    assert mails(scene) == [], "it may yet be on its way"
    with scene.database.connect() as connection:
        connection.execute("update mails set claimed_at = claimed_at - interval '6 minutes'")
    await scene.round()
    assert [one.address for one in mails(scene)] == [MIRA]
    assert scene.rows("select outcome from mails") == [("sent",)]
    await scene.round()
    assert len(mails(scene)) == 1


async def test_mail_that_could_not_go_out_is_not_sent_when_it_is_no_longer_so(scene: Scene) -> None:
    bug = scene.ask("beta", kind="revision", on="beta")
    scene.world.taskcluster.fail(containing="notify")
    result = await scene.round()
    assert [(one.bug, "not sent" in one.reason) for one in result.errors] == [(bug, True)]
    scene.world.heal()
    scene.revise(bug, FREE_LINE)
    await scene.round()
    with scene.database.connect() as connection:
        connection.execute("update mails set claimed_at = claimed_at - interval '6 minutes'")
    await scene.round()
    assert mails(scene) == []
    assert scene.rows("select outcome from mails") == [("no longer so when it could be sent",)]


async def test_address_that_is_refused_does_not_silence_the_others(scene: Scene) -> None:
    bug = scene.ask("beta", on="beta")
    scene.world.taskcluster.deny(MIRA)
    told = msgspec.structs.replace(scene.settings.bot, notify=("uplifts@people.example",))
    async with scene.another_bot(bot=told) as doors:
        result = await run_round(doors)
    assert [one.address for one in mails(scene)] == ["uplifts@people.example"]
    assert [one.bug for one in result.errors] == [bug]
    ((outcome,),) = scene.rows("select outcome from mails where sent_at is not null")
    assert "wants no mail" in outcome


async def test_nobody_is_written_to_where_nobody_shall_be(scene: Scene) -> None:
    scene.ask("beta", on="beta")
    silent = msgspec.structs.replace(scene.settings.bot, notify_people=False)
    async with scene.another_bot(bot=silent) as doors:
        result = await run_round(doors)
    assert (result.errors, mails(scene), scene.rows("select count(*) from mails")) == ((), [], [(0,)])


async def test_rejected_request_that_conflicts_bothers_nobody(scene: Scene) -> None:
    bug = scene.ask("beta", on="beta")
    scene.decide(bug, "beta", "-")
    await scene.round()
    assert (scene.states(bug), mails(scene)) == ({"beta": "rejected"}, [])


async def test_infrastructure_that_stumbles_is_no_news(scene: Scene) -> None:
    scene.ask("beta", kind="attachment", on="beta")
    await scene.round()
    assert len(mails(scene)) == 1
    # an error between two conflicts of the same patches
    scene.clock.move(minutes=1)
    with scene.database.connect() as connection:
        connection.execute(
            "insert into trials"
            " (request, train, tip, series_digest, outcome, patches, tried_at, took_ms, engine)"
            " select request, train, tip, series_digest, 'error', patches, tried_at + interval '1 minute', 1,"
            " engine from trials"
        )
    scene.clock.move(minutes=15)
    result = await scene.round()
    assert result.trials == 1
    assert len(mails(scene)) == 1


async def test_backend_that_cannot_say_whose_mail_it_is_ends_the_round(scene: Scene) -> None:
    scene.ask("beta", on="beta")
    claim = scene.doors.backend.claim_mail

    async def broken(*_: object) -> bool:
        raise ShipitError("the backend is down")

    scene.doors.backend.claim_mail = broken  # type: ignore[method-assign]
    with pytest.raises(ShipitError):
        await scene.round()
    assert mails(scene) == []
    scene.doors.backend.claim_mail = claim  # type: ignore[method-assign]
    await scene.round()
    assert len(mails(scene)) == 1
