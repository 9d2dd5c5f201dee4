# SPDX-License-Identifier: MPL-2.0
"""Every route × every role: who may, who is asked to log in (401), and who is refused (403)."""

from __future__ import annotations

import pytest

from fixtures_postgres import Database
from fixtures_web import CAST, Service, make_bug, make_request, make_round, running
from shipit.web.app import HANDLERS
from shipit.web.house import Contract
from shipit.web.scopes import Right
from shipit.web.shell import PATHS

OK = "ok"
ROLES = (None, *CAST)
EVERYBODY = dict.fromkeys(ROLES, OK)
NOT_BEGUN = dict.fromkeys(ROLES, 401)
# A public instance shows public data to everybody, a private one only to those with a scope.
READERS_PUBLIC = EVERYBODY
READERS_PRIVATE = {
    None: 401,
    "stranger": 403,
    "user": OK,
    "bot": OK,
    "admin": OK,
    "reader": OK,
    "replayer": OK,
}
USERS = {None: 401, "stranger": 403, "user": OK, "bot": 403, "admin": OK, "reader": OK, "replayer": OK}
BOTS = {None: 401, "stranger": 403, "user": 403, "bot": OK, "admin": 403, "reader": 403, "replayer": 403}
ADMINS = {None: 401, "stranger": 403, "user": 403, "bot": 403, "admin": OK, "reader": 403, "replayer": 403}
REPLAYERS = {**USERS, "user": 403, "reader": 403}
READ = (READERS_PUBLIC, READERS_PRIVATE)
# Nobody is sent to log in; whoever is somebody gets the shell, which says what is refused.
SHELL = (EVERYBODY, {**EVERYBODY, None: 401})

