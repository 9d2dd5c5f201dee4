# SPDX-License-Identifier: MPL-2.0
"""Actions of a decision task, as its `actions.json` (version 1) has them, rendered with JSON-e."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsone
import msgspec

from shipit.errors import InvalidInput, Missing

VERSION = 1


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision task lets people do with its whole group. payload: a JSON-e template."""

    name: str
    hook_group: str
    hook_id: str
    payload: Mapping[str, Any]
    variables: Mapping[str, Any]


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """A hook to trigger, and with what."""

    hook_group: str
    hook_id: str
    payload: Mapping[str, Any]


def action(given: object, name: str) -> Action:
    """The action of that name that is meant for a task group. Raises Missing, InvalidInput.

    An action with the context [] is for the group; one of the same name with tags is for single tasks.
    """
    if not isinstance(given, Mapping) or given.get("version") != VERSION:
        raise InvalidInput("actions.json", expected=f"an object of version {VERSION}")
    rows = [row for row in given.get("actions") or () if isinstance(row, Mapping)]
    for row in rows:
        if row.get("name") != name or row.get("context") != []:
            continue
        hook_group, hook_id, payload = row.get("hookGroupId"), row.get("hookId"), row.get("hookPayload")
        if row.get("kind") != "hook" or not isinstance(payload, Mapping):
            raise InvalidInput("action", expected="one of kind hook", got=f"{name}: {row.get('kind')}"[:100])
        return Action(
            name=name,
            hook_group=str(hook_group),
            hook_id=str(hook_id),
            payload=payload,
            variables=given.get("variables") or {},
        )
    known = sorted({str(row.get("name")) for row in rows if row.get("context") == []})
    raise Missing(f"no action {name!r} for its group (there are {', '.join(known)[:300] or 'none'})")


def rendered(found: Action, *, group: str, given: object) -> Fire:
    """The trigger of an action on a group. given: its input. Raises InvalidInput for a broken template."""
    context = {
        **found.variables,
        "input": given,
        "taskGroupId": group,
        "taskId": None,
        "task": None,
    }
    try:
        payload = jsone.render(dict(found.payload), context)
    except jsone.JSONTemplateError as error:
        raise InvalidInput(
            "action", expected="a template that can be rendered", got=str(error)[:200]
        ) from None
    if not isinstance(payload, dict):
        raise InvalidInput("action", expected="a template of an object")
    return Fire(hook_group=found.hook_group, hook_id=found.hook_id, payload=payload)


def is_of(definition: Mapping[str, Any], *, name: str, group: str, given: object) -> bool:
    """Whether a task is what this action made of this input; decision tasks note it in `extra.action`."""
    extra = definition.get("extra")
    noted = extra.get("action") if isinstance(extra, Mapping) else None
    context = noted.get("context") if isinstance(noted, Mapping) else None
    if not isinstance(noted, Mapping) or not isinstance(context, Mapping):
        return False
    return (
        noted.get("name") == name
        and context.get("taskGroupId") == group
        and (context.get("input") or None) == (given or None)
    )
