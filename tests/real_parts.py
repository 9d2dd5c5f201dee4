# SPDX-License-Identifier: MPL-2.0
"""Real parts that tests speak to: absent, a test is skipped with the reason; required, that is a failure."""

from __future__ import annotations

import os

import pytest


def required(part: str) -> bool:
    """Whether SHIPIT_REQUIRE (comma separated) names this real part: then its absence is a failure."""
    return part in os.environ.get("SHIPIT_REQUIRE", "").replace(" ", "").split(",")


def absent(part: str, reason: str) -> None:
    """Skip with the reason, or fail where the part is required."""
    if required(part):
        pytest.fail(f"{part} is required here (SHIPIT_REQUIRE) and absent: {reason}")
    pytest.skip(f"{part} is absent: {reason}")
