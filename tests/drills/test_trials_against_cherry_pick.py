# SPDX-License-Identifier: MPL-2.0
"""Random histories: a trial says what `git cherry-pick` in a work tree says, to the tree and the path."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from git_builder import File, Repo, numbered, run_git
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome, RawDiff
from shipit.vcs.git_store import GitTrials

pytestmark = pytest.mark.drill

Tree = dict[str, File]


def begin(chance: random.Random) -> Tree:
    files: Tree = {
        f"d{chance.randrange(3)}/e{chance.randrange(2)}/f{n}.txt": numbered(40, l1=f"file {n}")
        for n in range(8)
    }
    return {
        **files,
        "picture": bytes(chance.randrange(256) for _ in range(300)),
        "link": ("120000", b"picture"),
    }


def change(chance: random.Random, tree: Tree) -> Tree:
    """One random patch upon a tree: the changed paths."""
    made: Tree = {}
    for _ in range(chance.randrange(1, 4)):
        path = chance.choice(sorted(tree))
        content = tree[path]
        kind = chance.randrange(10)
        if kind < 5 and isinstance(content, bytes) and path.endswith(".txt"):
            rows = content.split(b"\n")
            rows[chance.randrange(len(rows) - 1)] = b"changed %d" % chance.randrange(4)
            made[path] = b"\n".join(rows)
        elif kind == 5:
            made[path] = None
        elif kind == 6:
            made[path] = None
            made[f"moved{chance.randrange(3)}/{path.rpartition('/')[2]}"] = content
        elif kind == 7:
            made[f"new{chance.randrange(3)}.txt"] = numbered(10, l3=str(chance.randrange(3)))
        elif kind == 8 and isinstance(content, bytes):
            made[path] = ("100755", content)
        else:
            made["link"] = ("120000", b"to %d" % chance.randrange(3))
    return made


def apply(tree: Tree, made: Tree) -> Tree:
    after = {**tree, **made}
    return {path: content for path, content in after.items() if content is not None}


def picked(work: Path, tip: str, patch: str) -> tuple[str, set[str]]:
    """What cherry-pick makes of a patch: "conflict" with its unmerged paths, or the tree."""
    run_git(work, "reset", "-q", "--hard")
    run_git(work, "clean", "-qfdx")
    run_git(work, "checkout", "-q", "--detach", "--force", tip)
    run_git(work, "cherry-pick", "--allow-empty", "--keep-redundant-commits", patch, check=False)
    unmerged = run_git(work, "ls-files", "-u", "-z").split(b"\0")
    paths = {entry.partition(b"\t")[2].decode() for entry in unmerged if entry}
    if paths:
        run_git(work, "cherry-pick", "--quit", check=False)
        return "conflict", paths
    return run_git(work, "rev-parse", "HEAD^{tree}").decode().strip(), set()


@pytest.mark.parametrize("seed", range(3))
def test_every_verdict_is_that_of_cherry_pick(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    repo = Repo(tmp_path / "clone")
    main = begin(chance)
    repo.commit("start", main)
    repo.branch("beta", "main")
    train = dict(main)
    for n in range(8):
        made = change(chance, train)
        train = apply(train, made)
        repo.commit(f"ours {n}", made, on="beta")
    patches = []
    for n in range(30):
        made = change(chance, main)
        main = apply(main, made)
        patches.append(repo.commit(f"Bug {n + 100} - patch", made))
    work = tmp_path / "work"
    run_git(tmp_path, "clone", "-q", str(repo.path), "work")
    tips = [repo.id("beta"), repo.id("beta~4"), repo.id(patches[10])]

    async def trials() -> None:
        async with GitTrials(repo.path, workers=2) as engine:
            cases = [(tip, patch) for tip in tips for patch in patches]
            found = await engine.run([Request(tip, (Commit(patch),), again=True) for tip, patch in cases])
            diffs = await engine.run(
                [
                    Request(tip, (RawDiff("D1", repo.diff(f"{patch}^", patch), f"{patch}^"),))
                    for tip, patch in cases
                ]
            )
        seen = set()
        for (tip, patch), result, raw in zip(cases, found, diffs, strict=True):
            verdict, paths = picked(work, tip, patch)
            seen.add(result.outcome)
            if verdict == "conflict":
                assert result.outcome is Outcome.CONFLICT, (tip, patch)
                assert paths <= {conflict.path for conflict in result.patches[0].conflicts}
            else:
                assert result.tree == verdict, (tip, patch, result)
            if raw.outcome not in (Outcome.MISSING,):
                assert (raw.tree, raw.patches[0].conflicts) == (result.tree, result.patches[0].conflicts)
        assert {Outcome.CLEAN, Outcome.CONFLICT} <= seen

    asyncio.run(trials())
