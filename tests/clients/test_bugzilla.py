# SPDX-License-Identifier: MPL-2.0
"""The Bugzilla client against the fake Bugzilla, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from shipit.clients import bugzilla_pages
from shipit.clients.bugzilla import Bugzilla, Unreadable, Why
from shipit.clients.bugzilla_batches import FAILURES_IN_A_ROW
from shipit.clients.http import CallCounter
from shipit.errors import InvalidInput, Unavailable
from shipit.uplift.types import Bug
from shipit.world.bugzilla import FakeBugzilla
from shipit.world.server import Trouble, served

MANAGER, AUTHOR, BOT = "rita@example.invalid", "ann@example.invalid", "bot@example.invalid"
KEY = "k" * 40
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: int) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def fake(clock: Clock) -> AsyncIterator[FakeBugzilla]:
    made = FakeBugzilla(clock)
    made.add_user(MANAGER, "Rita Manager [:rita]", groups=("editbugs", "release-managers"))
    made.add_user(AUTHOR, "Ann Author [:ann]", "ann")
    made.add_user(BOT, "Bot")
    made.key_for(BOT, KEY)
    for train in ("beta", "release", "esr140"):
        made.add_approval(train)
    made.add_field("cf_status_firefox147")
    made.add_field("cf_tracking_firefox147", "")
    async with served(made):
        yield made


@pytest.fixture
def client(session: aiohttp.ClientSession, fake: FakeBugzilla, calls: CallCounter, clock: Clock) -> Bugzilla:
    return Bugzilla(session, fake.url, KEY, calls=calls, now=clock)


def requested(fake: FakeBugzilla, train: str = "beta", **fields: object) -> int:
    """A bug with one patch for which an uplift is requested."""
    bug = fake.file_bug("Crash in Foo", by=AUTHOR, **fields)  # type: ignore[arg-type]
    patch = fake.attach(bug, b"diff", by=AUTHOR, is_patch=True)
    fake.request_uplift(patch, train, by=AUTHOR, form="Approval Request Comment\n[User impact]: crash")
    return bug


async def test_a_search_finds_exactly_the_bugs_with_the_flag(client: Bugzilla, fake: FakeBugzilla) -> None:
    wanted = {requested(fake) for _ in range(3)}
    requested(fake, "release")
    fake.file_bug("unrelated", by=AUTHOR)
    assert await client.search("approval-mozilla-beta") == {bug: START for bug in wanted}
    assert len(await client.search("approval-mozilla-release")) == 1
    assert await client.search("approval-mozilla-esr140") == {}


async def test_a_search_costs_one_call(client: Bugzilla, fake: FakeBugzilla, calls: CallCounter) -> None:
    for _ in range(7):
        requested(fake)
    fake.file_bug("unrelated", by=AUTHOR)
    assert len(await client.search("approval-mozilla-beta")) == 7
    assert calls.by_service() == {"Bugzilla": 2}, "once per process: how many rows come at most"
    assert len(await client.search("approval-mozilla-beta")) == 7
    assert calls.by_service() == {"Bugzilla": 3}


async def test_a_search_reads_every_page(
    client: Bugzilla, fake: FakeBugzilla, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bugzilla_pages, "PAGE", 4)
    wanted = {requested(fake) for _ in range(11)}
    assert set(await client.search("approval-mozilla-beta")) == wanted
    assert fake.count("offset") == 3


@pytest.mark.parametrize("most", [1, 7, 10])
async def test_a_limit_lowered_by_the_installation_hides_no_bug(
    client: Bugzilla, fake: FakeBugzilla, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("shipit.world.bugzilla_search.MOST", most)
    wanted = {requested(fake) for _ in range(23)}
    found = await client.search("approval-mozilla-release")
    assert found == {}
    if most > 1:
        # the overlap of pages by one bug is all that comes when only one does
        assert set(await client.search("approval-mozilla-beta")) == wanted
    hidden = requested(fake, groups=["core-security"])
    assert set(await client.changed([*wanted, hidden, 99])) == wanted


async def test_as_many_bugs_as_the_limit_are_doubted_again_when_there_are_more(
    client: Bugzilla, fake: FakeBugzilla, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipit.world.bugzilla_search.MOST", 10)
    wanted = {requested(fake) for _ in range(10)}
    fake.file_bug("unrelated", by=AUTHOR)
    assert set(await client.search("approval-mozilla-beta")) == wanted
    wanted |= {requested(fake) for _ in range(3)}
    assert set(await client.search("approval-mozilla-beta")) == wanted


async def test_short_answers_are_doubted_once_per_process(client: Bugzilla, fake: FakeBugzilla) -> None:
    wanted = [requested(fake) for _ in range(10)]
    hidden = requested(fake, groups=["core-security"])
    for _ in range(3):
        assert len(await client.search("approval-mozilla-beta")) == 10
        assert len(await client.changed([*wanted, hidden])) == 10
    assert fake.count("v1=0") == 2, "all its bugs are ten: no more, or no more at once?"
    assert fake.count("GET /rest/bug?") == 3 * 2 + 2


async def test_where_no_wide_search_is_allowed_every_answer_is_doubted(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(fake: FakeBugzilla, request: web.Request) -> web.Response | None:
        if request.query.get("o1") != "greaterthan":
            return None
        return web.json_response({"error": True, "code": 1000, "message": "too wide"}, status=400)

    monkeypatch.setattr("shipit.world.bugzilla_search.MOST", 10)
    fake = OddBugzilla(narrow)
    wanted = {requested(fake) for _ in range(23)}
    async with served(fake):
        client = Bugzilla(session, fake.url)
        assert set(await client.search("approval-mozilla-beta")) == wanted
        assert set(await client.changed([*wanted, 99])) == wanted


async def test_decided_flags_are_found_since_a_time(
    client: Bugzilla, fake: FakeBugzilla, clock: Clock
) -> None:
    old, granted, denied, pending = (requested(fake) for _ in range(4))
    fake.set_flag("approval-mozilla-beta", "+", by=MANAGER, attachment=fake.bug(old).attachments[0].id)
    clock.move(60)
    since = clock()
    fake.set_flag("approval-mozilla-beta", "+", by=MANAGER, attachment=fake.bug(granted).attachments[0].id)
    fake.set_flag("approval-mozilla-beta", "-", by=MANAGER, attachment=fake.bug(denied).attachments[0].id)
    fake.comment(pending, "still waiting", by=AUTHOR)
    assert set(
        await client.flagged(["approval-mozilla-beta+", "approval-mozilla-beta-"], changed_since=since)
    ) == {granted, denied}


async def test_last_changes_of_many_bugs_come_in_few_calls(
    client: Bugzilla, fake: FakeBugzilla, calls: CallCounter, clock: Clock
) -> None:
    ids = [fake.file_bug(str(number), by=AUTHOR, number=1_900_000 + number) for number in range(600)]
    clock.move(5)
    fake.comment(ids[0], "news", by=AUTHOR)
    changed = await client.changed([*ids, 99])
    # two chunks, and once per process: how many rows come at most
    assert len(changed) == 600 and calls.total == 3
    assert changed[ids[0]] == START + timedelta(seconds=5)
    assert all(len(one.what) < 8000 for one in fake.asked)


async def test_a_whole_bug_is_read_in_one_call(
    client: Bugzilla, fake: FakeBugzilla, calls: CallCounter, clock: Clock
) -> None:
    number = requested(fake, keywords=["crash"], cf_status_firefox147="affected", priority="P1")
    fake.attach_revision(number, 1234, by=AUTHOR, root="https://phabricator.example")
    clock.move(10)
    fake.set_flag("needinfo", "?", by=MANAGER, bug=number, requestee=AUTHOR)
    patch = fake.bug(number).attachments[0].id
    fake.set_flag("approval-mozilla-beta", "+", by=MANAGER, attachment=patch, comment="Approved for 147.0b3.")
    bug = (await client.bugs([number]))[number]
    assert isinstance(bug, Bug)
    assert calls.total == 1
    assert (bug.summary, bug.priority, bug.keywords) == ("Crash in Foo", "P1", ("crash",))
    assert bug.fields["cf_status_firefox147"] == "affected"
    assert bug.creator is not None
    assert (bug.creator.name, bug.creator.nick, bug.creator.email) == ("Ann Author [:ann]", "ann", AUTHOR)
    assert bug.assignee is None
    first, second = bug.attachments
    assert first.is_patch and [(flag.name, flag.status) for flag in first.flags] == [
        ("approval-mozilla-beta", "+")
    ]
    assert second.content_type == "text/x-phabricator-request"
    assert second.file_name == "phabricator-D1234-url.txt"
    assert [flag.requestee for flag in bug.flags] == [AUTHOR]
    assert [comment.number for comment in bug.comments] == [0, 1, 2, 3, 4]
    assert bug.comments[2].text.startswith(f"Comment on attachment {patch}\n")
    last = bug.history[-1]
    assert (last.field, last.removed, last.added, last.attachment) == (
        "flagtypes.name",
        "approval-mozilla-beta?",
        "approval-mozilla-beta+",
        patch,
    )
    assert bug.changed == clock() == bug.read_at


async def test_absent_empty_and_unset_fields_stay_different(client: Bugzilla, fake: FakeBugzilla) -> None:
    number = fake.file_bug("x", by=AUTHOR)
    bug = (await client.bugs([number]))[number]
    assert isinstance(bug, Bug)
    assert bug.fields == {"cf_status_firefox147": "---", "cf_tracking_firefox147": ""}
    assert "cf_status_firefox148" not in bug.fields


async def test_one_hidden_bug_of_many_alone_carries_the_reason(
    client: Bugzilla, fake: FakeBugzilla, calls: CallCounter
) -> None:
    seen = [requested(fake) for _ in range(8)]
    hidden = requested(fake, groups=["core-security"])
    found = await client.bugs([*seen, hidden, 4711])
    assert {bug for bug, value in found.items() if isinstance(value, Bug)} == set(seen)
    problem, unknown = found[hidden], found[4711]
    assert isinstance(problem, Unreadable) and problem.why is Why.HIDDEN
    assert isinstance(unknown, Unreadable) and unknown.why is Why.UNKNOWN
    assert "Crash" not in problem.reason
    assert calls.total == 3


async def test_a_security_bug_is_read_with_a_key_that_may(
    session: aiohttp.ClientSession, fake: FakeBugzilla
) -> None:
    hidden = requested(fake, groups=["core-security"])
    fake.add_user("sec@example.invalid", "Sec", groups=("editbugs", "core-security"))
    client = Bugzilla(session, fake.url, fake.key_for("sec@example.invalid"))
    bug = (await client.bugs([hidden]))[hidden]
    assert isinstance(bug, Bug) and bug.is_restricted and bug.groups == ("core-security",)


async def test_a_hundred_bugs_cost_four_calls(
    client: Bugzilla, fake: FakeBugzilla, calls: CallCounter
) -> None:
    ids = [requested(fake) for _ in range(100)]
    found = await client.bugs(ids)
    assert all(isinstance(found[bug], Bug) for bug in ids) and calls.total == 4


async def test_as_many_bugs_are_read_at_once_as_the_setting_says(
    session: aiohttp.ClientSession, fake: FakeBugzilla, calls: CallCounter
) -> None:
    ids = [requested(fake) for _ in range(9)]
    found = await Bugzilla(session, fake.url, KEY, calls=calls, batch=4).bugs(ids)
    assert all(isinstance(found[bug], Bug) for bug in ids) and calls.total == 3


@pytest.mark.parametrize("suffix", ["", "/", "/rest", "/rest/"])
async def test_the_url_may_end_with_rest_or_not(
    session: aiohttp.ClientSession, fake: FakeBugzilla, suffix: str
) -> None:
    assert await Bugzilla(session, fake.url + suffix, KEY).whoami() == BOT


async def test_the_key_travels_only_in_its_header(client: Bugzilla, fake: FakeBugzilla) -> None:
    await client.whoami()
    await client.search("approval-mozilla-beta")
    assert not fake.count(KEY) and KEY not in repr(vars(client._rest._door)) and KEY not in repr(client)


async def test_a_key_that_cannot_be_a_header_is_refused_unseen(session: aiohttp.ClientSession) -> None:
    with pytest.raises(InvalidInput) as raised:
        Bugzilla(session, "https://bugzilla.example", "secret\nX-Other: 1")
    assert "secret" not in str(raised.value)


async def test_a_wrong_key_is_said_and_not_shown(session: aiohttp.ClientSession, fake: FakeBugzilla) -> None:
    wrong = "w" * 40
    with pytest.raises(Unavailable, match="does not take our API key") as raised:
        await Bugzilla(session, fake.url, wrong).whoami()
    assert wrong not in str(raised.value)


# --- a failing Bugzilla never looks like an empty one ---------------------------------------------


@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.DROP, Trouble.BUSY, Trouble.GARBAGE])
async def test_a_failing_search_raises_and_is_never_empty(
    client: Bugzilla, fake: FakeBugzilla, trouble: Trouble
) -> None:
    number = requested(fake)
    fake.fail(trouble)
    for question in (
        client.search("approval-mozilla-beta"),
        client.flagged(["approval-mozilla-beta+"], changed_since=START),
        client.changed([number]),
        client.bugs([number, number + 1, number + 2]),
    ):
        with pytest.raises(Unavailable):
            await question


async def test_only_the_failing_trains_search_fails(client: Bugzilla, fake: FakeBugzilla) -> None:
    wanted = {requested(fake), requested(fake, "release")}
    fake.fail(containing="approval-mozilla-release?")
    assert set(await client.search("approval-mozilla-beta")) < wanted
    with pytest.raises(Unavailable):
        await client.search("approval-mozilla-release")


async def test_a_connection_closed_once_is_asked_again(client: Bugzilla, fake: FakeBugzilla) -> None:
    number = requested(fake)
    fake.fail(Trouble.DROP, times=1)
    assert set(await client.search("approval-mozilla-beta")) == {number}
    assert [one.status for one in fake.asked][:2] == [0, 200]


async def test_too_many_requests_are_waited_out_without_asking(
    client: Bugzilla, fake: FakeBugzilla, clock: Clock
) -> None:
    number = requested(fake)
    fake.close_doors()
    with pytest.raises(Unavailable) as raised:
        await client.search("approval-mozilla-beta")
    assert raised.value.retry_at == START + timedelta(hours=1)
    asked = len(fake.asked)
    with pytest.raises(Unavailable):
        await client.search("approval-mozilla-beta")
    assert len(fake.asked) == asked
    clock.move(3601)
    assert set(await client.search("approval-mozilla-beta")) == {number}


async def test_the_first_word_of_a_rate_limit_is_heeded(
    session: aiohttp.ClientSession, fake: FakeBugzilla, clock: Clock
) -> None:
    number = fake.file_bug("x", by=AUTHOR)
    client = Bugzilla(session, fake.url, now=clock)
    for _ in range(75):
        await client.changed([number])
    with pytest.raises(Unavailable) as raised:
        await client.changed([number])
    assert raised.value.retry_at == START + timedelta(hours=1)


async def test_a_slow_bugzilla_is_unavailable_in_time(
    session: aiohttp.ClientSession, fake: FakeBugzilla
) -> None:
    fake.fail(Trouble.SLOW, seconds=5)
    client = Bugzilla(session, fake.url, KEY, timeout=0.1)
    with pytest.raises(Unavailable, match="did not answer in"):
        await client.search("approval-mozilla-beta")


async def test_attachment_data_comes_whole_or_not_at_all(client: Bugzilla, fake: FakeBugzilla) -> None:
    bug = fake.file_bug("x", by=AUTHOR)
    patch = fake.attach(bug, b"\x00diff\xff", by=AUTHOR)
    assert await client.attachment_data(patch) == b"\x00diff\xff"
    assert await client.attachment_data(99999) is None
    hidden = fake.file_bug("s", by=AUTHOR, groups=["core-security"])
    assert await client.attachment_data(fake.attach(hidden, b"x", by=AUTHOR)) is None


# --- other Bugzillas ------------------------------------------------------------------------------

Odd = Callable[[web.Request], web.Response]


class OddBugzilla(FakeBugzilla):
    """A Bugzilla in which one thing is otherwise."""

    def __init__(self, odd: Callable[[FakeBugzilla, web.Request], web.Response | None]) -> None:
        super().__init__(lambda: START)
        self.add_user(AUTHOR, "Ann")
        self.add_approval("beta")
        self._odd = odd

    async def answer(self, request: web.Request, handler: object) -> web.StreamResponse:
        return self._odd(self, request) or await super().answer(request, handler)  # type: ignore[arg-type]


def plain_search(fake: FakeBugzilla, request: web.Request) -> web.Response | None:
    """One that gives no attachments, comments or history with a bug."""
    if request.path != "/rest/bug" or "id" not in request.query:
        return None
    ids = request.query["id"].split(",")
    bugs = [
        {
            "id": int(one),
            "summary": "s",
            "product": "p",
            "component": "c",
            "status": "NEW",
            "last_change_time": "2026-11-20T09:00:00Z",
        }
        for one in ids
    ]
    return web.json_response({"bugs": bugs})


async def test_parts_that_do_not_come_with_the_bug_are_fetched(session: aiohttp.ClientSession) -> None:
    fake = OddBugzilla(plain_search)
    first, second = requested(fake), requested(fake)
    async with served(fake):
        found = await Bugzilla(session, fake.url).bugs([first, second])
    for bug in found.values():
        assert isinstance(bug, Bug)
        assert (len(bug.attachments), len(bug.comments), len(bug.history)) == (1, 3, 1)


async def test_a_batch_of_parts_failing_for_one_hidden_bug_fails_it_alone(
    session: aiohttp.ClientSession,
) -> None:
    fake = OddBugzilla(plain_search)
    ids = [requested(fake) for _ in range(5)]
    hidden = requested(fake, groups=["core-security"])
    async with served(fake):
        found = await Bugzilla(session, fake.url).bugs([*ids, hidden])
    assert [bug for bug, value in found.items() if isinstance(value, Unreadable)] == [hidden]


async def test_a_bug_that_breaks_bugzilla_breaks_alone(session: aiohttp.ClientSession) -> None:
    def breaking(fake: FakeBugzilla, request: web.Request) -> web.Response | None:
        ids = request.query.get("id", request.path.removeprefix("/rest/bug/")).split(",")
        return web.Response(status=500, text="oops") if "3" in ids else None

    fake = OddBugzilla(breaking)
    ids = [requested(fake) for _ in range(6)]
    async with served(fake):
        found = await Bugzilla(session, fake.url).bugs(ids)
    broken = [value for value in found.values() if isinstance(value, Unreadable)]
    assert [(one.bug, one.why) for one in broken] == [(3, Why.FAILED)] and "500" in broken[0].reason


async def test_an_error_with_status_200_is_an_error(session: aiohttp.ClientSession) -> None:
    def lying(fake: FakeBugzilla, request: web.Request) -> web.Response:
        return web.json_response({"error": True, "code": 100500, "message": None})

    fake = OddBugzilla(lying)
    async with served(fake):
        with pytest.raises(Unavailable):
            await Bugzilla(session, fake.url).search("approval-mozilla-beta")


async def test_a_bug_that_cannot_be_parsed_is_kept_with_the_reason(session: aiohttp.ClientSession) -> None:
    def odd(fake: FakeBugzilla, request: web.Request) -> web.Response:
        bug = {
            "id": 1,
            "summary": "s",
            "product": "p",
            "component": "c",
            "status": "NEW",
            "last_change_time": "yesterday",
            "attachments": [],
            "comments": [],
            "history": [],
        }
        good = bug | {"id": 2, "last_change_time": "2026-11-20T09:00:00Z", "summary": "NUL \0 and \ud800"}
        return web.Response(text=json.dumps({"bugs": [bug, good]}), content_type="application/json")

    fake = OddBugzilla(odd)
    async with served(fake):
        found = await Bugzilla(session, fake.url).bugs([1, 2])
    problem, good = found[1], found[2]
    assert isinstance(problem, Unreadable) and problem.why is Why.BROKEN
    assert "last_change_time" in problem.reason
    assert isinstance(good, Bug) and "\0" not in good.summary and good.summary.isprintable() is True


async def test_credentials_do_not_follow_a_redirect_to_another_host(
    session: aiohttp.ClientSession, fake: FakeBugzilla
) -> None:
    def leading_away(_: FakeBugzilla, request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": fake.url + "/rest/whoami"})

    other = OddBugzilla(leading_away)
    async with served(other):
        with pytest.raises(Unavailable, match="another host"):
            await Bugzilla(session, other.url, KEY).whoami()
    assert not fake.asked


async def test_attachment_data_that_is_not_base64_is_refused(session: aiohttp.ClientSession) -> None:
    def odd(fake: FakeBugzilla, request: web.Request) -> web.Response:
        return web.json_response({"bugs": {}, "attachments": {"1": {"id": 1, "data": "abcde"}}})

    fake = OddBugzilla(odd)
    async with served(fake):
        with pytest.raises(Unavailable, match="base64"):
            await Bugzilla(session, fake.url).attachment_data(1)


async def test_an_ill_bugzilla_is_not_asked_for_each_bug_alone(session: aiohttp.ClientSession) -> None:
    def ill(fake: FakeBugzilla, request: web.Request) -> web.Response:
        return web.Response(status=500, text="oops")

    fake, calls = OddBugzilla(ill), CallCounter()
    async with served(fake):
        with pytest.raises(Unavailable, match="500"):
            await Bugzilla(session, fake.url, calls=calls).bugs(range(1, 500))
    assert calls.total <= FAILURES_IN_A_ROW


async def test_a_bugzilla_without_an_operator_is_searched_word_by_word(
    session: aiohttp.ClientSession,
) -> None:
    def plain(fake: FakeBugzilla, request: web.Request) -> web.Response | None:
        if request.query.get("o1") != "anywordssubstr":
            return None
        return web.json_response({"error": True, "code": 68000, "message": "no such operator"}, status=400)

    fake = OddBugzilla(plain)
    wanted = {requested(fake), requested(fake)}
    words = ["approval-mozilla-beta?", "approval-mozilla-beta+"]
    async with served(fake):
        client = Bugzilla(session, fake.url)
        assert set(await client.flagged(words, changed_since=START)) == wanted
        fake.fail(containing="approval-mozilla-beta+")
        with pytest.raises(Unavailable):
            await client.flagged(words, changed_since=START)


async def test_a_bugzilla_that_gives_only_what_is_named_gives_whole_bugs(
    session: aiohttp.ClientSession,
) -> None:
    """One that knows neither _default nor fields of fields."""

    class Literal(FakeBugzilla):
        async def answer(self, request: web.Request, handler: object) -> web.StreamResponse:
            response = await super().answer(request, handler)  # type: ignore[arg-type]
            named = set(request.query.get("include_fields", "").split(","))
            body = json.loads(response.body)  # type: ignore[attr-defined]
            if request.path.startswith("/rest/bug") and "include_fields" in request.query:
                body["bugs"] = [{key: one[key] for key in one.keys() & named} for one in body["bugs"]]
            return web.json_response(body)

    fake = Literal(lambda: START)
    fake.add_user(AUTHOR, "Ann")
    fake.add_approval("beta")
    fake.add_field("cf_status_firefox147")
    ids = [requested(fake), requested(fake, cf_status_firefox147="affected")]
    async with served(fake):
        client = Bugzilla(session, fake.url)
        assert set(await client.search("approval-mozilla-beta")) == set(ids)
        found = await client.bugs(ids, fields=["cf_status_firefox147"])
    for bug in found.values():
        assert isinstance(bug, Bug)
        assert (bug.summary, len(bug.attachments), len(bug.comments)) == ("Crash in Foo", 1, 3)
        assert len(bug.history) == 1 and len(bug.attachments[0].flags) == 1
    last = found[ids[1]]
    assert isinstance(last, Bug) and last.fields == {"cf_status_firefox147": "affected"}
