# SPDX-License-Identifier: MPL-2.0
"""Who acts: the person behind a client, and what their scopes let them do."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shipit.errors import NotAllowed

ADMIN = "project:shipit:admin"
PIPELINE = "project:shipit:pipeline"
SIGN = "project:shipit:sign"
_IDENTITY = "assume:login-identity:"


class Actor(msgspec.Struct, frozen=True):
    """Somebody who acts. person: the same however many clients they have."""

    person: str
    client: str
    scopes: tuple[str, ...] = ()

    def has(self, scope: str) -> bool:
        """Whether their scopes contain this one; one that ends in a star stands for all it begins."""
        return any(
            have == scope or (have.endswith("*") and scope.startswith(have[:-1])) for have in self.scopes
        )

    def groups(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the named groups that they sign for."""
        return frozenset(name for name in names if self.has(f"{SIGN}/{name}"))

    def need_pipeline(self, product: str, phases: Iterable[str]) -> None:
        """Raise NotAllowed, naming the scope, unless they may act on these phases of a product."""
        for phase in sorted(set(phases)):
            scope = f"{PIPELINE}/{product or 'none'}/{phase or 'none'}"
            if not self.has(scope) and not self.has(ADMIN):
                raise NotAllowed(f"this needs the scope {scope}")


def actor(client: str, scopes: Iterable[str]) -> Actor:
    """The person behind a client.

    A client id is chosen by whoever makes the client, so one person may have many; who logged in holds one
    login identity as a scope, which is the person then. A client made for a machine stands for itself.
    """
    held = tuple(scopes)
    identities = {scope.removeprefix(_IDENTITY) for scope in held if scope.startswith(_IDENTITY)}
    person = client
    if len(identities) == 1 and not (only := next(iter(identities))).endswith("*"):
        person = only
    return Actor(person, client, held)
