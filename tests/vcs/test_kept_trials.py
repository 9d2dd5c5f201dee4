# SPDX-License-Identifier: MPL-2.0
"""Kept results: with them and without, every verdict and tree is the same, on told and generated trains."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from generated_trains import generated
from git_builder import File, Repo, numbered, run_git
from hg_builder import Converted, need_hg
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome, Patch, RawDiff
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg_store import HgTrials
from shipit.vcs.kept_trials import KeptTrials


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Main with some files; a train "beta" that begins there and has its own words at the end of a.txt."""
    told = Repo(tmp_path / "clone")
    files: dict[str, File] = {f"{name}.txt": numbered(30, l1=name) for name in "abcd"}
    told.commit("Bug 1", {**files, "src/x.txt": numbered(30, l1="x"), "src/y.txt": numbered(30, l1="y")})
    told.branch("beta", "main")
    told.commit("ours", {"a.txt": numbered(30, l1="a", l29="ours")}, on="beta")
    return told


async def kept_after(repo: Repo, request: Request, files: dict[str, File]) -> bool:
    """Whether a trial's result is proved on the train after a commit; checks it against a fresh trial."""
    kept = KeptTrials()
    async with GitTrials(repo.path, kept=kept) as trials:
        await trials.run([request])
        repo.commit("the train goes on", files, on=request.onto)
        (timed,) = await trials.run_timed([request])
    async with GitTrials(repo.path, remembers=False) as fresh:
        assert await fresh.run([request]) == [timed.result]
    return timed.is_kept


async def keys_around(repo: Repo, request: Request, files: dict[str, File]) -> tuple[str | None, str | None]:
    """The keys of a trial before and after a commit on the train."""
    async with GitTrials(repo.path) as trials:
        (before,) = await trials.keys([request])
        repo.commit("the train goes on", files, on=request.onto)
        (after,) = await trials.keys([request])
    return before, after


def asked(*patches: str) -> Request:
    return Request("beta", tuple(Commit(patch) for patch in patches))


async def test_a_result_stands_while_the_train_moves_elsewhere_and_has_the_new_tree(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l1="a", l5="x")})
    assert await kept_after(repo, asked(patch), {"b.txt": b"other\n", "new/file": b"new\n"})


async def test_a_conflict_stands_while_the_train_moves_elsewhere(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l1="a", l29="theirs")})
    assert await kept_after(repo, asked(patch), {"b.txt": b"other\n"})


async def test_a_whole_series_stands_with_the_tree_of_each_patch(repo: Repo) -> None:
    one = repo.commit("Bug 2", {"a.txt": numbered(30, l1="a", l5="x"), "src/new.txt": b"1\n"})
    two = repo.commit("Bug 2 - b", {"src/new.txt": b"2\n", "c.txt": numbered(30, l1="c", l9="x")})
    assert await kept_after(repo, asked(one, two), {"src/x.txt": b"other\n"})


@pytest.mark.parametrize(
    ("theirs", "moved"),
    [
        ({"a.txt": numbered(30, l1="a", l5="x")}, {"a.txt": numbered(30, l1="a", l5="clash")}),
        ({"a.txt": numbered(30, l1="a", l5="x")}, {"a.txt": None}),
        ({"a.txt": numbered(30, l1="a", l5="x")}, {"a.txt": None, "a.txt/now": b"a folder\n"}),
        ({"src/new.txt": b"new\n"}, {"src/new.txt": b"theirs\n"}),
        ({"src/new.txt": b"new\n"}, {"src/new.txt/now": b"a folder\n"}),
        (
            {"src/new.txt": b"new\n"},
            {
                **{"src/x.txt": None, "src/y.txt": None},
                **{"lib/x.txt": numbered(30, l1="x"), "lib/y.txt": numbered(30, l1="y")},
            },
        ),
        ({"d.txt": None}, {"d.txt": numbered(30, l1="d", l3="ours")}),
    ],
)
async def test_a_result_falls_when_the_train_touches_what_it_hangs_on(
    repo: Repo, theirs: dict[str, File], moved: dict[str, File]
) -> None:
    patch = repo.commit("Bug 2", theirs)
    before, after = await keys_around(repo, asked(patch), {"unrelated.txt": b"1\n"})
    assert before is not None
    assert before == after
    assert not await kept_after(repo, asked(patch), moved)
    assert (await keys_around(repo, asked(patch), {}))[0] not in (None, before)


async def test_a_rename_on_the_train_makes_every_move_count(repo: Repo) -> None:
    """The patch's change goes to the file's new name, of which the patch says nothing."""
    repo.commit("renamed", {"b.txt": None, "renamed.txt": numbered(30, l1="b")}, on="beta")
    patch = repo.commit("Bug 2", {"b.txt": numbered(30, l1="b", l5="x")})
    assert not await kept_after(repo, asked(patch), {"renamed.txt": numbered(30, l1="b", l5="clash")})
    before, after = await keys_around(repo, asked(patch), {"c.txt": b"other\n"})
    assert before != after


async def test_a_patch_that_lands_is_landed_and_no_kept_result_hides_it(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l1="a", l5="x")})
    async with GitTrials(repo.path, kept=KeptTrials()) as trials:
        (first,) = await trials.run([asked(patch)])
        repo.branch("beta", "main")
        (second,) = await trials.run([asked(patch)])
        assert await trials.keys([asked(patch)]) == [None]
    assert (first.outcome, second.outcome) == (Outcome.CLEAN, Outcome.LANDED)


