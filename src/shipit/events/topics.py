# SPDX-License-Identifier: MPL-2.0
"""AMQP topics as RabbitMQ matches them: `*` is one word, `#` any number of words, nothing else is special."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def has_match(patterns: Iterable[str], keys: Iterable[str]) -> bool:
    """Whether any pattern matches any of the keys (a message's routing key and its CC keys)."""
    keys = tuple(keys)
    return any(is_match(pattern, key) for pattern in patterns for key in keys)


def is_match(pattern: str, key: str) -> bool:
    """Whether a binding key matches a routing key. Takes time linear in the product of their words."""
    return _match(_words(pattern), key.split(".") if key else [])


def _match(pattern: tuple[str, ...], words: list[str]) -> bool:
    # places of `words` at which the part of the pattern seen so far may end
    reached = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            first = reached.index(True) if True in reached else len(reached)
            reached = [place >= first for place in range(len(reached))]
        else:
            reached = [False] + [
                before and part in ("*", word) for before, word in zip(reached, words, strict=False)
            ]
    return reached[-1]


@lru_cache(maxsize=4096)
def _words(pattern: str) -> tuple[str, ...]:
    # RabbitMQ reads the empty key as no word at all
    return tuple(pattern.split(".")) if pattern else ()
