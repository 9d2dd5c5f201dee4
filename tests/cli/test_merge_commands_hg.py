# SPDX-License-Identifier: MPL-2.0
"""`shipit merge-test` and `shipit backtest` on a Mercurial clone, known by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from git_builder import Repo, lines, numbered, run_git
from hg_builder import Converted, need_hg, run_hg
from shipit.vcs.hg_trees import tree_name


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    need_hg()
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(30)})
    told.branch("beta", "main")
    return told


def answer(*words: str | Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "shipit", *map(str, words), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_trial_on_mercurial_answers_the_same_object(repo: Repo, tmp_path: Path) -> None:
    good = repo.commit("Bug 2", {"b.txt": numbered(3)})
    bad = repo.commit("Bug 3", {"a.txt": numbered(30, l5="theirs")})
    last = repo.commit("Bug 4", {"c.txt": numbered(3)})
    repo.commit("Bug 5", {"a.txt": numbered(30, l5="ours")}, on="beta")
    clone = Converted(repo, tmp_path / "hg")
    names = [clone.id(name) for name in (good, bad, last)]
    said = answer("merge-test", "--repo", clone.path, "--onto", "beta", "--hunks", names[2], *names[:2])
    assert said["outcome"] == "conflict"
    assert [patch["revision"] for patch in said["patches"]] == names
    assert [patch["outcome"] for patch in said["patches"]] == ["clean", "conflict", "skipped"]
    assert said["patches"][1]["conflicts"] == [{"path": "a.txt", "kind": "content"}]
    assert said["hunks"][0]["hunks"][0]["ours"] == "ours\n"
    # Short hashes and bookmarks are names as well.
    assert answer("merge-test", "--repo", clone.path, "--onto", "main", names[0][:12])["outcome"] == "landed"


def test_a_backtest_on_mercurial_counts_agreement_with_trees(repo: Repo, tmp_path: Path) -> None:
    good = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs"), "n.txt": lines("n")})
    tip = repo.commit("Bug 5", {"a.txt": numbered(30, l25="ours")}, on="beta")
    clash = repo.commit("Bug 6", {"a.txt": numbered(30, l5="clash")}, on="beta")
    clone = Converted(repo, tmp_path / "hg")
    manifest = run_hg(clone.path, "--debug", "log", "-r", clone.id(tip), "-T", "{manifest}").decode()
    merged = numbered(30, l5="theirs", l25="ours")
    blobs = {
        name: run_git(repo.path, "hash-object", "--stdin", stdin=content).decode().strip()
        for name, content in ((b"a.txt", merged), (b"n.txt", lines("n")))
    }
    tree = tree_name(manifest.rpartition(":")[2], {name: ("", blob) for name, blob in blobs.items()})
    row = {"repository": "x", "branch": "beta", "source_commit": clone.id(good)}
    rows = [
        {**row, "parent": clone.id(tip), "graft": {"result": "clean", "result_tree": tree}},
        {**row, "parent": clone.id(tip), "graft": {"result": "clean", "result_tree": "0" * 40}},
        {**row, "parent": clone.id(clash), "graft": {"result": "conflict", "conflicts": ["a.txt"]}},
        {**row, "parent": "e" * 40, "graft": {"result": "clean", "result_tree": tree}},
    ]
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")
    said = answer("backtest", "--repo", clone.path, history, "--workers", "2")
    assert (said["total"], said["agree"], said["skipped"], said["workers"]) == (3, 2, 1, 2)
    assert "another tree" in said["disagree"][0]["reason"]


@pytest.mark.drill
def test_a_landing_plan_becomes_a_bookmark_and_touches_nothing_else(repo: Repo, tmp_path: Path) -> None:
    first = repo.commit("Bug 2", {"a.txt": numbered(30, l5="two")})
    second = repo.commit("Bug 3", {"a.txt": numbered(30, l5="three"), "new/b.txt": lines("b")})
    later = repo.commit("Bug 4 - fixes bug 3", {"new/b.txt": lines("better")})
    lost = repo.commit("Bug 5", {"a.txt": numbered(30, l25="main")})
    repo.commit("Bug 6", {"a.txt": numbered(30, l25="train")}, on="beta")
    clone = Converted(repo, tmp_path / "hg")
    names = [clone.id(name) for name in (first, second, later, lost)]
    place = ("landing-plan", "--repo", clone.path, "--onto", "beta", "--main", "main")
    before = run_hg(clone.path, "log", "-r", "all()", "-T", "{node} {bookmarks}\n")
    said = answer(*place, names[1], names[3], names[0], "--bookmark", "plan")
    assert said["order"] == names[:2] and said["written"].startswith("bookmark plan is at ")
    assert [(one["revision"], one["after"], one["lands"]) for one in said["conflicts"]] == [
        (names[1], [names[0]], True),
        (names[3], [], False),
    ]
    assert [one["revision"] for one in said["left_behind"]] == [names[2]]
    after = run_hg(clone.path, "log", "-r", "all()", "-T", "{node} {bookmarks}\n")
    assert after.startswith(before) and after.count(b"\n") == before.count(b"\n") + 2
    assert run_hg(clone.path, "cat", "-r", "plan", str(clone.path / "a.txt")) == numbered(
        30, l5="three", l25="train"
    )
    told = run_hg(
        clone.path, "log", "-r", "only(plan, beta)", "-T", "{desc}|{author}|{extras % '{extra} '}\n"
    )
    assert told.decode().count("source=") == 2 and "Bug 3|Ada" in told.decode()
    run_hg(clone.path, "verify", "--quiet")
    again = subprocess.run(
        [sys.executable, "-m", "shipit", *map(str, place), names[0], "--bookmark", "plan"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1 and "nothing that is there is changed" in again.stderr