# (method, path of the route) -> (who may on a public, on a private instance). A route without an entry fails.
TABLE: dict[tuple[str, str], tuple[dict[str | None, object], dict[str | None, object]]] = {
    ("GET", "/__version__"): (EVERYBODY, EVERYBODY),
    ("GET", "/__heartbeat__"): (EVERYBODY, EVERYBODY),
    ("GET", "/__lbheartbeat__"): (EVERYBODY, EVERYBODY),
    ("GET", "/metrics"): (EVERYBODY, EVERYBODY),
    ("GET", "/login"): (EVERYBODY, EVERYBODY),
    # without a login that was begun it is 401, whoever asks
    ("GET", "/login/callback"): (NOT_BEGUN, NOT_BEGUN),
    ("POST", "/logout"): (EVERYBODY, EVERYBODY),
    ("GET", "/api/me"): (EVERYBODY, EVERYBODY),
    ("GET", "/schema"): (EVERYBODY, EVERYBODY),
    ("GET", "/schema/openapi.json"): (EVERYBODY, EVERYBODY),
    # the pages: a shell that is the same for everybody; what is in it follows the rights of its API
    ("GET", "/assets/{name:str}"): (EVERYBODY, EVERYBODY),
    **{("GET", path): SHELL for path in PATHS},
    ("GET", "/api/live"): READ,
    ("GET", "/api/trains"): READ,
    ("GET", "/api/requests"): READ,
    ("GET", "/api/requests/{uid:str}"): READ,
    ("GET", "/api/bugs/{bug:str}"): READ,
    ("POST", "/api/requests/{uid:str}/wishes"): (USERS, USERS),
    ("GET", "/api/requests/{uid:str}/audit"): READ,
    ("GET", "/api/decisions"): READ,
    ("GET", "/api/bugs/{bug:str}/audit"): READ,
    ("POST", "/api/decisions/preview"): (USERS, USERS),
    ("GET", "/api/decisions/{uid:str}"): READ,
    ("PUT", "/api/decisions/{uid:str}"): (USERS, USERS),
    ("DELETE", "/api/decisions/{uid:str}"): (USERS, USERS),
    ("POST", "/api/decisions/{uid:str}/resume"): (USERS, USERS),
    ("POST", "/api/decisions/{uid:str}/drop"): (USERS, USERS),
    ("GET", "/api/decision-templates"): READ,
    ("GET", "/api/me/keys"): (USERS, USERS),
    ("PUT", "/api/me/keys/{system:str}"): (USERS, USERS),
    ("DELETE", "/api/me/keys/{system:str}"): (USERS, USERS),
    ("GET", "/api/requests/{uid:str}/evidence"): READ,
    ("PUT", "/api/requests/{uid:str}/details"): (BOTS, BOTS),
    **{
        ("GET", f"/api/board/{{train:str}}/lists/{{list:str}}/{kind}"): READ
        for kind in ("csv", "json", "rss", "atom")
    },
    ("GET", "/api/board/{train:str}/csv"): READ,
    ("GET", "/api/board/{train:str}/json"): READ,
    ("GET", "/api/board/{train:str}/rss"): READ,
    ("GET", "/api/board/{train:str}/atom"): READ,
    ("GET", "/api/search"): READ,
    ("GET", "/api/views"): (USERS, USERS),
    ("PUT", "/api/views/{uid:str}"): (USERS, USERS),
    ("DELETE", "/api/views/{uid:str}"): (USERS, USERS),
    ("GET", "/api/people"): (USERS, USERS),
    ("GET", "/api/people/{person:str}"): (USERS, USERS),
    ("GET", "/api/people/{person:str}/notes"): (ADMINS, ADMINS),
    ("PUT", "/api/people/{person:str}/note"): (ADMINS, ADMINS),
    ("DELETE", "/api/people/{person:str}/note"): (ADMINS, ADMINS),
    ("GET", "/api/board/{train:str}"): READ,
    ("GET", "/api/board/{train:str}/lists"): READ,
    ("PUT", "/api/board/lists"): (BOTS, BOTS),
    ("GET", "/api/known"): (BOTS, BOTS),
    ("PUT", "/api/trains"): (BOTS, BOTS),
    ("PUT", "/api/bugs"): (BOTS, BOTS),
    ("PUT", "/api/trials"): (BOTS, BOTS),
    ("PUT", "/api/advice"): (BOTS, BOTS),
    ("PUT", "/api/plans/{train:str}"): (BOTS, BOTS),
    ("GET", "/api/plans/{train:str}"): READ,
    ("GET", "/api/rounds"): (BOTS, BOTS),
    ("PUT", "/api/rounds/{uid:str}"): (BOTS, BOTS),
    ("PUT", "/api/leases/{name:str}"): (BOTS, BOTS),
    ("DELETE", "/api/leases/{name:str}"): (BOTS, BOTS),
    ("GET", "/api/wishes"): (BOTS, BOTS),
    ("PUT", "/api/wishes/{uid:str}"): (BOTS, BOTS),
    ("PUT", "/api/mails/{key:path}"): (BOTS, BOTS),
    ("GET", "/api/pipelines"): READ,
    ("PUT", "/api/pipelines/{uid:str}"): (USERS, USERS),
    ("DELETE", "/api/pipelines/{uid:str}"): (USERS, USERS),
    ("GET", "/api/pipelines/{uid:str}/definition"): READ,
    ("GET", "/api/pipelines/{uid:str}/status"): READ,
    ("GET", "/api/pipelines/{uid:str}/history"): READ,
    ("POST", "/api/pipelines/{uid:str}/hold"): (USERS, USERS),
    ("POST", "/api/pipelines/{uid:str}/steps/{step:str}/{verb:str}"): (USERS, USERS),
    ("GET", "/api/stops"): READ,
    ("POST", "/api/stops"): (USERS, USERS),
    ("POST", "/api/stops/{uid:str}/restart"): (USERS, USERS),
    ("POST", "/api/builds"): (USERS, USERS),
    ("GET", "/api/templates"): READ,
    ("POST", "/api/templates/{uid:str}"): READ,
    ("GET", "/steps/{kind:str}"): READ,
    ("PUT", "/steps/{kind:str}/{uid:str}"): (USERS, USERS),
    ("DELETE", "/steps/{kind:str}/{uid:str}"): (USERS, USERS),
    ("GET", "/steps/{kind:str}/{uid:str}/definition"): READ,
    ("GET", "/steps/{kind:str}/{uid:str}/status"): READ,
    ("PUT", "/steps/{kind:str}/{uid:str}/sign"): (USERS, USERS),
    ("GET", "/api/releases"): READ,
    ("POST", "/api/releases"): (USERS, USERS),
    ("GET", "/api/release-kinds"): READ,
    ("GET", "/api/releases/{uid:str}"): READ,
    ("GET", "/api/pipelines/{uid:str}/steps/{step:str}"): READ,
    ("GET", "/api/pipelines/{uid:str}/uplifts"): READ,
    ("GET", "/api/merge-day"): READ,
    ("POST", "/api/pipelines/{uid:str}/rollback/{phase:str}"): (USERS, USERS),
    ("DELETE", "/steps/{kind:str}/{uid:str}/sign"): (USERS, USERS),
    ("PUT", "/steps/{kind:str}/{uid:str}/halt"): (USERS, USERS),
    ("PUT", "/steps/{kind:str}/{uid:str}/resume"): (USERS, USERS),
    ("PUT", "/steps/{kind:str}/{uid:str}/balrog"): (USERS, USERS),
    ("PUT", "/steps/{kind:str}/{uid:str}/content"): (USERS, USERS),
    ("PUT", "/steps/{kind:str}/{uid:str}/done"): (USERS, USERS),
    ("POST", "/api/policies"): READ,
    ("POST", "/api/delegations"): (USERS, USERS),
    ("GET", "/api/delegations"): (USERS, USERS),
    ("DELETE", "/api/delegations/{number:str}"): (USERS, USERS),
    ("GET", "/api/events"): READ,
    ("GET", "/api/events/{event:str}"): READ,
    ("GET", "/api/quarantine"): READ,
    ("GET", "/api/sources"): READ,
    ("POST", "/api/events/{event:str}/replay"): (REPLAYERS, REPLAYERS),
    ("POST", "/api/events/{event:str}/skip"): (REPLAYERS, REPLAYERS),
    # their own signatures say who may; without a secret they are not there
    ("POST", "/hooks/github"): (EVERYBODY, EVERYBODY),
    ("POST", "/hooks/herald"): (EVERYBODY, EVERYBODY),
    ("POST", "/hooks/harbormaster"): (EVERYBODY, EVERYBODY),
    ("GET", "/compat/pipeline"): READ,
    ("PUT", "/compat/pipeline/{uid:str}"): (USERS, USERS),
    ("DELETE", "/compat/pipeline/{uid:str}"): (USERS, USERS),
    ("GET", "/compat/pipeline/{uid:str}/definition"): READ,
    ("GET", "/compat/pipeline/{uid:str}/status"): READ,
    ("PUT", "/compat/pipeline/ticktock"): (USERS, USERS),
    ("GET", "/compat/signoff/step"): READ,
    ("PUT", "/compat/signoff/step/{uid:str}"): (USERS, USERS),
    ("GET", "/compat/signoff/step/{uid:str}"): READ,
    ("GET", "/compat/signoff/step/{uid:str}/status"): READ,
    ("DELETE", "/compat/signoff/step/{uid:str}"): (USERS, USERS),
    ("PUT", "/compat/signoff/step/{uid:str}/sign"): (USERS, USERS),
    ("DELETE", "/compat/signoff/step/{uid:str}/sign"): (USERS, USERS),
    ("PUT", "/compat/signoff/validate_policy"): (USERS, USERS),
    ("GET", "/compat/taskcluster/steps"): READ,
    ("PUT", "/compat/taskcluster/steps/{uid:str}"): (USERS, USERS),
    ("GET", "/compat/taskcluster/steps/{uid:str}"): READ,
    ("GET", "/compat/taskcluster/steps/{uid:str}/status"): READ,
    ("DELETE", "/compat/taskcluster/steps/{uid:str}"): (USERS, USERS),
    ("GET", "/compat/uplift/ping"): (EVERYBODY, EVERYBODY),
    ("GET", "/compat/uplift/analysis"): READ,
    ("GET", "/compat/uplift/analysis/{number:str}"): READ,
    ("PUT", "/compat/uplift/analysis/{number:str}"): (BOTS, BOTS),
    ("POST", "/compat/uplift/bugs"): (BOTS, BOTS),
    ("PUT", "/compat/uplift/bugs/{bugzilla_id:str}"): (USERS, USERS),
    ("DELETE", "/compat/uplift/bugs/{bugzilla_id:str}"): (BOTS, BOTS),
    ("GET", "/compat/uplift/bugs/{bugzilla_id:str}/patches"): (BOTS, BOTS),
    ("POST", "/compat/uplift/bugs/{bugzilla_id:str}/patches"): (BOTS, BOTS),
    ("PUT", "/compat/uplift/contributor/{person:str}"): (ADMINS, ADMINS),
}
PARTS = {
    "{uid:str}/wishes": "101-beta-1/wishes",
    "{uid:str}": "101-beta-1",
    "{bug:str}": "101",
    "{event:str}": "1",
    "{kind:str}": "signoff",
    "{step:str}": "a",
    "{verb:str}": "retry",
    "{bugzilla_id:str}": "101",
    "{number:str}": "1",
    "{person:str}": "1",
    "{name:str}": "round",
    "{train:str}": "beta",
    "{list:str}": "tracking",
    "{key:path}": "a/key",
}


