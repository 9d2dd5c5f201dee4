# SPDX-License-Identifier: MPL-2.0
"""Merges in batches: answers are read to the word, and one that kills its process spares the others."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_builder import Repo, lines, numbered, run_git
from shipit.merge.series import Request
from shipit.merge.store import Merge
from shipit.merge.types import Commit, Outcome
from shipit.vcs import merging
from shipit.vcs.answers import Unreadable, read_answers
from shipit.vcs.git_store import GitTrials
from shipit.vcs.merging import accepts_trees, git_version

TREE = "1" * 40
CLEAN = ["1", TREE, ""]
CONFLICT = [
    *("0", TREE),
    *(f"100644 {TREE} {stage}\ta b\nc" for stage in (1, 2, 3)),
    "",
    *("1", "a b\nc", "Auto-merging", "Auto-merging a\n"),
    *("2", "a b\nc", "other", "CONFLICT (contents)", "CONFLICT (content): Merge conflict\n"),
    "",
]
WHOLE = "".join(word + "\0" for word in (*CLEAN, *CONFLICT, *CLEAN)).encode()


def test_answers_of_a_batch_are_read_with_their_conflicts() -> None:
    first, second, third = read_answers(WHOLE)
    assert (first.tree, third.tree) == (TREE, TREE)
    assert second.tree is None
    assert second.marked == TREE
    assert [conflict.path for conflict in second.conflicts] == ["a b\nc", "other"]


@given(st.integers(0, len(WHOLE) - 1))
def test_an_answer_torn_anywhere_gives_what_is_whole_and_never_half_of_one(end: int) -> None:
    whole = read_answers(WHOLE)
    torn = read_answers(WHOLE[:end], whole=False)
    assert torn == whole[: len(torn)]
    assert len(torn) < len(whole)


@pytest.mark.parametrize(
    "output",
    [WHOLE[:-1], b"2\0" + b"1" * 40 + b"\0\0", b"1\0x\0words\0", b"0\0x\0y\0", b"0\0x\0\0z\0a\0\0\0"],
)
def test_an_answer_in_another_shape_is_no_answer(output: bytes) -> None:
    with pytest.raises(Unreadable):
        read_answers(output)


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        ("2.39.5", False),
        ("2.44.0", False),
        ("2.45.0", True),
        ("2.55.GIT", True),
        ("3.0.1", True),
        ("?", False),
    ],
)
def test_trees_are_handed_to_a_git_that_takes_them(version: str, answer: bool) -> None:
    assert accepts_trees(version) is answer


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(30), "big.txt": numbered(200)})
    told.branch("beta", "main")
    told.commit("ours", {"a.txt": numbered(30, l25="ours"), "big.txt": numbered(200, l9="ours")}, on="beta")
    return told


def drop_blob(repo: Repo, name: str) -> str:
    """Remove an object from the clone, as a partial or damaged clone lacks it."""
    packs = repo.path / "objects" / "pack"
    for pack in list(packs.glob("*.pack")):
        content = pack.read_bytes()
        for file in packs.glob(f"{pack.stem}.*"):
            file.unlink()
        run_git(repo.path, "unpack-objects", "-q", stdin=content)
    found = run_git(repo.path, "rev-parse", name).decode().strip()
    (repo.path / "objects" / found[:2] / found[2:]).unlink()
    return found


async def test_a_missing_blob_is_the_error_of_its_trial_alone(repo: Repo) -> None:
    start = repo.id("main")
    good = [
        repo.commit(f"good {n}", {"a.txt": numbered(30, l5=str(n))}, on=f"g{n}", start=start)
        for n in range(6)
    ]
    bad = repo.commit("bad", {"big.txt": numbered(200, l100="bad")}, on="bad", start=start)
    blob = drop_blob(repo, f"{bad}:big.txt")
    order = [*good[:3], bad, *good[3:]]
    async with GitTrials(repo.path) as trials:
        results = await trials.run([Request("beta", (Commit(name),)) for name in order])
    outcomes = [result.outcome for result in results]
    assert outcomes == [Outcome.CLEAN] * 3 + [Outcome.ERROR] + [Outcome.CLEAN] * 3
    assert blob in (results[3].patches[0].reason or "")


async def test_a_missing_tree_is_an_error_with_its_reason(repo: Repo) -> None:
    start = repo.id("main")
    bad = repo.commit("bad", {"folder/x.txt": lines("x")}, on="bad", start=start)
    drop_blob(repo, f"{bad}^{{tree}}")
    good = repo.commit("good", {"a.txt": numbered(30, l5="x")}, on="good", start=start)
    async with GitTrials(repo.path) as trials:
        one, two = await trials.run([Request("beta", (Commit(bad),)), Request("beta", (Commit(good),))])
    assert (one.outcome, two.outcome) == (Outcome.ERROR, Outcome.CLEAN)


async def test_a_missing_commit_at_the_tip_is_an_error_of_that_train_alone(repo: Repo) -> None:
    patch = repo.commit("good", {"a.txt": numbered(30, l5="x")})
    lost = repo.commit("lost", {"a.txt": numbered(30, l6="x")}, on="release", start="beta")
    drop_blob(repo, lost)
    async with GitTrials(repo.path) as trials:
        one, two = await trials.run([Request("release", (Commit(patch),)), Request("beta", (Commit(patch),))])
    assert (one.outcome, two.outcome) == (Outcome.ERROR, Outcome.CLEAN)
    assert "not in this clone" in (one.patches[0].reason or "")


async def test_a_killed_worker_costs_no_trial(repo: Repo) -> None:
    start = repo.id("main")
    names = [
        repo.commit(f"{n}", {"a.txt": numbered(30, l5=str(n))}, on=f"b{n}", start=start) for n in range(40)
    ]
    killed = []

    async def assassin() -> None:
        while True:
            for path in processes():
                words = words_of(path)
                if b"merge-tree" in words and str(scratch).encode() in words and len(killed) < 3:
                    os.kill(int(path.name), signal.SIGKILL)
                    killed.append(path.name)
            await asyncio.sleep(0)

    scratch = repo.path.parent / "scratch"
    async with GitTrials(repo.path, scratch=scratch, workers=2) as trials:
        task = asyncio.create_task(assassin())
        results = await trials.run([Request("beta", (Commit(name),)) for name in names])
        task.cancel()
    assert killed
    assert {result.outcome for result in results} == {Outcome.CLEAN}


def processes() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*"))


def words_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.drill
async def test_a_merge_that_hangs_is_an_error_and_the_others_go_on(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that sleeps on one merge stands for whatever may hang there. On a pipe: `test_workers.py`."""
    if accepts_trees(await git_version()):
        pytest.skip("this git answers on a pipe")
    start = repo.id("main")
    names = [
        repo.commit(f"{n}", {"a.txt": numbered(30, l5=str(n))}, on=f"b{n}", start=start) for n in range(4)
    ]
    slow = repo.tree(names[2])
    real = run_git(tmp_path, "--exec-path").decode().strip()
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'if [ "${{*#*merge-tree}}" = "$*" ]; then exec "{real}/git" "$@"; fi\n'
        'input=$(mktemp); cat > "$input"\n'
        'for word in $(cat "$input"); do\n'
        f'  {{ echo "$word"; "{real}/git" -C "{tmp_path}/scratch"/shipit-* cat-file -p "$word"; }} 2>&1'
        f" | grep -q {slow} && exec sleep 60\n"
        "done\n"
        f'exec "{real}/git" "$@" < "$input"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(merging, "START_SECONDS", 1.0)
    monkeypatch.setattr(merging, "SECONDS_EACH", 0.05)
    async with GitTrials(repo.path, scratch=tmp_path / "scratch") as trials:
        results = await trials.run([Request("beta", (Commit(name),)) for name in names])
    outcomes = [result.outcome for result in results]
    assert outcomes == [Outcome.CLEAN, Outcome.CLEAN, Outcome.ERROR, Outcome.CLEAN]
    assert "hung" in (results[2].patches[0].reason or "")


