# SPDX-License-Identifier: MPL-2.0
"""What the trains' tests share: rules as a configuration has them, and the recorded timeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from shipit.settings import TrainRule

Reading = tuple[datetime, dict[str, str]]


@pytest.fixture(scope="session")
def rule() -> Callable[..., TrainRule]:
    """Makes the rule of a train of that name; anything else as given."""

    def make(name: str, **given: str) -> TrainRule:
        flag = "approval-mozilla-" + name
        defaults = {
            "repository": "firefox",
            "branch": name,
            "approval_flag": flag,
            "status_flag": "cf_status_firefox_" + name if "esr" in name else "cf_status_firefox{major}",
        }
        return TrainRule(name=name, **{**defaults, **given})

    return make


@pytest.fixture(scope="session")
def rules(rule: Callable[..., TrainRule]) -> tuple[TrainRule, ...]:
    return tuple(rule(name) for name in ("nightly", "beta", "release", "esr{major}"))


@pytest.fixture(scope="session")
def timeline(shared: Path) -> list[Reading]:
    """Every recorded publication of firefox_versions.json, in order of time."""
    readings: list[Reading] = []
    said: dict[str, str] = {}
    for line in (shared / "data/product-details/firefox_versions-timeline.jsonl").read_text().splitlines():
        row = json.loads(line)
        said = dict(row["firefox_versions"]) if "firefox_versions" in row else {**said, **row["changed"]}
        for key in row.get("removed", ()):
            said.pop(key, None)
        readings.append((datetime.fromisoformat(row["date"]), dict(said)))
    return sorted(readings, key=lambda reading: reading[0])
