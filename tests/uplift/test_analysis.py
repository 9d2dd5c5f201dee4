# SPDX-License-Identifier: MPL-2.0
"""The analysis of a bug: what it keeps when parts fail, who did what, and what a diff touches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.uplift.analysis import (
    Analysis,
    Churn,
    Failed,
    MozdataAnalysis,
    PatchFacts,
    ReadPatch,
    Role,
    Size,
    Source,
    UpliftReading,
    assemble,
    window_start,
)
from shipit.uplift.sizes import FileChange, language, languages, read_diff
from shipit.uplift.types import Bug, PatchSource, Person

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LANDED = NOW - timedelta(days=9)
ADA = Person(name="Ada", email="ada@example.org")
BEN = Person(name="Ben", email="ben@example.org")
RM = Person(name="Release Manager", email="rm@example.org")
BUG = Bug(
    id=7,
    summary="crash",
    product="Core",
    component="DOM",
    status="RESOLVED",
    creator=BEN,
    assignee=ADA,
    depends_on=(1,),
    blocks=(2, 3),
    regressed_by=(4,),
    regressions=(5,),
    dupe_of=6,
    changed=NOW,
    read_at=NOW - timedelta(minutes=1),
)
LOST = Failed(subject="bug 7", reason="libmozdata stopped: AssertionError", source=Source.MOZDATA, at=NOW)


def churn(commits: int = 0, by_author: int = 0, by_reviewers: int = 0) -> Churn:
    return Churn(
        since=None,
        commits=commits,
        by_author=by_author,
        by_reviewers=by_reviewers,
        reviewed_by_reviewers=0,
        backouts=0,
        last=None,
    )


def patch(**more: Any) -> PatchFacts:
    given: dict[str, Any] = {
        "name": "a" * 40,
        "kind": PatchSource.COMMIT,
        "author": ADA,
        "message": "Bug 7 - mend it r=ben\n\nLong words.",
        "authored_at": LANDED,
        "landed_at": LANDED,
        "files": (
            FileChange(path="dom/x.cpp", added=5, deleted=2, lines=23),
            FileChange(path="dom/test/test_x.html", added=40, deleted=0, lines=40, is_test=True),
        ),
        "overall": churn(10, 4, 3),
        "recent": churn(2, 1, 0),
        "read_at": NOW,
    }
    return PatchFacts(**{**given, **more})


def reading(**more: Any) -> MozdataAnalysis:
    given: dict[str, Any] = {
        "patches": (),
        "backouts": 0,
        "comments": 3,
        "refused_patches": 0,
        "in_testsuite": "",
        "authors": (),
        "reviewers": (),
        "landings": {"nightly": LANDED},
        "read_at": NOW,
    }
    return MozdataAnalysis(**{**given, **more})


def test_a_bug_is_kept_whatever_failed() -> None:
    gone = Failed(subject="b" * 40, reason="the clone has no such commit", source=Source.CLONE, at=NOW)
    analysis = assemble(BUG, reading=LOST, patches=[patch(), gone], now=NOW)
    assert analysis.bug == 7
    assert analysis.reading == LOST
    assert analysis.patches == (patch(), gone)
    assert [c.person for c in analysis.people] == [BEN, ADA]
    assert analysis.relations.regressed_by == (4,)


def test_an_analysis_survives_json_with_failures_and_times() -> None:
    uplift = UpliftReading(flag="approval-mozilla-beta", is_accepted=True, response=timedelta(hours=5))
    read = reading(uplifts=(uplift, LOST), patches=(ReadPatch(name="a", kind=PatchSource.COMMIT, url="u"),))
    analysis = assemble(BUG, reading=read, patches=[patch(), LOST], now=NOW)
    assert msgspec.json.decode(msgspec.json.encode(analysis), type=Analysis) == analysis
    assert msgspec.convert(msgspec.to_builtins(analysis), type=Analysis) == analysis


def test_everybody_is_named_once_with_all_their_roles() -> None:
    read = reading(
        authors=("ADA@example.org",),
        patches=(ReadPatch(name="a", kind=PatchSource.COMMIT, url="u", reviewers=("ben@example.org",)),),
        uplifts=(
            UpliftReading(flag="approval-mozilla-beta", is_accepted=True, author=ADA, reviewer=RM),
            UpliftReading(flag="approval-mozilla-esr140", is_accepted=False, author=BEN),
        ),
    )
    analysis = assemble(BUG, reading=read, patches=[patch()], now=NOW)
    assert {c.person: c.roles for c in analysis.people} == {
        BEN: (Role.CREATOR, Role.REVIEWER, Role.REQUESTER),
        ADA: (Role.ASSIGNEE, Role.AUTHOR, Role.REQUESTER),
        RM: (Role.APPROVER,),
    }


def test_tests_are_weighed_apart() -> None:
    analysis = assemble(BUG, reading=LOST, patches=[patch(), patch(name="b" * 40)], now=NOW)
    assert analysis.size == Size(files=2, added=10, deleted=4, lines=46)
    assert analysis.test_size == Size(files=2, added=80, deleted=0, lines=80)


def test_the_window_begins_with_the_last_releases_whatever_their_cadence() -> None:
    releases = [NOW - timedelta(days=days) for days in (100, 3, 17, 59, 17)] + [NOW + timedelta(days=4)]
    assert window_start(releases, before=NOW, count=3) == NOW - timedelta(days=59)
    assert window_start(releases, before=NOW, count=5) is None
    assert window_start([], before=NOW, count=1) is None


# --- what a diff touches --------------------------------------------------------------------------------


def told(diff: str) -> list[tuple[str, str | None, int, int, int]]:
    return [(f.path, f.old_path, f.added, f.deleted, f.lines) for f in read_diff(diff.encode())]


def test_a_git_diff_is_read() -> None:
    diff = """\