def routes() -> list[tuple[str, str, Contract]]:
    return [
        (next(iter(each.http_methods - {"HEAD"})), next(iter(each.paths)), each.opt["contract"])
        for each in HANDLERS
    ]


def test_every_route_has_an_entry_and_every_entry_a_route() -> None:
    assert {(method, path) for method, path, _ in routes()} == set(TABLE)


@pytest.mark.parametrize("is_public", [True, False], ids=["public", "private"])
async def test_every_route_admits_exactly_those_who_may(database: Database, is_public: bool) -> None:
    async with running(database, public_read=is_public) as service:
        await service.feed(make_bug(101, make_request(101)))
        await service.put("/api/rounds/r1", make_round())
        wrong = []
        for (method, path), rows in TABLE.items():
            for who, expected in rows[0 if is_public else 1].items():
                status = await ask(service, method, path, who)
                # Past the guard a request may still be wrong in itself (an empty body here), never forbidden.
                found = status if status in (401, 403) else OK
                if found != expected or status >= 500:
                    wrong.append((method, path, who, expected, status))
        assert not wrong


async def test_a_private_instance_asks_for_a_login_and_a_refusal_names_the_scope(database: Database) -> None:
    async with running(database, public_read=False) as service:
        nobody = await service.client.get("/api/trains")
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"] == "Hawk"
        stranger = await service.by("stranger").get("/api/trains")
        assert (stranger.status_code, "www-authenticate" in stranger.headers) == (403, False)
        assert "project:shipit:user" in stranger.json()["detail"]


