# SPDX-License-Identifier: MPL-2.0
"""The three providers, asked over real HTTP, and what they are when they fail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from shipit.clients.http import CallCounter
from shipit.clients.schedule import Provider, ScheduleClient
from shipit.errors import InvalidInput
from shipit.settings import TrainRule
from shipit.trains.resolve import trains_at
from shipit.trains.types import Failure, Schedule, Stage
from shipit.world.schedule import Calendar, FakeSchedule
from shipit.world.server import Fake, Trouble, served

NOW = datetime(2026, 2, 20, 12, tzinfo=UTC)
RULES = tuple(
    TrainRule(name=name, repository="firefox", branch=name)
    for name in ("nightly", "beta", "release", "esr{major}")
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeSchedule]:
    fake = FakeSchedule(Calendar())
    fake.set_now(NOW)
    async with served(fake):
        yield fake


class Ask:
    """A client of the fake, by provider."""

    def __init__(self, session: aiohttp.ClientSession, calls: CallCounter, fake: Fake) -> None:
        self._session, self._calls, self._fake = session, calls, fake

    async def __call__(
        self, provider: Provider = "whattrainisitnow", *, path: str = "", patience: float = 5.0
    ) -> Schedule | Failure:
        client = ScheduleClient(
            provider,
            self._fake.url + path,
            session=self._session,
            timeout=patience,
            calls=self._calls,
            now=self._fake.now,
        )
        return await client.read()


@pytest.fixture
def ask(session: aiohttp.ClientSession, calls: CallCounter, fake: FakeSchedule) -> Ask:
    return Ask(session, calls, fake)


def shown(facts: Schedule | Failure) -> list[tuple[str, str | None, Stage]]:
    assert isinstance(facts, Schedule), facts
    return [(train.name, train.version, train.stage) for train in trains_at(RULES, facts, NOW)]


async def test_whattrainisitnow_gives_versions_calendars_owners_and_esrs(
    ask: Ask, calls: CallCounter
) -> None:
    facts = await ask()
    assert isinstance(facts, Schedule)
    assert shown(facts) == [
        ("nightly", "150.0", Stage.NIGHTLY),
        ("beta", "149.0", Stage.LATE_BETA),
        ("release", "148.0", Stage.DOT_RELEASES),
        ("esr140", "140.8.0", Stage.ESR),
    ]
    assert facts.failed == {} and facts.source == "whattrainisitnow" and facts.read_at == NOW
    beta = trains_at(RULES, facts, NOW)[1]
    assert beta.owner == "Omar Bell" and beta.next_build is not None
    assert calls.total == 6


async def test_product_details_is_asked_once_and_knows_days_only(ask: Ask, calls: CallCounter) -> None:
    facts = await ask("product-details")
    assert shown(facts) == [
        ("nightly", "150.0a1", Stage.NIGHTLY),
        ("beta", "149.0b4", Stage.EARLY_BETA),
        ("release", "148.0", Stage.DOT_RELEASES),
        ("esr140", "140.8.0esr", Stage.ESR),
    ]
    assert isinstance(facts, Schedule)
    assert all(moment.is_whole_day for cycle in facts.cycles for moment in cycle.moments)
    assert calls.total == 1


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("whattrainisitnow", "/"),
        ("whattrainisitnow", "/api"),
        ("whattrainisitnow", "/api/"),
        ("product-details", ""),
        ("product-details", "/1.0/"),
        ("product-details", "/1.0/firefox_versions.json"),
    ],
)
async def test_the_root_may_be_given_with_or_without_the_folder(
    ask: Ask, provider: Provider, path: str
) -> None:
    assert isinstance(await ask(provider, path=path), Schedule)


class Elsewhere(Fake):
    """A provider whose answers are at its root, without the folder."""

    name = "elsewhere"

    def routes(self) -> list[web.RouteDef]:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response({"FIREFOX_NIGHTLY": "12.0a1"})

        return [web.get("/firefox_versions.json", answer)]


async def test_answers_without_the_folder_are_found_too(
    session: aiohttp.ClientSession, calls: CallCounter
) -> None:
    fake = Elsewhere()
    async with served(fake):
        assert isinstance(await Ask(session, calls, fake)("product-details"), Schedule)


async def test_right_after_merge_day_the_calendar_of_the_version_nobody_names_is_asked_for(
    ask: Ask, fake: FakeSchedule, calls: CallCounter
) -> None:
    fake.set_now(datetime(2026, 3, 9, 6, tzinfo=UTC))
    facts = await ask()
    assert isinstance(facts, Schedule)
    assert fake.named() == {"nightly": 151, "beta": 149, "release": 148}
    assert sorted(cycle.major for cycle in facts.cycles) == [148, 149, 150, 151]
    assert calls.total == 7
    trains = trains_at(RULES, facts, fake.now())
    assert [(train.major, train.stage) for train in trains[:3]] == [
        (151, Stage.NIGHTLY),
        (150, Stage.EARLY_BETA),
        (149, Stage.RC_WEEK),
    ]


@pytest.mark.parametrize("trouble", list(Trouble))
@pytest.mark.parametrize("provider", ["whattrainisitnow", "product-details"])
async def test_every_trouble_is_a_failure_with_a_reason_not_an_exception(
    ask: Ask, fake: FakeSchedule, trouble: Trouble, provider: Provider
) -> None:
    fake.fail(trouble, seconds=1.0)
    facts = await ask(provider, patience=0.1)
    assert isinstance(facts, Failure)
    assert facts.source == provider and facts.at == NOW
    assert any(word in facts.reason for word in ("500", "429", "broke off", "closed", "JSON", "0.1 s"))
    assert [train.stage for train in trains_at(RULES, facts, NOW)] == [Stage.UNKNOWN] * 3


async def test_an_unreachable_provider_is_a_failure(
    session: aiohttp.ClientSession, fake: FakeSchedule
) -> None:
    for provider in ("whattrainisitnow", "product-details"):
        facts = await ScheduleClient(provider, "http://127.0.0.1:9", session=session).read()  # type: ignore[arg-type]
        assert isinstance(facts, Failure) and "cannot be reached" in facts.reason


@pytest.mark.parametrize(
    ("part", "failed"),
    [
        ("owners", {"owners"}),
        ("esr/releases", {"esr"}),
        ("lando", {"trains"}),
        ("version=nightly", {"nightly", "calendar"}),
        ("version=beta", {"beta", "calendar"}),
    ],
)
@pytest.mark.parametrize("trouble", [Trouble.ERROR, Trouble.GARBAGE, Trouble.DROP])
async def test_one_failing_endpoint_does_not_lose_the_rest(
    ask: Ask, fake: FakeSchedule, part: str, failed: set[str], trouble: Trouble
) -> None:
    whole = await ask()
    assert isinstance(whole, Schedule)
    known = trains_at(RULES, whole, NOW)
    fake.fail(trouble, containing=part)
    facts = await ask()
    assert isinstance(facts, Schedule)
    assert set(facts.failed) == failed
    for before, after in zip(known, trains_at(RULES, facts, NOW, known=known), strict=True):
        assert (after.major, after.stage, after.owner, after.next_build) == (
            before.major,
            before.stage,
            before.owner,
            before.next_build,
        )


async def test_versions_going_backwards_are_told_by_whoever_resolves_them(
    ask: Ask, fake: FakeSchedule
) -> None:
    facts = await ask("product-details")
    known = trains_at(RULES, facts, NOW)
    fake.said = {"FIREFOX_NIGHTLY": "149.0a1", "LATEST_FIREFOX_VERSION": "147.0.4"}
    fake.said |= {"FIREFOX_DEVEDITION": "148.0b9", "LATEST_FIREFOX_DEVEL_VERSION": "148.0b9"}
    later = trains_at(RULES, await ask("product-details"), NOW, known=known)
    assert [train.major for train in later] == [train.major for train in known]
    assert "went back" in (later[0].note or "")


async def test_every_call_has_a_limit_in_bytes(ask: Ask, fake: FakeSchedule) -> None:
    fake.said = {f"FIREFOX_ESR{number}": "x" * 1000 for number in range(5000)}
    facts = await ask("product-details")
    assert isinstance(facts, Failure) and "more than" in facts.reason


CONTENT = {
    "versions": {"nightly": "12.0a1", "beta": "11.0b4", "release": "10.0.2"},
    "owners": {"11": "Rosa Marsh"},
}
TOML = """
[versions]
nightly = "12.0a1"
beta = "11.0b4"
release = "10.0.2"
[owners]
11 = "Rosa Marsh"
"""


@pytest.mark.parametrize(("name", "text"), [("trains.json", json.dumps(CONTENT)), ("trains.toml", TOML)])
@pytest.mark.parametrize("prefix", ["", "file://"])
async def test_a_file_is_a_provider(
    session: aiohttp.ClientSession, tmp_path: Path, name: str, text: str, prefix: str
) -> None:
    (tmp_path / name).write_text(text)
    facts = await ScheduleClient("file", f"{prefix}{tmp_path / name}", session=session).read()
    assert isinstance(facts, Schedule)
    beta = trains_at(RULES, facts, NOW)[1]
    assert (beta.version, beta.owner, beta.source) == ("11.0b4", "Rosa Marsh", "file")
    assert datetime.now(UTC) - facts.read_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.toml", None, "No such file"),
        ("half.json", b'{"versions": ', "neither JSON nor TOML"),
        ("half.toml", b"[versions", "neither JSON nor TOML"),
        ("bytes.toml", b"\xff\xfe", "neither JSON nor TOML"),
        ("deep.json", b"[" * 100_000, "neither JSON nor TOML"),
        ("other.json", b"[]", "expected a table"),
        ("empty.toml", b"", "versions"),
    ],
)
async def test_a_file_that_is_no_schedule_is_a_failure(
    session: aiohttp.ClientSession, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    facts = await ScheduleClient("file", str(tmp_path / name), session=session).read()
    assert isinstance(facts, Failure) and reason in facts.reason


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ("file", None),
        ("file", ""),
        ("product-details", "trains.toml"),
        ("whattrainisitnow", "ftp://somewhere"),
    ],
)
async def test_a_wrong_address_is_refused_at_once(
    session: aiohttp.ClientSession, provider: Provider, url: str | None
) -> None:
    with pytest.raises(InvalidInput):
        ScheduleClient(provider, url, session=session)
