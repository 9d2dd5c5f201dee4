# SPDX-License-Identifier: MPL-2.0
"""Read the answers of a service under test: what they should have been, and what they were."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from shipit.clients.http import Answer


class Broken(Exception):
    """A rule does not hold: what was expected, what came."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected)
        self.expected, self.got = expected, got


def others(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Other parameters, some of which the service should find readable: it must compare all the same."""
    found: list[dict[str, Any]] = []
    for name, value in parameters.items():
        if isinstance(value, str):
            found.append({**parameters, name: f"{value}x"})
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append({**parameters, name: value + 1})
    return [*found[:3], {**parameters, "other": 1}]


def expect(answer: Answer, *statuses: int) -> None:
    """Raise Broken unless the answer has one of these statuses."""
    if answer.status not in statuses:
        raise Broken(" or ".join(map(str, statuses)), f"{answer.status} {answer.text[:200]}")


def object_of(answer: Answer) -> dict[str, Any]:
    """The JSON object that was answered; raises Broken."""
    found = answer.json()
    if not isinstance(found, dict):
        raise Broken("an object", text(found))
    return found


def text(value: object) -> str:
    """As JSON."""
    return msgspec.json.encode(value).decode()


def is_time(value: object) -> bool:
    """Whether it is a time: as ISO 8601 spells it, or seconds since 1970. The Step API does not say which."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value > 0
    try:
        return isinstance(value, str) and datetime.fromisoformat(value) is not None
    except ValueError:
        return False
