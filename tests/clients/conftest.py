# SPDX-License-Identifier: MPL-2.0
"""What the clients' tests share: a session, and fakes of the services served on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from shipit.clients.http import CallCounter, open_session


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
def calls() -> CallCounter:
    return CallCounter()
