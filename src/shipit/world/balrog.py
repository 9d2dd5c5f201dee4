# SPDX-License-Identifier: MPL-2.0
"""A fake Balrog: rules, scheduled changes with signoffs by role, emergency shutoffs, its agent on call."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from shipit.world.server import Clock, Fake, hang_up, utc_now

Body = dict[str, Any]
RULE = "/api/rules/{rule}"
CHANGES = "/api/scheduled_changes/rules"
CHANGE = CHANGES + "/{sc_id:[0-9]+}"


class FakeBalrog(Fake):
    """The admin API below /api.

    people: token -> (user, roles). needed: (product, channel) -> role -> how many must sign.
    """

    name = "balrog"

    def __init__(self, now: Clock = utc_now) -> None:
        super().__init__(now)
        self.rules: dict[int, Body] = {}
        self.changes: dict[int, Body] = {}
        self.people: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.needed: dict[tuple[str, str], dict[str, int]] = {}
        self.shutoffs: list[Body] = []
        # Whether it tells whose a token is; later ones do not.
        self.names_users = True
        self.enacted: list[tuple[int, int]] = []
        self._late: list[str] = []
        self._newest = 0

    @property
    def api_url(self) -> str:
        """What the setting steps.balrog_url names."""
        return f"{self.url}/api"

    def add_rule(self, rule_id: int, *, mapping: str, rate: int = 0, **more: Any) -> None:
        """A rule; more: product, channel, alias."""
        row = {"product": "Firefox", "channel": "release", "alias": None, "priority": 90, **more}
        self.rules[rule_id] = {
            **row,
            "rule_id": rule_id,
            "mapping": mapping,
            "fallbackMapping": None,
            "backgroundRate": rate,
            "update_type": "minor",
            "data_version": 1,
        }

    def add_person(self, token: str, user: str, *roles: str) -> None:
        """Somebody with a token."""
        self.people[token] = (user, roles)

    def fail_after_effect(self, how: str) -> None:
        """The next write takes effect, and "error" or "drop" is all the caller hears."""
        self._late.append(how)

    def enact(self) -> int:
        """What the agent does every half minute: make each change whose time has come and that is signed."""
        made = 0
        for change in self.changes.values():
            is_time = change["when"] <= self.now().timestamp() * 1000
            if change["complete"] or not is_time or self._lacking(change):
                continue
            rule = self.rules[change["rule_id"]]
            rule["backgroundRate"] = change["backgroundRate"]
            rule["data_version"] += 1
            change["complete"] = True
            self.enacted.append((change["rule_id"], change["backgroundRate"]))
            made += 1
        return made

    def routes(self) -> list[web.RouteDef]:
        """The methods that pipelines use."""
        shutoff = "/api/emergency_shutoff"
        return [
            web.get(RULE, self._rule),
            web.get(CHANGES, self._list),
            web.post(CHANGES, self._schedule),
            web.get(CHANGE, self._change),
            web.delete(CHANGE, self._withdraw),
            web.post(CHANGE + "/signoffs", self._sign),
            web.get(shutoff + "/{product}/{channel}", self._shut),
            web.post(shutoff, self._shut_off),
            web.get("/api/users/current", self._current),
        ]

    async def _rule(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request.match_info["rule"])
        return _says(HTTPStatus.NOT_FOUND, "Requested rule wasn't found") if found is None else _json(found)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("rule_id")
        rows = [
            self._shown(change)
            for change in self.changes.values()
            if not change["complete"] and wanted in (None, str(change["rule_id"]))
        ]
        return _json({"count": len(rows), "scheduled_changes": rows})

    async def _change(self, request: web.Request) -> web.StreamResponse:
        found = self.changes.get(int(request.match_info["sc_id"]))
        if found is None:
            return _says(HTTPStatus.NOT_FOUND, "Scheduled change does not exist")
        return _json({"scheduled_change": self._shown(found)})

    async def _schedule(self, request: web.Request) -> web.StreamResponse:
        who = self._who(request)
        if who is None:
            return _says(HTTPStatus.FORBIDDEN, "Permission Denied")
        body = await request.json()
        rule = self.rules.get(int(body.get("rule_id") or 0))
        if rule is None or body.get("change_type") != "update":
            return _says(HTTPStatus.BAD_REQUEST, "Missing field")
        if body["when"] <= self.now().timestamp() * 1000:
            return _says(HTTPStatus.BAD_REQUEST, "Changes may not be scheduled in the past")
        if body["data_version"] != rule["data_version"]:
            return _says(HTTPStatus.BAD_REQUEST, "OutdatedDataError")
        if any(each["rule_id"] == rule["rule_id"] and not each["complete"] for each in self.changes.values()):
            return _says(HTTPStatus.BAD_REQUEST, "ChangeScheduledError")
        user, roles = who
        # Numbers are never given out twice.
        number = self._newest = self._newest + 1
        kept = {name: value for name, value in body.items() if name != "change_type"}
        fit = [role for role in roles if role in self._need(rule)]
        signoffs = {user: fit[0]} if len(fit) == 1 else {}
        self.changes[number] = {
            **kept,
            "sc_id": number,
            "complete": False,
            "change_type": "update",
            "scheduled_by": user,
            "sc_data_version": 1,
            "signoffs": signoffs,
        }
        return self._after(request, {"sc_id": number, "signoffs": signoffs})

    async def _withdraw(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["sc_id"])
        if self._who(request) is None:
            return _says(HTTPStatus.FORBIDDEN, "Permission Denied")
        if number not in self.changes:
            return _says(HTTPStatus.NOT_FOUND, "Scheduled change does not exist")
        if "data_version" not in request.query:
            return _says(HTTPStatus.BAD_REQUEST, "data_version is missing")
        del self.changes[number]
        return self._after(request, {})

    async def _sign(self, request: web.Request) -> web.StreamResponse:
        who, change = self._who(request), self.changes.get(int(request.match_info["sc_id"]))
        if change is None:
            return _says(HTTPStatus.NOT_FOUND, "Scheduled change does not exist")
        role = (await request.json()).get("role")
        if who is None or role not in who[1]:
            return _says(HTTPStatus.FORBIDDEN, "Permission Denied", f"you do not hold the {role} role")
        if change["signoffs"].get(who[0], role) != role:
            return _says(HTTPStatus.FORBIDDEN, "Permission Denied", "Cannot signoff with a second role")
        change["signoffs"][who[0]] = role
        return self._after(request, {})

    async def _current(self, request: web.Request) -> web.StreamResponse:
        who = self._who(request)
        if who is None:
            return _says(HTTPStatus.FORBIDDEN, "Permission Denied")
        if not self.names_users:
            return _says(HTTPStatus.NOT_FOUND, "No permission found for username current")
        return _json({"username": who[0], "permissions": {}, "roles": list(who[1])})

    async def _shut(self, request: web.Request) -> web.StreamResponse:
        wanted = (request.match_info["product"], request.match_info["channel"])
        for each in self.shutoffs:
            if (each["product"], each["channel"]) == wanted:
                return _json(each)
        return _says(HTTPStatus.NOT_FOUND, "Emergency shutoff wasn't found")

    async def _shut_off(self, request: web.Request) -> web.StreamResponse:
        if self._who(request) is None:
            return _says(HTTPStatus.FORBIDDEN, "Permission Denied")
        body = await request.json()
        wanted = (body["product"], body["channel"])
        if any((each["product"], each["channel"]) == wanted for each in self.shutoffs):
            why = "Emergency shutoff for product/channel already exists."
            return _says(HTTPStatus.BAD_REQUEST, "Invalid Emergency shutoff data", why)
        self.shutoffs.append({**body, "data_version": 1})
        return self._after(request, body)

    def _after(self, request: web.Request, answer: Body) -> web.StreamResponse:
        match self._late.pop(0) if self._late else None:
            case "error":
                return self.error_page()
            case "drop":
                return hang_up(request)
        return _json(answer)

    def _who(self, request: web.Request) -> tuple[str, tuple[str, ...]] | None:
        return self.people.get(request.headers.get("Authorization", "").removeprefix("Bearer "))

    def _find(self, name: str) -> Body | None:
        if name.isdigit():
            return self.rules.get(int(name))
        return next((rule for rule in self.rules.values() if rule["alias"] == name), None)

    def _need(self, rule: Body) -> dict[str, int]:
        return self.needed.get((rule["product"], rule["channel"]), {})

    def _lacking(self, change: Body) -> bool:
        given = list(change["signoffs"].values())
        needed = self._need(self.rules[change["rule_id"]])
        return any(given.count(role) < count for role, count in needed.items())

    def _shown(self, change: Body) -> Body:
        required = {} if change["complete"] else self._need(self.rules[change["rule_id"]])
        return {**change, "required_signoffs": required}


def _json(body: Body) -> web.Response:
    return web.json_response(body)


def _says(status: HTTPStatus, detail: str, exception: str = "") -> web.Response:
    body = {"status": int(status), "title": status.phrase, "detail": detail, "exception": exception}
    return web.json_response(body, status=status, content_type="application/problem+json")
