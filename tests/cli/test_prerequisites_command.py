# SPDX-License-Identifier: MPL-2.0
"""`shipit prerequisites` and `shipit landing-plan` as people and scripts call them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from git_builder import Repo, numbered, run_git
from shipit.cli import main


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(30)})
    told.branch("beta", "main")
    return told


def shipit(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command as people call it, in this process: starting Python would take most of the time."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["shipit", *map(str, words)]),
    ):
        try:
            main()
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
    for stream in (out, err):
        stream.seek(0)
    return subprocess.CompletedProcess(words, code, out.read(), err.read())


def asked(*words: str | Path) -> Any:
    done = shipit(*words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_prerequisites_prints_the_contract(repo: Repo, tmp_path: Path) -> None:
    missing = repo.commit("Bug 2", {"a.txt": numbered(30, l5="two")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(30, l5="three")})
    place = ("--repo", repo.path, "--onto", "beta", "--index", tmp_path / "index")
    said = asked("prerequisites", *place, patch)
    assert said["outcome"] == "conflict" and said["verified"] is True
    assert said["prerequisites"] == [
        {
            "revision": missing,
            "bug": 2,
            "subject": "Bug 2",
            "lines": 2,
            "files": 0,
            "state": None,
            "author": "Ada <ada@example.org>",
        }
    ]
    assert said["neighbours_only"] is False and said["in_the_way"] == []
    assert {"reason", "merges", "ms"} <= said.keys()
    shown = shipit("prerequisites", *place, patch)
    assert "verified by merging" in shown.stdout and missing[:12] in shown.stdout


def test_a_plan_is_printed_and_written_without_touching_the_train(repo: Repo, tmp_path: Path) -> None:
    first = repo.commit("Bug 2", {"a.txt": numbered(30, l5="two")})
    second = repo.commit("Bug 3", {"a.txt": numbered(30, l5="three")})
    beta = repo.id("beta")
    place = ("--repo", repo.path, "--onto", "beta", "--index", tmp_path / "index")
    said = asked("landing-plan", *place, second, first, "--branch", "plan", "--patches", tmp_path / "out")
    assert said["order"] == [first, second]
    assert said["conflicts"][0]["after"] == [first] and said["conflicts"][0]["lands"] is True
    assert (said["warnings"], said["left_behind"]) == ([], [])
    assert repo.id("beta") == beta
    assert run_git(repo.path, "show", "plan:a.txt") == numbered(30, l5="three")
    log = run_git(repo.path, "log", "--format=%an %B", "beta..plan").decode()
    assert f"cherry picked from commit {first}" in log and "Ada" in log
    assert len(list((tmp_path / "out").glob("*.patch"))) == 2


def test_a_branch_that_exists_is_never_changed(repo: Repo, tmp_path: Path) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="two")})
    place = ("--repo", repo.path, "--onto", "beta", "--index", tmp_path / "index")
    done = shipit("landing-plan", *place, patch, "--branch", "beta")
    assert done.returncode == 1 and "no branch is ever changed" in done.stderr


def test_a_name_that_leads_nowhere_is_refused(repo: Repo, tmp_path: Path) -> None:
    done = shipit(
        "prerequisites", "--repo", repo.path, "--onto", "beta", "nothing", "--index", tmp_path / "i"
    )
    assert done.returncode == 1 and "nothing" in done.stderr


def test_the_backtest_counts_a_recorded_conflict(repo: Repo, tmp_path: Path) -> None:
    repo.commit("Bug 2", {"a.txt": numbered(30, l5="two")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(30, l5="three")})
    graft = {"result": "conflict", "result_tree": None, "conflicts": ["a.txt"]}
    row = {
        "repository": "x",
        "branch": "beta",
        "parent": repo.id("beta"),
        "source_commit": patch,
        "graft": graft,
    }
    history = tmp_path / "history.jsonl"
    history.write_text(json.dumps(row) + "\n")
    said = asked("backtest", "--repo", repo.path, history, "--prerequisites", "--index", tmp_path / "index")
    assert said["corpora"]["recorded"]["found"] == 1 and said["corpora"]["recorded"]["unknown"] == 0


def test_a_plan_needs_a_train_or_a_clone_with_revisions(repo: Repo) -> None:
    for words in ((), ("one", "two"), ("beta", "--onto", "beta"), ("beta", "--branch", "new")):
        refused = shipit("landing-plan", *words)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


def test_a_plan_holds_patches_that_are_not_on_main_and_finds_main_itself(repo: Repo, tmp_path: Path) -> None:
    first = repo.commit("Bug 2", {"a.txt": numbered(30, l5="two")})
    later = repo.commit("Bug 3 - fixes bug 2", {"a.txt": numbered(30, l5="two", l9="three")})
    # the clone stands on the train, as one does that is about to land something
    run_git(repo.path, "symbolic-ref", "HEAD", "refs/heads/beta")
    diff = tmp_path / "mine.patch"
    diff.write_bytes(
        b"From: Ben <ben@example.org>\nSubject: [PATCH] Bug 9 - nine\n\n---\n"
        b"diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -19,3 +19,3 @@\n"
        b" line 19\n-line 20\n+nine\n line 21\n"
    )
    place = ("--repo", repo.path, "--onto", "beta", "--index", tmp_path / "index")
    said = asked("landing-plan", *place, first, "beta", "--diff", diff, "--branch", "plan")
    assert said["order"] == [first, "mine.patch"] and said["landed"] == [repo.id("beta")]
    assert [one["bug"] for one in said["steps"]] == [2, 9]
    assert [one["revision"] for one in said["left_behind"]] == [later]
    assert run_git(repo.path, "show", "plan:a.txt") == numbered(30, l5="two", l20="nine")
    assert "Bug 9 - nine" in run_git(repo.path, "log", "--format=%s", "beta..plan").decode()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("prerequisites", "--onto", "nowhere", "main"), "--onto"),
        (("prerequisites", "--onto", "beta", "nowhere"), "REV"),
        (("landing-plan", "--onto", "beta", "main", "--main", "nowhere"), "--main"),
    ],
)
def test_a_bad_revision_is_refused_by_the_name_of_its_field(
    repo: Repo, tmp_path: Path, words: tuple[str, ...], field: str
) -> None:
    done = shipit(*words, "--repo", repo.path, "--index", tmp_path / "index")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"shipit: {field}: expected a commit of the clone; 'nowhere' is not in this clone" in done.stderr
