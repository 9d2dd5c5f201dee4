# SPDX-License-Identifier: MPL-2.0
"""The scene that the bot's tests play in."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fixtures_bot import Scene, staged
from fixtures_postgres import Database


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    """A scene with room for twelve bugs."""
    with tempfile.TemporaryDirectory(prefix="scene-") as folder:
        async with staged(database, Path(folder)) as made:
            yield made
