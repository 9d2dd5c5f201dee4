# SPDX-License-Identifier: MPL-2.0
"""Conditions of a route on names and values: patterns with `*`, repositories however spelled, `where`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from shipit.events.routes import Match, Where
from shipit.events.templates import look_up


def unmet(values: Mapping[str, Any], match: Match) -> str | None:
    """Why authors or `where` do not hold, None when they do."""
    author = values.get("author")
    if match.authors and not is_named(match.authors, author):
        return f"author {author}"
    if match.not_authors and is_named(match.not_authors, author):
        return f"author {author} is on the list of those not wanted"
    for where in match.where:
        if not _holds(where, values):
            return f"{where.path} is {_shown(values, where.path)}"
    return None


def spelled(match: Match) -> str:
    """The conditions in words; "" when there are none beside where it listens."""
    lists = {
        "the key is": match.keys,
        "the scheduler is": match.schedulers,
        "a task is named": match.task_names,
        "the task is": match.task_states,
        "the repository is": match.repositories,
        "the author is": match.authors,
        "the author is not": match.not_authors,
        "the branch is": match.branches,
        "it touches": match.paths,
    }
    told = [f"{words} {' or '.join(wanted)}" for words, wanted in lists.items() if wanted]
    return " and ".join([*told, *(_spelled(where) for where in match.where)])


def _spelled(where: Where) -> str:
    if where.exists is not UNSET:
        return f"{where.path} is {'there' if where.exists else 'absent'}"
    if where.equals is not UNSET:
        return f"{where.path} is {where.equals}"
    if where.one_of is not UNSET:
        return f"{where.path} is {' or '.join(str(value) for value in where.one_of)}"
    return f"{where.path} matches {where.matches}"


def _holds(where: Where, values: Mapping[str, Any]) -> bool:
    is_there, value = look_up(values, where.path)
    if where.exists is not UNSET:
        return is_there is where.exists
    if not is_there:
        return False
    if where.equals is not UNSET:
        return bool(value == where.equals)
    if where.one_of is not UNSET:
        return value in where.one_of
    return isinstance(value, str) and _regex(str(where.matches)).search(value[:2000]) is not None


def is_named(patterns: Iterable[str], name: object) -> bool:
    """Whether a pattern fits the whole name; only `*` is special."""
    return isinstance(name, str) and any(_glob(pattern).fullmatch(name) for pattern in patterns)


def is_repository(patterns: Iterable[str], name: object) -> bool:
    """As is_named, blind to a trailing slash or `.git`."""
    if not isinstance(name, str):
        return False
    return is_named([_bare(pattern) for pattern in patterns], _bare(name))


def is_any(patterns: Iterable[str], names: Iterable[str]) -> bool:
    """Whether a repository goes by a name that a pattern fits."""
    patterns = tuple(patterns)
    return any(is_repository(patterns, name) for name in names)


def _bare(url: str) -> str:
    return url.rstrip("/").removesuffix(".git")


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    # only `*` is special: a name may hold brackets and question marks
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _shown(values: Mapping[str, Any], path: str) -> str:
    is_there, value = look_up(values, path)
    if not is_there:
        return "absent"
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
