# SPDX-License-Identifier: MPL-2.0
"""Fixtures every room may use: the recorded world, and the rule that a required real part is not skipped."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from real_parts import absent

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = ["fixtures_postgres", "fixtures_rabbitmq", "fixtures_pages"]


def pytest_configure() -> None:
    """Log in lines, as the service does: to draw a surprise with all its locals takes longer than a test."""
    add = structlog.processors
    structlog.configure(processors=[add.add_log_level, add.format_exc_info, add.KeyValueRenderer()])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What speaks to a real broker is a drill: each process that tests would wait for a broker of its own."""
    for item in items:
        if "rabbitmq" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.drill)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded conversations and real data beside the checkout; skips where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        absent("shared", "no ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """Find a program by name, or skip (fail where required)."""

    def find(program: str) -> str:
        # some programs come with a package of the virtual environment, which is not always on PATH
        found = shutil.which(program) or shutil.which(program, path=Path(sys.executable).parent)
        if found is None:
            absent(program, f"no {program!r} on PATH")
        assert found is not None
        return found

    return find
