# SPDX-License-Identifier: MPL-2.0
"""Any view as CSV, JSON, RSS and Atom: the wanted rows, no formula, no markup, nothing secret in a feed."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

import pytest

from fixtures_postgres import Database
from fixtures_web import Service, make_bug, make_request, make_secret, running
from shipit.merge.types import Outcome
from web.test_board_lists import make_listed, make_lists

ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = (
    '=HYPERLINK("http://evil.example.com","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "\uff1d1",
    "<script>alert(1)</script>",
    "]]><x>&amp;",
    'a "quoted", comma; and\r\na line',
    "\u202e\u0007bell",
)


async def seed(service: Service) -> None:
    await service.feed(
        make_bug(101, make_request(101, outcome=Outcome.CLEAN), product="Fenix"),
        make_bug(102, make_request(102, outcome=Outcome.CONFLICT)),
        make_secret(7316661, make_request(7316661, outcome=Outcome.CLEAN)),
    )


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_a_csv_holds_the_wanted_rows_for_whoever_asks(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        answer = await service.client.get("/api/board/beta/csv?product=Fenix")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert 'attachment; filename="uplift-beta-' in answer.headers["content-disposition"]
        (row,) = cells(answer.text)
        assert (row["bug"], row["merge"], row["security"]) == ("101", "Clean", "no")
        assert row["url"] == "https://shipit.example.com/requests/101-beta-1"
        assert {each["bug"] for each in cells((await service.client.get("/api/board/beta/csv")).text)} == {
            "101",
            "102",
        }
        everything = cells((await service.logged_in("reader").get("/api/board/beta/csv")).text)
        assert {each["bug"] for each in everything} == {"101", "102", "7316661"}


async def test_json_holds_the_rows_of_the_board_in_the_order_of_the_address(database: Database) -> None:
    async with running(database) as service:
        await seed(service)
        board = {row["uid"]: row for row in (await service.client.get("/api/board/beta")).json()["rows"]}
        view = (await service.client.get("/api/board/beta/json?sort=-bug&train=beta")).json()
        assert all(board[row["uid"]] == row for row in view["rows"])
        assert len(view["rows"]) == 2
        (only,) = (await service.client.get("/api/board/beta/json?status=conflict")).json()["rows"]
        assert only["bug"] == 102


@pytest.mark.parametrize("kind", ["csv", "json", "rss", "atom"])
async def test_what_no_filter_understands_is_refused_and_no_train_is_missing(
    database: Database, kind: str
) -> None:
    async with running(database) as service:
        await seed(service)
        answer = await service.client.get(f"/api/board/beta/{kind}?produkt=Fenix")
        assert (answer.status_code, answer.json()["field"]) == (400, "query.produkt")
        assert (await service.client.get(f"/api/board/gamma/{kind}")).status_code == 404


@pytest.mark.parametrize("kind", ["rss", "atom"])
async def test_a_feed_is_the_same_for_everybody_and_holds_what_everybody_may_see(
    database: Database, kind: str
) -> None:
    async with running(database) as service:
        await seed(service)
        answers = [
            await client.get(f"/api/board/beta/{kind}")
            for client in (service.client, service.logged_in("reader"), service.by("bot"))
        ]
        assert len({each.text for each in answers}) == 1
        assert "7316661" not in answers[0].text and "SECRET" not in answers[0].text
        again = await service.client.get(
            f"/api/board/beta/{kind}", headers={"If-None-Match": answers[0].headers["etag"]}
        )
        assert again.status_code == 304


async def test_feeds_are_well_formed_and_name_an_entry_anew_when_it_stands_otherwise(
    database: Database,
) -> None:
    async with running(database) as service:
        await seed(service)
        rss = ElementTree.fromstring((await service.client.get("/api/board/beta/rss?status=clean")).text)
        (item,) = rss.iter("item")
        assert item.findtext("title") == "Clean: bug 101, Summary of 101"
        assert item.findtext("link") == "https://shipit.example.com/requests/101-beta-1"
        assert item.findtext("guid") == "https://shipit.example.com/requests/101-beta-1#requested-clean"
        atom = ElementTree.fromstring((await service.client.get("/api/board/beta/atom")).text)
        assert len(atom.findall(f"{ATOM}entry")) == 2
        assert all(each.find(f"{ATOM}updated") is not None for each in atom.findall(f"{ATOM}entry"))


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_text_becomes_a_formula_or_markup(database: Database, text: str) -> None:
    async with running(database) as service:
        await service.feed(make_bug(101, make_request(101), summary=text, component=text))
        (row,) = cells((await service.client.get("/api/board/beta/csv")).text)
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "@", "\uff1d"))
            assert not cell.startswith(("-", "\t", "\r", "\n"))
        for kind, tags in (("rss", 0), ("atom", 0)):
            document = ElementTree.fromstring((await service.client.get(f"/api/board/beta/{kind}")).text)
            assert len([each for each in document.iter() if each.tag.endswith(("script", "x"))]) == tags


async def test_a_private_instance_gives_no_feed_to_strangers(database: Database) -> None:
    async with running(database, public_read=False) as service:
        await seed(service)
        for kind in ("csv", "json", "rss", "atom"):
            assert (await service.client.get(f"/api/board/beta/{kind}")).status_code == 401
            assert (await service.logged_in("user").get(f"/api/board/beta/{kind}")).status_code == 200


async def test_a_list_is_a_view_too(database: Database) -> None:
    async with running(database) as service:
        hidden = make_listed(7316661, summary="SECRET", is_restricted=True)
        await service.feed(make_bug(101, make_request(101)))
        found = [make_listed(201, summary='=HYPERLINK("x")', keywords=("crash", "regression")), hidden]
        assert (await service.put("/api/board/lists", make_lists(tracking=found))).status_code == 204
        at = "/api/board/beta/lists/tracking"
        answer = await service.client.get(f"{at}/csv")
        assert 'filename="tracking-beta-' in answer.headers["content-disposition"]
        (row,) = cells(answer.text)
        assert (row["list"], row["bug"], row["keywords"]) == ("Tracking ?", "201", "crash, regression")
        assert (row["summary"], row["url"]) == ('\'=HYPERLINK("x")', "https://bugs.example/201")
        told = (await service.client.get(f"{at}/json")).json()
        assert [each["bug"] for each in told["list"]["rows"]] == [201]
        for kind, mark in (("rss", "item"), ("atom", f"{ATOM}entry")):
            feed = (await service.logged_in("reader").get(f"{at}/{kind}")).text
            assert "SECRET" not in feed and len(list(ElementTree.fromstring(feed).iter(mark))) == 1
        assert len(cells((await service.logged_in("reader").get(f"{at}/csv")).text)) == 2
        assert (await service.client.get("/api/board/beta/lists/none/csv")).status_code == 404
        assert (await service.client.get("/api/board/gamma/lists/tracking/rss")).status_code == 404
        for wrong in (f"{at}/csv?product=Core", "/api/board/beta/csv?list=tracking"):
            assert (await service.client.get(wrong)).status_code == 400, (
                "a word that does nothing shows too much"
            )
