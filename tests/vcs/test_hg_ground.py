# SPDX-License-Identifier: MPL-2.0
"""Searches on a Mercurial clone name what they name on the git clone that it was converted from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from git_builder import Repo, numbered
from hg_builder import Converted, need_hg
from shipit.errors import InvalidInput
from shipit.merge.advice import Advice, advise
from shipit.vcs.ground import GitGround
from shipit.vcs.hg_ground import HgGround


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    need_hg()
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(30), "old/c.txt": numbered(30), "bin": b"\0\1"})
    told.branch("beta", "main")
    return told


def in_hg(advice: Advice, clone: Converted) -> object:
    """What two searches must agree in, with the hashes of Mercurial."""
    told = (advice.outcome, advice.verified, advice.neighbours_only, advice.in_the_way)
    listed = msgspec.to_builtins((*told, advice.prerequisites, advice.unverified))
    for one in (*listed[3], *listed[4], *listed[5]):
        one["revision"] = clone.id(one["revision"])
    return listed


async def test_prerequisites_on_mercurial_are_those_of_git(repo: Repo, tmp_path: Path) -> None:
    missing = repo.commit("Bug 2", {"a.txt": numbered(30, l5="two"), "b.txt": numbered(3)})
    patch = repo.commit("Bug 3", {"a.txt": numbered(30, l5="three")})
    moved = repo.commit("Bug 4", {"old/c.txt": None, "new/c.txt": numbered(30, l9="moved")})
    above = repo.commit("Bug 5", {"new/c.txt": numbered(30, l9="above")})
    beside = repo.commit("Bug 7", {"a.txt": numbered(30, l5="three", l25="main")})
    binary = repo.commit("Bug 9", {"bin": b"\0\2"})
    own = repo.commit("Bug 6", {"a.txt": numbered(30, l25="train")}, on="beta")
    repo.commit("Bug 10", {"bin": b"\0\3"}, on="beta")
    clone = Converted(repo, tmp_path / "hg")
    async with (
        GitGround(repo.path, index=None, scratch=tmp_path / "git-scratch") as git,
        HgGround(clone.path, scratch=tmp_path) as hg,
    ):
        for name, needed in (
            (patch, [missing]),
            (above, [moved]),
            (beside, []),
            (binary, []),
            (own, []),
        ):
            tip, entry = await git.entries(["beta", name])
            hg_tip, hg_entry = await hg.entries({"beta": "--onto", clone.id(name): "REV"})
            await hg.follow(hg_tip, [hg_entry])
            of_git, of_hg = await advise(git, [entry], tip), await advise(hg, [hg_entry], hg_tip)
            assert in_hg(of_hg, clone) == in_hg(of_git, clone), name
            assert [one.revision for one in of_hg.prerequisites] == [clone.id(one) for one in needed]


async def test_a_name_that_leads_nowhere_names_its_field(repo: Repo, tmp_path: Path) -> None:
    clone = Converted(repo, tmp_path / "hg")
    async with HgGround(clone.path, scratch=tmp_path) as hg:
        with pytest.raises(InvalidInput, match="--onto: expected a commit of the clone; 'nowhere'"):
            await hg.entries({"nowhere": "--onto"})
