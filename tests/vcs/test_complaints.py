# SPDX-License-Identifier: MPL-2.0
"""What git and Mercurial say of a diff that does not apply is told in one bounded line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_builder import Repo, numbered
from shipit.merge.series import Request
from shipit.merge.types import RawDiff
from shipit.vcs.complaints import in_words
from shipit.vcs.git_store import GitTrials


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("error: patch failed: a b:4\nerror: a b: patch does not apply\n", "a b differs at line 4"),
        ("error: gone: does not exist in index\n", "gone does not exist there"),
        ("error: here: already exists in index\n", "here exists there already"),
        ("error: corrupt patch at line 6\n", "corrupt patch at line 6"),
        (
            "patching file a\nHunk #2 FAILED at 17\n1 out of 2 hunks FAILED -- saving rejects\n",
            "a differs at line 18",
        ),
        ("unable to find 'gone' for patching\n1 out of 1 hunks FAILED\n", "gone does not exist there"),
        ("git ended with 1", "git ended with 1"),
        ("", "no reason was given"),
        (
            "".join(f"error: patch failed: f{n}:1\n" for n in range(9)),
            "f0 differs at line 1; f1 differs at line 1; f2 differs at line 1; and 6 more",
        ),
    ],
)
def test_a_complaint_becomes_plain_words(said: str, words: str) -> None:
    assert in_words(said) == words


@given(st.text(max_size=2000))
def test_whatever_was_said_is_one_bounded_line(said: str) -> None:
    words = in_words(said)
    assert 0 < len(words) <= 300
    assert len(words.splitlines()) == 1
    assert words.isprintable()


async def test_the_reason_of_a_diff_that_does_not_apply_is_one_line(
    tmp_path: Path,
) -> None:
    repo = Repo(tmp_path / "clone")
    base = repo.commit("Bug 1", {name: numbered(9) for name in "abcdef"})
    diff = b"".join(
        b"--- a/%c\n+++ b/%c\n@@ -4,3 +4,3 @@\n never\n-was\n+here\n so\n" % (ord(name), ord(name))
        for name in "abcdef"
    )
    async with GitTrials(repo.path) as trials:
        results = await trials.run([Request("main", (RawDiff("D1", diff, at),)) for at in (base, None)])
    where = "a differs at line 4; b differs at line 4; c differs at line 4; and 3 more"
    assert [result.patches[0].reason for result in results] == [
        f"the diff does not apply on its own base: {where}",
        f"raw diff without a known base, and it does not apply to the tip as it stands: {where}",
    ]
