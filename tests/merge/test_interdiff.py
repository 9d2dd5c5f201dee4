# SPDX-License-Identifier: MPL-2.0
"""Two versions of a patch compared by their diffs: what changed in the change, not where it stands."""

from __future__ import annotations

import pytest

from shipit.merge.interdiff import (
    LARGEST_DIFF,
    MOST_LINES,
    FileState,
    Mark,
    PatchInterdiff,
    compare_diffs,
    sentence,
)

FIRST = b"""diff --git a/a.c b/a.c
index 111..222 100644
--- a/a.c
+++ b/a.c
@@ -1,5 +1,5 @@
 one
 two
-three
+THREE
 four
 five
@@ -20,3 +20,4 @@ void f()
 twenty
+added
 more
 end
"""


def compared(older: bytes, newer: bytes) -> PatchInterdiff:
    return compare_diffs("D1", older, newer, versions=("D1, diff 1", "D1, diff 2"))


def test_a_rebase_alone_changes_nothing() -> None:
    moved = FIRST.replace(b"@@ -1,5 +1,5 @@", b"@@ -101,5 +131,5 @@").replace(b"index 111", b"index 333")
    moved = moved.replace(b" one\n", b" another neighbour\n")
    found = compared(FIRST, moved)
    assert found.is_same
    assert (found.same, found.files) == (1, ())
    assert sentence([found]) == "D1 changes the same lines as before."


def test_what_the_change_does_differently_is_shown_with_its_surroundings() -> None:
    found = compared(FIRST, FIRST.replace(b"+THREE", b"+Three").replace(b"+added\n", b"+added\n"))
    (file,) = found.files
    assert (file.path, file.state) == ("a.c", FileState.CHANGED)
    said = [(line.mark, line.text) for line in file.lines]
    assert (Mark.REMOVED, "+THREE") in said
    assert (Mark.ADDED, "+Three") in said
    assert (Mark.SAME, "-three") in said
    assert (Mark.SAME, "+added") not in said, "too far away"
    assert sentence([found]) == "D1 changed in 1 file."


def test_files_come_and_go() -> None:
    other = b"diff --git a/b.c b/b.c\nnew file mode 100644\n--- /dev/null\n+++ b/b.c\n@@ -0,0 +1 @@\n+new\n"
    came = compared(FIRST, FIRST + other)
    assert [(one.path, one.state, one.note) for one in came.files] == [
        ("b.c", FileState.ADDED, "new file mode 100644")
    ]
    assert [line.mark for line in came.files[0].lines] == [Mark.ADDED]
    gone = compared(FIRST + other, FIRST)
    assert [(one.path, one.state) for one in gone.files] == [("b.c", FileState.REMOVED)]


@pytest.mark.parametrize(
    ("older", "newer", "note"),
    [
        (b"old mode 100644\nnew mode 100755\n", b"", None),
        (b"", b"rename from x\nrename to y\n", "rename from x; rename to y"),
        (
            b"GIT binary patch\nliteral 3\nabc\n",
            b"GIT binary patch\nliteral 3\nabd\n",
            "Its binary content differs.",
        ),
    ],
)
def test_what_no_line_tells_is_noted(older: bytes, newer: bytes, note: str | None) -> None:
    head = b"diff --git a/y b/y\n"
    (file,) = compared(head + older, head + newer).files
    assert (file.state, file.lines, file.note) == (FileState.CHANGED, (), note)
    assert compared(head + older, head + older).is_same


def test_a_line_that_looks_like_a_header_is_a_line() -> None:
    text = b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n--- b/evil\n+++ b/evil\n x\n"
    assert [one.path for one in compared(text, b"").files] == ["a"]


@pytest.mark.parametrize(
    "broken",
    [b"", b"\0\xff", b"@@ -1 +1 @@\n+a", b"diff --git \n@@ -x +y @@\n", b"+++ b/a\n@@ -1,9 +1,9 @@\n+cut"],
)
def test_no_text_makes_it_raise(broken: bytes) -> None:
    compared(broken, FIRST)
    compared(FIRST, broken)


def test_it_is_bounded_and_says_what_it_left_out() -> None:
    many = b"".join(b"+line %d\n" % number for number in range(1000))
    long = b"diff --git a/a b/a\n--- /dev/null\n+++ b/a\n@@ -0,0 +1,1000 @@\n" + many
    (file,) = compared(b"", long).files
    assert (len(file.lines), file.more) == (MOST_LINES, 800)
    wide = long.replace(b"+line 7\n", b"+" + b"x" * 5000 + b"\n")
    assert max(len(line.text) for line in compared(b"", wide).files[0].lines) == 301
    wide_lines = b"".join(b"+%b\n" % (b"x" * 290) for _ in range(190))
    parts = (
        b"diff --git a/%d b/%d\n--- /dev/null\n+++ b/%d\n@@ -0,0 +1,190 @@\n%b" % (n, n, n, wide_lines)
        for n in range(6)
    )
    found = compared(b"", b"".join(parts)).files
    assert [len(one.lines) for one in found] == [190, 190, 190, 0, 0, 0]
    assert [one.more for one in found] == [0, 0, 0, 190, 190, 190]
    huge = compared(b"x" * (LARGEST_DIFF + 1), FIRST)
    assert huge.reason == "a version has more than 4 MB"
    assert not huge.is_same
    assert sentence([huge]) == "D1 could not be compared: a version has more than 4 MB."


def test_a_series_is_told_patch_by_patch() -> None:
    new = PatchInterdiff(name="D2", newer="D2, diff 1")
    gone = PatchInterdiff(name="D3", older="D3, diff 1")
    assert sentence([new, gone]) == "D2 is new in the series. D3 is no longer in the series."
    assert sentence([]) == "Neither version has a patch."
