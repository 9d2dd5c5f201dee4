# SPDX-License-Identifier: MPL-2.0
"""Outputs of earlier steps, fed into the parameters of a later one."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from shipit.pipeline.links import Reference, put_in, references
from shipit.pipeline.types import Facts, StepDefinition


def resolved(facts: Facts, step: StepDefinition) -> dict[str, Any]:
    """A step's parameters with the outputs they refer to put in. Raises KeyError naming what is not there."""
    found = [(each.path, _fed(facts, each)) for each in references(step.kind, step.parameters)]
    filled: dict[str, Any] = put_in(step.parameters, found)
    return filled


def _fed(facts: Facts, reference: Reference) -> Any:
    try:
        return _output(facts, reference.output)
    except KeyError:
        if reference.is_optional:
            return UNSET
        raise


def _output(facts: Facts, reference: str) -> Any:
    uid, *path = reference.split(".")
    if uid not in facts.nodes:
        raise KeyError(reference)
    value: Any = facts.nodes[uid].output
    for part in path:
        if not isinstance(value, dict) or part not in value:
            raise KeyError(reference)
        value = value[part]
    return value
