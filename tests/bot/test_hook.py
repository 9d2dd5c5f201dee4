# SPDX-License-Identifier: MPL-2.0
"""The bot's Taskcluster hook is what Taskcluster accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import referencing

from shipit.bot.hook import hook_definition, hook_id
from shipit.errors import InvalidInput


def definition(instance: str = "production") -> dict[str, Any]:
    return hook_definition(instance=instance, image="shipit/bot:1", owner="relman@example.org")


def test_taskcluster_accepts_the_hook(shared: Path) -> None:
    references = msgspec.json.decode(
        (shared / "data/taskcluster/generated-references-v106.json").read_bytes()
    )
    schemas = {
        row["content"]["$id"].removesuffix("#"): row["content"]
        for row in references
        if row["filename"].startswith("schemas/") and "$id" in row["content"]
    }
    resources = [
        (name, referencing.Resource.from_contents(content, referencing.jsonschema.DRAFT7))
        for name, content in schemas.items()
    ]
    registry: Any = referencing.Registry().with_resources(resources)
    schema = dict(schemas["/schemas/hooks/v1/create-hook-request.json"])
    schema.pop("$schema", None)
    jsonschema.Draft7Validator(schema, registry=registry).validate(definition())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema, registry=registry).validate({**definition(), "metadata": {}})


def test_the_hook_runs_every_thirty_minutes_with_a_cached_clone() -> None:
    hook = definition()
    assert hook["schedule"] == ["0 0,30 * * * *"]
    assert hook["task"]["payload"]["cache"] == {"shipit-bot-production": "/cache"}
    assert hook["task"]["created"] == {"$fromNow": "0 seconds"}


def test_instances_never_meet() -> None:
    texts = {name: msgspec.json.encode(definition(name)).decode() for name in ("production", "staging")}
    assert definition("production")["hookId"] == hook_id("production")
    assert "staging" not in texts["production"]
    assert "production" not in texts["staging"]


@pytest.mark.parametrize("instance", ["", "Production", 'a"b', "a b", "../x"])
def test_an_instance_name_that_could_break_out_is_refused(instance: str) -> None:
    with pytest.raises(InvalidInput, match="instance"):
        definition(instance)


def test_text_with_quotes_stays_text() -> None:
    hook = hook_definition(instance="testing", image='x"y', owner="a@b.example")
    assert hook["task"]["payload"]["image"] == 'x"y'
