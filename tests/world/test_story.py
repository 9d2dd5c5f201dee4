# SPDX-License-Identifier: MPL-2.0
"""The invented story: every kind of trial, told the same way each time, in a real repository."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from git_builder import run_git
from shipit.world.others import others
from shipit.world.seed import calendar_for, seed
from shipit.world.story import CAST, COMPONENTS, Branches, Kind, Story, bugs, folder_of
from shipit.world.world import StandingClock, World

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def told() -> Story:
    left = {name: NOW - timedelta(days=days) for name, days in (("beta", 15), ("release", 43))}
    left |= {"esr140": NOW - timedelta(days=200), "esr128": NOW - timedelta(days=500)}
    story = Story(now=NOW, branches=Branches(left))
    story.tell()
    return story


def test_every_kind_is_told_and_every_bug_is_whole() -> None:
    invented = bugs()
    assert {bug.kind for bug in invented} == set(Kind)
    assert len({bug.id for bug in invented}) == len(invented)
    assert {bug.form for bug in invented} == {"bridge", "older", "unreadable"}
    for bug in invented:
        assert bug.component in COMPONENTS
        assert {bug.author, bug.reviewer} <= CAST.keys()
        assert set(bug.requests.values()) <= {"?", "+", "-"}
        assert bug.requests


def test_the_same_story_makes_the_same_commits(tmp_path: Path) -> None:
    one = told().tale.write(tmp_path / "one.git")
    other = told().tale.write(tmp_path / "other.git")
    assert one == other
    assert len(one) > 60


def test_repository_is_whole_and_branches_left_main_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "product.git"
    story = told()
    hashes = story.tale.write(folder)
    assert run_git(folder, "fsck", "--strict", "--no-dangling") == b""
    ages = [
        int(run_git(folder, "rev-list", "--count", run_git(folder, "merge-base", "main", name).strip()))
        for name in ("esr128", "esr140", "release", "beta", "main")
    ]
    assert ages == sorted(set(ages))
    for one in story.told:
        assert run_git(folder, "cat-file", "-e", f"main:{folder_of(one.bug)}") == b""
        for mark in (*one.landings, *one.patched):
            subject = run_git(folder, "log", "-1", "--format=%s", hashes[mark]).decode()
            assert f"Bug {one.bug.id}" in subject


@pytest.mark.parametrize("day", range(0, 400, 37))
async def test_demo_always_begins_in_the_middle_of_a_cycle(day: int) -> None:
    now = NOW + timedelta(days=day, hours=day % 24)
    calendar = calendar_for(now)
    into = now - calendar.begins(calendar.nightly(now))
    assert timedelta(days=15) <= into < timedelta(days=16)
    assert [major for major, _ in calendar.living_esr(now)] == [128, 140]


async def test_seeding_files_each_bug_with_its_flags(tmp_path: Path) -> None:
    async with World.open(now=StandingClock(NOW)) as world:
        seed(world, tmp_path / "product.git")
        state = world.bugzilla.state
        assert sorted(state.bugs) == sorted(bug.id for bug in (*bugs(), *others()))
        for bug in bugs():
            flags = {
                (flag.type.name.removeprefix("approval-mozilla-"), flag.status)
                for one in state.attachments.values()
                if one.bug == bug.id
                for flag in one.flags
            }
            assert flags == set(bug.requests.items()), bug.id
            assert bool(state.bugs[bug.id].lists["groups"]) == bug.is_restricted
            assert state.bugs[bug.id].created < NOW
