# SPDX-License-Identifier: MPL-2.0
"""Balrog, the update server: rules, scheduled changes, emergency shutoffs. Each call is by whoever's token it
carries: the service's for what a pipeline does, a person's for their signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from shipit.clients.http import Answer, CallCounter, Door, checked_secret, checked_url
from shipit.errors import Missing, Refused, Unavailable

SERVICE = "Balrog"
UNNAMED = "somebody Balrog knows"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """An update rule. rate: percent of those who ask by themselves that are offered it. row: all fields."""

    rule_id: int
    product: str
    channel: str
    mapping: str
    rate: int
    data_version: int
    row: dict[str, Any]


class ScheduledChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is made when its time has come and every role has signed. signoffs: user -> role.

    rate: that a rule gets by it, None for other objects. data_version: of the scheduled change itself.
    """

    sc_id: int
    is_complete: bool
    when: datetime | None
    signoffs: dict[str, str]
    required: dict[str, int]
    rate: int | None = None
    scheduled_by: str = ""
    data_version: int = 1

    def missing(self) -> dict[str, int]:
        """How many signatures each role lacks."""
        given = list(self.signoffs.values())
        lacking = {role: count - given.count(role) for role, count in self.required.items()}
        return {role: count for role, count in lacking.items() if count > 0}