HUNK = b"@@ -4,3 +4,3 @@\n line 4\n-line 5\n+x\n line 6\n"
DIFF = b"diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n" + HUNK


async def test_a_raw_diff_on_its_base_stands_as_a_commit_does(repo: Repo) -> None:
    request = Request("beta", (RawDiff("D1", DIFF, repo.id("main")),))
    assert await kept_after(repo, request, {"b.txt": b"other\n"})
    assert not await kept_after(repo, request, {"a.txt": numbered(30, l1="a", l5="clash")})
    before, after = await keys_around(repo, request, {"c.txt": b"other\n"})
    assert before == after is not None
    before, after = await keys_around(repo, request, {"a.txt": numbered(30, l1="a", l9="other")})
    assert before != after


async def test_a_stack_of_raw_diffs_stands_with_the_tree_of_each(repo: Repo) -> None:
    second = b"diff --git a/b.txt b/b.txt\n--- a/b.txt\n+++ b/b.txt\n" + HUNK
    base = repo.id("main")
    request = Request("beta", (RawDiff("D1", DIFF, base), RawDiff("D2", second, base)))
    assert await kept_after(repo, request, {"c.txt": b"other\n"})


async def test_a_raw_diff_without_a_base_is_kept_for_the_very_same_tip_only(repo: Repo) -> None:
    request = Request("beta", (RawDiff("D1", DIFF, None),))
    async with GitTrials(repo.path, kept=KeptTrials()) as trials:
        first, again = (await trials.run_timed([request]))[0], (await trials.run_timed([request]))[0]
    assert (first.is_kept, again.is_kept) == (False, True)
    assert first.result == again.result
    assert not await kept_after(repo, request, {"b.txt": b"other\n"})


async def test_results_kept_in_a_file_serve_the_next_process_and_a_torn_file_none(
    repo: Repo, tmp_path: Path
) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l1="a", l5="x")})
    file = tmp_path / "kept"
    found = []
    for turn in range(3):
        if turn == 2:
            file.write_bytes(file.read_bytes()[:-3])
        async with GitTrials(repo.path, kept=KeptTrials(file)) as trials:
            found += await trials.run_timed([asked(patch)])
        repo.commit("on", {"b.txt": f"{turn}\n".encode()}, on="beta")
    assert [one.is_kept for one in found] == [False, True, False]


async def test_the_same_trials_again_start_no_process(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l1="a", l5="x")})
    request = Request(repo.id("beta"), (Commit(patch),), again=True)
    async with GitTrials(repo.path) as trials:
        first = await trials.run([request])
        monkeypatch.setenv("PATH", "/nonexistent")
        assert await trials.run([request]) == first


@pytest.mark.parametrize(("kind", "seed"), [("git", 0), ("git", 1), ("hg", 0), ("hg", 3)])
async def test_never_wrong_on_generated_trains_kept_results_are_those_of_fresh_trials(
    kind: str, seed: int, tmp_path: Path
) -> None:
    told, patches, tips = generated(tmp_path / "clone", seed)
    folder = told.path
    drafts = [
        (run_git(folder, "diff", "--binary", f"{patch}^", patch), told.id(f"{patch}^"))
        for patch in patches[::3]
    ]
    if kind == "hg":
        need_hg()
        converted = Converted(told, tmp_path / "hg")
        folder = converted.path
        patches, tips = [converted.id(one) for one in patches], [converted.id(one) for one in tips]
        drafts = [(diff, converted.id(base)) for diff, base in drafts]
    series: list[tuple[Patch, ...]] = [(Commit(patch),) for patch in patches]
    series += [(RawDiff(f"D{number}", *draft),) for number, draft in enumerate(drafts)]
    series += [(Commit(one), Commit(two)) for one, two in itertools.pairwise(patches)]
    count = 0
    seen: dict[tuple[int, str], object] = {}
    file = tmp_path / "kept"
    engine = HgTrials if kind == "hg" else GitTrials
    async with engine(folder, remembers=False) as fresh:
        # A new process half way, which goes on with what the file kept.
        for half in (tips[:7], tips[7:]):
            async with engine(folder, kept=KeptTrials(file)) as keeping:
                for tip in half:
                    requests = [Request(tip, one) for one in series]
                    timed = await keeping.run_timed(requests)
                    right = await fresh.run(requests)
                    assert [one.result for one in timed] == right
                    count += sum(one.is_kept for one in timed)
                    _check_keys(seen, await keeping.keys(requests), right)
    # Were nothing ever kept, this test would show nothing.
    assert count > len(series)


def _check_keys(
    seen: dict[tuple[int, str], object], keys: Sequence[str | None], results: Sequence[object]
) -> None:
    """An equal key means an equal outcome and equal conflicts, whatever tree the tip makes of it."""
    for place, (key, result) in enumerate(zip(keys, results, strict=True)):
        said = [(one.outcome, one.conflicts) for one in result.patches]  # type: ignore[attr-defined]
        outcomes = {outcome for outcome, _ in said}
        if key is not None and outcomes <= {Outcome.CLEAN, Outcome.CONFLICT, Outcome.SKIPPED}:
            assert seen.setdefault((place, key), said) == said
