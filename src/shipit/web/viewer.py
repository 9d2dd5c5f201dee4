# SPDX-License-Identifier: MPL-2.0
"""Who is asking, and what they may see."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from shipit.web import scopes
from shipit.web.scopes import Right


class Audience(StrEnum):
    """Everybody of one audience sees the same bytes; so a body is made once for each."""

    PUBLIC = "public"
    MEMBER = "member"
    TRUSTED = "trusted"

    @property
    def sees_restricted(self) -> bool:
        """Whether restricted bugs are shown at all."""
        return self is Audience.TRUSTED

    @property
    def counts_restricted(self) -> bool:
        """Whether they are told that there are restricted bugs (as a number)."""
        return self is Audience.MEMBER

    @property
    def sees_addresses(self) -> bool:
        """Whether e-mail addresses are shown whole, as Bugzilla does for those who are logged in."""
        return self is not Audience.PUBLIC


class Viewer(msgspec.Struct, frozen=True):
    """Whoever asks. What they may do follows from the scopes alone.

    client_id: the Taskcluster client that signed, or the identity of whoever logged in; None: nobody.
    login_client: the Taskcluster client that the login made.
    """

    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    restricted_scopes: tuple[str, ...] = ()
    login_client: str | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is logged in."""
        return self.client_id is None

    def has(self, right: Right) -> bool:
        """Whether the held scopes satisfy this right."""
        return scopes.satisfies(self.scopes, scopes.REQUIRED[right])

    def holds(self, scope: str) -> bool:
        """Whether the held scopes contain this one, by itself or by a star."""
        return scopes.satisfies(self.scopes, ((scope,),))

    @property
    def audience(self) -> Audience:
        """Which bytes they get."""
        if not self.has(Right.READ):
            return Audience.PUBLIC
        if scopes.satisfies(self.scopes, [(scope,) for scope in self.restricted_scopes]):
            return Audience.TRUSTED
        return Audience.MEMBER


ANONYMOUS = Viewer()
