# SPDX-License-Identifier: MPL-2.0
"""git and Mercurial say the same of the same history: told cases, and histories made at random."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from git_builder import ADA, BEN, Repo, lines, numbered, run_git
from hg_builder import Converted, need_hg, run_hg
from shipit.merge.hunks import PathHunks
from shipit.merge.series import Request
from shipit.merge.types import Commit, Conflict, ConflictKind, Outcome, Patch, RawDiff, SeriesResult
from shipit.vcs.hg_trees import tree_name
from shipit.vcs.opening import trials_for

FLAGS = {"100644": "", "100755": "x", "120000": "l"}


class Kind:
    """One of the two systems, on a repository told for git."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    def clone(self, repo: Repo) -> tuple[Path, Converted | None]:
        """The clone as it stands now."""
        if self.name == "git":
            return repo.path, None
        converted = Converted(repo, self._folder)
        return converted.path, converted

    async def attempt(self, repo: Repo, onto: str, *series: Patch | str, again: bool = False) -> SeriesResult:
        """A trial of a series, its commits named by their git hashes."""
        path, converted = self.clone(repo)
        patches = tuple(_spelled(patch, converted) for patch in series)
        tip = converted.id(onto) if converted else onto
        async with trials_for(path) as trials:
            (result,) = await trials.run([Request(tip, patches, again)])
            return result

    async def hunks(self, repo: Repo, onto: str, patch: str, path: str) -> PathHunks:
        """What conflicts in a path."""
        folder, converted = self.clone(repo)
        async with trials_for(folder) as trials:
            return await trials.hunks(onto, _spelled(patch, converted), path)


def _spelled(patch: Patch | str, converted: Converted | None) -> Patch:
    if isinstance(patch, str):
        return Commit(converted.id(patch) if converted else patch)
    if isinstance(patch, RawDiff) and patch.base is not None and converted:
        return RawDiff(patch.revision, patch.diff, converted.id(patch.base))
    return patch


@pytest.fixture(params=["git", "hg"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "hg":
        need_hg()
    return Kind(request.param, tmp_path / "hg")


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
            "link": ("120000", b"a.txt"),
        },
    )
    told.branch("beta", "main")
    return told


def kinds_of(result: SeriesResult) -> dict[str, ConflictKind]:
    return {conflict.path: conflict.kind for patch in result.patches for conflict in patch.conflicts}


async def test_a_patch_beside_a_change_of_the_train_is_clean(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l25="other")}, on="beta")
    result = await kind.attempt(repo, "beta", patch)
    assert (result.outcome, len(result.tree or "")) == (Outcome.CLEAN, 40)


@pytest.mark.parametrize(
    ("theirs", "ours", "path", "expected"),
    [
        ({"a.txt": numbered(30, l5="x")}, {"a.txt": numbered(30, l5="y")}, "a.txt", ConflictKind.CONTENT),
        ({"a.txt": numbered(30, l5="x")}, {"a.txt": None}, "a.txt", ConflictKind.MODIFY_DELETE),
        ({"a.txt": None}, {"a.txt": numbered(30, l5="y")}, "a.txt", ConflictKind.MODIFY_DELETE),
        ({"n.txt": lines("x")}, {"n.txt": lines("y")}, "n.txt", ConflictKind.ADD_ADD),
        ({"picture.png": b"\0x"}, {"picture.png": b"\0y"}, "picture.png", ConflictKind.BINARY),
        ({"link": ("120000", b"x")}, {"link": ("120000", b"y")}, "link", ConflictKind.CONTENT),
        ({b"caf\xe9": lines("x")}, {b"caf\xe9": lines("y")}, "caf\\xe9", ConflictKind.ADD_ADD),
        (
            {"a.txt": b"".join(b"line %d\r\n" % n for n in range(1, 31))},
            {"a.txt": numbered(30, l5="y")},
            "a.txt",
            ConflictKind.CONTENT,
        ),
    ],
    ids=["content", "modify/delete", "delete/modify", "add/add", "binary", "link", "name", "line ends"],
)
async def test_a_conflict_names_its_path_and_kind(
    repo: Repo,
    kind: Kind,
    theirs: dict[str | bytes, bytes],
    ours: dict[str | bytes, bytes],
    path: str,
    expected: ConflictKind,
) -> None:
    patch = repo.commit("Bug 2 - fix", theirs)
    repo.commit("Bug 3 - other", ours, on="beta")
    result = await kind.attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CONFLICT
    assert result.patches[0].conflicts == (Conflict(path, expected),)