From: ada
--- not a file
diff --git a/a.c b/a.c
index 1..2 100644
--- a/a.c
+++ b/a.c
@@ -1,3 +1,4 @@ int main
 one
-two
+2
+3
 four
\\ No newline at end of file
@@ -9 +10 @@
-x
+y
diff --git a/new.c b/new.c
new file mode 100644
--- /dev/null
+++ b/new.c
@@ -0,0 +1 @@
+n
diff --git a/gone.c b/gone.c
deleted file mode 100644
--- a/gone.c
+++ /dev/null
@@ -1 +0,0 @@
-g
"""
    assert told(diff) == [("a.c", None, 3, 2, 7), ("new.c", None, 1, 0, 1), ("gone.c", None, 0, 1, 1)]


def test_a_plain_diff_without_git_lines_is_read() -> None:
    diff = "--- x/a.c\t2026\n+++ x/a.c\t2026\n@@ -1 +1 @@\n-a\n+b\n--- a/b.c\n+++ b/b.c\n@@ -0,0 +1 @@\n+b\n"
    assert told(diff) == [("x/a.c", None, 1, 1, 2), ("b.c", None, 1, 0, 1)]


def test_moves_modes_binaries_and_empty_files_are_read() -> None:
    diff = """\
diff --git a/from dir/a b/to dir/a
similarity index 100%
rename from from dir/a
rename to to dir/a
diff --git a/run b/run
old mode 100644
new mode 100755
diff --git a/i.png b/i.png
Binary files a/i.png and b/i.png differ
diff --git "a/t\\tb" "b/t\\tb"
new file mode 100644
index 0000000..e69de29
diff --git a/\\303\\244 b/\\303\\244
deleted file mode 100644
"""
    files = read_diff(diff.encode())
    assert [(f.path, f.old_path) for f in files[:4]] == [
        ("to dir/a", "from dir/a"),
        ("run", None),
        ("i.png", None),
        ("t\tb", None),
    ]
    assert [f.path for f in files if f.is_binary] == ["i.png"]


def test_text_inside_a_hunk_is_never_a_header() -> None:
    diff = """\
diff --git a/a b/a
--- a/a
+++ b/a
@@ -1,2 +1,3 @@
--- a/lie
+++ b/lie
+diff --git a/lie b/lie
 @@ -1 +1 @@
"""
    assert told(diff) == [("a", None, 2, 1, 4)]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_surprise(noise: bytes) -> None:
    for file in read_diff(b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n" + noise):
        assert file.lines >= file.added + file.deleted >= 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.cpp", "C++"),
        ("a/Makefile.in", "Makefile"),
        ("moz.build", "moz.build"),
        ("x.test.tsx", "TypeScript"),
        ("layout/reftest.list", "Tests"),
        ("README", None),
    ],
)
def test_languages_are_told_by_name_and_ending(path: str, name: str | None) -> None:
    assert language(path) == name


def test_both_names_of_a_moved_file_count_for_its_languages() -> None:
    assert languages([FileChange(path="a.ts", old_path="a.js")]) == ("Javascript", "TypeScript")
