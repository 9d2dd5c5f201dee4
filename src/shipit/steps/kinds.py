# SPDX-License-Identifier: MPL-2.0
"""Every kind of step that we serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipit.pipeline.schema import Problem
from shipit.steps import balrog, manual, remote, rollout, shutoff, signoff, taskcluster, timer, uplifts
from shipit.steps.contract import Kind

KINDS: dict[str, Kind] = {
    "signoff": signoff,
    "taskcluster": taskcluster,
    "remote": remote,
    "timer": timer,
    "manual": manual,
    "uplifts": uplifts,
    "balrog": balrog,
    "rollout": rollout,
    "shutoff": shutoff,
}


def check(kind: str, parameters: Mapping[str, Any]) -> list[Problem] | None:
    """What is wrong with the parameters of a step of this kind; None when there is no such kind."""
    found = KINDS.get(kind)
    return None if found is None else found.problems(parameters)
