# SPDX-License-Identifier: MPL-2.0
"""The first page: what it says, and that no word from outside becomes markup."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fixtures_postgres import Database
from fixtures_web import NOON, make_bug, make_request, make_train, make_trains, running
from page_reading import HOSTILE, parsed
from shipit.merge.types import Outcome


async def test_it_says_how_each_request_stands_and_why(database: Database) -> None:
    async with running(database) as service:
        await service.feed(
            make_bug(1, make_request(1, outcome=Outcome.CLEAN)),
            make_bug(2, make_request(2, outcome=Outcome.CONFLICT)),
            make_bug(3, make_request(3)),
            make_bug(4, make_request(4, outcome=Outcome.ERROR, reason="the clone is broken")),
            make_bug(5, make_request(5, series=(), series_reason="no patch yet")),
        )
        text = parsed((await service.client.get("/")).text).text
        for sentence in (
            "It merges onto beta at aaaaaaaaaaaa.",
            "It conflicts with beta at aaaaaaaaaaaa in src/a.c.",
            "It waits for its first trial on beta.",
            "The trial did not finish: the clone is broken.",
            "There is nothing to try yet: no patch yet.",
            "5 requested",
            "No open request.",
        ):
            assert sentence in text
        assert "invented" not in text


async def test_a_moved_train_shows_that_the_trial_is_old(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1, outcome=Outcome.CLEAN)))
        later = NOON + timedelta(hours=1)
        await service.feed(trains=make_trains(make_train(tip="b" * 40, tip_at=later, read_at=later)))
        page = (await service.client.get("/")).text
        assert 'data-standing="retesting"' in page
        assert "beta moved since the last trial; it was clean on aaaaaaaaaaaa." in parsed(page).text


async def test_before_the_first_report_it_says_so(database: Database) -> None:
    async with running(database) as service:
        assert "No train has been reported yet." in (await service.client.get("/")).text


@pytest.mark.parametrize("is_demo", [True, False])
async def test_only_the_demo_says_that_its_data_is_invented(database: Database, is_demo: bool) -> None:
    async with running(database, is_demo=is_demo) as service:
        assert ("This data is invented" in (await service.client.get("/")).text) is is_demo


async def test_no_word_from_outside_becomes_markup(database: Database) -> None:
    async with running(database) as service:
        calm = [make_bug(n, make_request(n, outcome=Outcome.ERROR)) for n in range(1, len(HOSTILE) + 1)]
        trains = make_trains(*[make_train(f"t{n}") for n in range(len(HOSTILE))], make_train("beta"))
        await service.feed(*calm, trains=trains)
        before = parsed((await service.client.get("/")).text)
        later = NOON + timedelta(hours=1)
        wild = [
            make_bug(
                n,
                make_request(
                    n,
                    outcome=Outcome.ERROR,
                    reason=word,
                    requested_by=word,
                    series_digest="s2",
                ),
                summary=word,
                component=word,
                product=word,
                severity=word,
                digest="d2",
                read_at=later,
            )
            for n, word in enumerate(HOSTILE, start=1)
        ]
        told = [
            make_train(
                f"t{n}",
                version=word,
                branch=word,
                repository=word,
                owner=word,
                tip=word,
                requests_unavailable_reason=word,
                requests_unavailable_since=NOON,
                tip_reason=word,
                read_at=later,
            )
            for n, word in enumerate(HOSTILE)
        ]
        answer = await service.feed(*wild, trains=make_trains(*told, make_train("beta", read_at=later)))
        assert {each["result"] for each in answer.json()["bugs"]} == {"updated"}
        page = (await service.client.get("/")).text
        after = parsed(page)
        for word in HOSTILE:
            assert word.strip() in after.text
        assert set(after.tags) == set(before.tags)
        assert after.tags.count("tr") == before.tags.count("tr")
        assert not [
            name for name, _ in after.attributes if name.startswith("on") or name in ("style", "srcdoc")
        ]
        assert not [value for name, value in after.attributes if name in ("href", "src") and "evil" in value]


async def test_nothing_comes_from_elsewhere(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)))
        tags = parsed((await service.client.get("/")).text)
        loaded = [value for name, value in tags.attributes if name == "src"]
        loaded += [value for name, value in tags.attributes if name == "href" and "assets" in value]
        assert len(loaded) == 3
        for path in loaded:
            assert path.startswith("/assets/")
            answer = await service.client.get(path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            names = answer.text.replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in names
            assert "https://" not in names


async def test_a_page_of_many_requests_says_that_there_are_more(database: Database) -> None:
    async with running(database) as service:
        await service.feed(*[make_bug(n, make_request(n)) for n in range(1, 1003)])
        page = (await service.client.get("/")).text
        assert "Only the first 1000 are shown" in page
        assert "1002 requested" in page
