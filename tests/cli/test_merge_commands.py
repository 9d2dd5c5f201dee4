# SPDX-License-Identifier: MPL-2.0
"""`shipit merge-test` and `shipit backtest` as people and scripts call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from git_builder import Repo, numbered, run_git

REAL = ("fenix", "firefox-android")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 1", {"a.txt": numbered(30)})
    told.branch("beta", "main")
    return told


def shipit(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shipit", *map(str, words)], capture_output=True, text=True, check=False
    )


def answer(*words: str | Path) -> Any:
    done = shipit(*words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_trial_answers_one_object_of_the_contracts_shape(repo: Repo) -> None:
    good = repo.commit("Bug 2", {"b.txt": numbered(3)})
    bad = repo.commit("Bug 3", {"a.txt": numbered(30, l5="theirs")})
    last = repo.commit("Bug 4", {"c.txt": numbered(3)})
    repo.commit("Bug 5", {"a.txt": numbered(30, l5="ours")}, on="beta")
    said = answer("merge-test", "--repo", repo.path, "--onto", "beta", last, good, bad)
    assert said["outcome"] == "conflict"
    assert said["tree"] is None
    assert [patch["revision"] for patch in said["patches"]] == [good, bad, last]
    assert [patch["outcome"] for patch in said["patches"]] == ["clean", "conflict", "skipped"]
    assert set(said["patches"][0]) == {"revision", "outcome", "tree", "conflicts", "reason"}
    assert said["patches"][1]["conflicts"] == [{"path": "a.txt", "kind": "content"}]


def test_every_outcome_ends_with_zero_and_reads_well(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    done = shipit("merge-test", "--repo", repo.path, "--onto", "main", patch)
    assert done.returncode == 0
    assert "landed" in done.stdout
    done = shipit("merge-test", "--repo", repo.path, "--onto", "beta", patch, "f" * 40)
    assert done.returncode == 0
    assert "missing" in done.stdout


def test_a_raw_diff_is_tried_on_the_base_it_names(repo: Repo, tmp_path: Path) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    (tmp_path / "D1.diff").write_bytes(repo.diff("beta", patch))
    words = ("merge-test", "--repo", repo.path, "--onto", "beta", "--diff", tmp_path / "D1.diff")
    said = answer(*words, "--base", "beta")
    assert (said["outcome"], said["tree"]) == ("clean", repo.tree(patch))
    assert said["patches"][0]["revision"] == "D1.diff"


def test_hunks_are_shown_on_demand_with_their_three_sides(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    repo.commit("Bug 5", {"a.txt": numbered(30, l5="ours")}, on="beta")
    words = ("merge-test", "--repo", repo.path, "--onto", "beta", "--hunks", patch)
    (path,) = answer(*words)["hunks"]
    assert (path["path"], path["kind"]) == ("a.txt", "content")
    (hunk,) = path["hunks"]
    sides = (hunk["base"], hunk["ours"], hunk["theirs"], hunk["line"])
    assert sides == ("line 5\n", "ours\n", "theirs\n", 5)
    text = shipit(*words)
    assert text.returncode == 0
    assert "theirs" in text.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--onto", "nosuch", "main"], 1),
        (["--onto", "main"], 2),
        (["main"], 2),
        (["--onto", "main", "--format", "xml", "main"], 2),
    ],
)
def test_a_refusal_ends_with_its_own_code_and_a_sentence(repo: Repo, words: list[str], code: int) -> None:
    done = shipit("merge-test", "--repo", repo.path, *words)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    done = shipit("merge-test", "--repo", tmp_path, "--onto", "main", "x")
    assert done.returncode == 1
    assert "git repository" in done.stderr


def test_a_half_cloned_repository_gives_an_error_with_its_reason(repo: Repo) -> None:
    tip = repo.id("beta")
    for pack in (repo.path / "objects" / "pack").iterdir():
        content = pack.read_bytes() if pack.suffix == ".pack" else b""
        pack.unlink()
        if content:
            run_git(repo.path, "unpack-objects", "-q", stdin=content)
    (repo.path / "objects" / tip[:2] / tip[2:]).unlink()
    said = answer("merge-test", "--repo", repo.path, "--onto", "beta", "main")
    assert said["outcome"] == "error"
    assert "objects are not in this clone" in said["patches"][0]["reason"]


def history(tmp_path: Path, *rows: dict[str, object]) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_text(
        "".join(json.dumps({"repository": "o/r", "branch": "beta", **row}) + "\n" for row in rows)
    )
    return path


def test_a_history_is_replayed_and_every_disagreement_is_listed(repo: Repo, tmp_path: Path) -> None:
    one = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    two = repo.commit("Bug 3", {"a.txt": numbered(30, l5="theirs", l9="more")})
    clash = repo.commit("Bug 5", {"a.txt": numbered(30, l5="ours")}, on="beta")
    start = repo.id(f"{clash}^")
    rows = history(
        tmp_path,
        {"parent": start, "source_commit": one, "graft": {"result": "clean", "result_tree": repo.tree(one)}},
        {"parent": clash, "source_commit": one, "graft": {"result": "conflict", "conflicts": ["a.txt"]}},
        {"parent": one, "source_commit": one, "graft": {"result": "clean", "result_tree": repo.tree(one)}},
        {"parent": clash, "source_commit": two, "graft": {"result": "conflict", "conflicts": ["a.txt"]}},
        {"parent": "f" * 40, "source_commit": one, "graft": {"result": "clean", "result_tree": "x"}},
        {"parent": start, "source_commit": one, "graft": {"result": None}},
        {"parent": start, "source_commit": None},
    )
    said = answer("backtest", "--repo", repo.path, rows, "--workers", "2", "--no-cache")
    assert (said["total"], said["agree"], said["skipped"]) == (4, 3, 3)
    assert said["outcomes"] == {"clean": 2, "conflict": 1, "empty": 1} or said["outcomes"] == {
        "clean": 2,
        "conflict": 1,
        "landed": 1,
    }
    (wrong,) = said["disagree"]
    assert wrong["source_commit"] == two
    assert (wrong["expected"], wrong["got"]) == ("conflict", "clean")
    assert wrong["reason"]
    assert said["workers"] == 2
    assert said["trials_per_second"] > 0
    assert 0 < said["p50_ms"] <= said["p95_ms"]
    text = shipit("backtest", "--repo", repo.path, rows)
    assert text.returncode == 0
    assert "3 of 4 agree (75.0 %), 3 skipped" in text.stdout


def test_a_history_that_is_none_is_refused_by_line(repo: Repo, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    done = shipit("backtest", "--repo", repo.path, bad)
    assert done.returncode == 1
    assert "line 1" in done.stderr


def real_clone(beside: Path, name: str) -> Path:
    """The clone of a real repository: in the folder that SHIPIT_CLONES names, or beside the project."""
    folders = [Path(os.environ["SHIPIT_CLONES"])] if "SHIPIT_CLONES" in os.environ else [beside]
    for folder in folders:
        for clone in (folder / name, folder / f"{name}.git"):
            if clone.is_dir():
                return clone
    pytest.skip(f"no clone of mozilla-mobile/{name} beside the project (SHIPIT_CLONES names a folder)")


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("rows", ["own", "hard-conflicts"])
def test_recorded_uplifts_agree_in_every_row(name: str, rows: str, shared: Path) -> None:
    clone = real_clone(shared.parent, name)
    recorded = shared / "data" / "uplift-history" / f"{name if rows == 'own' else rows}.jsonl"
    said = answer("backtest", "--repo", clone, recorded)
    assert said["disagree"] == []
    assert said["total"] == said["agree"] > 100
