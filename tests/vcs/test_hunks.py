# SPDX-License-Identifier: MPL-2.0
"""What a conflict looks like, with all three sides, on repositories told here."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_builder import Repo, lines, numbered
from shipit.errors import Missing
from shipit.merge.hunks import Hunk, PathHunks
from shipit.merge.types import Commit, ConflictKind, RawDiff
from shipit.vcs.git_store import GitTrials


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(40), "picture": b"\0base", "sub": ("160000", b"1" * 40)})
    told.branch("beta", "main")
    return told


async def show(repo: Repo, patch: str, path: str, *before: str) -> PathHunks:
    async with GitTrials(repo.path) as trials:
        return await trials.hunks(
            "beta", Commit(patch), path, after=tuple(Commit(revision) for revision in before)
        )


async def test_each_conflicting_place_has_its_three_sides_and_its_line(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l10="theirs", l20="fine", l30="theirs too")})
    ours = numbered(40, l2="another\nline more", l10="ours", l30="ours too")
    repo.commit("Bug 3", {"a.txt": ours}, on="beta")
    shown = await show(repo, patch, "a.txt")
    assert shown.kind is ConflictKind.CONTENT
    assert shown.hunks == (
        Hunk(
            base="line 10\n",
            ours="ours\n",
            theirs="theirs\n",
            line=11,
            base_line=10,
            theirs_line=10,
            before=("line 7", "line 8", "line 9"),
            after=("line 11", "line 12", "line 13"),
        ),
        Hunk(
            base="line 30\n",
            ours="ours too\n",
            theirs="theirs too\n",
            line=31,
            base_line=30,
            theirs_line=30,
            before=("line 27", "line 28", "line 29"),
            after=("line 31", "line 32", "line 33"),
        ),
    )


async def test_content_that_looks_like_markers_does_not_confuse_the_sides(repo: Repo) -> None:
    odd = ["<<<<<<< HEAD", "x", "=======", "y", "||||||| base", ">>>>>>> theirs"]
    base = repo.commit("Bug 2", {"odd": lines("start", *odd, "end")})
    repo.branch("beta", base)
    patch = repo.commit("Bug 3", {"odd": lines("start", *odd[:2], "=======", "=======", "theirs", "end")})
    repo.commit("Bug 4", {"odd": lines("start", *odd[:2], "ours", "=======", "end")}, on="beta")
    shown = await show(repo, patch, "odd")
    (hunk,) = shown.hunks
    assert (hunk.base, hunk.ours) == ("y\n||||||| base\n>>>>>>> theirs\n", "")
    assert hunk.theirs == "=======\ntheirs\n"
    assert (hunk.base_line, hunk.line, hunk.theirs_line) == (5, 6, 5)


async def test_where_a_side_has_no_file_its_side_is_none(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l10="theirs")})
    repo.commit("Bug 3", {"a.txt": None}, on="beta")
    shown = await show(repo, patch, "a.txt")
    assert shown.kind is ConflictKind.MODIFY_DELETE
    (hunk,) = shown.hunks
    assert hunk.ours is None
    assert hunk.base == numbered(40).decode()
    assert "theirs" in (hunk.theirs or "")


async def test_two_new_files_of_one_name_have_no_base(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"new": lines("theirs")})
    repo.commit("Bug 3", {"new": lines("ours")}, on="beta")
    shown = await show(repo, patch, "new")
    assert shown.kind is ConflictKind.ADD_ADD
    assert [(hunk.ours, hunk.theirs) for hunk in shown.hunks] == [("ours\n", "theirs\n")]


@pytest.mark.parametrize(
    ("path", "theirs", "ours", "word"),
    [
        ("picture", b"\0theirs", b"\0ours", "binary"),
        ("sub", ("160000", b"2" * 40), ("160000", b"3" * 40), "submodule"),
        ("large", b"t" * 9_000_000 + b"\n", b"o" * 9_000_000 + b"\n", "more than"),
    ],
)
async def test_what_is_no_text_says_so(repo: Repo, path: str, theirs: bytes, ours: bytes, word: str) -> None:
    patch = repo.commit("Bug 2", {path: theirs})
    repo.commit("Bug 3", {path: ours}, on="beta")
    assert word in ((await show(repo, patch, path)).reason or "")


async def test_a_side_that_is_very_long_is_cut(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"new": lines(*["theirs"] * 50_000)})
    repo.commit("Bug 3", {"new": lines("ours")}, on="beta")
    (hunk,) = (await show(repo, patch, "new")).hunks
    assert hunk.is_cut
    assert len(hunk.theirs or "") == 64 << 10


async def test_the_second_patch_of_a_series_is_shown_upon_the_first(repo: Repo) -> None:
    first = repo.commit("Bug 2", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="one", l10="theirs")})
    repo.commit("Bug 3", {"a.txt": numbered(40, l10="ours")}, on="beta")
    shown = await show(repo, second, "a.txt", first)
    assert [hunk.theirs for hunk in shown.hunks] == ["theirs\n"]


async def test_hunks_of_a_raw_diff_are_shown_too(repo: Repo) -> None:
    base = repo.id("main")
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l10="theirs")})
    repo.commit("Bug 3", {"a.txt": numbered(40, l10="ours")}, on="beta")
    async with GitTrials(repo.path) as trials:
        shown = await trials.hunks("beta", RawDiff("D1", repo.diff(base, patch), base), "a.txt")
    assert [hunk.ours for hunk in shown.hunks] == ["ours\n"]


async def test_what_does_not_conflict_has_no_hunks_to_show(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l10="theirs")})
    with pytest.raises(Missing):
        await show(repo, patch, "a.txt")
    repo.commit("Bug 3", {"a.txt": numbered(40, l10="ours")}, on="beta")
    with pytest.raises(Missing):
        await show(repo, patch, "picture")
