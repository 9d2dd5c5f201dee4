# SPDX-License-Identifier: MPL-2.0
"""Where step services may be: a pipeline must not make us call whatever somebody writes into it."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Hosts(msgspec.Struct, frozen=True):
    """Where step services may be. allowed: hosts or "*.example.com". Loopback: plain HTTP, here."""

    allowed: tuple[str, ...] = ()
    is_loopback_allowed: bool = False

    def refusal(self, url: str) -> str | None:
        """Why this URL may not be asked; None when it may."""
        try:
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return "a URL"
        if parts.username or parts.password or not host or parts.query or parts.fragment:
            return "a URL without user, password, query or fragment"
        if host in _LOOPBACK:
            if self.is_loopback_allowed and parts.scheme in ("http", "https"):
                return None
            return "a service that is not on this machine (the setting steps.allow_loopback permits it)"
        if parts.scheme != "https":
            return "an https URL"
        if not any(_matches(host, pattern.lower()) for pattern in self.allowed):
            return f"a host that the setting steps.allowed_hosts names, not {host[:80]}"
        return None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