def test_no_route_is_public_by_oversight() -> None:
    public = {path for _, path, contract in routes() if contract.right is Right.PUBLIC}
    open_to_all = (EVERYBODY, NOT_BEGUN, SHELL[1])
    assert public == {path for (_, path), rows in TABLE.items() if rows[1] in open_to_all}


async def test_head_answers_wherever_get_does_and_without_a_body(database: Database) -> None:
    async with running(database, public_read=False) as service:
        await service.feed(make_bug(101, make_request(101)))
        await service.put("/api/rounds/r1", make_round())
        wrong = []
        for path in (path for method, path in TABLE if method == "GET"):
            for who in (None, "user"):
                expected = await ask(service, "GET", path, who)
                answer = await service.by(who).head(filled(path), timeout=10)
                if answer.status_code != expected or answer.content:
                    wrong.append((path, who, expected, answer.status_code, answer.content))
        assert not wrong
        assert int((await service.by("user").head("/api/trains")).headers["content-length"]) > 0


def filled(path: str) -> str:
    for part, value in PARTS.items():
        path = path.replace(part, value)
    return path


async def ask(service: Service, method: str, path: str, who: str | None) -> int:
    path = filled(path)
    client = service.by(who)
    if method == "GET":
        async with client.stream("GET", path) as answer:
            return answer.status_code
    if method == "DELETE":
        return (await client.delete(path)).status_code
    headers = {"Content-Type": "application/json"}
    return (await client.request(method, path, content=b"null", headers=headers)).status_code
