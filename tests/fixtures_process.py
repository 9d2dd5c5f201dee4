# SPDX-License-Identifier: MPL-2.0
"""The real command in processes of its own, with the environment and the file that an installation has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

KEPT = ("PATH", "HOME", "TMPDIR", "LANG")


def clean_environment(**more: str) -> dict[str, str]:
    """Nothing of the environment of whoever runs the tests that could set the product up."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {"PYTHONUNBUFFERED": "1"} | more


@dataclass
class Ended:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass
class Installation:
    """A folder with settings, and the environment beside it."""

    folder: Path
    environment: dict[str, str]
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def shipit(self, *words: str, within: float = 90) -> Ended:
        """Run a command to its end."""
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(), within)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command and leave it running."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shipit",
            *words,
            cwd=self.folder,
            env=clean_environment(**self.environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    async def serve(self) -> asyncio.subprocess.Process:
        """Start the web service and wait until it takes connections."""
        process = await self.start("serve")
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        if not line.startswith(b"serving on"):
            assert process.stderr is not None
            raise AssertionError(f"it does not serve: {(await process.stderr.read()).decode()}")
        return process

    async def stop(self, process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> int:
        """End a command that is running; its exit code."""
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode


@contextlib.asynccontextmanager
async def installed(folder: Path, config: str, **environment: str) -> AsyncIterator[Installation]:
    """An installation; whatever still runs at the end is killed."""
    file = folder / "shipit.toml"
    file.write_text(config, encoding="utf-8")
    made = Installation(folder, {"SHIPIT_CONFIG": str(file), **environment})
    try:
        yield made
    finally:
        for process in made.started:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()
