# SPDX-License-Identifier: MPL-2.0
"""`shipit demo`: one command, everything with invented data; stops cleanly, and recovers what a kill left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fixtures_bot import free_port
from fixtures_process import clean_environment
from shipit.world.story import bugs


class Demo:
    """A demo in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder.with_name("demo.log")
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "shipit", "demo", "--port", str(self.port), "--folder", str(folder)],
                env=clean_environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_well(self, within: float = 60) -> None:
        """Until the first round is done."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/__heartbeat__").status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"no heartbeat within {within} s: {self.log.read_text()}")

    def stop(self, how: signal.Signals) -> float:
        """Tell it to stop; the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(20)
        return time.monotonic() - began

    def left(self) -> list[str]:
        """Processes that still name its folder."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if os.fsencode(str(self.folder)) in words:
                    found.append(words.decode(errors="replace").replace("\0", " "))
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "demo"


@pytest.mark.drill
def test_demo_serves_its_invented_requests_and_leaves_nothing_running(folder: Path) -> None:
    demo = Demo(folder)
    try:
        demo.wait_until_well()
        url = f"http://127.0.0.1:{demo.port}"
        rows = httpx.get(f"{url}/api/requests?limit=500").json()["requests"]
        public = [bug for bug in bugs() if not bug.is_restricted]
        asked = sum(status in "?+" for bug in public for status in bug.requests.values())
        assert len(rows) in (asked, sum(len(bug.requests) for bug in public))
        assert Counter(row["outcome"] for row in rows)["conflict"] >= 5
        assert {row["bug"] for row in rows}.isdisjoint({bug.id for bug in bugs() if bug.is_restricted})
        assert '"is_demo":true' in httpx.get(url).text
        assert demo.left()
        assert demo.stop(signal.SIGTERM) < 5
        assert demo.process.returncode == 0, demo.log.read_text()
        assert demo.left() == []
        assert list(folder.glob("run-*")) == []
    finally:
        demo.process.kill()


@pytest.mark.drill
def test_demo_starts_again_after_it_was_killed(folder: Path) -> None:
    first = Demo(folder)
    try:
        first.wait_until_well()
        first.process.kill()
        first.process.wait()
    finally:
        first.process.kill()
    second = Demo(folder)
    try:
        second.wait_until_well()
        assert second.stop(signal.SIGINT) < 5
        assert second.process.returncode == 0, second.log.read_text()
        assert second.left() == []
    finally:
        second.process.kill()


@pytest.mark.drill
@pytest.mark.parametrize("after", [0.3, 1.5, 3.0])
def test_demo_told_to_stop_while_it_starts_leaves_nothing(folder: Path, after: float) -> None:
    demo = Demo(folder)
    try:
        time.sleep(after)
        demo.stop(signal.SIGTERM)
        end = time.monotonic() + 10
        while demo.left() and time.monotonic() < end:
            time.sleep(0.1)
        assert demo.left() == []
    finally:
        demo.process.kill()


@pytest.mark.drill
def test_the_demos_listener_triggers_follows_ignores_and_quarantines(folder: Path) -> None:
    demo = Demo(folder)
    try:
        demo.wait_until_well()
        url = f"http://127.0.0.1:{demo.port}/api"
        seen: set[str] = set()
        end = time.monotonic() + 120
        wanted = {"Done", "Ignored", "told again", "unreadable"}
        while not wanted <= seen:
            assert time.monotonic() < end, seen
            for row in httpx.get(f"{url}/events").json()["events"]:
                seen |= {effect["standing"]["word"] for effect in row["effects"]} | {row["standing"]["word"]}
                seen |= {"told again"} if row["told"] > 1 else set()
                seen |= {"unreadable"} if row["state"] == "quarantined" else set()
            time.sleep(0.5)
        sources = httpx.get(f"{url}/sources").json()
        assert sources["is_alive"]
        assert {"phabricator", "pulse:code-coverage"} <= {row["name"] for row in sources["sources"]}
        assert all(row["is_connected"] for row in sources["sources"])
        assert demo.stop(signal.SIGTERM) < 5
        assert demo.process.returncode == 0, demo.log.read_text()
        assert demo.left() == []
    finally:
        demo.process.kill()
