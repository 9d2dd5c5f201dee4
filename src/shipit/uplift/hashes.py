# SPDX-License-Identifier: MPL-2.0
"""Names of commits as people write them: whole or shortened, in either case."""

from __future__ import annotations

from collections.abc import Iterable

# Fewer digits than this name no commit.
_SHORTEST = 7
_MOST_ALIKE = 50


class Hashes:
    """Hashes, maybe shortened, found without comparing each with each."""

    def __init__(self, shas: Iterable[str] = ()) -> None:
        self._whole: set[str] = set()
        self._by_start: dict[str, list[str]] = {}
        self.add(shas)

    def add(self, shas: Iterable[str]) -> None:
        for sha in shas:
            if sha in self._whole:
                continue
            self._whole.add(sha)
            alike = self._by_start.setdefault(sha[:_SHORTEST].lower(), [])
            # More that begin alike are made up to cost us time.
            if len(alike) < _MOST_ALIKE:
                alike.append(sha)

    def find(self, name: str) -> str | None:
        """The hash that names the same commit, None when there is none."""
        if name in self._whole:
            return name
        candidates = self._by_start.get(name[:_SHORTEST].lower(), ())
        return next((sha for sha in candidates if is_same(sha, name)), None)


def is_same(one: str, other: str) -> bool:
    """Whether two hashes, maybe shortened, name the same commit."""
    short, long = sorted((one.lower(), other.lower()), key=len)
    return len(short) >= _SHORTEST and long.startswith(short)
