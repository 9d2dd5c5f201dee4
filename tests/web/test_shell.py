# SPDX-License-Identifier: MPL-2.0
"""The pages' shell: the same for everybody, the facts behind it, and nothing in it that is not ours."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import re
import zlib

import httpx
import pytest

from fixtures_postgres import Database
from fixtures_web import Service, make_bug, make_request, make_train, make_trains, running
from page_reading import HOSTILE, parsed
from shipit.web import shell
from shipit.web.bodies import Piece

FACTS = 'id="facts">'


async def page(service: Service, path: str = "/", who: str | None = None) -> httpx.Response:
    answer = await service.by(who).get(path)
    assert answer.status_code == 200, answer.text
    return answer


def test_pieces_made_apart_are_one_gzip_stream() -> None:
    parts = [b"a" * 5000, b"", b"<p>", bytes(range(256)) * 40]
    whole = b"".join(Piece.of(part, keep=number % 2 == 0).deflated for number, part in enumerate(parts))
    assert zlib.decompress(whole + b"\x03\x00", -zlib.MAX_WBITS) == b"".join(parts)


async def test_the_stream_is_whole_gzip_and_the_same_as_without(database: Database) -> None:
    async with running(database) as service:
        await service.feed(*[make_bug(n, make_request(n)) for n in range(1, 40)])
        async with service.client.stream("GET", "/", headers={"Accept-Encoding": "gzip"}) as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        plain = await service.client.get("/", headers={"Accept-Encoding": "identity"})
        # what is told live meanwhile moves on where the page's stream begins
        twins = [re.sub(rb'"live":"[^"]*"', b"", each) for each in (gzip.decompress(raw), plain.content)]
        assert twins[0] == twins[1]
        assert len(raw) < len(plain.content) / 4


@pytest.mark.parametrize(("path", "count"), [("/", 1), ("/events", 2)])
async def test_the_policy_allows_its_own_styles_and_no_other(
    database: Database, path: str, count: int
) -> None:
    async with running(database) as service:
        answer = await page(service, path)
        styles = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
        allowed = " ".join(f"'sha256-{each}'" for each in hashes)
        policy = answer.headers["content-security-policy"]
        assert len(styles) == count
        assert f"style-src 'self' {allowed};" in policy
        assert "script-src 'self';" in policy and "unsafe" not in policy
        names = [name for name, _ in parsed(answer.text).attributes]
        assert not [name for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", [path for path in shell.PATHS if "{" not in path])
async def test_everything_a_page_loads_is_ours_and_kept_for_ever(database: Database, path: str) -> None:
    async with running(database) as service:
        text = (await page(service, path)).text
        loaded = [value for value in re.findall(r'(?:src|href)="([^"]+)"', text) if "assets" in value]
        assert len(loaded) >= 3
        for each in loaded:
            assert each.startswith("/assets/")
            answer = await service.client.get(each)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"


async def test_no_style_is_waited_for_and_scripts_do_not_fetch_it_again(database: Database) -> None:
    async with running(database) as service:
        text = (await page(service, "/events")).text
        (link,) = re.findall(r'<link rel="stylesheet"[^>]*>', text)
        assert " disabled " in link
        name = link.partition('href="')[2].partition('"')[0]
        assert f"<style>{(await service.client.get(name)).text}</style>" in text


async def test_a_shell_does_not_wait_for_slow_facts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def slow(request: object) -> list[tuple[str, Piece]]:
        await released.wait()
        return [("/api/slow", Piece.of(b"1", keep=False))]

    monkeypatch.setitem(shell.PRELOADS, "/", slow)
    async with running(database) as service, service.client.stream("GET", "/") as answer:
        text = ""
        async for chunk in answer.aiter_text():
            text += chunk
            if "</header>" in text:
                released.set()
        assert released.is_set() and '"answers":{"/api/slow":1}' in text


def test_the_script_of_the_board_is_small() -> None:
    built = shell.built()
    assert built is not None
    links = re.findall(rb'"/assets/([^"]+\.js)"', built.shells["/"].before.content)
    assert sum(len(built.assets[name.decode()].compressed) for name in set(links)) <= 40_000
    style = re.findall(rb"<style>(.*?)</style>", built.shells["/"].before.content, re.DOTALL)[0]
    assert len(gzip.compress(style)) <= 12_000


async def test_the_first_view_needs_no_second_answer(database: Database) -> None:
    async with running(database) as service:
        await service.feed(make_bug(1, make_request(1)), make_bug(2, make_request(2, "release")))
        for path, train in (("/", "beta"), ("/?train=release&q=x", "release")):
            _, _, facts = (await page(service, path)).text.partition(FACTS)
            assert f'"/api/board/{train}":{{"train":{{"name":"{train}"' in facts
        assert '"answers":{}' in (await page(service, "/?train=none")).text


@pytest.mark.parametrize("is_demo", [True, False])
async def test_only_the_demo_says_that_its_data_is_invented(database: Database, is_demo: bool) -> None:
    async with running(database, is_demo=is_demo) as service:
        assert ('"is_demo":true' in (await page(service)).text) is is_demo


async def test_without_a_train_the_page_has_nothing_to_show_and_is_there(database: Database) -> None:
    async with running(database) as service:
        assert '"answers":{}' in (await page(service)).text


async def test_no_word_from_outside_leaves_the_facts(database: Database) -> None:
    async with running(database) as service:
        before = parsed((await page(service)).text)
        wild = [
            make_bug(n, make_request(n, requested_by=word), summary=word, component=word, product=word)
            for n, word in enumerate(HOSTILE, start=1)
        ]
        trains = [make_train(f"t{n}", owner=word, tip_reason=word) for n, word in enumerate(HOSTILE)]
        await service.feed(*wild, trains=make_trains(make_train("beta"), *trains))
        text = (await page(service)).text
        assert parsed(text).tags == before.tags
        inside = text.partition(FACTS)[2].partition("</script>")[0]
        assert "\\u003cscript>alert(1)" in inside and "<" not in inside


async def test_a_private_instance_gives_nobody_a_fact(database: Database) -> None:
    async with running(database, public_read=False) as service:
        await service.feed(make_bug(1, make_request(1)))
        assert (await service.client.get("/")).status_code == 401
        sent = await service.client.get("/?train=beta", headers={"Accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=%2F%3Ftrain%3Dbeta")
        assert '"answers":{}' in (await page(service, who="stranger")).text
        assert '"bug":1,' in (await page(service, who="user")).text


async def test_an_installation_without_pages_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "built", lambda: None)
    async with running(database) as service:
        answer = await service.client.get("/")
        assert (answer.status_code, "made without its pages" in answer.json()["detail"]) == (503, True)
        assert (await service.client.get("/assets/a.js")).status_code == 404
        assert (await service.client.get("/api/trains")).status_code == 200
