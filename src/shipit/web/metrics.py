# SPDX-License-Identifier: MPL-2.0
"""What we count for operators; labels are route templates and statuses, never a bug, a train or a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4"


class Metrics:
    """Counters of one web service; each app has its own, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "shipit_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "shipit_http_seconds",
            "Seconds until the answer began",
            ["method", "route"],
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30),
            registry=self.registry,
        )
        self.streams = Gauge("shipit_live_streams", "Open live streams", registry=self.registry)
        self.round_age = Gauge(
            "shipit_last_round_age_seconds", "Seconds since a round of the bot ended", registry=self.registry
        )

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
