# SPDX-License-Identifier: MPL-2.0
"""Invented bugs without an uplift request: what is tracked, noted, or fixed and not asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

import msgspec

RELNOTE = "cf_tracking_firefox_relnote"


@dataclass(frozen=True)
class Other:
    """One such bug. status, tracking: train -> value of its flag. is_fixed: resolved on the main branch."""

    id: int
    summary: str
    component: str
    author: str = "mira"
    reviewer: str = "tomas"
    status: Mapping[str, str] = field(default_factory=dict)
    tracking: Mapping[str, str] = field(default_factory=dict)
    is_relnote: bool = False
    is_fixed: bool = False
    is_restricted: bool = False
    severity: str = "S3"
    keywords: tuple[str, ...] = ()
    days_ago: float = 3.0


def others() -> tuple[Other, ...]:
    """The invented bugs (others.toml), oldest number first."""
    text = resources.files("shipit.world").joinpath("others.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["bug"], tuple[Other, ...])


def fields_of(flags: Mapping[str, Mapping[str, str]], majors: Mapping[str, int]) -> dict[str, str]:
    """The custom fields of a bug: {"status": {"beta": "fixed"}} for the majors the trains carry."""
    return {
        f"cf_{kind}_firefox{'_esr' if train.startswith('esr') else ''}{majors[train]}": value
        for kind, values in flags.items()
        for train, value in values.items()
    }
