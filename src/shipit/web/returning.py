# SPDX-License-Identifier: MPL-2.0
"""Where a browser comes back to after a login, and how it proves that it is the one that began it; pure.

A login that is under way is kept by the browser alone, in a short-lived cookie of `nonce.path` entries. The
state that goes through Taskcluster is a nonce's hash: whoever reads it in a URL cannot make the cookie.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

_MOST_PATH = 1500
_MOST_COOKIE = 3000
LOGIN = "/login"
_NOWHERE = (LOGIN, "/logout")


class Begun(NamedTuple):
    """A login that is under way. path: of ours, where the browser goes afterwards."""

    nonce: str
    path: str

    @property
    def state(self) -> str:
        """What goes through Taskcluster and comes back."""
        return _hashed("shipit login " + self.nonce)

    @property
    def verifier(self) -> str:
        """Of PKCE (RFC 7636): comes with the code, and only from where this nonce is known."""
        return _hashed("shipit verifier " + self.nonce)

    @property
    def challenge(self) -> str:
        """Of PKCE, method S256: what Taskcluster compares the verifier with."""
        return _hashed(self.verifier)


def _hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def own_path(given: str | None) -> str:
    """The path to return to; "/" for whatever could lead away from here, or round in circles."""
    if not given or not given.startswith("/") or len(given) > _MOST_PATH:
        return "/"
    # Browsers read a backslash as a slash, and drop tabs and line breaks: "/\t/evil" is "//evil".
    is_plain = given.isascii() and given.isprintable() and not any(each in given for each in ' \\"<>')
    path = given.split("?")[0].split("#")[0].rstrip("/")
    if not is_plain or given.startswith("//") or path in _NOWHERE or path.startswith("/login/"):
        return "/"
    return given


def login_path(path: str) -> str:
    """Where a browser begins to log in, to return to `path`."""
    return f"{LOGIN}?next={quote(own_path(path), safe='')}"


def written(begun: Sequence[Begun]) -> str:
    """The cookie's value; the oldest logins are left out when it would grow too long."""
    entries = [f"{each.nonce}.{_encoded(each.path)}" for each in begun]
    while len("~".join(entries)) > _MOST_COOKIE:
        entries.pop(0)
    return "~".join(entries)


def read(value: str) -> list[Begun]:
    """The logins that a cookie says are under way; what is no entry is left out."""
    found = []
    for entry in value.split("~")[:20]:
        nonce, _, path = entry.partition(".")
        if len(nonce) >= 32:
            found.append(Begun(nonce, own_path(_decoded(path))))
    return found


def matching(begun: Sequence[Begun], state: str) -> Begun | None:
    """The login that this state belongs to."""
    return next((each for each in begun if hmac.compare_digest(each.state.encode(), state.encode())), None)


def _encoded(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).decode().rstrip("=")


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return "/"