async def test_lines_that_can_be_aligned_in_two_ways_are_a_conflict(repo: Repo, kind: Kind) -> None:
    around = [f"import {letter}" for letter in "abcdefghij"]
    repo.commit("Bug 2 - begin", {"x.kt": lines(*around[:5], "import tab", "import custom", *around[5:])})
    repo.branch("beta", "main")
    patch = repo.commit("Bug 3", {"x.kt": lines(*around[:5], "import custom", "import tab", *around[5:])})
    repo.commit("Bug 4 - other", {"x.kt": lines(*around[:5], "import tab", *around[5:])}, on="beta")
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CONFLICT


async def test_a_mode_change_merges_with_a_content_change(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - run it", {"a.txt": ("100755", numbered(30))})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l25="other")}, on="beta")
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CLEAN


async def test_a_binary_file_that_the_train_left_alone_is_taken(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - picture", {"picture.png": bytes(range(255, -1, -1))})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l25="other")}, on="beta")
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CLEAN


async def test_a_rename_on_the_train_carries_the_patch_along(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - move", {"a.txt": None, "moved.txt": numbered(30)}, on="beta")
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CLEAN


async def test_a_rename_on_main_before_the_patch_leads_to_the_trains_old_name(repo: Repo, kind: Kind) -> None:
    repo.commit("Bug 3 - move", {"a.txt": None, "moved.txt": numbered(30)})
    patch = repo.commit("Bug 2 - fix", {"moved.txt": numbered(30, l5="fixed")})
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CLEAN


async def test_a_patch_that_moves_a_file_takes_the_trains_changes_along(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - move", {"a.txt": None, "moved.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l25="other")}, on="beta")
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CLEAN
    clash = repo.commit("Bug 4 - clash", {"a.txt": numbered(30, l5="clash")}, on="beta")
    assert (await kind.attempt(repo, clash, patch)).outcome is Outcome.CONFLICT


async def test_a_removal_of_a_file_that_the_train_moved_is_a_conflict(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - remove", {"a.txt": None})
    repo.commit("Bug 3 - move", {"a.txt": None, "moved.txt": numbered(30, l9="x")}, on="beta")
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.CONFLICT


async def test_a_file_added_where_the_train_moved_its_folder_is_a_conflict_of_renames(
    repo: Repo, kind: Kind
) -> None:
    repo.commit("Bug 2 - old", {"old/a.txt": numbered(20), "old/b.txt": numbered(20, l1="b")})
    repo.branch("beta", "main")
    patch = repo.commit("Bug 3 - new", {"old/new.txt": lines("new")})
    moved = {
        "old/a.txt": None,
        "old/b.txt": None,
        "new/a.txt": numbered(20),
        "new/b.txt": numbered(20, l1="b"),
    }
    repo.commit("Bug 4 - move", moved, on="beta")
    result = await kind.attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CONFLICT
    assert kinds_of(result) == {"new/new.txt": ConflictKind.RENAME}


async def test_a_file_where_the_train_has_a_folder_is_a_conflict(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - file", {"thing": lines("file")})
    repo.commit("Bug 3 - folder", {"thing/x": lines("x")}, on="beta")
    result = await kind.attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CONFLICT
    assert kinds_of(result) == {"thing": ConflictKind.OTHER}


@pytest.mark.parametrize(
    ("theirs", "ours", "path"),
    [
        ({"b.txt": ("120000", b"a.txt")}, {"b.txt": ("100755", numbered(30, l1="b"))}, "b.txt"),
        ({"b.txt": numbered(30, l1="x")}, {"b.txt": None, "b.txt/deep": lines("x")}, "b.txt"),
    ],
    ids=["link against mode", "file against folder"],
)
async def test_a_conflict_of_types_names_the_path_of_the_trees_alone(
    repo: Repo, kind: Kind, theirs: dict[str | bytes, bytes], ours: dict[str | bytes, bytes], path: str
) -> None:
    patch = repo.commit("Bug 2 - fix", theirs)
    repo.commit("Bug 3 - other", ours, on="beta")
    result = await kind.attempt(repo, "beta", patch)
    assert result.outcome is Outcome.CONFLICT
    assert [conflict.path for conflict in result.patches[0].conflicts] == [path]
    shown = await kind.hunks(repo, "beta", patch, path)
    assert shown.hunks, shown


async def test_an_empty_patch_changes_nothing(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - nothing", {})
    result = await kind.attempt(repo, "beta", patch)
    assert result.outcome is Outcome.EMPTY


async def test_a_patch_that_is_there_under_another_id_is_known_by_its_change(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 9 - other words", {"a.txt": numbered(30, l5="fixed")}, on="beta", author=BEN)
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.LANDED


async def test_an_ancestor_of_the_tip_has_landed_even_where_merging_it_again_would_conflict(
    repo: Repo, kind: Kind
) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - again", {"a.txt": numbered(30, l5="otherwise")})
    assert (await kind.attempt(repo, "main", patch)).outcome is Outcome.LANDED
    assert (await kind.attempt(repo, "main", patch, again=True)).outcome is Outcome.CONFLICT


@pytest.mark.parametrize("message", ["Bug 2 - fix a=someone", "Other\n\n(cherry picked from commit {})"])
async def test_an_empty_trial_whose_twin_is_on_the_train_has_landed(
    repo: Repo, kind: Kind, message: str
) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")}, authored=1_760_000_500)
    repo.commit(message.format(patch), {"a.txt": numbered(30, l5="fixed")}, on="beta", authored=1_760_000_500)
    assert (await kind.attempt(repo, "beta", patch)).outcome is Outcome.LANDED


@pytest.mark.parametrize(
    "words", [None, 'Revert "Bug 2 - fix"', "Backed out changeset {:.12} (bug 2)", "Undo it"]
)
async def test_a_landed_commit_that_was_backed_out_is_tried_for_real(
    repo: Repo, kind: Kind, words: str | None
) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.revert(patch, message=None if words is None else words.format(patch))
    assert (await kind.attempt(repo, "main", patch)).outcome in (Outcome.CLEAN, Outcome.EMPTY)


async def test_a_relanded_patch_has_landed_and_so_has_its_first_landing(repo: Repo, kind: Kind) -> None:
    first = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.revert(first)
    second = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    result = await kind.attempt(repo, "main", second)
    assert result.outcome is Outcome.LANDED
    assert (await kind.attempt(repo, "main", first)).outcome is Outcome.LANDED


async def test_a_series_given_in_any_order_is_tried_in_topological_order(repo: Repo, kind: Kind) -> None:
    one = repo.commit("Bug 2 - one", {"a.txt": numbered(30, l5="one")})
    two = repo.commit("Bug 2 - two", {"a.txt": numbered(30, l5="two")})
    three = repo.commit("Bug 2 - three", {"a.txt": numbered(30, l5="three"), "n.txt": lines("n")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l25="other")}, on="beta")
    result = await kind.attempt(repo, "beta", three, one, two)
    assert [patch.outcome for patch in result.patches] == [Outcome.CLEAN] * 3
    trees = [patch.tree for patch in result.patches]
    assert len(set(trees)) == 3 and result.tree == trees[-1]


async def test_after_the_first_that_does_not_merge_the_rest_is_skipped(repo: Repo, kind: Kind) -> None:
    one = repo.commit("Bug 2 - one", {"a.txt": numbered(30, l5="one")})
    two = repo.commit("Bug 2 - two", {"b.txt": numbered(30, l5="two")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l5="clash")}, on="beta")
    result = await kind.attempt(repo, "beta", one, two)
    assert [patch.outcome for patch in result.patches] == [Outcome.CONFLICT, Outcome.SKIPPED]
    assert result.outcome is Outcome.CONFLICT and result.tree is None


@pytest.mark.parametrize("name", ["0" * 40, "abcdef123456", "no-such-branch"])
async def test_an_unknown_revision_is_missing(repo: Repo, kind: Kind, name: str) -> None:
    result = await kind.attempt(repo, "beta", Commit(name))
    assert result.outcome is Outcome.MISSING
    assert name in (result.patches[0].reason or "")


@pytest.mark.parametrize("name", ["--all", "a b", "file('**')", "-1", "main:x", "", "x\n", "all()"])
async def test_a_revision_that_is_no_plain_name_asks_for_nothing(repo: Repo, kind: Kind, name: str) -> None:
    assert (await kind.attempt(repo, "beta", Commit(name))).outcome is Outcome.MISSING


async def test_a_merge_commit_is_refused_with_its_reason(repo: Repo, kind: Kind) -> None:
    side = repo.commit("side", {"s.txt": lines("s")}, on="side", start="main")
    repo.commit("more", {"t.txt": lines("t")})
    merge = repo.commit("merge", {"s.txt": lines("s")}, also=[side])
    result = await kind.attempt(repo, "beta", merge)
    assert result.outcome in (Outcome.ERROR, Outcome.MISSING)
    assert "merge" in (result.patches[0].reason or "")


async def test_a_root_commit_is_tried_against_the_empty_tree(repo: Repo, kind: Kind) -> None:
    root = repo.commit("begin elsewhere", {"elsewhere.txt": lines("x")}, on="other", start="")
    assert (await kind.attempt(repo, "beta", root)).outcome is Outcome.CLEAN


async def test_hunks_show_the_three_sides(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="theirs")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l5="ours", l20="x")}, on="beta")
    shown = await kind.hunks(repo, "beta", patch, "a.txt")
    (hunk,) = shown.hunks
    assert (hunk.base, hunk.ours, hunk.theirs, hunk.line) == ("line 5\n", "ours\n", "theirs\n", 5)


