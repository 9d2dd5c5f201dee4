# SPDX-License-Identifier: MPL-2.0
"""What two JSON answers must have in common to count as the same shape."""

from __future__ import annotations

from typing import Any


def differences(recorded: Any, ours: Any, at: str = "", *, maps: frozenset[str] = frozenset()) -> list[str]:
    """Where `ours` is shaped otherwise: keys missing or new, and kinds of values. Empty when the same.

    null fits anything, an empty list any list; keys that are numbers stand for each other; what stands at a
    path of `maps` is a map whose keys are data.
    """
    if recorded is None or ours is None:
        return []
    if isinstance(recorded, dict) and isinstance(ours, dict):
        return _of_objects(recorded, ours, at, maps)
    if isinstance(recorded, list) and isinstance(ours, list):
        return [
            one
            for left, right in zip(recorded[:5], ours[:5], strict=False)
            for one in differences(left, right, f"{at}[]", maps=maps)
        ]
    if type(recorded) is not type(ours):
        return [f"{at or '.'}: {type(ours).__name__} instead of {type(recorded).__name__}"]
    return []


def _of_objects(recorded: dict[str, Any], ours: dict[str, Any], at: str, maps: frozenset[str]) -> list[str]:
    if at in maps or all(key.isdigit() for key in (*recorded, *ours)):
        if bool(recorded) != bool(ours):
            return [f"{at or '.'}: {len(ours)} entries instead of {len(recorded)}"]
        return [
            one
            for left, right in zip(recorded.values(), ours.values(), strict=False)
            for one in differences(left, right, f"{at}.#", maps=maps)
        ]
    found = [f"{at}.{key} is missing" for key in recorded.keys() - ours.keys()]
    found += [f"{at}.{key} is new" for key in ours.keys() - recorded.keys()]
    for key in recorded.keys() & ours.keys():
        found += differences(recorded[key], ours[key], f"{at}.{key}", maps=maps)
    return found
