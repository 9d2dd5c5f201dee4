# SPDX-License-Identifier: MPL-2.0
"""`shipit check` says what is wrong with routes, and which hooks get the weaker promise."""

from __future__ import annotations

from pathlib import Path

from fake_taskcluster import FakeTaskcluster, served
from fixtures_rabbitmq import RabbitMQ
from shipit.cli import listener_check
from shipit.clients.http import open_session
from shipit.settings.reading import load

STRICT = {"type": "object", "properties": {"REVISION": {}}, "additionalProperties": False}
HOOKS = """
[[hooks]]
type = "code-coverage"
hookId = "strict"
[[hooks]]
type = "code-coverage"
hookId = "open"
[[hooks]]
type = "static-analysis-mozreview"
hookId = "missing"
"""


def test_every_problem_of_the_settings_is_told(tmp_path: Path) -> None:
    file = tmp_path / "shipit.toml"
    file.write_text(
        '[[routes]]\nname = "a"\n[[hooks]]\ntype = "x"\n[[sources]]\nkind = "y"\n[pulse]\nurl = "http://h"\n'
    )
    found = listener_check.offline(load({"SHIPIT_CONFIG": str(file)}))
    assert sorted(one.what for one in found if one.problem) == [
        "pulse",
        "routes",
        "routes",
        "routes",
        "sources",
    ]


async def test_a_hook_that_refuses_a_task_id_is_named(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    tc = FakeTaskcluster()
    tc.schemas["project-releng/strict"] = STRICT
    tc.schemas["project-releng/open"] = {"type": "object"}
    file = tmp_path / "shipit.toml"
    file.write_text(HOOKS)
    async with served(tc.app()) as url, open_session() as session:
        where = {"SHIPIT_CONFIG": str(file), "TASKCLUSTER_ROOT_URL": url, "SHIPIT_PULSE_URL": rabbitmq.url}
        found = {one.what: one for one in await listener_check.online(load(where), session)}
    assert "weaker promise" in found["hook project-releng/strict"].said
    assert "exactly one task" in found["hook project-releng/open"].said
    assert found["hook project-releng/missing"].problem == "there is no such hook"
    assert "NOT_FOUND" in str(found["pulse exchange/mozreview/"].problem)
