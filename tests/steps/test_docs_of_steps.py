# SPDX-License-Identifier: MPL-2.0
"""The docs about steps are run: the example passes the suite, curl gets what is shown, a kind is one file."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from fixtures_pipelines import benched, step
from fixtures_postgres import Database
from shipit.cli.step import step as step_command
from shipit.pipeline.definition import read
from shipit.steps import kinds
from shipit.steps.kinds import KINDS, check

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
GUIDE = (DOCS / "write-a-step-service.md").read_text("utf-8")
PAGE = (DOCS / "pipeline.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """The example of the docs, running on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = blocks(GUIDE, "python")[0].replace("8123", str(port))
    (tmp_path / "service.py").write_text(code, "utf-8")
    process = subprocess.Popen([sys.executable, str(tmp_path / "service.py")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            asyncio.run(asyncio.sleep(0.05))
        yield f"http://127.0.0.1:{port}/steps"
    finally:
        process.kill()
        process.wait()


def test_the_example_of_forty_lines_passes_the_suite(service: str, tmp_path: Path) -> None:
    code = [line for line in blocks(GUIDE, "python")[0].splitlines() if line.strip()]
    assert len(code) <= 40
    file = tmp_path / "parameters.json"
    file.write_text('{"rate": 10}', "utf-8")
    words = ["check", service, "--parameters", str(file), "--format", "json"]
    result = CliRunner().invoke(step_command, words, env={"SHIPIT_CONFIG": "", "TASKCLUSTER_CLIENT_ID": ""})
    report = json.loads(result.output)
    assert (report["fails"], result.exit_code, len(report["holds"])) == ([], 0, 15)


def test_a_service_that_breaks_a_rule_ends_the_command_with_one(service: str) -> None:
    result = CliRunner().invoke(step_command, ["check", service.replace("/steps", "/elsewhere")])
    assert result.exit_code == 1
    assert "FAILS" in result.output


def test_the_calls_shown_with_curl_answer(service: str, need: Callable[[str], str]) -> None:
    need("curl")
    shown = [line.removeprefix("$ ") for line in blocks(GUIDE, "console")[0].splitlines()]
    answers = []
    for line in shown:
        words = shlex.split(line.replace("http://127.0.0.1:8123/steps", service))
        answers.append(json.loads(subprocess.run(words, capture_output=True, check=True, timeout=20).stdout))
    put, status, definition, page, deleted = answers
    assert (put["uid"], put["status"], status["status"]) == ("raise-10", "in_progress", "in_progress")
    assert definition == {"uid": "raise-10", "parameters": {"rate": 10}}
    assert ([row["uid"] for row in page["steps"]], page["next"]) == (["raise-10"], None)
    assert deleted["status"] == "cancelled"


def test_the_definition_in_the_docs_is_valid() -> None:
    read(json.loads(blocks(PAGE, "json")[0]), check)


async def test_a_kind_is_one_file_and_one_row(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("say")
    exec(compile(blocks(PAGE, "python")[0], "say.py", "exec"), module.__dict__)
    monkeypatch.setitem(KINDS, "say", module)
    assert kinds.check("say", {})
    async with benched(database) as bench:
        await bench.put("p", step("a", kind="say", parameters={"word": "ship"}), step("b", "a"))
        await bench.turn(2)
        assert await bench.states("p") == {"a": "success", "b": "in_progress"}
        assert (await bench.load("p")).facts.nodes["a"].output == {"said": "ship"}


def test_every_kind_is_in_the_docs() -> None:
    assert [kind for kind in KINDS if f"| `{kind}` |" not in PAGE] == []
