# SPDX-License-Identifier: MPL-2.0
"""Writes the parts of docs/ that are made from the code: settings, rooms, states. Run by `make docs`."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from shipit.settings import Settings
from shipit.settings.reading import ENVIRONMENT
from shipit.uplift import decision_states

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "src" / "shipit"


def settings_table() -> str:
    """Every setting with what it is for, its default and the variable that overrides it."""
    rows = ["| setting | for | default | variable |", "| --- | --- | --- | --- |"]
    variables = {path: name for name, path in ENVIRONMENT.items()}
    for where, section, owner in _sections(Settings):
        for field in msgspec.structs.fields(owner):
            if _is_section(field.type):
                continue
            hint = get_type_hints(owner, include_extras=True)[field.name]
            default = "" if field.default is msgspec.NODEFAULT else _shown(field.default)
            variable = variables.get((section, field.name), "")
            named = f"`{variable}`" if variable else ""
            rows.append(f"| `{where}{field.name}` | {_purpose(hint)} | {default} | {named} |")
    return "\n".join(rows)


def rooms_table() -> str:
    """Every room with its purpose, which is the first sentence of its docstring."""
    rows = ["| room | purpose |", "| --- | --- |"]
    for folder in sorted(path.parent for path in HOUSE.glob("*/__init__.py")):
        purpose = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        rows.append(f"| `{folder.name}` | {' '.join(purpose.split())} |")
    return "\n".join(rows)


PARTS = {"settings": settings_table, "rooms": rooms_table, "decisions": decision_states.drawing}


def filled(text: str) -> str:
    """`text` with every part between `<!-- made: name -->` and `<!-- end -->` made anew."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- made: {found[1]} -->\n{PARTS[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- made: (\w+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def pages() -> list[Path]:
    """The pages that have such parts."""
    return [page for page in sorted((ROOT / "docs").glob("*.md")) if "<!-- made:" in page.read_text("utf-8")]


def _sections(settings: type[msgspec.Struct]) -> list[tuple[str, str, type[msgspec.Struct]]]:
    found: list[tuple[str, str, type[msgspec.Struct]]] = [("", "", settings)]
    for field in msgspec.structs.fields(settings):
        if get_origin(field.type) is tuple and _is_section(field.type):
            found.append((f"{field.name}[].", field.name, get_args(field.type)[0]))
        elif _is_section(field.type):
            found.append((f"{field.name}.", field.name, field.type))
    return found


def _is_section(kind: Any) -> bool:
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _purpose(hint: Any) -> str:
    for extra in getattr(hint, "__metadata__", ()):
        if getattr(extra, "description", None):
            return str(extra.description).replace("|", "or")
    for inner in get_args(hint):
        if found := _purpose(inner):
            return found
    return ""


def _shown(default: object) -> str:
    return "" if default in (None, (), "") else f"`{default}`"


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