async def test_hunks_of_a_removed_file_show_it_whole(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - fix", {"folder/c.txt": lines("c", "d")})
    repo.commit("Bug 3 - other", {"folder/c.txt": None}, on="beta")
    (hunk,) = (await kind.hunks(repo, "beta", patch, "folder/c.txt")).hunks
    assert (hunk.base, hunk.ours, hunk.theirs) == ("c\n", None, "c\nd\n")


async def test_hunks_of_a_binary_file_are_told_in_words(repo: Repo, kind: Kind) -> None:
    patch = repo.commit("Bug 2 - fix", {"picture.png": b"\0x"})
    repo.commit("Bug 3 - other", {"picture.png": b"\0yy"}, on="beta")
    shown = await kind.hunks(repo, "beta", patch, "picture.png")
    assert shown.hunks == () and "binary" in (shown.reason or "")


# -- patches that have not landed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"a.txt": numbered(30, l5="fixed")},
        {"a.txt": None},
        {"new/folder/file.txt": numbered(3)},
        {"a.txt": None, "moved/a.txt": numbered(30, l3="x")},
        {"a.txt": ("100755", numbered(30))},
        {"link": ("120000", b"b.txt")},
        {"picture.png": bytes(range(256)) * 9},
        {"with space.txt": numbered(3), "a.txt": numbered(30, l30="--- a/a.txt", l29="+++ b/a.txt")},
        {"dos.txt": lines("a", "b", end="\r\n")},
        {"no-end.txt": b"no line end"},
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else None,
)
async def test_a_diff_on_its_base_gives_what_its_commit_gives(
    repo: Repo, kind: Kind, change: dict[str, bytes]
) -> None:
    base = repo.id("main")
    patch = repo.commit("Bug 2 - fix", change)
    repo.commit("Bug 3 - other", {"b.txt": numbered(30, l25="other")}, on="beta")
    diff = RawDiff("D1", repo.diff(base, patch, "-M"), base)
    expected = await kind.attempt(repo, "beta", patch)
    result = await kind.attempt(repo, "beta", diff)
    assert (result.outcome, result.tree) == (expected.outcome, expected.tree)
    assert result.patches[0].reason == "tried on its recorded base"


