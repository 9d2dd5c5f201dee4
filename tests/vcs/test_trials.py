# SPDX-License-Identifier: MPL-2.0
"""What trials say about patches of every kind, on repositories told here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from git_builder import BEN, Repo, lines, numbered, run_git
from shipit.errors import InvalidInput
from shipit.merge.series import Request
from shipit.merge.types import Commit, Conflict, ConflictKind, Outcome, PatchResult, RawDiff, SeriesResult
from shipit.vcs.git_store import GitTrials


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A main branch with some files, and a train "beta" that begins there."""
    told = Repo(tmp_path / "clone")
    told.commit(
        "Bug 1 - begin",
        {
            "a.txt": numbered(30),
            "b.txt": numbered(30, l1="b"),
            "folder/c.txt": lines("c"),
            "tool.sh": ("100755", lines("#!/bin/sh")),
            "picture.png": bytes(range(256)),
        },
    )
    told.branch("beta", "main")
    return told


async def attempt(repo: Repo, onto: str, *revisions: str, again: bool = False) -> SeriesResult:
    async with GitTrials(repo.path) as trials:
        series = tuple(Commit(revision) for revision in revisions)
        (result,) = await trials.run([Request(onto, series, again)])
        return result


def only(result: SeriesResult) -> PatchResult:
    (patch,) = result.patches
    return patch


async def test_a_patch_that_merges_is_clean_and_its_tree_is_what_cherry_pick_gives(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l25="other")}, on="beta")
    result = await attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CLEAN
    picked = repo.commit("picked", {"a.txt": numbered(30, l5="fixed", l25="other")}, on="pick", start="beta")
    assert result.tree == only(result).tree == repo.tree(picked)


async def test_a_clone_is_not_changed_by_trials(repo: Repo) -> None:
    def everything() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in repo.path.rglob("*"))

    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l5="clash")}, on="beta")
    before = everything()
    assert (await attempt(repo, "beta", patch)).outcome is Outcome.CONFLICT
    assert everything() == before


