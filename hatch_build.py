# SPDX-License-Identifier: MPL-2.0
"""Build hook: the pages go into every wheel and editable install, built where they are not current."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Pages(BuildHookInterface):  # type: ignore[misc]
    """Asks for a Node only where the machine has none that fits, and for nothing when all is current."""

    def dependencies(self) -> list[str]:
        """What the isolated build has to install first."""
        tool = _tool(self.root)
        if tool is None or tool.is_skipped() or tool.is_current() or tool.npm() is not None:
            return []
        return [tool.REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the pages."""
        tool = _tool(self.root)
        if tool is None or tool.is_skipped():
            return
        try:
            tool.build()
        except tool.BuildFailed as error:
            sys.exit(f"The pages were not built: {error}")


def _tool(root: str) -> ModuleType | None:
    path = Path(root, "frontend", "build.py")
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("shipit_frontend_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
