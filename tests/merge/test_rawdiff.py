# SPDX-License-Identifier: MPL-2.0
"""Raw diffs are read without trusting a word of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.merge.rawdiff import FileDiff, Hostile, check_path, read_diff

GIT = b"""From 1 Mon Sep 17 00:00:00 2001
Subject: x
---
 a.txt | 2 +-

diff --git a/a.txt b/a.txt
index 1234567..89abcde 100644
--- a/a.txt
+++ b/a.txt
@@ -1,3 +1,4 @@ words
 one
--- not a header
+++ not one either
+diff --git a/evil b/../evil
 three
\\ No newline at end of file
diff --git a/old name b/new name
similarity index 90%
rename from old name
rename to new name
diff --git "a/caf\\303\\251" "b/caf\\303\\251"
new file mode 100755
index 0000000..89abcde
GIT binary patch
literal 3
KcmZQz

literal 0
HcmV?d00001

diff --git a/gone b/gone
deleted file mode 120000
index 1234567..0000000
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-target
"""


@pytest.mark.parametrize(
    ("written", "meant"),
    [(rb"\8", b"8"), (rb"\0", b"0"), (rb"\18", b"18"), (rb"\101", b"A"), (rb"\777", b"\xff")],
)
def test_odd_escapes_in_a_quoted_path_are_read_as_something(written: bytes, meant: bytes) -> None:
    path = b"x%s" % written
    diff = b'diff --git "a/%s" "b/%s"\n--- "a/%s"\n+++ "b/%s"\n@@ -1 +1 @@\n-a\n+b\n' % ((path,) * 4)
    (file,) = read_diff(diff).files
    assert file.new == b"x" + meant


def test_every_file_of_a_git_diff_is_named_with_what_it_was_made_on() -> None:
    files = read_diff(GIT).files
    assert files == (
        FileDiff(b"a.txt", b"a.txt", "1234567", "100644"),
        FileDiff(b"old name", b"new name"),
        FileDiff(None, "café".encode()),
        FileDiff(b"gone", None, "1234567", "120000"),
    )


def test_lines_inside_a_hunk_are_never_taken_for_headers() -> None:
    assert b"../evil" not in read_diff(GIT).paths


def test_line_ends_of_another_system_do_not_hide_a_header() -> None:
    assert read_diff(GIT.replace(b"\n", b"\r\n")).paths == read_diff(GIT).paths


@pytest.mark.parametrize(
    ("diff", "paths", "strip"),
    [
        (b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", {b"x"}, 1),
        (b"--- x/y\t2010\n+++ x/y\t2011\n@@ -1 +1 @@\n-a\n+b\n", {b"x/y"}, 0),
        (b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", {b"x"}, 1),
        (b"diff --git x y\nrename from x\nrename to y\n", {b"x", b"y"}, 1),
        (b"no diff at all\n--- \n", set(), 1),
    ],
)
def test_plain_diffs_and_diffs_without_prefixes_are_read(diff: bytes, paths: set[bytes], strip: int) -> None:
    found = read_diff(diff)
    assert (found.paths, found.strip) == (paths, strip)


@given(st.binary(max_size=400) | st.lists(st.sampled_from(GIT.splitlines(keepends=True))).map(b"".join))
def test_whatever_the_bytes_they_are_read_or_refused(diff: bytes) -> None:
    try:
        found = read_diff(diff)
    except Hostile:
        return
    for path in found.paths:
        check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/x",
        b"a/../b",
        b"a//b",
        b".git/x",
        b"a/.Git",
        b"GIT~1/x",
        b".git. /x",
        b".git::$INDEX/x",
        b"a\nb",
        b"a\0b",
    ],
)
def test_a_path_that_could_leave_the_tree_is_refused(path: bytes) -> None:
    with pytest.raises(Hostile):
        check_path(path)


@pytest.mark.parametrize("path", [b".gitignore", b"a/.gitattributes", b"x.git/y", b"...", b"git", b"caf\xe9"])
def test_an_ordinary_path_is_allowed(path: bytes) -> None:
    check_path(path)
