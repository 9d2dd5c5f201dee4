# SPDX-License-Identifier: MPL-2.0
"""Who is asking, in the words a page needs: name, rights, and what its writes must bring."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from shipit.storage import keys, trains
from shipit.web import scopes
from shipit.web.house import Answer, Asked, Contract, endpoint, house, json_answer
from shipit.web.pipelines import behind
from shipit.web.returning import LOGIN
from shipit.web.scopes import Right
from shipit.web.viewer import Audience, Viewer

_SIGN = "project:shipit:sign/"
_DECIDE = "project:shipit:decide/"


class Keys(msgspec.Struct, frozen=True):
    """Which systems we hold a key of this person for, with which decisions are written there."""

    bugzilla: bool
    phabricator: bool


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/me. client_id: null for nobody; name: for the eye alone.

    decide: trains on which they decide. sign: groups they sign for, "*" at an end as in a scope. shadow:
    whether nothing can be written to Bugzilla and Phabricator from here. csrf: goes with each write of a
    page, in X-Csrf-Token; null without a session. login_url: takes `next`, a path of ours; null where one is
    logged in or nobody can be.
    """

    client_id: str | None
    name: str | None
    audience: Audience
    rights: list[Right]
    decide: list[str]
    sign: list[str]
    shadow: bool
    keys: Keys
    csrf: str | None
    login_url: str | None


@endpoint(
    "GET",
    "/api/me",
    Contract(
        right=Right.PUBLIC,
        summary="Who is asking, and what they may",
        answer=Me,
        statuses=(HTTPStatus.UNAUTHORIZED,),
    ),
)
async def show(request: Asked) -> Answer:
    """Who is asking."""
    things = house(request)
    who = await things.gate.viewer(request)
    async with things.database.connection() as connection:
        names = await trains.names(connection)
        kept = await keys.kept(connection, behind(who, things.settings.login).person)
    has_session = "authorization" not in request.headers and not who.is_anonymous
    return json_answer(
        Me(
            client_id=who.client_id,
            name=name_of(who.client_id),
            audience=who.audience,
            rights=rights_of(who, is_public=things.settings.backend.public_read),
            decide=[each for each in names if who.holds(_DECIDE + each)],
            sign=groups_of(who.scopes),
            shadow=things.settings.is_shadow,
            keys=Keys(*(name in kept and kept[name].refused_at is None for name in Keys.__struct_fields__)),
            csrf=things.sessions.csrf(request) if things.sessions and has_session else None,
            login_url=LOGIN if who.is_anonymous and things.sessions else None,
        )
    )


HANDLERS = [show]


def name_of(client_id: str | None) -> str | None:
    """The part of an identity that a person knows: "mozilla-auth0/ad|Mozilla-LDAP|ryan" is ryan. Pure."""
    return client_id and (client_id.rsplit("/", 1)[-1].rsplit("|", 1)[-1] or client_id)


def rights_of(who: Viewer, *, is_public: bool) -> list[Right]:
    """The rights somebody has, beside what everybody may. Pure."""
    return [
        right
        for right in Right
        if right is not Right.PUBLIC and (who.has(right) or (right is Right.READ and is_public))
    ]


def groups_of(held: tuple[str, ...]) -> list[str]:
    """The groups that somebody signs for, as their scopes spell them. Pure."""
    if scopes.satisfies(held, ((_SIGN + "*",),)):
        return ["*"]
    return sorted(scope.removeprefix(_SIGN) for scope in held if scope.startswith(_SIGN))
