# SPDX-License-Identifier: MPL-2.0
"""The analysis of a bug: what it keeps when parts fail, who did what, and what a diff touches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

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
)
from shipit.uplift.sizes import FileChange
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
