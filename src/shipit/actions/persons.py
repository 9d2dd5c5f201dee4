# SPDX-License-Identifier: MPL-2.0
"""Who acts: the person behind a client, and what their scopes let them do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from shipit.errors import NotAllowed
from shipit.signoff.policy import is_person

ADMIN = "project:shipit:admin"
PIPELINE = "project:shipit:pipeline"
SIGN = "project:shipit:sign"
_IDENTITY = "assume:login-identity:"


class Actor(msgspec.Struct, frozen=True):
    """Somebody who acts. person: the same however many clients they have. is_person: no machine."""

    person: str
    client: str
    scopes: tuple[str, ...] = ()
    is_person: bool = True

    def has(self, scope: str) -> bool:
        """Whether their scopes contain this one; one that ends in a star stands for all it begins."""
        return any(
            have == scope or (have.endswith("*") and scope.startswith(have[:-1])) for have in self.scopes
        )

    def groups(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the named groups that they sign for. A person is no group, even for who signs for all."""
        return frozenset(name for name in names if not is_person(name) and self.has(f"{SIGN}/{name}"))

    def need_pipeline(self, product: str, phases: Iterable[str]) -> None:
        """Raise NotAllowed, naming the scope, unless they may act on these phases of a product."""
        for phase in sorted(set(phases)):
            scope = f"{PIPELINE}/{product or 'none'}/{phase or 'none'}"
            if not self.has(scope) and not self.has(ADMIN):
                raise NotAllowed(f"this needs the scope {scope}")


class Known(msgspec.Struct, frozen=True):
    """What is known of people's credentials.

    providers: of logins, whose clients are called "provider/user/…". aliases: client, or login, of somebody
    -> the person they are.
    """

    providers: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = {}


_NOTHING = Known()


def actor(client: str, scopes: Iterable[str], known: Known = _NOTHING) -> Actor:
    """The person behind a client.

    Somebody may have many clients, and log in by more than one provider; all of them are one person, who
    fills one slot. A client is called as whoever makes it likes, but below "provider/user/" Taskcluster lets
    only that user make any; else it is whose single login identity it holds as a scope. An alias on record
    comes after both. A client of nobody stands for itself: a machine.
    """
    held = tuple(scopes)
    found = person_of(client) if client.partition("/")[0] in known.providers else _identity(held)
    person = found or client
    alias = known.aliases.get(client) or known.aliases.get(person)
    return Actor(alias or person, client, held, is_person=bool(alias or found))


def person_of(client: str) -> str:
    """The identity behind a client made by or for a login ("provider/user/name"): its first two parts.

    Taskcluster lets people choose only what follows; so one person has one name, however often they log in.
    """
    return "/".join(client.split("/")[:2])


def _identity(held: tuple[str, ...]) -> str | None:
    """The login identity among the scopes; none where there are several, or all by a star."""
    found = {scope.removeprefix(_IDENTITY) for scope in held if scope.startswith(_IDENTITY)}
    only = next(iter(found)) if len(found) == 1 else None
    return None if only is None or only.endswith("*") else only
