# SPDX-License-Identifier: MPL-2.0
"""The fake calendar keeps its promises, and answers in the shapes of the recorded ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from shipit.world.schedule import Calendar, FakeSchedule
from shipit.world.server import served

NOW = datetime(2026, 2, 20, 12, tzinfo=UTC)


def test_a_version_passes_every_channel_in_turn() -> None:
    calendar = Calendar(first=149, start=datetime(2026, 1, 12, tzinfo=UTC), lengths=(28, 14))
    day = timedelta(days=1)
    assert calendar.merge_day(149) == datetime(2026, 2, 9, tzinfo=UTC)
    assert calendar.merge_day(150) == datetime(2026, 2, 23, tzinfo=UTC)
    assert calendar.carried(calendar.beta_day(150) + day) == {"nightly": 151, "beta": 150, "release": 149}
    assert calendar.carried(calendar.rc_gtb(150)) == {"nightly": 151, "beta": 150, "release": 150}
    assert calendar.released(calendar.release(150)) == 150
    assert calendar.released(calendar.release(150) - timedelta(seconds=1)) == 149
    assert calendar.begins(140) < calendar.begins(141) < calendar.start, "also before its first version"


def test_with_aurora_a_version_takes_one_cycle_more() -> None:
    calendar = Calendar(has_aurora=True)
    majors = calendar.carried(calendar.start + timedelta(days=1))
    assert majors == {"nightly": 149, "aurora": 148, "beta": 147, "release": 146}


def test_esrs_overlap_for_as_many_releases_as_told() -> None:
    calendar = Calendar(esr=(140, 153), overlap=3)

    def living(release: int) -> list[str]:
        return [version for _, version in calendar.living_esr(calendar.release(release))]

    assert living(152) == ["140.12.0"]
    assert living(153) == ["140.13.0", "153.0.0"]
    assert living(155) == ["140.15.0", "153.2.0"]
    assert living(156) == ["153.3.0"]


def test_the_clock_stops_where_it_is_set_and_merge_day_moves_it() -> None:
    fake = FakeSchedule()
    fake.set_now(NOW)
    assert fake.versions()["FIREFOX_NIGHTLY"] == "150.0a1"
    assert fake.merge_day() == datetime(2026, 3, 9, tzinfo=UTC) == fake.now()
    versions = fake.versions()
    assert versions["FIREFOX_NIGHTLY"] == "151.0a1"
    assert versions["LATEST_FIREFOX_DEVEL_VERSION"].startswith("149.0b"), "beta lags as it really does"
    assert fake.merge_day() == datetime(2026, 4, 6, tzinfo=UTC)


async def test_answers_have_the_shape_of_the_recorded_ones(shared: Path) -> None:
    fake = FakeSchedule()
    fake.set_now(NOW)
    folder = shared / "data/product-details/trains"
    recorded = json.loads(
        (folder / "whattrainisitnow-api_release_schedule-version_beta-2023-05-03.json").read_text()
    )
    async with served(fake) as url, aiohttp.ClientSession() as session:

        async def get(path: str) -> dict[str, str]:
            async with session.get(url + path) as answer:
                assert answer.status == 200
                return dict(await answer.json())

        schedule = await get("/api/release/schedule/?version=beta")
        assert set(recorded) <= set(schedule)
        assert {len(value) for value in schedule.values() if "-" in value} == {len(recorded["release"])}
        owners = await get("/api/release/owners/")
        assert owners.keys() >= {"148", "149", "150"}
        timeline = (shared / "data/product-details/firefox_versions-timeline.jsonl").read_text().splitlines()
        said: dict[str, str] = json.loads(timeline[0])["firefox_versions"]
        assert set(said) <= set(await get("/1.0/firefox_versions.json"))


@pytest.mark.parametrize("version", ["soon", "0", "9999"])
async def test_an_unknown_version_is_answered_with_an_error_object(version: str) -> None:
    fake = FakeSchedule()
    fake.set_now(NOW)
    async with (
        served(fake) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/release/schedule/?version={version}") as answer,
    ):
        assert "error" in await answer.json()
