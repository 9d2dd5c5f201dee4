# SPDX-License-Identifier: MPL-2.0
"""The map is tested: what the docs list is what the code has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from shipit.cli import COMMANDS
from shipit.uplift.standing import LOOKS, Colour

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
]
STANDINGS = (ROOT / "docs" / "uplift.md").read_text("utf-8")


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs" / "make.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parts_made_from_the_code_are_current() -> None:
    make = maker()
    assert make.pages(), "no page has a made part"
    for page in make.pages():
        text = page.read_text("utf-8")
        assert make.filled(text) == text, f"{page.name} is stale: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_subcommand_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"shipit {name}" not in readme] == []


def test_the_words_and_colours_of_standings_are_those_of_the_page() -> None:
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| (green|grey|red|blue)[^|]* \|$", STANDINGS, re.MULTILINE)
    colours = {Colour.RUN: "blue"}
    assert dict(rows) == {look.word: colours.get(look.colour, look.colour) for look in LOOKS.values()}


def test_decisions_are_short() -> None:
    for page in (ROOT / "docs" / "adr").glob("0*.md"):
        assert len(page.read_text("utf-8").splitlines()) <= 40, page.name
