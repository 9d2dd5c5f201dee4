# SPDX-License-Identifier: MPL-2.0
"""Whoever decided hears by mail when it did not get through: once, of a restricted bug only its number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from fixtures_decisions import HOUSE, HUGO, MIRA, ROSA, SECURITY, Desk, desked
from fixtures_postgres import Server
from shipit.actions import deciding
from shipit.errors import Unavailable
from shipit.runner.alarms import tell_deciders
from shipit.uplift.decision_states import PartState
from shipit.uplift.verdicts import Verdict

pytestmark = pytest.mark.asyncio(loop_scope="module")
URL = "https://shipit.example"
REASON = "Too risky for {version}."


class Post:
    """Keeps what is sent; silent: nothing can be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.silent = False

    async def __call__(self, address: str, subject: str, text: str) -> None:
        if self.silent:
            raise Unavailable("Taskcluster", "does not answer")
        self.sent.append((address, subject, text))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_desk(postgres: Server) -> AsyncIterator[Desk]:
    database = postgres.create_migrated()
    async with desked(database) as made:
        yield made
    postgres.drop(database.url)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(one_desk: Desk) -> Desk:
    await one_desk.begin()
    one_desk.query("update decision_parts set finished_at = now() - interval '9 days' where state <> 'done'")
    return one_desk


async def told(desk: Desk, post: Post | None, *, minutes: float = 3) -> int:
    """What a runner sends so many minutes later."""
    return await tell_deciders(desk.pool, post, url=URL, now=datetime.now(UTC) + timedelta(minutes=minutes))


def filed(desk: Desk) -> int:
    """A bug that was last changed a while ago."""
    bug = desk.file("beta")
    desk.world.bugzilla.state.bugs[bug].changed -= timedelta(minutes=5)
    return bug


async def stuck(desk: Desk, *, groups: tuple[str, ...] = ()) -> tuple[str, int]:
    """A decision whose flag Bugzilla refuses."""
    bug = desk.file("beta", groups=groups)
    await desk.read()
    made = await desk.decide(Verdict.REJECT, bug, comment=REASON)
    desk.world.bugzilla.state.users[ROSA].groups.discard("release-managers")
    assert (await desk.settle(made.uid)).state is PartState.STUCK
    return made.uid, bug


async def test_a_refusal_is_told_once_with_how_far_it_came_and_where_to_go_on(desk: Desk) -> None:
    post = Post()
    uid, bug = await stuck(desk)
    assert await told(desk, post, minutes=1) == 0
    assert [await told(desk, post) for _ in range(3)] == [1, 0, 0]
    ((to, subject, text),) = post.sent
    assert (to, subject) == (ROSA, f"Bug {bug}: what you decided is not written")
    assert "0 of 2 written" in text and "required permissions" in text
    assert f"{URL}/requests/{desk.uids(bug)[0]}" in text
    await desk.act(deciding.resume, uid, house=HOUSE)
    await desk.settle(uid)
    assert [await told(desk, post) for _ in range(2)] == [1, 0]


async def test_what_changed_under_the_hand_is_told_unless_it_was_decided_anew(desk: Desk) -> None:
    post = Post()
    first, second = filed(desk), filed(desk)
    await desk.read()
    for bug in (first, second):
        made = await desk.decide(Verdict.REJECT, bug, comment=REASON)
        desk.world.bugzilla.comment(bug, "Wait, it is verified.", by=MIRA)
        assert (await desk.settle(made.uid)).state is PartState.CHANGED
    await desk.read()
    await desk.decide(Verdict.REJECT, second, comment=REASON)
    assert await told(desk, post) == 1
    assert f"{MIRA} wrote comment" in post.sent[0][2] and f"Bug {first}" in post.sent[0][1]


async def test_a_mail_that_could_not_be_sent_is_sent_later_and_an_old_one_never(desk: Desk) -> None:
    post = Post()
    await stuck(desk)
    assert await told(desk, None) == 0
    post.silent = True
    assert await told(desk, post) == 0
    post.silent = False
    desk.query("update mails set claimed_at = now() - interval '6 minutes'")
    assert await told(desk, post) == 1
    await stuck_again(desk)
    assert await told(desk, post, minutes=60 * 49) == 0


async def stuck_again(desk: Desk) -> None:
    await desk.begin()
    await stuck(desk)


async def test_of_a_restricted_bug_a_mail_holds_its_number_alone(desk: Desk) -> None:
    post = Post()
    _, bug = await stuck(desk, groups=(SECURITY,))
    assert await told(desk, post) == 1
    text = post.sent[0][1] + post.sent[0][2]
    assert str(bug) in text
    for hidden in ("Something", "beta is", "risky", "attachment", "written", MIRA, "Reject"):
        assert hidden not in text


async def test_whoever_has_no_address_is_written_to_at_that_of_their_bugzilla_account(desk: Desk) -> None:
    post = Post()
    bug = filed(desk)
    await desk.read()
    hugo = desk.by.__class__("mozilla-auth0/ad|Mozilla-LDAP|hugo", "hugo", desk.by.scopes)
    await desk.enter_keys(hugo, HUGO, "hugo")
    made = await desk.decide(Verdict.REJECT, bug, by=hugo, comment=REASON)
    desk.world.bugzilla.comment(bug, "Wait.", by=MIRA)
    assert (await desk.settle(made.uid)).state is PartState.CHANGED
    assert await told(desk, post) == 1 and post.sent[0][0] == HUGO
