# SPDX-License-Identifier: MPL-2.0
"""The order in which uplifts land, and what a train would leave behind, on generated histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_builder import Repo, numbered
from shipit.merge.landing_order import Memory, Plan, Uplift, plan
from shipit.merge.left_behind import Why, carried, left_behind
from shipit.vcs.ground import GitGround


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 100", {"a.txt": numbered(40), "b.txt": numbered(40)})
    told.branch("beta", "main")
    return told


async def make(repo: Repo, *revisions: str) -> Plan:
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, *entries = await ground.entries(["beta", *revisions])
        memory = Memory(ground)
        uplifts = [Uplift(entry.id, (entry,)) for entry in entries]
        made = await plan(memory, uplifts, tip)
        again = await plan(memory, uplifts, tip)
        assert again.steps == made.steps and again.merges == 0
        return made


def order(made: Plan) -> list[str]:
    return [step.uplift.name for step in made.steps]


async def test_what_conflicts_alone_lands_after_what_it_needs(repo: Repo) -> None:
    first = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    other = repo.commit("Bug 3", {"b.txt": numbered(40, l5="b")})
    made = await make(repo, second, other, first)
    assert order(made) == [first, second, other]
    assert [(one.revision, one.after, one.lands) for one in made.conflicts] == [(second, (first,), True)]


async def test_uplifts_that_exclude_each_other_are_named(repo: Repo) -> None:
    first = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")}, on="side", start="beta")
    made = await make(repo, first, second)
    assert len(made.steps) == 1
    (one,) = made.conflicts
    assert not one.lands and "exclude each other" in one.reason


async def test_a_pair_that_gives_different_trees_in_two_orders_is_warned_of(repo: Repo) -> None:
    repo.commit("Bug 5", {"a.txt": numbered(40, l5="five")}, on="beta")
    repo.commit("Bug 5", {"a.txt": numbered(40, l5="five")})
    out = repo.commit('Revert "Bug 5"', {"a.txt": numbered(40)})
    back = repo.commit("Bug 5 again", {"a.txt": numbered(40, l5="five")})
    made = await make(repo, out, back)
    assert order(made) == [out, back]
    assert len(made.warnings) == 1 and "different trees" in made.warnings[0].text


async def test_a_commit_of_a_listed_kind_is_left_behind(repo: Repo) -> None:
    cause = repo.commit("Bug 1 - feature", {"a.txt": numbered(40, l5="one")})
    follow = repo.commit("Bug 1 - follow-up", {"b.txt": numbered(40, l1="f")})
    said = "Bug 2 - repair\n\nThis fixes a regression from bug 1."
    mends = repo.commit(said, {"b.txt": numbered(40, l1="f", l20="m")})
    backout = repo.commit(f"Revert\n\nThis reverts commit {cause}.", {"a.txt": numbered(40)})
    repo.commit("Bug 3 - nothing of it", {"b.txt": numbered(40, l1="f", l20="m", l30="z")})
    said = f"Bug 1 - feature\n\n(cherry picked from commit {cause})"
    repo.commit(said, {"a.txt": numbered(40, l5="one")}, on="beta")
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, main = await ground.entries(["beta", "main"])
        there, missing = carried(ground.history, tip.position, main.position)
        found = left_behind(ground.history, there, missing)
    assert [(one.revision, one.why) for one in found] == [
        (follow, Why.FOLLOW_UP),
        (mends, Why.REGRESSION),
        (backout, Why.BACKOUT),
    ]
    assert {one.of for one in found} == {cause}


async def test_a_follow_up_that_main_backed_out_is_not_left_behind(repo: Repo) -> None:
    cause = repo.commit("Bug 1 - feature", {"a.txt": numbered(40, l5="one")})
    follow = repo.commit("Bug 1 - follow-up", {"b.txt": numbered(40, l1="f")})
    repo.commit(f"Revert\n\nThis reverts commit {follow}.", {"b.txt": numbered(40)})
    said = f"Bug 1 - feature\n\n(cherry picked from commit {cause})"
    repo.commit(said, {"a.txt": numbered(40, l5="one")}, on="beta")
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, main = await ground.entries(["beta", "main"])
        assert left_behind(ground.history, *carried(ground.history, tip.position, main.position)) == []


async def test_uplifts_that_share_nothing_are_merged_once_each(repo: Repo) -> None:
    first = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"b.txt": numbered(40, l5="two")})
    third = repo.commit("Bug 3", {"c.txt": numbered(3)})
    made = await make(repo, first, second, third)
    assert (order(made), made.conflicts, made.merges) == ([first, second, third], (), 3)


async def test_what_a_moved_folder_draws_along_is_tried_alone_as_well(repo: Repo) -> None:
    repo.commit("Bug 1", {"old/x.txt": numbered(30), "old/y.txt": numbered(30, l3="y")}, on="beta")
    repo.commit("Bug 1", {"old/x.txt": numbered(30), "old/y.txt": numbered(30, l3="y")})
    moved = repo.commit(
        "Bug 2",
        {
            "old/x.txt": None,
            "old/y.txt": None,
            "new/x.txt": numbered(30),
            "new/y.txt": numbered(30, l3="y"),
        },
    )
    added = repo.commit("Bug 3", {"old/z.txt": numbered(3)}, on="side", start="main~1")
    made = await make(repo, moved, added)
    # alone it merges: whatever the moved folder makes of it behind the other must not hide that
    assert order(made) == [moved]
    (told,) = made.conflicts
    assert (told.revision, told.after, told.lands) == (added, (moved,), False)
    assert told.reason.startswith("merges cleanly alone") and "exclude each other" in told.reason
