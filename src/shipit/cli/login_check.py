# SPDX-License-Identifier: MPL-2.0
"""Whether people can log in: what of the settings does not fit, and whether Taskcluster would answer."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from shipit.cli.credentials import credentials_of
from shipit.clients.http import Session
from shipit.clients.taskcluster import Taskcluster
from shipit.settings import Settings
from shipit.web.scopes import USER, satisfies

# A name that no login makes; asking for it shows whether we may look clients up.
NOBODY = "shipit/check/nobody"


def problems(settings: Settings) -> list[str]:
    """What keeps people from logging in though that is wanted; pure."""
    if settings.login.client_id is None:
        return []
    found = []
    if settings.taskcluster.root_url is None:
        found.append("login.client_id needs taskcluster.root_url, where people log in")
    url = settings.backend.url
    if url is None:
        found.append("login.client_id needs backend.url, where Taskcluster sends people back to")
    elif url.startswith("http:") and not _is_here(urlsplit(url).hostname or ""):
        found.append("backend.url: expected https, since sessions would be sent in the clear")
    lacking = [
        scope
        for scope in (USER, *settings.backend.restricted_scopes)
        if not satisfies(settings.login.scopes, ((scope,),))
    ]
    if lacking:
        found.append(
            f"login.scopes: expected to cover {' and '.join(lacking)}, or nobody gets it by logging in"
        )
    return found


async def answers(settings: Settings, session: Session) -> str:
    """What Taskcluster says when asked about a client. Raises Unavailable, with its words."""
    root = settings.taskcluster.root_url
    if settings.login.client_id is None or root is None:
        return "nobody can log in: no login.client_id"
    await Taskcluster(session, root, credentials_of(settings), attempts=1).client(NOBODY)
    return f"{root} lets us look up what people may do"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
