# SPDX-License-Identifier: MPL-2.0
"""A fake of Lando's commit map."""

from __future__ import annotations

from aiohttp import web

from shipit.world.server import Clock, Fake, utc_now


class FakeLando(Fake):
    """The map between git and Mercurial names of one repository."""

    name = "lando"

    def __init__(self, now: Clock = utc_now, *, repository: str = "firefox") -> None:
        super().__init__(now)
        self.repository = repository
        self._git: dict[str, str] = {}
        self._hg: dict[str, str] = {}

    def add(self, git: str, hg: str) -> None:
        """Two names of one commit."""
        self._git[hg], self._hg[git] = git, hg

    def routes(self) -> list[web.RouteDef]:
        """Both directions."""
        return [
            web.get("/api/hg2git/{repository}/{commit}", self._answer),
            web.get("/api/git2hg/{repository}/{commit}", self._answer),
        ]

    async def _answer(self, request: web.Request) -> web.Response:
        commit = request.match_info["commit"]
        is_hg = "/hg2git/" in request.path
        names = self._git if is_hg else self._hg
        given = next((one for one in names if one.startswith(commit)), None)
        if given is None or request.match_info["repository"] != self.repository:
            problem = {
                "title": "Not Found",
                "status": 404,
                "type": "about:blank",
                "detail": "No such commit.",
            }
            return web.json_response(problem, status=404)
        git, hg = (names[given], given) if is_hg else (given, names[given])
        return web.json_response({"git_hash": git, "hg_hash": hg})
