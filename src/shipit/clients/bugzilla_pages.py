# SPDX-License-Identifier: MPL-2.0
"""Page through a search of Bugzilla so that no bug is missed, however the set moves meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shipit.clients.bugzilla_rest import SERVICE
from shipit.clients.bugzilla_rows import Rows
from shipit.errors import Unavailable

PAGE = 500
MAX_PAGES = 200

Found = TypeVar("Found")
Pairs = Sequence[tuple[str, str]]
Look = Callable[[Pairs], Awaitable[dict[int, Found]]]


async def all_pages(look: Look[Found], rows: Rows) -> dict[int, Found]:
    """Every page of a search, in the order of ids. look: one page, given the parameters that cut it out.

    Pages overlap by one bug: when that bug is no longer where it was, the set moved and we begin again.
    Raises Unavailable.
    """
    for _ in range(3):
        found = await _once(look, rows)
        if found is not None:
            return found
    raise Unavailable(SERVICE, "the search's result keeps moving while we page through it")


async def _once(look: Look[Found], rows: Rows) -> dict[int, Found] | None:
    found: dict[int, Found] = {}
    last: int | None = None
    for _ in range(MAX_PAGES):
        page = await look(_paging(len(found) - 1 if found else 0))
        if last is not None and next(iter(page), None) != last:
            return None
        fresh = page.keys() - found.keys()
        found |= page
        if not fresh or (len(page) < PAGE and await rows.are_all(len(page))):
            return found
        last = next(reversed(page))
    raise Unavailable(SERVICE, f"the search goes on beyond {MAX_PAGES} pages")


def _paging(offset: int) -> Pairs:
    """A page in the order of ids."""
    return [("order", "bug_id"), ("limit", str(PAGE))] + ([("offset", str(offset))] if offset else [])