async def test_a_diff_falls_back_to_a_three_way_merge_on_its_base(repo: Repo, kind: Kind) -> None:
    base = repo.id("main")
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l2="near")}, on="beta")
    result = await kind.attempt(repo, "beta", RawDiff("D1", repo.diff(base, patch), base))
    assert result.outcome is Outcome.CLEAN
    without = await kind.attempt(
        repo, "beta", RawDiff("D1", repo.diff(base, patch).replace(b"index ", b"x "), None)
    )
    assert without.outcome is Outcome.MISSING


async def test_a_diff_without_a_base_is_tried_on_the_file_versions_it_names(repo: Repo, kind: Kind) -> None:
    base = repo.id("main")
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3 - other", {"a.txt": numbered(30, l2="near")}, on="beta")
    result = await kind.attempt(repo, "beta", RawDiff("D1", repo.diff(base, patch)))
    assert result.outcome is Outcome.CLEAN
    assert result.patches[0].reason == "its base is unknown here: tried on the file versions it names"


async def test_a_diff_that_the_tip_holds_already_is_empty(repo: Repo, kind: Kind) -> None:
    base = repo.id("main")
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed"), "n.txt": lines("n")})
    repo.commit("Bug 3 - same", {"a.txt": numbered(30, l5="fixed"), "n.txt": lines("n")}, on="beta")
    plain = re.sub(rb"(?m)^index .*\n", b"", repo.diff(base, patch))
    result = await kind.attempt(repo, "beta", RawDiff("D1", plain))
    assert (result.outcome, result.patches[0].reason) == (
        Outcome.EMPTY,
        "its base is unknown here: the tip holds it already",
    )


