# SPDX-License-Identifier: MPL-2.0
"""Patches that have not landed: raw diffs tried as commits are, and hostile ones refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_builder import Repo, lines, numbered, run_git
from shipit.merge.series import Request
from shipit.merge.types import Commit, Conflict, ConflictKind, Outcome, Patch, RawDiff, SeriesResult
from shipit.vcs.git_store import GitTrials


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """main and a train "beta" that begins there."""
    told = Repo(tmp_path / "clone")
    told.commit(
        "Bug 1 - begin",
        {"a.txt": numbered(30), "folder/deep/c.txt": numbered(9), "tool.sh": ("100755", lines("x"))},
    )
    told.branch("beta", "main")
    return told


async def attempt(repo: Repo, *series: Patch, onto: str = "beta") -> SeriesResult:
    async with GitTrials(repo.path) as trials:
        (result,) = await trials.run([Request(onto, series)])
        return result


def reason(result: SeriesResult) -> str:
    return result.patches[-1].reason or ""


@pytest.mark.parametrize(
    "change",
    [
        {"a.txt": numbered(30, l5="fixed")},
        {"a.txt": None},
        {"new/folder/file.txt": numbered(3)},
        {"a.txt": None, "moved/a.txt": numbered(30, l3="x")},
        {"a.txt": ("100755", numbered(30))},
        {"folder/deep/c.txt": None},
        {"link": ("120000", b"a.txt")},
        {"picture.png": bytes(range(256)) * 9},
        {"sub": ("160000", b"1" * 40)},
        {b'caf\xe9 "quoted"\tname': b"x\n"},
        {"with space.txt": numbered(3), "a.txt": numbered(30, l30="--- a/a.txt", l29="+++ b/a.txt")},
        {"dos.txt": lines("a", "b", end="\r\n")},
        {"no-end.txt": b"no line end"},
        {"folder": lines("a file now"), "folder/deep/c.txt": None},
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else None,
)
async def test_a_diff_on_its_base_gives_what_its_commit_gives(repo: Repo, change: dict[str, bytes]) -> None:
    base = repo.id("main")
    if "folder" in change:
        change = dict(reversed(change.items()))
    patch = repo.commit("Bug 2", change)
    repo.commit("Bug 3", {"a.txt": numbered(30, l25="ours")}, on="beta")
    by_commit = await attempt(repo, Commit(patch))
    by_diff = await attempt(repo, RawDiff("D1", repo.diff(base, patch), base))
    assert by_diff.outcome is by_commit.outcome
    assert by_diff.tree == by_commit.tree
    assert by_diff.patches[0].conflicts == by_commit.patches[0].conflicts
    assert "recorded base" in reason(by_diff)


async def test_a_diff_without_a_base_is_tried_on_the_file_versions_it_names(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="fixed")})
    repo.commit("Bug 3", {"a.txt": numbered(30, l6="ours", l7="ours", l20="ours")}, on="beta")
    diff = repo.diff(f"{patch}^", patch)
    result = await attempt(repo, RawDiff("D1", diff))
    assert result.outcome is Outcome.CONFLICT
    assert result.patches[0].conflicts == (Conflict("a.txt", ConflictKind.CONTENT),)
    assert "file versions it names" in reason(result)
    assert (await attempt(repo, RawDiff("D1", diff, "f" * 40))).patches == result.patches


async def test_a_diff_without_a_base_or_versions_is_applied_to_the_tip_as_it_stands(repo: Repo) -> None:
    diff = b"--- a/a.txt\n+++ b/a.txt\n@@ -4,3 +4,3 @@\n line 4\n-line 5\n+fixed\n line 6\n"
    repo.commit("Bug 3", {"a.txt": numbered(30, l20="ours")}, on="beta")
    result = await attempt(repo, RawDiff("D1", diff))
    there = repo.commit("x", {"a.txt": numbered(30, l5="fixed", l20="ours")}, on="x", start="beta")
    assert (result.outcome, result.tree) == (Outcome.CLEAN, repo.tree(there))
    assert "tip as it stands" in reason(result)


async def test_a_diff_without_a_base_that_does_not_apply_is_missing_and_not_a_conflict(repo: Repo) -> None:
    diff = b"--- a/a.txt\n+++ b/a.txt\n@@ -4,3 +4,3 @@\n never\n-was\n+here\n so\n"
    result = await attempt(repo, RawDiff("D1", diff))
    assert result.outcome is Outcome.MISSING
    assert "without a known base" in reason(result)


async def test_a_diff_that_the_tip_holds_already_is_empty(repo: Repo) -> None:
    diff = b"--- a/a.txt\n+++ b/a.txt\n@@ -4,3 +4,3 @@\n line 4\n-line 5\n+fixed\n line 6\n"
    repo.commit("Bug 3", {"a.txt": numbered(30, l5="fixed")}, on="beta")
    result = await attempt(repo, RawDiff("D1", diff))
    assert (result.outcome, result.tree) == (Outcome.EMPTY, repo.tree("beta"))


async def test_a_stack_of_diffs_stands_on_its_parents_though_only_the_first_base_is_in_the_clone(
    repo: Repo,
) -> None:
    base = repo.id("main")
    one = repo.commit("Bug 2 - 1", {"a.txt": numbered(30, l5="one"), "n.txt": numbered(5)}, on="local")
    run_git(repo.path, "branch", "-f", "local", base)
    one = repo.commit("Bug 2 - 1", {"a.txt": numbered(30, l5="one"), "n.txt": numbered(5)}, on="local")
    two = repo.commit(
        "Bug 2 - 2", {"a.txt": numbered(30, l5="two"), "n.txt": numbered(5, l2="x")}, on="local"
    )
    diffs = [repo.diff(base, one), repo.diff(one, two)]
    without_ids = [b"\n".join(x for x in diff.split(b"\n") if not x.startswith(b"index ")) for diff in diffs]
    repo.commit("Bug 3", {"a.txt": numbered(30, l25="ours")}, on="beta")
    result = await attempt(repo, RawDiff("D1", without_ids[0], base), RawDiff("D2", without_ids[1], "e" * 40))
    assert [patch.outcome for patch in result.patches] == [Outcome.CLEAN, Outcome.CLEAN]
    assert "patch before it" in reason(result)
    expected = repo.commit(
        "x", {"a.txt": numbered(30, l5="two", l25="ours"), "n.txt": numbered(5, l2="x")}, on="x", start="beta"
    )
    assert result.tree == repo.tree(expected)


async def test_a_diff_of_mercurial_and_one_without_prefixes_are_read(repo: Repo) -> None:
    hunk = "@@ -4,3 +4,3 @@\n line 4\n-line 5\n+fixed\n line 6\n"
    mercurial = (
        "# HG changeset patch\n# User Ada <ada@example.org>\nBug 2 - fix\n\n"
        "diff -r 0123456789ab -r ba9876543210 a.txt\n"
        "--- a/a.txt\tThu Jan 01 00:00:00 1970 +0000\n+++ b/a.txt\tThu Jan 01 00:00:00 1970 +0000\n" + hunk
    )
    bare = "Index: a.txt\n====\n--- a.txt\t(revision 1)\n+++ a.txt\t(working copy)\n" + hunk
    trees = set()
    for diff in (mercurial, bare):
        result = await attempt(repo, RawDiff("D1", diff.encode(), repo.id("main")))
        assert result.outcome is Outcome.CLEAN, reason(result)
        trees.add(result.tree)
    assert len(trees) == 1


@pytest.mark.parametrize(
    ("diff", "words"),
    [
        (b"", "the patch is empty"),
        (b" \r\n\n", "the patch is empty"),
        (b"hello", "what was attached is not a diff"),
        (b"<html><body>502 Bad Gateway</body></html>", "what was attached is not a diff"),
        (b"\0\xff" * 50, "what was attached is not a diff"),
        (b"diff\n--- x\n", "what was attached is not a diff"),
    ],
)
async def test_what_is_no_diff_is_missing_and_said_apart_from_an_empty_patch(
    repo: Repo, diff: bytes, words: str
) -> None:
    result = await attempt(repo, RawDiff("attachment 1", diff, repo.id("main")))
    assert (result.outcome, reason(result)) == (Outcome.MISSING, words)


async def test_a_torn_diff_is_an_error_that_says_so(repo: Repo) -> None:
    diff = b"--- a/a.txt\n+++ b/a.txt\n@@ -4,9 +4,9 @@\n line 4\n-line 5\n+fixed\n"
    result = await attempt(repo, RawDiff("D1", diff, repo.id("main")))
    assert result.outcome is Outcome.ERROR
    assert "corrupt" in reason(result)


async def test_a_diff_that_does_not_fit_its_own_base_is_an_error(repo: Repo) -> None:
    diff = b"--- a/a.txt\n+++ b/a.txt\n@@ -4,3 +4,3 @@\n never\n-was\n+here\n so\n"
    result = await attempt(repo, RawDiff("D1", diff, repo.id("main")))
    assert result.outcome is Outcome.ERROR
    assert "own base" in reason(result)


def adding(path: str, mode: str = "100644", content: str = "evil") -> bytes:
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{content}\n\\ No newline at end of file\n"
    ).encode()


@pytest.mark.parametrize(
    "path",
    [
        "../escape",
        "x/../../escape",
        "/etc/cron.d/evil",
        ".git/hooks/post-checkout",
        "sub/.GIT/config",
        ".git /config",
        "git~1/config",
        ".g\u200cit/config",
        "x//y",
        "./x",
    ],
)
async def test_a_hostile_path_is_refused_and_nothing_is_written(
    repo: Repo, tmp_path: Path, path: str
) -> None:
    for base in (repo.id("main"), None):
        result = await attempt(repo, RawDiff("D1", adding(path), base))
        assert result.outcome is Outcome.ERROR
        assert "refused" in reason(result)
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize("form", ["quoted", "renamed", "traditional"])
async def test_a_hostile_path_in_another_spelling_is_refused(repo: Repo, form: str) -> None:
    spelt = {
        "quoted": b'diff --git "a/\\056\\056/x" "b/\\056\\056/x"\nnew file mode 100644\n--- /dev/null\n'
        b'+++ "b/\\056\\056/x"\n@@ -0,0 +1 @@\n+evil\n',
        "renamed": b"diff --git a/a.txt b/../x\nsimilarity index 100%\nrename from a.txt\nrename to ../x\n",
        "traditional": b"--- a/a.txt\n+++ b/../../x\n@@ -4,3 +4,3 @@\n line 4\n-line 5\n+fixed\n line 6\n",
    }
    result = await attempt(repo, RawDiff("D1", spelt[form], repo.id("main")))
    assert result.outcome is Outcome.ERROR
    assert "refused" in reason(result)


async def test_a_file_beyond_a_symbolic_link_of_the_same_diff_is_refused(repo: Repo, tmp_path: Path) -> None:
    diff = adding("door", "120000", str(tmp_path)) + adding("door/evil.txt")
    result = await attempt(repo, RawDiff("D1", diff, repo.id("main")))
    assert result.outcome is Outcome.ERROR
    assert not (tmp_path / "evil.txt").exists()


async def test_a_file_below_a_link_of_the_tree_is_refused(repo: Repo, tmp_path: Path) -> None:
    base = repo.commit("Bug 2 - link", {"door": ("120000", str(tmp_path).encode())})
    result = await attempt(repo, RawDiff("D1", adding("door/evil.txt"), base))
    assert result.outcome is Outcome.ERROR
    assert "not a folder" in reason(result)
    assert not (tmp_path / "evil.txt").exists()


async def test_a_diff_beyond_the_bounds_is_refused(repo: Repo) -> None:
    result = await attempt(repo, RawDiff("D1", b"x" * ((32 << 20) + 1)))
    assert result.outcome is Outcome.ERROR
    many = b"".join(b"diff --git a/%d b/%d\nnew file mode 100644\n" % (n, n) for n in range(20_001))
    crowd = await attempt(repo, RawDiff("D2", many))
    assert crowd.outcome is Outcome.ERROR
    assert "20001 files" in reason(crowd)


async def test_a_refused_diff_leaves_the_other_trials_alone(repo: Repo) -> None:
    good = RawDiff("D2", adding("fine.txt"), repo.id("main"))
    async with GitTrials(repo.path) as trials:
        bad, fine = await trials.run(
            [Request("beta", (RawDiff("D1", adding("../x")), good)), Request("beta", (good,))]
        )
    assert [patch.outcome for patch in bad.patches] == [Outcome.ERROR, Outcome.SKIPPED]
    assert fine.outcome is Outcome.CLEAN
