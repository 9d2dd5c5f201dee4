# SPDX-License-Identifier: MPL-2.0
"""Words that sentences about requests share: people without addresses, moments, spans of time, patches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from shipit.uplift.types import PatchRef, PatchSource

_ADDRESS = re.compile(r"[\w.+-]{1,100}@[\w-]{1,100}(?:\.[\w-]{1,100}){1,10}")


class Names:
    """What people are called in sentences: by name, never by address."""

    def __init__(self, people: Iterable[tuple[str, str]]) -> None:
        """people: (address, name)."""
        self._names: Mapping[str, str] = {
            email.lower(): name for email, name in people if name and "@" not in name
        }

    def of(self, address: str | None) -> str:
        """The name of whoever has this address (or is called so)."""
        if not address:
            return "somebody"
        known = self._names.get(address.lower())
        if known:
            return known
        name, _, rest = address.partition("<")
        return name.strip() if rest and name.strip() else (rest or address).partition("@")[0]

    def within(self, text: str) -> str:
        """A text with names in place of the addresses in it."""
        return _ADDRESS.sub(lambda found: self.of(found[0]), text)


def moment(at: datetime) -> str:
    """A moment to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def span(length: timedelta) -> str:
    """A length of time: minutes to 60, hours to 48, then days."""
    minutes = max(0, int(length.total_seconds()) // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} d"


def count(number: int, noun: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {many or noun + 's'}"


def listed(words: Iterable[str]) -> str:
    """Words as a list in a sentence."""
    said = list(words)
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}" if said else ""


def version_of(patch: PatchRef) -> str:
    """A patch with its version, as people say it."""
    if patch.source is PatchSource.REVISION:
        return f"{patch.name}, diff {patch.version}"
    return patch.name[:12] if patch.source is PatchSource.COMMIT else patch.name