async def test_a_stack_of_diffs_stands_on_its_parents_though_only_the_first_base_is_in_the_clone(
    repo: Repo, kind: Kind
) -> None:
    base = repo.id("main")
    one = repo.commit("Bug 2 - one", {"a.txt": numbered(30, l5="one")}, on="away", start=base)
    two = repo.commit("Bug 2 - two", {"a.txt": numbered(30, l5="two")}, on="away")
    series = (RawDiff("D1", repo.diff(base, one), base), RawDiff("D2", repo.diff(one, two), "f" * 40))
    result = await kind.attempt(repo, "beta", *series)
    assert [patch.outcome for patch in result.patches] == [Outcome.CLEAN, Outcome.CLEAN], result


async def test_what_is_no_diff_is_missing_and_a_torn_one_is_an_error(repo: Repo, kind: Kind) -> None:
    base = repo.id("main")
    for diff, words in ((b"<html>", "what was attached is not a diff"), (b"\n", "the patch is empty")):
        (tried,) = (await kind.attempt(repo, "beta", RawDiff("D1", diff, base))).patches
        assert (tried.outcome, tried.reason) == (Outcome.MISSING, words)
    patch = repo.commit("Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    torn = repo.diff(base, patch)[:-30]
    result = await kind.attempt(repo, "beta", RawDiff("D1", torn, base))
    assert result.outcome is Outcome.ERROR


async def test_a_diff_that_does_not_fit_its_own_base_is_an_error(repo: Repo, kind: Kind) -> None:
    base = repo.id("main")
    one = repo.commit("Bug 2 - one", {"a.txt": numbered(30, l5="one")})
    two = repo.commit("Bug 2 - two", {"a.txt": numbered(30, l5="two")})
    result = await kind.attempt(repo, "beta", RawDiff("D1", repo.diff(one, two), base))
    assert result.outcome is Outcome.ERROR
    assert result.patches[0].reason == "the diff does not apply on its own base: a.txt differs at line 2"


@pytest.mark.parametrize("path", ["../x", "/etc/x", ".git/config", "a/../../x"])
async def test_a_hostile_path_is_refused(repo: Repo, kind: Kind, path: str) -> None:
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    diff = f"{head}@@ -0,0 +1 @@\n+x\n"
    result = await kind.attempt(repo, "beta", RawDiff("D1", diff.encode(), repo.id("main")))
    assert result.outcome is Outcome.ERROR
    assert "refused" in (result.patches[0].reason or "")


# -- histories made at random -------------------------------------------------------------------------------

PATHS = ("a", "b", "d/x", "d/y", "e.bin")
CHANGES = st.one_of(
    st.tuples(st.just("edit"), st.sampled_from(PATHS), st.integers(1, 12), st.sampled_from("pqr")),
    st.tuples(st.just("insert"), st.sampled_from(PATHS), st.integers(1, 12), st.sampled_from("pqr")),
    st.tuples(st.just("cut"), st.sampled_from(PATHS), st.integers(1, 12), st.integers(1, 3)),
    st.tuples(st.just("remove"), st.sampled_from(PATHS)),
    st.tuples(st.just("mode"), st.sampled_from(PATHS)),
    st.tuples(st.just("new"), st.sampled_from(("f", "g", "h/z")), st.sampled_from("pq")),
)
BRANCH = st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=1, max_size=3)
HISTORIES = st.lists(st.tuples(BRANCH, BRANCH), min_size=12, max_size=12)

