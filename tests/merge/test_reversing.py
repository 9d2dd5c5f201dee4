# SPDX-License-Identifier: MPL-2.0
"""A diff turned around undoes what it does, as git judges it."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_builder import Repo, lines, numbered, run_git
from shipit.merge.reversing import Irreversible, reverse_diff

BEGIN = {
    "a.txt": numbered(30),
    "b.txt": b"no line end",
    "with space.txt": lines("x"),
    "signs.txt": lines("--- a/x", "+++ b/x", "@@ -1 +1 @@"),
}


@pytest.mark.parametrize(
    "change",
    [
        {"a.txt": numbered(30, l5="fixed", l6="too", l28="there")},
        {"a.txt": None},
        {"new.txt": lines("n")},
        {"b.txt": b"still no line end"},
        {"b.txt": lines("no line end")},
        {"a.txt": ("100755", numbered(30, l2="x"))},
        {"a.txt": None, "moved.txt": numbered(30, l3="x")},
        {"with space.txt": lines("y", "z")},
        {"signs.txt": lines("--- a/y", "+++ b/x", "-- ", "@@ -1 +1 @@"), "a.txt": numbered(30, l1="x")},
    ],
)
@pytest.mark.parametrize("is_plain", [False, True])
def test_the_reverse_takes_a_change_back(tmp_path: Path, change: dict[str, bytes], is_plain: bool) -> None:
    repo = Repo(tmp_path / "clone")
    before = repo.commit("begin", BEGIN)
    after = repo.commit("change", change)
    diff = repo.diff(before, after, "-M" if not is_plain else "--no-renames")
    turned = reverse_diff(diff)
    assert reverse_diff(turned) == diff
    run_git(tmp_path, "clone", "-q", str(repo.path), "work")
    work = tmp_path / "work"
    run_git(work, "apply", "--index", "-", stdin=turned)
    assert run_git(work, "write-tree").decode().strip() == repo.tree(before)


def test_what_does_not_say_what_was_there_cannot_be_turned(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "clone")
    before = repo.commit("begin", {"p.png": bytes(range(256))})
    after = repo.commit("change", {"p.png": bytes(range(255, -1, -1))})
    with pytest.raises(Irreversible):
        reverse_diff(repo.diff(before, after))
