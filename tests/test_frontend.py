# SPDX-License-Identifier: MPL-2.0
"""The pages' sources keep the rules that no compiler knows, and are built when they must be."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from shipit.web.shell import PATHS

FRONTEND = Path(__file__).resolve().parent.parent / "frontend"
SOURCES = sorted((FRONTEND / "src").rglob("*.svelte"))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """frontend/build.py, over a frontend of two files."""
    spec = importlib.util.spec_from_file_location("frontend_build", FRONTEND / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    here = tmp_path / "frontend"
    (here / "node_modules" / "svelte").mkdir(parents=True)
    (here / "package.json").write_text("{}")
    (here / "package-lock.json").write_text("{}")
    monkeypatch.setattr(module, "HERE", here)
    monkeypatch.setattr(module, "MODULES", here / "node_modules")
    monkeypatch.setattr(module, "DIST", tmp_path / "dist")
    monkeypatch.setattr(module, "STAMP", tmp_path / "dist" / "digest")
    return module


def test_pages_are_current_until_a_source_changes(build: ModuleType) -> None:
    assert not build.is_current()
    build.DIST.mkdir()
    build.STAMP.write_text(build.digest() + "\n")
    assert build.is_current()
    (build.HERE / "node_modules" / "svelte" / "index.js").write_text("not a source of ours")
    assert build.is_current()
    (build.HERE / "package.json").write_text('{"name": "other"}')
    assert not build.is_current()


def test_without_a_node_the_error_says_what_to_do(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "npm", lambda: None)
    assert build.main([]) == 1
    said = capsys.readouterr().err
    assert "20.19" in said and build.REQUIREMENT in said and build.SKIP in said


def test_a_failed_build_keeps_what_was_there_and_says_what_failed(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "npm"
    tool.write_text("#!/bin/sh\n[ $1 = ci ] || { echo 'unexpected token in Page' >&2; exit 3; }\n")
    tool.chmod(0o755)
    monkeypatch.setattr(build, "npm", lambda: [str(tool)])
    build.DIST.mkdir()
    (build.DIST / "index.html").write_text("as it was")
    assert build.main([]) == 1
    said = capsys.readouterr().err
    assert "npm run" in said and "ended with 3" in said and "unexpected token in Page" in said
    assert (build.DIST / "index.html").read_text() == "as it was"


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("v20.18.9", 0),
        ("v20.19.0", 1),
        ("v21.7.0", 0),
        ("v22.11.0", 0),
        ("v22.12.0", 1),
        ("v24.1.0", 1),
        ("?", 0),
    ],
)
def test_only_a_node_that_can_build_is_taken(
    build: ModuleType, tmp_path: Path, version: str, fits: int
) -> None:
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho '{version}'\n")
    node.chmod(0o755)
    assert build._fits(str(node)) == bool(fits)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(FRONTEND / "src")))
def test_a_component_has_no_inline_style_and_no_raw_markup(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'\sstyle="[^{"]*"', text), (
        "the policy forbids style attributes; style:name={value} is fine"
    )
    assert "innerHTML" not in text
    # Made of pieces that `html` escaped; Html can be made by nothing else.
    assert all(each == "cells(" for each in re.findall(r"{@html (\w+\(|.)", text))
    assert "SPDX-License-Identifier: MPL-2.0" in text


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((FRONTEND / "src").rglob("*.ts")) if "lib/html" in path.read_text("utf-8")],
    ids=lambda path: str(path.relative_to(FRONTEND / "src")),
)
def test_markup_made_as_text_is_escaped_and_in_quotes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"(?<!html)`\s*<", text), "markup is made by html`...` alone"
    assert not re.findall(r"[\w-]=\$\{", text), "an attribute's value stands in quotes"
    assert "new Html" not in text


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, each in lock["packages"].items() if "resolved" in each]


def test_server_and_pages_know_the_same_paths() -> None:
    routes = (FRONTEND / "src" / "routes.ts").read_text(encoding="utf-8")
    patterns = re.findall(r"path: /(.*)/, place: .*pages/(\w+)/Page", routes)
    found = {
        re.sub(r"\(\?<(\w+)>[^)]*\)", r"{\1:str}", pattern.strip("^$").replace("\\/", "/")): page
        for pattern, page in patterns
        if page != "missing"
    }
    assert found == {path: page for path, (page, _) in PATHS.items()}