class Balrog:
    """The admin API at `url`. token: the service's own; without one it is only read."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        token: str | None = None,
        calls: CallCounter | None = None,
        timeout: float = 20.0,
    ) -> None:
        self.url = checked_url("steps.balrog_url", url)
        self._token = checked_secret("steps.balrog_token", token)
        self._door = Door(session, SERVICE, calls=calls, timeout=timeout)

    @property
    def can_write(self) -> bool:
        """Whether the service has a token of its own."""
        return self._token is not None

    async def rule(self, rule: int | str) -> Rule:
        """A rule by its number or alias. Raises Missing, Unavailable."""
        answer = await self._ask("GET", f"rules/{quote(str(rule), safe='')}")
        return _rule(_good(answer, f"no rule {rule}"))

    async def scheduled_change(self, kind: str, sc_id: int) -> ScheduledChange:
        """One scheduled change by its number. Raises Missing when there is none, Unavailable."""
        answer = await self._ask("GET", f"scheduled_changes/{quote(kind)}/{sc_id}")
        found = _good(answer, f"no scheduled change {sc_id} of {kind}")
        if isinstance(found, dict) and isinstance(found.get("scheduled_change"), dict):
            found = found["scheduled_change"]
        return _change(found, sc_id)

    async def scheduled_for(self, rule_id: int) -> list[ScheduledChange]:
        """The changes of a rule that wait; Balrog lets there be one at most."""
        answer = await self._ask("GET", "scheduled_changes/rules", params=[("rule_id", str(rule_id))])
        found = _good(answer, "no scheduled changes")
        rows = found.get("scheduled_changes") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            raise Unavailable(SERVICE, "listed scheduled changes in another shape")
        return [
            _change(row, 0)
            for row in rows
            if not isinstance(row, dict) or str(row.get("rule_id")) == str(rule_id)
        ]

    async def schedule_rate(self, rule: Rule, percent: int, when: datetime) -> None:
        """Have a rule's rate changed then; all else of the rule stays. Look at what waits before and after:
        an answer may be lost. Raises Refused, naming what Balrog said."""
        body = {
            **rule.row,
            "backgroundRate": percent,
            "change_type": "update",
            "when": int(when.timestamp() * 1000),
        }
        answer = await self._ask("POST", "scheduled_changes/rules", body)
        _good(answer, f"no rule {rule.rule_id}")

    async def withdraw(self, change: ScheduledChange) -> None:
        """Take a waiting change of a rule back; one that is gone is fine."""
        where = f"scheduled_changes/rules/{change.sc_id}"
        answer = await self._ask("DELETE", where, params=[("data_version", str(change.data_version))])
        if answer.status != 404:
            _good(answer, "")

    async def sign(self, kind: str, sc_id: int, role: str, *, token: str) -> None:
        """Sign a scheduled change as the person whose token it is; signing again with that role is fine."""
        where = f"scheduled_changes/{quote(kind)}/{sc_id}/signoffs"
        answer = await self._ask("POST", where, {"role": role}, token=token)
        _good(answer, f"no scheduled change {sc_id} of {kind}")

    async def account(self, token: str) -> str:
        """Whose token that is, as far as this Balrog says. Raises Refused when it does not take it."""
        answer = await self._ask("GET", "users/current", token=token)
        if answer.status in (401, 403):
            raise Refused("Balrog does not take this token")
        if answer.status == HTTPStatus.NOT_FOUND:
            # Newer ones know users by their names only, but look at the token before they look for the user.
            return UNNAMED
        found = _good(answer, "no such user")
        name = found.get("username") if isinstance(found, dict) else None
        if not name:
            raise Unavailable(SERVICE, "showed a user in another shape")
        return str(name)

    async def is_shut_off(self, product: str, channel: str) -> bool:
        """Whether updates of a product on a channel are shut off."""
        answer = await self._ask("GET", f"emergency_shutoff/{quote(product)}/{quote(channel)}")
        if answer.status == 404:
            return False
        _good(answer, "")
        return True

    async def shut_off(self, product: str, channel: str, comment: str) -> None:
        """Offer no updates of a product on a channel at all. It needs no signature; undoing it does."""
        body = {"product": product, "channel": channel, "comment": comment}
        _good(await self._ask("POST", "emergency_shutoff", body), "no emergency shutoffs")

    async def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: list[tuple[str, str]] | None = None,
        token: str | None = None,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        bearer = checked_secret("balrog token", token) or self._token
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        elif method != "GET":
            raise Refused("nothing is written to Balrog without a token (steps.balrog_token)")
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        return await self._door.ask(
            method, f"{self.url}/{path}", params=params or (), headers=headers, body=content
        )


def _good(answer: Answer, absent: str) -> Any:
    """What was answered. Raises Missing, Refused with Balrog's words, Unavailable."""
    if answer.status == 404:
        raise Missing(f"Balrog has {absent}")
    if answer.status >= 500:
        raise Unavailable(SERVICE, f"answered {answer.status}")
    found = answer.json() if answer.body.strip() else {}
    if answer.status in (200, 201):
        return found
    words = ""
    if isinstance(found, dict):
        words = ": ".join(str(found[name]) for name in ("detail", "exception") if found.get(name))
    raise Refused(f"Balrog refused ({answer.status}){f': {words[:400]}' if words else ''}")


def _rule(given: Any) -> Rule:
    try:
        return Rule(
            rule_id=int(given["rule_id"]),
            product=str(given.get("product") or ""),
            channel=str(given.get("channel") or ""),
            mapping=str(given.get("mapping") or ""),
            rate=int(given["backgroundRate"]),
            data_version=int(given["data_version"]),
            row=dict(given),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(SERVICE, "showed a rule in another shape") from error


def _change(given: Any, sc_id: int) -> ScheduledChange:
    try:
        when, rate = given.get("when"), given.get("backgroundRate")
        return ScheduledChange(
            sc_id=int(given.get("sc_id", sc_id)),
            is_complete=bool(given["complete"]),
            when=None if when is None else datetime.fromtimestamp(int(when) / 1000, UTC),
            signoffs=_texts(given.get("signoffs")),
            required={
                str(role): int(count) for role, count in (given.get("required_signoffs") or {}).items()
            },
            rate=None if rate is None else int(rate),
            scheduled_by=str(given.get("scheduled_by") or ""),
            data_version=int(given.get("sc_data_version") or 1),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Unavailable(SERVICE, "showed a scheduled change in another shape") from error


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(user): str(role) for user, role in (given or {}).items()}
