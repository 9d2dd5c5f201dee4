# SPDX-License-Identifier: MPL-2.0
"""Spell a search for bugs that meet any of several groups of conditions, as boolean charts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.uplift.lists import Term

Terms = Sequence[Term]


def any_of(groups: Sequence[Terms]) -> list[tuple[str, str]]:
    """The parameters of a search for bugs that meet every term of at least one group."""
    said: list[tuple[str, str]] = [("j_top", "OR")]
    number = 0
    for group in dict.fromkeys(tuple(one) for one in groups):
        number += 1
        said.append((f"f{number}", "OP"))
        for term in group:
            number += 1
            said += [(f"f{number}", term.field), (f"o{number}", term.operator), (f"v{number}", term.value)]
        number += 1
        said.append((f"f{number}", "CP"))
    return said


def without(groups: Sequence[Terms], field: str) -> list[Terms]:
    """The groups that do not ask about this field."""
    return [group for group in groups if all(term.field != field for term in group)]


def field_in(message: str, groups: Sequence[Terms]) -> str | None:
    """Which field of the groups an error message names, the longest where one contains another."""
    named = {term.field for group in groups for term in group if term.field in message}
    return max(named, key=len, default=None)
