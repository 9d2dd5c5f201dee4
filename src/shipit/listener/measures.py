# SPDX-License-Identifier: MPL-2.0
"""What the listener measures, for Prometheus; labels name sources and routes, never what was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shipit.events.heard import Heard
from shipit.listener.supervision import Health
from shipit.storage.journal import Recorded

_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class Measures:
    """The figures of one listener."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._heard = Counter(
            "shipit_listener_deliveries",
            "Deliveries by what became of them",
            ["source", "state"],
            registry=self.registry,
        )
        self._again = Counter(
            "shipit_listener_repetitions",
            "Deliveries that were stored already",
            ["source"],
            registry=self.registry,
        )
        self._stored = Histogram(
            "shipit_listener_store_seconds",
            "From a batch to its commit",
            registry=self.registry,
            buckets=_QUICK,
        )
        self._triggers = Counter(
            "shipit_listener_triggers",
            "Tries of triggers by outcome",
            ["route", "outcome"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "shipit_listener_trigger_seconds",
            "From an event's arrival to its task",
            ["route"],
            registry=self.registry,
            buckets=_SLOW,
        )
        self._ended = Counter(
            "shipit_listener_tasks", "Tasks resolved by state", ["route", "state"], registry=self.registry
        )
        self._up = Gauge("shipit_listener_up", "Whether a part is well", ["part"], registry=self.registry)
        self._lag = Gauge(
            "shipit_listener_lag_seconds",
            "Seconds since a source's last sign of life",
            ["part"],
            registry=self.registry,
        )
        self._reconnects = Gauge(
            "shipit_listener_reconnects", "Times a part began anew", ["part"], registry=self.registry
        )
        self._depth = Gauge(
            "shipit_listener_queue_depth",
            "Deliveries waiting at the broker",
            ["source"],
            registry=self.registry,
        )
        self._figures = {
            name: Gauge(f"shipit_listener_{name}", text, registry=self.registry)
            for name, text in (
                ("quarantined", "Events and effects in quarantine"),
                ("oldest_event", "Age in seconds of the oldest event not judged"),
                ("oldest_effect", "Age in seconds of the oldest effect not fired"),
                ("stored", "Events not judged"),
                ("due", "Effects not fired"),
                ("followed", "Tasks not resolved"),
            )
        }

    def heard(self, source: str, heard: Sequence[Heard], recorded: Recorded, seconds: float) -> None:
        """A batch was stored."""
        counts: dict[str, int] = {}
        for one in heard:
            counts[one.state.value] = counts.get(one.state.value, 0) + 1
        for state, count in counts.items():
            self._heard.labels(source, state).inc(count)
        if recorded.again:
            self._again.labels(source).inc(recorded.again)
        self._stored.observe(seconds)

    def tried(self, route: str, outcome: str) -> None:
        """A trigger was tried."""
        self._triggers.labels(route, outcome).inc()

    def fired(self, route: str, seconds: float) -> None:
        """A task exists, that long after its event arrived."""
        self._latency.labels(route).observe(seconds)

    def ended(self, route: str, state: str) -> None:
        """A task is resolved."""
        self._ended.labels(route, state).inc()

    def deep(self, source: str, depth: int) -> None:
        """How many deliveries wait."""
        self._depth.labels(source).set(depth)

    def expose(self, health: Health, figures: Mapping[str, float], now: float) -> bytes:
        """The text Prometheus reads. now: time.monotonic()."""
        for gauge in (self._up, self._lag, self._reconnects):
            gauge.clear()
        for name, part in health.parts.items():
            self._up.labels(name).set(part.error is None)
            self._lag.labels(name).set(max(0.0, now - part.seen))
            self._reconnects.labels(name).set(part.reconnects)
        for name, value in figures.items():
            self._figures[name].set(value)
        return generate_latest(self.registry)
