# SPDX-License-Identifier: MPL-2.0
"""The index of commits and the pipes, on real git."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from git_builder import Repo, numbered, run_git
from shipit.merge.store import Known, Merge
from shipit.vcs import candidates, change_stream
from shipit.vcs.candidates import Candidates
from shipit.vcs.ground import GitGround
from shipit.vcs.merging import Merger, accepts_trees, git_version
from shipit.vcs.objects import look_up
from shipit.vcs.pipes import MergePipe
from shipit.vcs.shadow import Shadow


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(20), "bin": b"\0\1", "no end": b"x"})
    told.commit("Bug 2", {"a.txt": numbered(20, l4="x", l15="y"), "bin": b"\0\2", "no end": b"y"})
    told.commit("Bug 3", {"a.txt": None, "c.txt": numbered(20, l4="x", l15="z")})
    told.commit("no diff at all", {})
    return told


async def test_the_index_holds_lines_renames_and_binaries(repo: Repo) -> None:
    async with Shadow(repo.path) as shadow:
        index = Candidates()
        assert await index.follow(shadow, [repo.id("main")]) == 4
        added, changed, moved = index.changes(b"a.txt")
        assert added.spans == ((0, 0, 0, 20),)
        assert changed.spans == ((3, 4, 3, 4), (14, 15, 14, 15))
        assert (moved.status, moved.old_path, moved.path, moved.spans) == (
            "R",
            b"a.txt",
            b"c.txt",
            ((14, 15, 14, 15),),
        )
        assert [change.spans for change in index.changes(b"bin")] == [None, None]
        assert index.changes(b"no end")[1].spans == ((0, 1, 0, 1),)
        assert index.at(3).paths == ()


async def test_the_kept_index_grows_and_survives_a_torn_end(repo: Repo, tmp_path: Path) -> None:
    kept = tmp_path / "index"
    async with Shadow(repo.path) as shadow:
        assert await Candidates(kept=kept).follow(shadow, [repo.id("main")]) == 4
        new = repo.commit("Bug 4", {"d.txt": b"d\n"})
        assert await Candidates(kept=kept).follow(shadow, [new]) == 1
        whole = kept.stat().st_size
        with kept.open("ab") as out:
            out.write(b"\0\0\0\7torn")
        newer = repo.commit("Bug 5", {"d.txt": b"e\n"})
        index = Candidates(kept=kept)
        assert await index.follow(shadow, [newer]) == 1
        assert kept.stat().st_size > whole
        again = Candidates(kept=kept)
        assert await again.follow(shadow, [newer]) == 0
        assert [entry.subject for entry in again.everything()] == [
            entry.subject for entry in index.everything()
        ]


async def test_a_missing_content_leaves_only_its_commit_without_lines(repo: Repo) -> None:
    blob = run_git(repo.path, "rev-parse", "main~2:a.txt").decode().strip()
    run_git(repo.path, "unpack-objects", "-q", stdin=b"", check=False)
    for pack in (repo.path / "objects" / "pack").glob("*.pack"):
        content = pack.read_bytes()
        for part in pack.parent.glob(f"{pack.stem}.*"):
            part.unlink()
        run_git(repo.path, "unpack-objects", "-q", stdin=content)
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()
    async with Shadow(repo.path) as shadow:
        index = Candidates()
        assert await index.follow(shadow, [repo.id("main")]) == 4
        assert index.changes(b"a.txt")[0].spans is not None
        assert index.changes(b"a.txt")[1].spans is None


async def test_commits_apart_are_those_of_git(repo: Repo) -> None:
    repo.branch("beta", "main~2")
    repo.commit("own", {"o.txt": b"o\n"}, on="beta")
    async with Shadow(repo.path) as shadow:
        index = Candidates()
        await index.follow(shadow, [repo.id("main"), repo.id("beta")])
        places = [index.find(repo.id(name)) for name in ("main", "beta")]
        main, beta = (place.position for place in places if place is not None)
        one, other = index.apart([main], [beta])
        assert {index.at(p).subject for p in one} == {"Bug 3", "no diff at all"}
        assert {index.at(p).subject for p in other} == {"own"}


async def test_a_pipe_says_what_a_batch_says(repo: Repo) -> None:
    async with Shadow(repo.path) as shadow:
        trees = accepts_trees(await git_version())
        found = await look_up(shadow, ["main", "main~1", "main~2", "main~3"])
        ids = [one.tree for one in found.values() if isinstance(one, Known)]
        merges = [Merge(base, ours, theirs) for base in ids for ours in ids for theirs in ids]
        batch = await Merger(shadow, trees=trees).merge(merges)
        async with MergePipe(shadow, trees=trees) as pipe:
            piped = [await pipe.merge(merge) for merge in merges]
        assert [(one.tree, one.conflicts, one.reason) for one in piped] == [
            (one.tree, one.conflicts, one.reason) for one in batch
        ]


async def test_a_killed_merge_process_is_started_anew(repo: Repo) -> None:
    async with GitGround(repo.path, index=None) as ground:
        one, other = await ground.entries(["main~1", "main~2"])
        assert one.base is not None
        merge = Merge(one.base, other.tree, one.tree)
        before = await ground.merge(merge)
        pid = ground._merges.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await ground.merge(merge)
        assert (await ground.merge(merge)).tree == before.tree


async def test_a_missing_content_fails_its_merge_and_no_other(repo: Repo) -> None:
    async with GitGround(repo.path, index=None) as ground:
        one, other = await ground.entries(["main~1", "main~2"])
        assert one.base is not None
        lost = await ground.merge(Merge(one.base, "1" * 40, one.tree))
        assert lost.tree is None and lost.reason is not None
        assert (await ground.merge(Merge(one.base, other.tree, one.tree))).reason is None


async def test_a_look_that_is_given_up_keeps_what_it_read(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_BLOCK", 1)
    read, calls = Candidates._read, 0

    async def torn(self: Candidates, shadow: Shadow, names: list[str]) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise TimeoutError
        return await read(self, shadow, names)

    monkeypatch.setattr(Candidates, "_read", torn)
    kept = tmp_path / "index"
    async with Shadow(repo.path) as shadow:
        index = Candidates(kept=kept)
        with pytest.raises(TimeoutError):
            await index.follow(shadow, [repo.id("main")])
        assert len(index) == 2
        # the same process goes on, and so does another one
        assert await Candidates(kept=kept).follow(shadow, [repo.id("main")]) == 2
        assert await index.follow(shadow, [repo.id("main")]) == 2
        whole = Candidates()
        await whole.follow(shadow, [repo.id("main")])
        assert [index.at(place) for place in range(4)] == [whole.at(place) for place in range(4)]
        assert index.tips == whole.tips == {repo.id("main")}


async def test_lines_of_a_change_of_many_files_are_read_when_they_are_asked_for(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_stream, "MOST_PATHS", 1)
    many = repo.commit(
        "Bug 9", {"c.txt": numbered(20, l2="many", l4="x", l15="z"), "bin": b"\0\3", "new": b"n\n"}
    )
    few = repo.commit("Bug 10", {"c.txt": numbered(20, l2="few", l4="x", l15="z")})
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        one, other = await ground.entries([many, few])
        assert (one.lines, other.lines) == (None, 2) and one.patch and one.patch != other.patch
        of_many = next(c for c in ground.history.changes(b"c.txt") if c.position == one.position)
        assert of_many.spans is None
        assert await ground.spans(of_many) == ((1, 2, 1, 2),)
        (added,) = ground.history.changes(b"new")
        assert await ground.spans(added) == ((0, 0, 0, 1),)
        assert await ground.spans(ground.history.changes(b"bin")[-1]) is None
        assert await ground.weight([one, other, one]) == [3, 2, 3]
