# SPDX-License-Identifier: MPL-2.0
"""The Phabricator client against the fake Phabricator, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from shipit.clients.http import CallCounter
from shipit.clients.phabricator import Phabricator
from shipit.errors import Unavailable
from shipit.world.phabricator import FakePhabricator
from shipit.world.server import Trouble, served

TOKEN = "api-" + "t" * 28
DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
BASE = "b" * 40


@pytest.fixture
async def fake() -> AsyncIterator[FakePhabricator]:
    made = FakePhabricator()
    made.add_user("ann", "Ann Author")
    made.add_user("bot", token=TOKEN)
    made.add_repository("firefox-main")
    made.add_repository("firefox-beta")
    async with served(made):
        yield made


@pytest.fixture
def client(session: aiohttp.ClientSession, fake: FakePhabricator, calls: CallCounter) -> Phabricator:
    return Phabricator(session, fake.url, TOKEN, calls=calls)


async def test_a_revision_comes_with_its_newest_diff_and_names(
    client: Phabricator, fake: FakePhabricator
) -> None:
    number = fake.revise(
        "Bug 1900001 - fix r=rita",
        DIFF,
        by="ann",
        repository="firefox-beta",
        base="a" * 40,
        bug=1900001,
        number=233024,
        uplift_request="{}",
    )
    newest = fake.update(number, DIFF, base=BASE, number=964198)
    read = (await client.revisions([number])).found[number]
    assert (read.id, read.diff, read.base) == (233024, newest, BASE)
    assert (read.repository, read.bug, read.author) == ("firefox-beta", 1900001, "ann")
    assert (read.status, read.is_public, read.uplift_request) == ("accepted", True, "{}")
    assert read.changed is not None and read.changed.tzinfo is not None


async def test_the_bug_is_read_from_the_title_where_no_field_tells_it(session: aiohttp.ClientSession) -> None:
    fake = FakePhabricator(has_bugzilla=False)
    fake.add_user("ann", token=TOKEN)
    plain = fake.revise("[wip] Bug 12 - x", DIFF, by="ann")
    none = fake.revise("No bug - x", DIFF, by="ann")
    async with served(fake):
        found = (await Phabricator(session, fake.url, TOKEN).revisions([plain, none])).found
    assert (found[plain].bug, found[none].bug) == (12, None)


@pytest.mark.parametrize("given", ["\xb2", "9" * 5000, "bug 7", "-3", "0"])
async def test_a_bug_field_that_holds_no_number_names_no_bug(
    client: Phabricator, fake: FakePhabricator, given: str
) -> None:
    odd, plain = (fake.revise("No bug - x", DIFF, by="ann") for _ in range(2))
    fake.revisions[odd].bug = given  # type: ignore[assignment]
    read = (await client.revisions([odd, plain])).found
    assert set(read) == {odd, plain} and read[odd].bug is None


async def test_a_stack_is_read_down_to_its_bottom(client: Phabricator, fake: FakePhabricator) -> None:
    bottom = fake.revise("Bug 1 - a", DIFF, by="ann")
    middle = fake.revise("Bug 1 - b", DIFF, by="ann", parents=[bottom])
    side = fake.revise("Bug 1 - c", DIFF, by="ann")
    top = fake.revise("Bug 1 - d", DIFF, by="ann", parents=[middle, side])
    read = await client.revisions([top])
    assert {one.id: one.parents for one in read.found.values()} == {
        bottom: (),
        middle: (bottom,),
        side: (),
        top: (middle, side),
    }
    assert read.unreadable == {}


async def test_a_hidden_revision_and_a_hidden_parent_are_named(
    client: Phabricator, fake: FakePhabricator
) -> None:
    secret = fake.revise("Bug 2 - sec", DIFF, by="ann", view=frozenset({"ann"}))
    child = fake.revise("Bug 2 - child", DIFF, by="ann", parents=[secret])
    fine = fake.revise("Bug 2 - fine", DIFF, by="ann")
    top = fake.revise("Bug 2 - top", DIFF, by="ann", parents=[child])
    landed = fake.revise("Bug 2 - landed", DIFF, by="ann", parents=[secret], status="published")
    read = await client.revisions([secret, child, fine, top, landed, 99])
    assert set(read.found) == {fine, top, landed}
    assert read.found[top].parents == (child,)
    assert set(read.unreadable) == {secret, child, 99}
    assert "stacked on" in read.unreadable[child]
    assert "sec" not in "".join(read.unreadable.values())


async def test_a_revision_for_some_people_is_not_public(
    session: aiohttp.ClientSession, fake: FakePhabricator
) -> None:
    secret = fake.revise("Bug 2 - sec", DIFF, by="ann", view=frozenset({"bot"}))
    open_one = fake.revise("Bug 2 - open", DIFF, by="ann", view="users")
    found = (await Phabricator(session, fake.url, TOKEN).revisions([secret, open_one])).found
    assert (found[secret].is_public, found[open_one].is_public) == (False, True)


async def test_three_hundred_revisions_cost_few_calls(
    client: Phabricator, fake: FakePhabricator, calls: CallCounter
) -> None:
    ids = [
        fake.revise(f"Bug {number} - x", DIFF, by="ann", repository="firefox-main")
        for number in range(1, 301)
    ]
    assert len((await client.revisions(ids)).found) == 300
    assert calls.total <= 3 + 3 + 3 + 1 + 1
    calls_before = calls.total
    assert set(await client.changed(ids)) == set(ids)
    assert calls.total == calls_before + 3


async def test_names_once_learned_are_not_asked_again(
    client: Phabricator, fake: FakePhabricator, calls: CallCounter
) -> None:
    number = fake.revise("Bug 1 - x", DIFF, by="ann", repository="firefox-main")
    await client.revisions([number])
    before = calls.total
    await client.revisions([number], with_parents=False)
    assert calls.total == before + 2


async def test_many_edges_are_paged(client: Phabricator, fake: FakePhabricator) -> None:
    parents = [fake.revise(f"Bug 1 - {number}", DIFF, by="ann") for number in range(130)]
    top = fake.revise("Bug 1 - top", DIFF, by="ann", parents=parents)
    read = await client.revisions([top])
    assert set(read.found[top].parents) == set(parents)


async def test_no_revisions_are_asked_for_without_a_call(client: Phabricator, calls: CallCounter) -> None:
    assert (await client.revisions([])).found == {} and calls.total == 0


async def test_a_raw_diff_comes_as_bytes_or_not_at_all(client: Phabricator, fake: FakePhabricator) -> None:
    number = fake.revise("Bug 1 - é", DIFF.replace("+b", "+é"), by="ann")
    secret = fake.revise("Bug 2 - sec", DIFF, by="ann", view=frozenset({"ann"}))
    seen, hidden = (fake.revisions[one].diffs[-1].id for one in (number, secret))
    raw = await client.raw_diff(seen)
    assert raw is not None and raw.startswith(b"diff --git") and "é".encode() in raw
    assert await client.raw_diff(hidden) is None
    assert await client.raw_diff(99999) is None


async def test_the_base_falls_back_on_the_only_commits_parent(
    client: Phabricator, fake: FakePhabricator
) -> None:
    number = fake.revise("Bug 1 - x", DIFF, by="ann")
    fake.update(number, DIFF, commits=[{"identifier": "c" * 40, "parents": [BASE]}])
    assert (await client.revisions([number])).found[number].base == BASE
    fake.update(number, DIFF, commits=[{"identifier": "c" * 40, "parents": [BASE]}, {"identifier": "d" * 40}])
    assert (await client.revisions([number])).found[number].base is None


async def test_the_token_is_in_no_url_no_log_and_no_error(
    session: aiohttp.ClientSession, fake: FakePhabricator, client: Phabricator
) -> None:
    assert await client.whoami() == "bot"
    assert not fake.count(TOKEN)
    wrong = "api-" + "w" * 28
    with pytest.raises(Unavailable, match="does not take our token") as raised:
        await Phabricator(session, fake.url, wrong).whoami()
    assert wrong not in str(raised.value) and wrong not in repr(raised.value.__cause__)


async def test_no_token_is_unavailable_not_empty(
    session: aiohttp.ClientSession, fake: FakePhabricator
) -> None:
    number = fake.revise("Bug 1 - x", DIFF, by="ann")
    with pytest.raises(Unavailable):
        await Phabricator(session, fake.url).revisions([number])


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.DROP, Trouble.BUSY, Trouble.GARBAGE])
async def test_a_failing_phabricator_raises_and_is_never_empty(
    client: Phabricator, fake: FakePhabricator, trouble: Trouble
) -> None:
    number = fake.revise("Bug 1 - x", DIFF, by="ann")
    fake.fail(trouble)
    for question in (client.revisions([number]), client.changed([number]), client.raw_diff(1)):
        with pytest.raises(Unavailable):
            await question


async def test_too_many_requests_are_waited_out(client: Phabricator, fake: FakePhabricator) -> None:
    fake.fail(Trouble.BUSY, times=1)
    with pytest.raises(Unavailable) as raised:
        await client.whoami()
    assert raised.value.retry_at is not None
    with pytest.raises(Unavailable):
        await client.whoami()
    assert len(fake.asked) == 1


async def test_an_answer_of_another_shape_is_unavailable(session: aiohttp.ClientSession) -> None:
    class Odd(FakePhabricator):
        async def answer(self, request: web.Request, handler: object) -> web.StreamResponse:
            return web.json_response({"result": {"data": [{"id": "x"}]}, "error_code": None})

    fake = Odd()
    async with served(fake):
        with pytest.raises(Unavailable, match="another shape"):
            await Phabricator(session, fake.url, TOKEN).revisions([1])


async def test_a_closed_directory_of_users_costs_only_their_names(session: aiohttp.ClientSession) -> None:
    fake = FakePhabricator()
    fake.add_user("ann", token=TOKEN)
    number = fake.revise("Bug 1 - x", DIFF, by="ann")
    del fake.conduit.methods["user.search"]
    async with served(fake):
        read = (await Phabricator(session, fake.url, TOKEN).revisions([number])).found[number]
    assert read.author is None and read.diff is not None
