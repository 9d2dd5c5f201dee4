# SPDX-License-Identifier: MPL-2.0
"""The Phabricator client over answers that Mozilla's Phabricator once gave, served again as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from shipit.clients.phabricator import Phabricator
from shipit.errors import Unavailable
from shipit.world.server import Fake, served


class Recorded(Fake):
    """One recorded answer per method; a method without one answers with no data."""

    name = "recorded"

    def __init__(self, answers: dict[str, Any], *, status: int = 200) -> None:
        super().__init__()
        self._answers = answers
        self._status = status

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/{method}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        nothing = {"result": {"data": [], "cursor": {"after": None}}, "error_code": None, "error_info": None}
        answer = self._answers.get(request.match_info["method"], self._answers.get("*", nothing))
        if isinstance(answer, str):
            return web.Response(text=answer, status=self._status)
        return web.json_response(answer, status=self._status)


async def test_a_real_revision_is_read_with_its_base(shared: Path, session: aiohttp.ClientSession) -> None:
    folder = shared / "data" / "phabricator" / "D36474-125397"
    files = {
        "differential.revision.search": "revision-search-36474.json",
        "differential.diff.search": "search-125397.json",
        "edge.search": "edges-PHID-DREV-rsy3lphq5j46whxgpm62.json",
        "diffusion.repository.search": "repositories.json",
        "user.search": "user-search-PHID-USER-ciaomkrkqpbwfmdqahdu.json",
        "differential.getrawdiff": "raw-125397.json",
    }
    answers = {method: json.loads((folder / name).read_text()) for method, name in files.items()}
    async with served(Recorded(answers)) as url:
        client = Phabricator(session, url)
        revision = (await client.revisions([36474])).found[36474]
        raw = await client.raw_diff(125397)
    assert (revision.bug, revision.diff, revision.status) == (1546334, 125397, "needs-revision")
    assert revision.base == "b23bd78e4d949c20a5e83f852958cd5fa58e02ea"
    # The recorded list of repositories lacks this one: it has no name then, rather than another's.
    assert revision.repository is None and revision.is_public and revision.parents == ()
    assert raw is not None and b"diff --git" in raw


async def test_every_recorded_refusal_is_unavailable_or_nothing(
    shared: Path, session: aiohttp.ClientSession
) -> None:
    """No error of Conduit's may look like an empty answer."""
    seen = 0
    for path in sorted((shared / "recorded" / "phorge").glob("*error*.json")):
        response = json.loads(path.read_text())["response"]
        async with served(Recorded({"*": response["body"]}, status=response["status"])) as url:
            client = Phabricator(session, url)
            with pytest.raises(Unavailable):
                await client.revisions([1])
            with pytest.raises(Unavailable):
                await client.changed([1])
        seen += 1
    assert seen > 40
