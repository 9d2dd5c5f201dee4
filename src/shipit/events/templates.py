# SPDX-License-Identifier: MPL-2.0
"""Templates of a route's payload: `${path}` names a value of the event, everything else stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shipit.errors import ShipitError

_PLACE = re.compile(r"\$\{([^{}]*)\}")
_PATH = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*")
_MAX_TEXT = 20_000


class Unfillable(ShipitError):
    """A template names something the event does not have."""


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with every `${path}` replaced. A text that is one place alone keeps the value's type.

    Raises Unfillable.
    """
    match template:
        case str():
            if (whole := _PLACE.fullmatch(template)) is not None:
                return storable(_named(values, whole[1]))
            return storable(_PLACE.sub(lambda found: _spelled(_named(values, found[1])), template))
        case dict():
            return {str(key): fill(value, values) for key, value in template.items()}
        case list() | tuple():
            return [fill(item, values) for item in template]
        case _:
            return template


def look_up(values: Any, path: str) -> tuple[bool, Any]:
    """Whether there is something at a dotted path (numbers are places in lists), and what."""
    for word in path.split("."):
        if isinstance(values, Mapping) and word in values:
            values = values[word]
        elif isinstance(values, list) and word.isdecimal() and int(word) < len(values):
            values = values[int(word)]
        else:
            return False, None
    return True, values


def problems_of(template: Any, where: str = "") -> list[str]:
    """What is wrong with a template, each problem with the path to it."""
    match template:
        case str():
            bad = [name for name in _PLACE.findall(template) if not _PATH.fullmatch(name)]
            found = [f"{where}: expected a dotted path in ${{…}}, got {name!r}" for name in bad]
            rest = _PLACE.sub("", template)
            return [*found, f"{where}: a ${{ is not closed"] if "${" in rest else found
        case dict():
            return [p for key, value in template.items() for p in problems_of(value, f"{where}.{key}")]
        case list() | tuple():
            return [p for place, item in enumerate(template) for p in problems_of(item, f"{where}[{place}]")]
        case _:
            return []


def storable(value: Any) -> Any:
    """The value without NUL and lone surrogates, which neither PostgreSQL nor JSON carries."""
    if isinstance(value, str):
        return (
            value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:_MAX_TEXT]
        )
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    return value


def _named(values: Mapping[str, Any], path: str) -> Any:
    is_there, value = look_up(values, path)
    if not is_there or value is None:
        raise Unfillable(f"the event has no {path!r}")
    return value


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Unfillable("a list or table cannot stand inside a text")
