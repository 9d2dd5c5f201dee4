# SPDX-License-Identifier: MPL-2.0
"""What a Mercurial clone knows of bugs and patches is what git knows of the same history."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from git_builder import ADA, BEN, Repo, lines, numbered
from hg_builder import Converted, commit_hg, new_hg, run_hg
from shipit.errors import CommandFailed
from shipit.uplift.analysis import Failed, PatchFacts
from shipit.vcs.hg_history import HgHistory
from shipit.vcs.history import History
from shipit.vcs.opening import commits_of_bugs, history_for, read_patches

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = b'with Files("**"):\n    BUG_COMPONENT = ("Core", "DOM")\n'


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit(
        "Bug 101 - begin r=ben", {"a.txt": numbered(30), "dom/x.cpp": lines("x"), "dom/moz.build": RULES}
    )
    told.commit("Bug 102 - more r=ada,ben", {"dom/x.cpp": lines("x", "y")}, author=BEN)
    told.commit("Bug 103 - binary\n\nDifferential Revision: https://example.org/D77", {"p.png": b"\0" * 9})
    told.commit(
        "Bug 103 - move", {"a.txt": None, "moved/a.txt": numbered(30, l3="x"), b"caf\xe9": lines("c")}
    )
    told.commit(
        "Bug 102 - fix r=ben", {"dom/x.cpp": ("100755", lines("x", "z")), "moved/a.txt": numbered(30)}
    )
    return told


def chain(repo: Repo) -> list[str]:
    names = [f"main~{back}" for back in range(5)]
    return [repo.id(name) for name in names]


def told(facts: PatchFacts | Failed, hashes: dict[str, str]) -> dict[str, object]:
    """Facts as plain data in hg's hashes. When a commit was written has one time in Mercurial."""
    assert isinstance(facts, PatchFacts), facts
    plain = msgspec.to_builtins(facts)
    plain["name"] = hashes.get(facts.name, facts.name)
    plain["parents"] = [hashes.get(parent, parent) for parent in facts.parents]
    plain["message"] = facts.message.strip()
    del plain["authored_at"]
    return plain


async def test_facts_of_patches_are_those_that_git_finds(repo: Repo, tmp_path: Path) -> None:
    clone = Converted(repo, tmp_path / "hg")
    commits = chain(repo)
    of_git, of_hg = history_for(repo.path), history_for(clone.path, kind="hg")
    assert isinstance(of_hg, HgHistory)
    assert await of_git.follow(commits[0]) == await of_hg.follow(clone.id(commits[0])) == 5
    one = await read_patches(of_git, commits, now=NOW, addresses={"ben": "ben@example.org"})
    names = [clone.id(commit) for commit in commits]
    other = await read_patches(of_hg, names, now=NOW, addresses={"ben": "ben@example.org"})
    for commit in commits:
        assert told(one[commit], clone.hashes) == told(other[clone.id(commit)], clone.hashes)
    components = [found.components for found in other.values() if isinstance(found, PatchFacts)]
    assert ("Core :: DOM",) in components


async def test_a_history_follows_new_commits_and_is_kept_for_the_next_process(
    repo: Repo, tmp_path: Path
) -> None:
    clone = Converted(repo, tmp_path / "hg")
    kept = tmp_path / "kept"
    history = HgHistory(clone.path, kept=kept)
    tip = clone.id(repo.id("main"))
    assert await history.follow(tip) == 5
    assert await history.follow(tip) == 0
    again = HgHistory(clone.path, kept=kept)
    assert await again.follow(tip) == 0 and len(again) == 5
    repo.commit("Bug 109", {"z": lines("z")})
    clone = Converted(repo, tmp_path / "hg")
    assert await again.follow(clone.id(repo.id("main"))) == 1
    assert again.churn(["z"], before=6).commits == 1
    with pytest.raises(CommandFailed, match="no commit"):
        await History.follow(again, "a" * 40)


async def test_a_bounded_history_says_that_it_is_not_complete(repo: Repo, tmp_path: Path) -> None:
    clone = Converted(repo, tmp_path / "hg")
    history = HgHistory(clone.path, most_commits=3)
    assert await history.follow(clone.id(repo.id("main"))) == 3
    assert not history.churn(["dom/x.cpp"], before=3).is_complete


async def test_an_unknown_commit_has_no_facts_and_says_why(repo: Repo, tmp_path: Path) -> None:
    clone = Converted(repo, tmp_path / "hg")
    history = HgHistory(clone.path)
    await history.follow(clone.id(repo.id("main")))
    found = await read_patches(history, ["b" * 40, clone.id(repo.id("main"))], now=NOW)
    missing, known = found.values()
    assert isinstance(missing, Failed) and "no such commit" in missing.reason
    assert isinstance(known, PatchFacts)


async def test_landings_of_bugs_are_those_that_git_finds(repo: Repo, tmp_path: Path) -> None:
    first = repo.id("main")
    repo.revert(first, message='Revert "Bug 102 - fix r=ben"')
    repo.commit("Bug 1020 - other bug", {"o.txt": lines("o")}, author=ADA)
    clone = Converted(repo, tmp_path / "hg")
    one = await commits_of_bugs(repo.path, "main", [102, 103, 404])
    other = await commits_of_bugs(clone.path, "main", [102, 103, 404])
    assert [len(rows) for rows in one.values()] == [3, 2, 0]
    for bug, rows in one.items():
        expected = [
            msgspec.structs.replace(
                row, sha=clone.id(row.sha), backs_out=tuple(clone.id(name) for name in row.backs_out)
            )
            for row in rows
        ]
        assert list(other[bug]) == expected


async def test_a_backout_by_hg_hash_names_its_landing(tmp_path: Path) -> None:
    repo = new_hg(tmp_path / "clone")
    fix = commit_hg(repo, "Bug 107 - fix r=ben", {"a": lines("a")})
    other = commit_hg(repo, "Bug 108 - fix", {"b": lines("b")})
    words = "Backed out 2 changesets (bug 107, bug 108) for failures\n\n" + "\n".join(
        f"Backed out changeset {name[:12]} (bug {bug})" for name, bug in ((fix, 107), (other, 108))
    )
    backout = commit_hg(repo, words, {"a": None, "b": None})
    found = await commits_of_bugs(repo, backout, [107])
    landing, undone = found[107]
    assert (landing.sha, undone.sha, undone.is_backout) == (fix, backout, True)
    assert undone.backs_out == (fix, other)
    assert run_hg(repo, "log", "-T", "x") == b"xxx"
