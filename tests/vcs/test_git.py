# SPDX-License-Identifier: MPL-2.0
"""The door to git: times out with all its processes, bounds what it holds, hands on nothing personal."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from git_builder import Repo, lines
from shipit.errors import CommandFailed
from shipit.vcs.git import environment, git


async def test_a_failing_command_says_its_words_code_and_complaint(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as failed:
        await git(tmp_path, "rev-parse", "nothing")
    assert failed.value.code == 128
    assert "not a git repository" in failed.value.stderr


async def test_unchecked_a_failure_is_an_answer(tmp_path: Path) -> None:
    answer = await git(tmp_path, "rev-parse", "nothing", check=False)
    assert answer.code == 128
    assert "not a git repository" in answer.complaint


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    started = time.monotonic()
    answer = await git(
        tmp_path,
        "-c",
        f"alias.hang=!sleep 60 & echo $! > '{note}'; wait",
        "hang",
        timeout=0.5,
        check=False,
    )
    assert answer.code is None
    assert "timed out" in answer.complaint
    assert time.monotonic() - started < 30
    # the signal is sent; the kernel needs a moment to take the process away
    ends = time.monotonic() + 20
    while is_alive(int(note.read_text())) and time.monotonic() < ends:
        await asyncio.sleep(0.02)
    assert not is_alive(int(note.read_text()))


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_a_command_that_says_too_much_is_ended(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "clone")
    commit = repo.commit("big", {"big": b"x" * 3_000_000})
    with pytest.raises(CommandFailed, match="said more than"):
        await git(repo.path, "cat-file", "blob", f"{commit}:big", largest=1_000_000)


async def test_input_larger_than_a_pipe_reaches_a_command_that_answers_at_length(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "clone")
    commit = repo.commit("x", {"a": lines("x" * 1000)})
    asked = f"{commit}:a\n".encode() * 4_000
    answer = await git(repo.path, "cat-file", "--batch", stdin=asked)
    assert answer.stdout.count(b"x" * 1000) == 4_000


async def test_a_command_that_does_not_read_its_input_is_no_crash(tmp_path: Path) -> None:
    answer = await git(tmp_path, "version", stdin=b"x" * 10_000_000)
    assert answer.code == 0


async def test_no_git_at_all_is_a_command_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandFailed, match="cannot start"):
        await git(None, "version")


def test_the_environment_names_no_configuration_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GIT_DIR",
        "GIT_CONFIG_PARAMETERS",
        "GIT_SSH",
        "LD_PRELOAD",
        "EDITOR",
        "TASKCLUSTER_ACCESS_TOKEN",
    ):
        monkeypatch.setenv(name, "x")
    made = environment()
    assert not {"GIT_DIR", "GIT_CONFIG_PARAMETERS", "GIT_SSH", "LD_PRELOAD", "EDITOR"} & made.keys()
    assert "TASKCLUSTER_ACCESS_TOKEN" not in made
    assert made["GIT_CONFIG_GLOBAL"] == os.devnull
