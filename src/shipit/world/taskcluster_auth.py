# SPDX-License-Identifier: MPL-2.0
"""How a fake Taskcluster knows who signed: clients, roles, Hawk signatures and temporary credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from mohawk.exc import HawkFail
from mohawk.util import calculate_mac, parse_authorization_header, strings_match

SKEW = timedelta(minutes=15)


@dataclass
class Client:
    """A client that may sign."""

    client_id: str
    access_token: str
    scopes: list[str]
    expires: datetime
    is_disabled: bool = False


class Failed(Exception):
    """A signature that is not good; the message as authenticateHawk words it."""


@dataclass
class Roles:
    """Roles and what they grant; a name may end with a star."""

    scopes: dict[str, list[str]] = field(default_factory=lambda: {"anonymous": []})

    def expanded(self, scopes: Iterable[str]) -> list[str]:
        """Scopes with everything their assume: scopes bring, sorted, without those that a star covers."""
        found: set[str] = set()
        front = set(scopes)
        while front:
            found |= front
            front = {
                granted
                for scope in front
                if scope.startswith("assume:") or (scope.endswith("*") and "assume:".startswith(scope[:-1]))
                for granted in self._granted(scope)
            } - found
        stars = [scope[:-1] for scope in found if scope.endswith("*")]
        return sorted(
            scope
            for scope in found
            if not any(scope.startswith(star) and scope != star + "*" for star in stars)
        )

    def _granted(self, scope: str) -> list[str]:
        wanted = scope.removeprefix("assume:")
        granted: list[str] = []
        for name, scopes in self.scopes.items():
            is_meant = (
                name == wanted
                or (name.endswith("*") and wanted.startswith(name[:-1]))
                or (scope.endswith("*") and f"assume:{name}".startswith(scope[:-1]))
            )
            if is_meant:
                granted += scopes
        return granted


def satisfies(have: Iterable[str], needed: Iterable[str]) -> bool:
    """Whether every needed scope is held, or covered by one that ends with a star."""
    held = list(have)
    return all(
        any(one == need or (one.endswith("*") and need.startswith(one[:-1])) for one in held)
        for need in needed
    )


def temporary_token(access_token: str, seed: str) -> str:
    """The access token that belongs to a certificate's seed."""
    made = hmac.new(access_token.encode(), seed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


class Signatures:
    """Answers authenticateHawk for clients and roles; `now` dates signatures."""

    def __init__(self, clients: Mapping[str, Client], roles: Roles, now: Any) -> None:
        self._clients = clients
        self._roles = roles
        self._now = now

    def judged(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to an authenticateHawk question; its HTTP status is 200 in every case."""
        header = question.get("authorization")
        if not header:
            return {
                "status": "no-auth",
                "scheme": "none",
                "expires": _spelled(self._now() + SKEW),
                "scopes": self._roles.expanded(["assume:anonymous"]),
            }
        try:
            return self._success(question, str(header))
        except Failed as failed:
            return {"status": "auth-failed", "message": str(failed)}

    def _success(self, question: Mapping[str, Any], header: str) -> dict[str, Any]:
        try:
            signed = parse_authorization_header(header)
        except (HawkFail, ValueError):
            raise Failed("Unauthorized: Unauthorized") from None
        ext = _ext(signed.get("ext"))
        client, key, scopes, expires = self._key(str(signed.get("id", "")), ext)
        self._check_mac(question, signed, client, key)
        self._check_time(signed)
        if "authorizedScopes" in ext:
            if not satisfies(self._roles.expanded(scopes), ext["authorizedScopes"]):
                raise Failed("ext.authorizedScopes oversteps your scopes")
            scopes = list(ext["authorizedScopes"])
        answer: dict[str, Any] = {
            "status": "auth-success",
            "scheme": "hawk",
            "clientId": client,
            "expires": _spelled(expires),
            "scopes": self._roles.expanded([*scopes, "assume:anonymous"]),
        }
        return answer | ({"hash": signed["hash"]} if "hash" in signed else {})

    def _key(self, name: str, ext: Mapping[str, Any]) -> tuple[str, str, Sequence[str], datetime]:
        certificate = ext.get("certificate")
        issuer = certificate.get("issuer") if isinstance(certificate, dict) else None
        client = self._clients.get(issuer or name)
        if client is None:
            raise Failed(f"Client with clientId '{issuer or name}' not found")
        if client.is_disabled:
            raise Failed(f"Client with clientId '{client.client_id}' is disabled")
        if client.expires <= self._now():
            raise Failed(f"Client with clientId '{client.client_id}' has expired")
        if not isinstance(certificate, dict):
            return name, client.access_token, client.scopes, client.expires
        return self._temporary(name, client, certificate)

    def _temporary(
        self, name: str, client: Client, certificate: Mapping[str, Any]
    ) -> tuple[str, str, Sequence[str], datetime]:
        have = self._roles.expanded(client.scopes)
        if "issuer" in certificate and not satisfies(have, [f"auth:create-client:{name}"]):
            raise Failed(
                f"ext.certificate issuer `{client.client_id}` doesn't have `auth:create-client:{name}`"
            )
        expiry = datetime.fromtimestamp(certificate["expiry"] / 1000, UTC)
        if expiry < self._now():
            raise Failed("ext.certificate.expiry < now")
        if not satisfies(have, certificate["scopes"]):
            raise Failed(
                f"ext.certificate issuer `{client.client_id}` doesn't satisfy all certificate scopes"
            )
        lines = [f"version:{certificate['version']}"]
        if "issuer" in certificate:
            lines += [f"clientId:{name}", f"issuer:{client.client_id}"]
        lines += [f"{part}:{certificate[part]}" for part in ("seed", "start", "expiry")]
        lines += ["scopes:", *certificate["scopes"]]
        made = hmac.new(client.access_token.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
        if not strings_match(base64.b64encode(made).decode(), certificate["signature"]):
            raise Failed("ext.certificate.signature is not valid")
        token = temporary_token(client.access_token, certificate["seed"])
        return name, token, certificate["scopes"], expiry

    def _check_mac(
        self, question: Mapping[str, Any], signed: Mapping[str, str], client: str, key: str
    ) -> None:
        resource = SimpleNamespace(
            credentials={"id": client, "key": key, "algorithm": "sha256"},
            timestamp=signed.get("ts"),
            nonce=signed.get("nonce"),
            method=str(question["method"]).upper(),
            name=question["resource"],
            host=question["host"],
            port=str(question["port"]),
            ext=signed.get("ext"),
            app=signed.get("app"),
            dlg=signed.get("dlg"),
        )
        mac = calculate_mac("header", resource, signed.get("hash"))
        if not strings_match(mac.decode(), signed.get("mac", "")):
            raise Failed("Unauthorized: Bad mac")

    def _check_time(self, signed: Mapping[str, str]) -> None:
        given = signed.get("ts", "")
        if not given.isdigit() or abs(self._now().timestamp() - int(given)) > SKEW.total_seconds():
            raise Failed("Unauthorized: Stale timestamp")


def _ext(given: str | None) -> dict[str, Any]:
    if not given:
        return {}
    try:
        parsed = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
    except ValueError:
        raise Failed("Failed to parse ext") from None
    return parsed if isinstance(parsed, dict) else {}


def _spelled(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