Files = dict[str, tuple[str, list[str]]]


def _change(files: Files, change: Sequence[object]) -> None:
    """Make one random change; each file's lines name it, so that no two files are alike."""
    word, path = str(change[0]), str(change[1])
    if word == "new":
        files[path] = ("100644", [f"{path} {change[2]} {number}" for number in range(6)])
    if word in ("new",) or path not in files:
        return
    mode, rows = files[path]
    if word == "remove":
        del files[path]
    elif word == "mode":
        files[path] = ("100755" if mode == "100644" else "100644", rows)
    elif rows:
        at = min(int(str(change[2])) - 1, len(rows) - 1)
        row = f"{path} changed {change[3]} {at}"
        if word == "cut":
            files[path] = (mode, rows[:at] + rows[at + int(str(change[3])) :])
        else:
            files[path] = (mode, [*rows[:at], row, *rows[at + (word == "edit") :]])


def _written(path: str, entry: tuple[str, list[str]]) -> tuple[str, bytes]:
    start = b"\0" if path.endswith(".bin") else b""
    return entry[0], start + "".join(f"{row}\n" for row in entry[1]).encode()


def _tell(
    repo: Repo, number: int, branch: str, start: str, files: Files, told: list[list[Sequence[object]]]
) -> list[str]:
    commits = []
    for changes in told:
        before = dict(files)
        for change in changes:
            _change(files, change)
        delta = {
            path: _written(path, files[path]) if path in files else None
            for path in {*before, *files}
            if before.get(path) != files.get(path)
        }
        message = f"Bug {number} - {branch} {len(commits)}"
        commits.append(
            repo.commit(message, delta, on=branch, start=start if not commits else None, author=ADA)
        )
    return commits


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(histories=HISTORIES)
async def test_verdicts_and_contents_are_the_same_on_any_history(
    tmp_path_factory: pytest.TempPathFactory, histories: list[tuple[list, list]]
) -> None:
    need_hg()
    folder = tmp_path_factory.mktemp("random")
    repo = Repo(folder / "git")
    begin: Files = {path: ("100644", [f"{path} line {row}" for row in range(12)]) for path in PATHS}
    root = repo.commit("begin", {path: _written(path, entry) for path, entry in begin.items()})
    pairs: list[tuple[str, str]] = []
    for number, (main, train) in enumerate(histories):
        patches = _tell(repo, number, f"main{number}", root, dict(begin), main)
        tips = _tell(repo, number, f"train{number}", root, dict(begin), train)
        pairs += [(tip, patch) for tip in tips for patch in patches]
    clone = Converted(repo, folder / "hg")
    async with trials_for(repo.path) as git_trials, trials_for(clone.path) as hg_trials:
        of_git = await git_trials.run([Request(tip, (Commit(patch),)) for tip, patch in pairs])
        of_hg = await hg_trials.run(
            [Request(clone.id(tip), (Commit(clone.id(patch)),)) for tip, patch in pairs]
        )
        for (tip, patch), one, other in zip(pairs, of_git, of_hg, strict=True):
            shown = run_git(repo.path, "show", tip).decode() + run_git(repo.path, "show", patch).decode()
            assert one.outcome is other.outcome, (one, other, shown)
            assert kinds_of(one) == kinds_of(other), shown
            if one.tree is not None:
                expected = await _named(repo, clone, git_trials.shadow, tip, one.tree)
                assert other.tree == expected, shown


async def _named(repo: Repo, clone: Converted, shadow, tip: str, tree: str) -> str:
    """What git's tree is called in Mercurial's engine."""
    manifest = run_hg(clone.path, "--debug", "log", "-r", clone.id(tip), "-T", "{manifest}").decode()
    listed = (await shadow.git("diff-tree", "-r", "-z", "--no-renames", f"{tip}^{{tree}}", tree)).stdout
    words = iter(listed.split(b"\0"))
    changes: dict[bytes, tuple[str, str] | None] = {}
    for facts in filter(None, words):
        _, mode, _, name, _ = facts.decode().split(" ")
        changes[next(words)] = None if mode == "000000" else (FLAGS[mode], name)
    return tree_name(manifest.rpartition(":")[2], changes)
