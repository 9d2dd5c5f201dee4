# SPDX-License-Identifier: MPL-2.0
"""The listener's routes as our settings name them: to say why, and what a replay would do."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from shipit.events.conditions import spelled
from shipit.events.heard import Heard, hear
from shipit.events.originals import all_routes
from shipit.events.routes import BadRoutes, Route
from shipit.events.types import Delivery
from shipit.settings import Settings


class Routes(msgspec.Struct, frozen=True):
    """What is known here of the routes; none where this service has other settings than the listener."""

    routes: tuple[Route, ...]
    instance: str

    @classmethod
    def of(cls, settings: Settings) -> Routes:
        """The routes of these settings; a bad file is the listener's to tell."""
        return _routes_of(_Given(settings))

    def why(self, name: str) -> str:
        """The conditions of a route in words, "" where it is unknown."""
        route = next((route for route in self.routes if route.name == name), None)
        return spelled(route.match) if route is not None else ""

    def heard_again(self, delivery: Delivery) -> Heard | None:
        """What the routes make of a delivery now, None where none is known here."""
        return hear(delivery, self.routes, instance=self.instance) if self.routes else None


class _Given:
    """Settings as a key: the same object is the same settings, for they are frozen."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __hash__(self) -> int:
        return id(self.settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given) and other.settings is self.settings


@lru_cache(maxsize=4)
def _routes_of(given: _Given) -> Routes:
    settings = given.settings
    try:
        routes = all_routes(settings.routes, settings.hooks)
    except BadRoutes:
        routes = ()
    return Routes(routes, settings.instance)