async def test_a_work_tree_and_a_linked_work_tree_serve_as_clones(repo: Repo, tmp_path: Path) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    run_git(tmp_path, "clone", "-q", str(repo.path), "work")
    run_git(tmp_path / "work", "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    (tmp_path / "work" / "a.txt").write_text("somebody is at work here")
    for folder in ("work", "linked"):
        async with GitTrials(tmp_path / folder) as trials:
            (result,) = await trials.run([Request("origin/beta", (Commit(patch),))])
            (at_head,) = await trials.run([Request("HEAD", (Commit(patch),))])
        assert result.outcome is Outcome.CLEAN
        assert at_head.outcome is Outcome.LANDED
    assert (tmp_path / "work" / "a.txt").read_text() == "somebody is at work here"


@pytest.mark.parametrize(
    ("theirs", "ours", "path", "kind"),
    [
        ({"a.txt": numbered(30, l5="x")}, {"a.txt": numbered(30, l5="y")}, "a.txt", ConflictKind.CONTENT),
        ({"a.txt": numbered(30, l5="x")}, {"a.txt": None}, "a.txt", ConflictKind.MODIFY_DELETE),
        ({"a.txt": None}, {"a.txt": numbered(30, l5="y")}, "a.txt", ConflictKind.MODIFY_DELETE),
        ({"new": lines("x")}, {"new": lines("y")}, "new", ConflictKind.ADD_ADD),
        ({"picture.png": b"\0x"}, {"picture.png": b"\0y"}, "picture.png", ConflictKind.BINARY),
        (
            {"sub": ("160000", b"1" * 40)},
            {"sub": ("160000", b"2" * 40)},
            "sub",
            ConflictKind.SUBMODULE,
        ),
        ({"link": ("120000", b"x")}, {"link": ("120000", b"y")}, "link", ConflictKind.ADD_ADD),
        (
            {"new": ("120000", b"x")},
            {"new": lines("y")},
            "new",
            ConflictKind.MODE,
        ),
    ],
)
async def test_a_conflict_names_its_path_and_kind(
    repo: Repo, theirs: dict[str, bytes], ours: dict[str, bytes], path: str, kind: ConflictKind
) -> None:
    patch = repo.commit("Bug 2 - theirs", theirs)
    repo.commit("Bug 3 - ours", ours, on="beta")
    result = await attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CONFLICT
    assert result.tree is None
    assert kind in {conflict.kind for conflict in only(result).conflicts}
    assert any(conflict.path.startswith(path) for conflict in only(result).conflicts)


async def test_a_file_that_the_train_does_not_have_is_a_conflict_and_never_made_again(repo: Repo) -> None:
    """The original's merge tool took the patch's side and called it merged."""
    repo.commit("Bug 2 - new file", {"fresh.txt": numbered(20)})
    patch = repo.commit("Bug 3 - change it", {"fresh.txt": numbered(20, l3="x")})
    result = await attempt(repo, "beta", patch)
    assert only(result).conflicts == (Conflict("fresh.txt", ConflictKind.MODIFY_DELETE),)


async def test_a_rename_on_the_train_carries_the_patch_along(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - move", {"a.txt": None, "moved.txt": numbered(30)}, on="beta")
    result = await attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CLEAN
    async with GitTrials(repo.path) as trials:
        (again,) = await trials.run([Request("beta", (Commit(patch),))])
        listed = await trials.shadow.git("cat-file", "blob", f"{again.tree}:moved.txt")
    assert listed.stdout == numbered(30, l5="fixed")


async def test_a_rename_against_a_removal_names_both_paths(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - move", {"a.txt": None, "moved.txt": numbered(30, l2="x")})
    repo.commit("Bug 3 - remove", {"a.txt": None}, on="beta")
    result = await attempt(repo, "beta", patch)
    assert {conflict.path for conflict in only(result).conflicts} == {"a.txt", "moved.txt"}
    assert ConflictKind.RENAME in {conflict.kind for conflict in only(result).conflicts}


async def test_a_mode_change_merges_with_a_content_change(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - executable", {"a.txt": ("100755", numbered(30))})
    repo.commit("Bug 3 - ours", {"a.txt": numbered(30, l5="y")}, on="beta")
    result = await attempt(repo, "beta", patch)
    merged = repo.commit("m", {"a.txt": ("100755", numbered(30, l5="y"))}, on="merged", start="beta")
    assert (result.outcome, result.tree) == (Outcome.CLEAN, repo.tree(merged))


async def test_line_ends_are_content(repo: Repo) -> None:
    repo.commit("Bug 2 - dos", {"dos.txt": lines("one", "two", "three", "four", end="\r\n")})
    repo.branch("beta", "main")
    patch = repo.commit("Bug 3", {"dos.txt": lines("one", "two", "three", "4", end="\r\n")})
    repo.commit("Bug 4", {"dos.txt": lines("1", "two", "three", "four", end="\r\n")}, on="beta")
    result = await attempt(repo, "beta", patch)
    both = repo.commit("b", {"dos.txt": lines("1", "two", "three", "4", end="\r\n")}, on="b", start="beta")
    assert (result.outcome, result.tree) == (Outcome.CLEAN, repo.tree(both))


async def test_names_that_are_no_utf8_or_hold_odd_characters_are_told_escaped(repo: Repo) -> None:
    odd = {b"caf\xe9": b"1\n", b'tab\t"quoted"': b"1\n", b"line\nbreak": b"1\n", b" spaces ": b"1\n"}
    repo.commit("Bug 2 - odd", dict(odd))
    repo.branch("beta", "main")
    patch = repo.commit("Bug 3", dict.fromkeys(odd, b"2\n"))
    repo.commit("Bug 4", dict.fromkeys(odd, b"3\n"), on="beta")
    result = await attempt(repo, "beta", patch)
    found = {conflict.path for conflict in only(result).conflicts}
    assert found == {"caf\\xe9", 'tab\t"quoted"', "line\nbreak", " spaces "}


async def test_an_empty_patch_and_a_patch_that_is_there_under_another_id_change_nothing(repo: Repo) -> None:
    nothing = repo.commit("Bug 2 - nothing")
    patch = repo.commit("Bug 3 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit(
        "Unrelated words", {"a.txt": numbered(30, l5="fixed"), "b.txt": b"more\n"}, on="beta", author=BEN
    )
    empty = await attempt(repo, "beta", nothing)
    there = await attempt(repo, "beta", patch)
    assert (empty.outcome, there.outcome) == (Outcome.EMPTY, Outcome.EMPTY)
    assert empty.tree == there.tree == repo.tree("beta")


async def test_an_ancestor_of_the_tip_has_landed_even_where_merging_it_again_would_conflict(
    repo: Repo,
) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - on top", {"a.txt": numbered(30, l5="fixed better")})
    result = await attempt(repo, "main", patch)
    assert (result.outcome, result.tree) == (Outcome.LANDED, repo.tree("main"))
    assert (await attempt(repo, "main", patch, again=True)).outcome is Outcome.CONFLICT


@pytest.mark.parametrize(
    "message",
    [
        "Bug 2 - fix r=ben a=pascalc",
        "Anything\n\n(cherry picked from commit {id})",
        "Another subject, same change",
    ],
)
async def test_an_empty_trial_whose_twin_is_on_the_train_has_landed(repo: Repo, message: str) -> None:
    patch = repo.commit("Bug 2 - fix r=ben", {"a.txt": numbered(30, l5="fixed")}, authored=1_750_000_000)
    twin = repo.commit(
        message.format(id=patch),
        {"a.txt": numbered(30, l5="fixed")},
        on="beta",
        authored=1_750_000_000 if "pascalc" in message else None,
    )
    result = await attempt(repo, "beta", patch)
    assert result.outcome is Outcome.LANDED
    assert twin[:12] in (only(result).reason or "")


async def test_a_pick_that_was_backed_out_of_the_train_is_tried_for_real(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    pick = repo.commit(
        f"Bug 2 - fix\n\n(cherry picked from commit {patch})", {"a.txt": numbered(30, l5="fixed")}, on="beta"
    )
    repo.revert(pick, on="beta")
    result = await attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CLEAN


@pytest.mark.parametrize(
    "words",
    [
        None,
        "Backed out changeset 0123456789ab (bug 2) for failures",
        "Revert something quietly",
        'Revert "Bug 2 - fix" for causing trouble',
    ],
)
async def test_a_landed_commit_that_was_backed_out_is_tried_for_real(repo: Repo, words: str | None) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.revert(patch, message=words)
    repo.commit("Bug 4 - later", {"b.txt": b"later\n"})
    result = await attempt(repo, "main", patch)
    assert result.outcome is Outcome.CLEAN
    assert result.tree != repo.tree("main")


async def test_a_landed_commit_whose_backout_is_named_is_tried_though_the_place_was_changed_since(
    repo: Repo,
) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.revert(patch)
    repo.commit("Bug 5 - another way", {"a.txt": numbered(30, l5="another way")})
    assert (await attempt(repo, "main", patch)).outcome is Outcome.CONFLICT


async def test_a_relanded_patch_has_landed_and_so_has_its_first_landing(repo: Repo) -> None:
    first = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")}, authored=1_750_000_000)
    repo.revert(first)
    second = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")}, authored=1_750_000_000)
    repo.commit("Bug 4 - later", {"b.txt": b"later\n"})
    assert (await attempt(repo, "main", second)).outcome is Outcome.LANDED
    assert (await attempt(repo, "main", first)).outcome is Outcome.LANDED


async def test_a_backout_that_was_undone_leaves_the_commit_landed(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    backout = repo.revert(patch)
    repo.revert(backout)
    repo.commit("Bug 4 - later", {"a.txt": numbered(30, l5="fixed better")})
    assert (await attempt(repo, "main", patch)).outcome is Outcome.LANDED


async def test_a_backout_of_another_patch_of_the_same_bug_leaves_the_commit_landed(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - part 1", {"a.txt": numbered(30, l5="fixed")})
    other = repo.commit("Bug 2 - part 2", {"b.txt": lines("changed")})
    repo.revert(other, message="Backed out changeset 0123456789ab (bug 2) for failures")
    repo.commit("Bug 4 - later", {"a.txt": numbered(30, l5="fixed better")})
    assert (await attempt(repo, "main", patch)).outcome is Outcome.LANDED


async def test_a_series_stands_on_the_patches_before_it(repo: Repo) -> None:
    one = repo.commit("Bug 2 - part 1", {"new.txt": numbered(10)})
    two = repo.commit("Bug 2 - part 2", {"new.txt": numbered(10, l5="x")})
    result = await attempt(repo, "beta", one, two)
    assert [patch.outcome for patch in result.patches] == [Outcome.CLEAN, Outcome.CLEAN]
    assert result.tree == repo.tree("main")


async def test_a_series_given_in_any_order_is_tried_in_topological_order(repo: Repo) -> None:
    parts = [repo.commit(f"Bug 2 - {n}", {"new.txt": numbered(10, l5=str(n))}) for n in range(4)]
    # Dates and ids say nothing: the last part was written first.
    result = await attempt(repo, "beta", parts[3], parts[1], parts[0], parts[2])
    assert [patch.revision for patch in result.patches] == parts
    assert (result.outcome, result.tree) == (Outcome.CLEAN, repo.tree("main"))


async def test_after_the_first_that_does_not_merge_the_rest_is_skipped(repo: Repo) -> None:
    repo.commit("Bug 9", {"a.txt": numbered(30, l5="clash")}, on="beta")
    one = repo.commit("Bug 2 - 1", {"b.txt": lines("b")})
    two = repo.commit("Bug 2 - 2", {"a.txt": numbered(30, l5="x")})
    three = repo.commit("Bug 2 - 3", {"folder/c.txt": lines("d")})
    result = await attempt(repo, "beta", one, two, three)
    outcomes = [patch.outcome for patch in result.patches]
    assert outcomes == [Outcome.CLEAN, Outcome.CONFLICT, Outcome.SKIPPED]
    assert result.outcome is Outcome.CONFLICT
    assert result.tree is None
    assert two in (result.patches[2].reason or "")


async def test_an_unknown_revision_is_missing_and_disturbs_nobody(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    async with GitTrials(repo.path) as trials:
        unknown, good = await trials.run(
            [Request("beta", (Commit("f" * 40), Commit(patch))), Request("beta", (Commit(patch),))]
        )
    assert [one.outcome for one in unknown.patches] == [Outcome.MISSING, Outcome.SKIPPED]
    assert (unknown.outcome, good.outcome) == (Outcome.MISSING, Outcome.CLEAN)


@pytest.mark.parametrize(
    "name",
    [
        "--upload-pack=touch evil",
        "-h",
        "",
        "main..beta",
        ":/begin",
        "main^{/x}",
        "a b",
        "a\nb",
        "main@{1}",
        "x" * 300,
    ],
)
async def test_a_revision_that_is_no_plain_name_never_reaches_git_as_words(repo: Repo, name: str) -> None:
    result = await attempt(repo, "beta", name)
    assert result.outcome is Outcome.MISSING
    onto = await attempt(repo, name, repo.id("main"))
    assert onto.outcome is Outcome.ERROR


async def test_short_ids_branches_and_parents_are_names(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - more", {"b.txt": lines("x")})
    for name in (patch[:10], "main~1", "main^", "refs/heads/main~1"):
        assert (await attempt(repo, "beta", name)).outcome is Outcome.CLEAN, name


async def test_a_merge_commit_is_refused_with_its_reason(repo: Repo) -> None:
    side = repo.commit("side", {"b.txt": lines("x")}, on="side", start="main")
    repo.commit("main", {"folder/c.txt": lines("y")})
    merge = repo.commit("Merge side", {"b.txt": lines("x")}, also=[side])
    result = await attempt(repo, "beta", merge)
    assert result.outcome is Outcome.ERROR
    assert "merge of 2 parents" in (only(result).reason or "")
    assert (await attempt(repo, "main", merge)).outcome is Outcome.LANDED


async def test_a_root_commit_is_tried_against_the_empty_tree(repo: Repo) -> None:
    root = repo.commit("unrelated root", {"elsewhere.txt": lines("x")}, on="other", start="")
    result = await attempt(repo, "beta", root)
    assert result.outcome is Outcome.CLEAN
    clash = repo.commit("unrelated clash", {"a.txt": lines("x")}, on="clash", start="")
    assert only(await attempt(repo, "beta", clash)).conflicts == (Conflict("a.txt", ConflictKind.ADD_ADD),)


async def test_no_request_and_an_empty_series_are_answered(repo: Repo) -> None:
    async with GitTrials(repo.path) as trials:
        assert await trials.run([]) == []
        (result,) = await trials.run([Request("beta", ())])
    assert result.outcome is Outcome.MISSING


async def test_a_shallow_clone_says_which_parent_it_lacks(repo: Repo, tmp_path: Path) -> None:
    repo.commit("Bug 2", {"b.txt": lines("x")})
    patch = repo.commit("Bug 3", {"folder/c.txt": lines("y")})
    run_git(tmp_path, "clone", "-q", "--bare", "--depth=1", f"file://{repo.path}", "shallow")
    async with GitTrials(tmp_path / "shallow") as trials:
        (result,) = await trials.run([Request(patch, (Commit(patch),), again=True)])
    assert result.outcome is Outcome.ERROR
    assert "parent" in (only(result).reason or "")


async def test_a_clone_of_sha256_objects_is_tried_too(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "wide", options=["--object-format=sha256"])
    repo.commit("Bug 1", {"a.txt": numbered(30)})
    repo.branch("beta", "main")
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="x")})
    repo.commit("Bug 3", {"a.txt": numbered(30, l25="y")}, on="beta")
    diff = RawDiff("D1", repo.diff(f"{patch}^", patch), repo.id(f"{patch}^"))
    async with GitTrials(repo.path) as trials:
        commit, raw = await trials.run([Request("beta", (Commit(patch),)), Request("beta", (diff,))])
    assert commit.outcome is raw.outcome is Outcome.CLEAN
    assert commit.tree == raw.tree


async def test_many_series_of_many_lengths_are_tried_level_by_level(repo: Repo) -> None:
    parts = [repo.commit(f"Bug 2 - {n}", {f"n{n}.txt": lines("x")}) for n in range(6)]
    requests = [Request("beta", tuple(Commit(part) for part in parts[:length])) for length in range(1, 7)]
    async with GitTrials(repo.path, workers=2) as trials:
        results = await trials.run(requests * 10)
    assert [result.tree for result in results[:6]] == [repo.tree(part) for part in parts]
    assert results[:6] * 10 == results


async def test_a_leftover_of_a_killed_process_is_swept_and_a_living_one_is_not(
    repo: Repo, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    async with GitTrials(repo.path, scratch=scratch):
        (living,) = scratch.iterdir()
        dead = scratch / "shipit-shadow-dead"
        shutil.copytree(living, dead, symlinks=True)
        for folder in (living, dead):
            os.utime(folder, (1, 1))
        async with GitTrials(repo.path, scratch=scratch):
            assert living.exists()
            assert not dead.exists()
    assert list(scratch.iterdir()) == []


async def test_a_clone_that_borrows_its_objects_from_another_is_tried(repo: Repo, tmp_path: Path) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    run_git(tmp_path, "clone", "-q", "--bare", "--shared", str(repo.path), "borrower")
    run_git(tmp_path, "clone", "-q", "--bare", "--shared", str(tmp_path / "borrower"), "second")
    async with GitTrials(tmp_path / "second") as trials:
        (result,) = await trials.run([Request("beta", (Commit(patch),))])
    assert result.outcome is Outcome.CLEAN


async def test_a_hole_in_one_trains_history_is_the_error_of_that_train_alone(repo: Repo) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    hole = repo.commit("Bug 3", {"b.txt": lines("x")}, on="release", start="beta")
    repo.commit("Bug 4", {"b.txt": lines("y")}, on="release")
    (repo.path / "objects" / hole[:2] / hole[2:]).unlink()
    async with GitTrials(repo.path) as trials:
        results = await trials.run(
            [Request(onto, (Commit(patch),)) for onto in ("beta", "release", "beta", "release", "beta")]
        )
    outcomes = [result.outcome for result in results]
    clean, error = Outcome.CLEAN, Outcome.ERROR
    assert outcomes == [clean, error, clean, error, clean]


async def test_a_mercurial_clone_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / ".hg").mkdir()
    with pytest.raises(InvalidInput, match="Mercurial"):
        async with GitTrials(tmp_path):
            pass


async def test_a_file_added_where_the_train_moved_its_folder_is_a_conflict_of_renames(repo: Repo) -> None:
    files = {f"old/f{n}.txt": numbered(20, l1=str(n)) for n in range(3)}
    repo.commit("Bug 2", files)
    repo.branch("beta", "main")
    moved = {path.replace("old", "new"): content for path, content in files.items()}
    repo.commit("Bug 3", {**dict.fromkeys(files), **moved}, on="beta")
    patch = repo.commit("Bug 4", {"old/fresh.txt": numbered(5)})
    result = await attempt(repo, "beta", patch)
    assert {conflict.kind for conflict in only(result).conflicts} == {ConflictKind.RENAME}
