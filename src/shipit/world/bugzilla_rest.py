# SPDX-License-Identifier: MPL-2.0
"""The REST interface of a fake Bugzilla: questions and changes, with the real one's codes and words."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web

from shipit.world import bugzilla_json as told
from shipit.world.bugzilla_call import Body, Call, answered, said
from shipit.world.bugzilla_changes import Changes
from shipit.world.bugzilla_json import Wanted
from shipit.world.bugzilla_search import search, time_of
from shipit.world.bugzilla_state import Attachment, Bug, Says, State, User

VERSION = "20260820.1"
ANONYMOUS_BUGS, WRONG_KEYS = 75, 5
"""How many anonymous looks at bugs and wrong keys a minute are let through before everything is refused."""


class Rest:
    """Answers for a state. With too many anonymous looks or wrong keys it closes for an hour, as BMO does."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.closed_until: datetime | None = None
        self._looks: list[tuple[str, datetime]] = []

    def routes(self) -> list[web.RouteDef]:
        """Every resource; the last one words what does not exist."""
        changes = Changes(self.state)
        table: list[tuple[str, str, Callable[[Call], Awaitable[web.Response]]]] = [
            ("GET", "/rest/version", self._version),
            ("GET", "/rest/time", self._time),
            ("GET", "/rest/whoami", self._whoami),
            ("GET", "/rest/valid_login", self._valid_login),
            ("GET", "/rest/user", self._users),
            ("GET", "/rest/user/{name}", self._users),
            ("GET", "/rest/flag_types/{product}", self._flag_types),
            ("GET", "/rest/flag_types/{product}/{component}", self._flag_types),
            ("GET", "/rest/bug", self._search),
            ("POST", "/rest/bug", changes.file),
            ("GET", "/rest/bug/attachment/{attachment}", self._one_attachment),
            ("PUT", "/rest/bug/attachment/{attachment}", changes.change_attachment),
            ("GET", "/rest/bug/{bug}", self._one_bug),
            ("PUT", "/rest/bug/{bug}", changes.change_bug),
            ("GET", "/rest/bug/{bug}/attachment", self._attachments),
            ("POST", "/rest/bug/{bug}/attachment", changes.attach),
            ("GET", "/rest/bug/{bug}/comment", self._comments),
            ("POST", "/rest/bug/{bug}/comment", changes.comment),
            ("GET", "/rest/bug/{bug}/history", self._history),
            ("*", "/rest/{anything:.*}", self._nothing),
        ]
        return [web.route(method, path, self._handler(question)) for method, path, question in table]

    def _handler(
        self, question: Callable[[Call], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            now = self.state.now()
            if self.closed_until is not None and now < self.closed_until:
                return web.Response(
                    status=429, text="<html><body>Too many requests</body></html>", content_type="text/html"
                )
            try:
                body = await self._body(request)
                viewer = self._viewer(request, body)
                self._check_rate(request, viewer)
                return await question(Call(request, viewer, body))
            except Says as error:
                return said(error)

        return handle

    async def _body(self, request: web.Request) -> Any:
        text = await request.text()
        if not text:
            return None
        if request.content_type != "application/json":
            raise Says(100500, None, HTTPStatus.OK)
        try:
            return json.loads(text)
        except ValueError:
            raise Says(
                32000, "Could not parse the 'params' argument as valid JSON. Error: malformed JSON string."
            ) from None

    def _viewer(self, request: web.Request, body: Any) -> User | None:
        given = (
            request.headers.get("X-BUGZILLA-API-KEY")
            or request.query.get("api_key")
            or request.query.get("Bugzilla_api_key")
            or (body.pop("api_key", None) if isinstance(body, dict) else None)
        )
        if not given:
            return None
        login = self.state.keys.get(given)
        if login is None:
            self._count("key", WRONG_KEYS)
            raise Says(306, "The API key you specified is invalid. Please check that you typed it correctly.")
        user = self.state.users[login]
        if user.is_disabled:
            raise Says(301, "disabled account", HTTPStatus.UNAUTHORIZED)
        return user

    def _check_rate(self, request: web.Request, viewer: User | None) -> None:
        if viewer is None and request.method == "GET" and request.path.startswith("/rest/bug"):
            self._count("bug", ANONYMOUS_BUGS)

    def _count(self, kind: str, most: int) -> None:
        now = self.state.now()
        self._looks = [(one, at) for one, at in self._looks if now - at < timedelta(minutes=1)] + [
            (kind, now)
        ]
        if sum(one == kind for one, _ in self._looks) > most:
            self.close()
            raise Says(32000, "You have exceeded the rate limit.")

    def close(self) -> None:
        """Answer 429 to everybody for an hour."""
        self.closed_until = self.state.now() + timedelta(hours=1)

    def reopen(self) -> None:
        """Listen again, forgiving all."""
        self.closed_until = None
        self._looks.clear()

    # --- who and what -----------------------------------------------------------------------------

    async def _version(self, call: Call) -> web.Response:
        return answered({"version": VERSION})

    async def _time(self, call: Call) -> web.Response:
        now = told.spelled(self.state.now())
        zone = {"tz_name": "UTC", "tz_short_name": "UTC", "tz_offset": "+0000"}
        return answered({"web_time": now, "web_time_utc": now, "db_time": now} | zone)

    async def _whoami(self, call: Call) -> web.Response:
        user = call.login()
        return answered(
            {
                "id": user.id,
                "name": user.login,
                "real_name": user.real_name,
                "nick": user.nick,
                "groups": sorted(user.groups),
                "mfa_status": False,
                "uuid": f"bmo-who:{user.id:040x}",
            }
        )

    async def _valid_login(self, call: Call) -> web.Response:
        return answered(dict(call.query).get("login") == call.login().login)

    async def _users(self, call: Call) -> web.Response:
        state, wanted = self.state, call.wanted()
        is_permissive = dict(call.query).get("permissive") == "1"
        names = call.all("names") + ([call.path["name"]] if "name" in call.path else [])
        ids = {int(one) for one in call.all("ids") if one.isdigit()}
        found = [user for user in state.users.values() if user.id in ids]
        faults = []
        for name in names:
            try:
                found.append(state.user(name))
            except Says as error:
                if not is_permissive:
                    raise
                faults.append({"error": True, "name": name, "message": f"{error.message}\n"})
        for text in call.all("match"):
            word = text.lower().lstrip(":")
            found += [
                user
                for user in state.users.values()
                if word in user.login.lower() or word in user.real_name.lower() or word == user.nick.lower()
            ]
        users = [wanted.only(told.account(state, user, call.viewer)) for user in found]
        return answered({"users": users, "faults": faults})

    async def _flag_types(self, call: Call) -> web.Response:
        product = call.path["product"]
        if product not in self.state.products:
            raise Says(
                106,
                f"Either the product '{product}' does not exist or you don't have access to it.",
                HTTPStatus.UNAUTHORIZED,
            )
        groups = call.viewer.groups if call.viewer else set()
        found: dict[str, list[Body]] = {"bug": [], "attachment": []}
        for kind in self.state.flag_types.values():
            may_grant = kind.grant_group is None or kind.grant_group in groups
            found[kind.target].append(
                {
                    "id": kind.id,
                    "name": kind.name,
                    "type": kind.target,
                    "description": kind.description,
                    "values": ["X", "?", "+", "-"] if may_grant else ["X", "?"],
                    "is_active": True,
                    "is_multiplicable": kind.is_multiplicable,
                    "is_requesteeble": kind.is_requesteeble,
                }
            )
        return answered(found)

    # --- reading ----------------------------------------------------------------------------------

    async def _search(self, call: Call) -> web.Response:
        query, wanted = call.query, Wanted(call.query, told.EXTRA)
        found = search(self.state, call.viewer, query)
        if dict(query).get("count_only") == "1":
            return answered({"bug_count": len(found)})
        return answered({"bugs": [told.bug(self.state, one, wanted, call.viewer) for one in found]})

    async def _one_bug(self, call: Call) -> web.Response:
        one = self.state.visible(call.viewer, call.number())
        wanted = Wanted(call.query, told.EXTRA)
        shown = told.bug(self.state, one, wanted, call.viewer)
        if call.viewer is not None and wanted.has("update_token"):
            shown["update_token"] = told.update_token(one, call.viewer)
        return answered({"bugs": [shown], "faults": []})

    def _several(self, call: Call) -> list[Bug]:
        """The bug of the path and those of ids=; one hidden or unknown among them fails the whole call."""
        numbers = dict.fromkeys([call.number(), *(int(one) for one in call.all("ids") if one.isdigit())])
        return [self.state.visible(call.viewer, number) for number in numbers]

    async def _attachments(self, call: Call) -> web.Response:
        wanted = call.wanted()
        bugs = {
            str(bug.id): [
                told.attachment(self.state, one, wanted)
                for one in bug.attachments
                if not one.is_private or told.is_insider(call.viewer)
            ]
            for bug in self._several(call)
        }
        return answered({"bugs": bugs, "attachments": {}})

    async def _one_attachment(self, call: Call) -> web.Response:
        one = self._attachment(call)
        if one is None:
            return answered({"bugs": {}, "attachments": {}})
        self.state.visible(call.viewer, one.bug)
        if one.is_private and not told.is_insider(call.viewer):
            raise Says(
                304, "Sorry, you are not authorized to access this attachment.", HTTPStatus.UNAUTHORIZED
            )
        shown = told.attachment(self.state, one, call.wanted())
        return answered({"bugs": {}, "attachments": {str(one.id): shown}})

    def _attachment(self, call: Call) -> Attachment | None:
        text = call.path["attachment"]
        return self.state.attachments.get(int(text)) if text.isdigit() else None

    def _since(self, call: Call) -> datetime | None:
        text = dict(call.query).get("new_since")
        return None if text is None else time_of(text)

    async def _comments(self, call: Call) -> web.Response:
        since, wanted = self._since(call), call.wanted()
        bugs = {}
        for bug in self._several(call):
            shown = [
                told.comment(one, bug.id, wanted)
                for one in bug.comments
                if (since is None or one.time > since)
                and (not one.is_private or told.is_insider(call.viewer))
            ]
            bugs[str(bug.id)] = {"comments": shown}
        return answered({"bugs": bugs, "comments": {}})

    async def _history(self, call: Call) -> web.Response:
        since = self._since(call)
        bugs = [
            {"id": bug.id, "alias": None, "history": told.history(bug, since)} for bug in self._several(call)
        ]
        return answered({"bugs": bugs})

    async def _nothing(self, call: Call) -> web.Response:
        raise Says(32614, "A REST API resource was not found.", HTTPStatus.NOT_FOUND)