async def test_a_scratch_folder_that_cannot_be_written_is_an_error_with_the_reason(repo: Repo) -> None:
    patch = repo.commit("good", {"a.txt": numbered(30, l5="x")})
    async with GitTrials(repo.path) as trials:
        pack = trials.shadow.objects / "pack"
        pack.rmdir()
        pack.write_bytes(b"no folder any more")
        (result,) = await trials.run([Request("beta", (Commit(patch),))])
    assert result.outcome is Outcome.ERROR


async def test_the_same_merge_asked_twice_is_run_once_unless_told_not_to(repo: Repo) -> None:
    patch = repo.commit("good", {"a.txt": numbered(30, l5="x")})
    counts: dict[bool, int] = {}
    for remembers in (True, False):
        told: list[int] = []
        async with GitTrials(repo.path, remembers=remembers, progress=told.append) as trials:
            await trials.run([Request("beta", (Commit(patch),))] * 7)
        counts[remembers] = sum(told)
    assert counts == {True: 1, False: 7}


async def test_scratch_is_emptied_between_runs_and_never_needed_after(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipit.vcs.git_store.RECYCLE_AFTER", 3)
    patch = repo.commit("good", {"a.txt": numbered(30, l5="x")})
    request = Request("beta", (Commit(patch),))
    async with GitTrials(repo.path, remembers=False) as trials:
        sizes = []
        for _ in range(6):
            results = await trials.run([request] * 2)
            assert {result.outcome for result in results} == {Outcome.CLEAN}
            sizes.append(sum(1 for _ in trials.shadow.objects.rglob("*")))
    assert max(sizes) < 30


async def test_a_merge_of_trees_that_are_no_trees_is_its_own_error(repo: Repo) -> None:
    main, beta = repo.tree("main"), repo.tree("beta")
    async with GitTrials(repo.path) as trials:
        good, bad = await trials.store.merge([Merge(main, beta, main), Merge(main, beta, "e" * 40)])
    assert good.tree == beta
    assert bad.reason is not None
