# SPDX-License-Identifier: MPL-2.0
"""The Taskcluster hook that runs the bot, as data with a few blanks (hook.json)."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import Any

import msgspec

from shipit.errors import InvalidInput


def hook_definition(*, instance: str, image: str, owner: str) -> dict[str, Any]:
    """The body of hooks.createHook for one instance: every 30 minutes, with a cached clone.

    instance: "production", "staging"…; it is part of the hook id, the cache and the secret, so that instances
    never meet. image: the docker image that holds shipit. owner: e-mail told about failures.
    """
    if not instance.isidentifier() or not instance.islower():
        raise InvalidInput("instance", expected="lower-case letters, digits and _", got=instance)
    if "@" not in owner:
        raise InvalidInput("owner", expected="an e-mail address", got=owner)
    template = resources.files("shipit.bot").joinpath("hook.json").read_text(encoding="utf-8")
    blanks = {"instance": instance, "image": image, "owner": owner}
    filled = Template(template).substitute({name: _inside_json(text) for name, text in blanks.items()})
    definition: dict[str, Any] = msgspec.json.decode(filled)
    return definition


def hook_id(instance: str) -> str:
    """The hook's id within its group."""
    return f"services-{instance}-shipit-bot-uplift"


def _inside_json(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]
