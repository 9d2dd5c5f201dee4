# SPDX-License-Identifier: MPL-2.0
"""Taskcluster's scopes: which rights a set of held scopes satisfies; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

USER = "project:shipit:user"
BOT = "project:shipit:bot"
ADMIN = "project:shipit:admin"
REPLAY = "project:shipit:events/replay"


class Right(StrEnum):
    """What a route asks of whoever calls it."""

    PUBLIC = "public"
    READ = "read"
    USER = "user"
    BOT = "bot"
    ADMIN = "admin"
    REPLAY = "replay"


# A right is an OR of ANDs of scopes. READ is given to everybody where the instance is public.
REQUIRED: dict[Right, tuple[tuple[str, ...], ...]] = {
    Right.PUBLIC: ((),),
    Right.READ: ((USER,), (ADMIN,), (BOT,)),
    Right.USER: ((USER,), (ADMIN,)),
    Right.BOT: ((BOT,),),
    Right.ADMIN: ((ADMIN,),),
    Right.REPLAY: ((REPLAY,), (ADMIN,)),
}


def satisfies(held: Collection[str], required: Iterable[Iterable[str]]) -> bool:
    """Whether the held scopes contain every scope of at least one of the required sets.

    A held scope that ends in a star stands for all that begin as it does; elsewhere a star is a star.
    """
    return any(all(_has(held, scope) for scope in wanted) for wanted in required)


def _has(held: Collection[str], scope: str) -> bool:
    return any(have == scope or (have.endswith("*") and scope.startswith(have[:-1])) for have in held)
