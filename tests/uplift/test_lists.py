# SPDX-License-Identifier: MPL-2.0
"""Which bugs belong on which list of a train, and why; and what is searched for to find them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from uplift_builders import train

from shipit.merge.types import Outcome
from shipit.trains.types import Train
from shipit.uplift.lists import (
    HEADINGS,
    Held,
    ListName,
    Words,
    held_of,
    held_places,
    places,
    searched_of,
    searches,
)
from shipit.uplift.needinfos import Needinfo, answered, needinfos
from shipit.uplift.types import Attachment, Bug, Change, Flag, RequestState

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
WORDS = Words()
BETA = train("beta", major=149, status_flag="cf_status_149", tracking_flag="cf_tracking_149")
NIGHTLY = train(
    "nightly", major=150, status_flag="cf_status_150", tracking_flag="cf_tracking_150", approval_flag=None
)
ESR = train("esr140", major=140, status_flag="cf_status_esr140", tracking_flag="cf_tracking_esr140")
ALL = (NIGHTLY, BETA, ESR)


def bug(**more: Any) -> Bug:
    facts: dict[str, Any] = {
        "id": 7,
        "summary": "It is wrong",
        "product": "Firefox",
        "component": "Tabs",
        "status": "NEW",
        "changed": NOW,
        "read_at": NOW,
    }
    return Bug(**(facts | more))


def found(one: Bug, trains: tuple[Train, ...] = ALL) -> set[tuple[str, str]]:
    return {(place.train, place.list.value) for place in places(one, trains, WORDS)}


def carrying(name: str, status: str, **more: Any) -> Attachment:
    flag = Flag(id=1, name=name, status=status, setter="dev@patches.example")
    words = {"file_name": "", "content_type": "", "summary": "", "creator": ""}
    return Attachment(id=1, bug=7, flags=(flag,), **words, **more)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"fields": {"cf_tracking_149": "?"}}, {("beta", "tracking")}),
        (
            {"fields": {"cf_tracking_149": "?", "cf_tracking_150": "?"}},
            {("beta", "tracking"), ("nightly", "tracking")},
        ),
        ({"fields": {"cf_tracking_149": "+"}}, set()),
        ({"fields": {"cf_tracking_148": "?"}}, set()),
        # a release note belongs where the bug does, and else to the newest train
        ({"fields": {"cf_tracking_firefox_relnote": "?", "cf_status_149": "fixed"}}, {("beta", "relnote")}),
        ({"fields": {"cf_tracking_firefox_relnote": "?"}}, {("nightly", "relnote")}),
        ({"fields": {"cf_tracking_firefox_relnote": "149+"}}, set()),
        # fixed on main, affected here, nobody asks
        ({"resolution": "FIXED", "fields": {"cf_status_149": "affected"}}, {("beta", "unasked")}),
        ({"fields": {"cf_status_149": "affected", "cf_status_150": "fixed"}}, {("beta", "unasked")}),
        ({"fields": {"cf_status_149": "affected"}}, set()),
        ({"resolution": "FIXED", "fields": {"cf_status_149": "wontfix"}}, set()),
        ({"resolution": "FIXED", "fields": {"cf_status_149": "---"}}, set()),
        # whatever was once decided is an answer
        *(
            (
                {
                    "resolution": "FIXED",
                    "fields": {"cf_status_149": "affected"},
                    "attachments": (carrying("approval-mozilla-beta", status),),
                },
                set(),
            )
            for status in "?+-"
        ),
        (
            {
                "resolution": "FIXED",
                "fields": {"cf_status_149": "affected"},
                "attachments": (carrying("approval-mozilla-beta", "?", is_obsolete=True),),
            },
            {("beta", "unasked")},
        ),
        (
            {
                "resolution": "FIXED",
                "fields": {"cf_status_149": "affected"},
                "attachments": (carrying("approval-comm-beta", "?"),),
            },
            {("beta", "unasked")},
        ),
        # an ESR takes what is tracked for it
        ({"resolution": "FIXED", "fields": {"cf_status_esr140": "affected"}}, set()),
        (
            {"resolution": "FIXED", "fields": {"cf_status_esr140": "affected", "cf_tracking_esr140": "+"}},
            {("esr140", "unasked")},
        ),
        # what is grave is listed whether it is fixed or not, and on an ESR whether it is tracked or not
        (
            {
                "keywords": ("sec-high",),
                "fields": {"cf_status_149": "affected", "cf_status_esr140": "affected"},
            },
            {("beta", "security"), ("esr140", "security")},
        ),
        ({"keywords": ("sec-moderate",), "fields": {"cf_status_149": "affected"}}, set()),
        (
            {"keywords": ("sec-high",), "fields": {"cf_status_150": "affected"}},
            {("nightly", "security")},
        ),
        (
            {
                "keywords": ("sec-critical",),
                "fields": {"cf_status_149": "affected"},
                "attachments": (carrying("approval-mozilla-beta", "?"),),
            },
            set(),
        ),
    ],
)
def test_bug_belongs_exactly_where_its_flags_say(
    more: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    assert found(bug(**more)) == expected


def test_sentence_says_why() -> None:
    one = bug(keywords=("sec-critical",), resolution="FIXED", fields={"cf_status_149": "affected"})
    assert [place.sentence for place in places(one, ALL, WORDS)] == [
        "sec-critical, beta is affected, and fixed on the main branch; nobody asks.",
        "Fixed on the main branch, beta is affected, and nobody asks.",
    ]


def test_searches_name_every_flag_once_and_none_that_a_train_lacks() -> None:
    said = [
        (one.train, one.list.value, [(term.field, term.operator, term.value) for term in one.terms])
        for one in searches(ALL, WORDS)
    ]
    affected = ("cf_status_149", "equals", "affected")
    rated = ("keywords", "anywords", "sec-critical sec-high")
    tracked = ("cf_tracking_esr140", "anyexact", "?,+,blocking")
    old = ("cf_status_esr140", "equals", "affected")
    fixed, open_fixed = ("resolution", "equals", "FIXED"), ("cf_status_150", "anyexact", "fixed,verified")
    assert said == [
        (None, "relnote", [("cf_tracking_firefox_relnote", "equals", "?")]),
        ("nightly", "tracking", [("cf_tracking_150", "equals", "?")]),
        ("nightly", "security", [("cf_status_150", "equals", "affected"), rated]),
        ("beta", "tracking", [("cf_tracking_149", "equals", "?")]),
        ("beta", "security", [affected, rated]),
        ("beta", "unasked", [affected, fixed]),
        ("beta", "unasked", [affected, open_fixed]),
        ("esr140", "tracking", [("cf_tracking_esr140", "equals", "?")]),
        ("esr140", "security", [old, rated]),
        ("esr140", "unasked", [old, fixed, tracked]),
        ("esr140", "unasked", [old, open_fixed, tracked]),
    ]
    bare = train("beta", status_flag=None, approval_flag=None)
    assert searches((bare,), Words(relnote_field=None)) == ()
    assert (searched_of(bare, WORDS), held_of(bare)) == ((), ())


def test_every_list_is_searched_for_or_held_and_has_a_heading() -> None:
    assert {*searched_of(BETA, WORDS), *held_of(BETA)} == set(ListName) == set(HEADINGS)
    assert set(searched_of(BETA, WORDS)) & set(held_of(BETA)) == set()


# --- lists out of the requests we hold -----------------------------------------------------------------


def info(hours: float, *, cleared: float | None = None, by: str = "dev") -> Needinfo:
    return Needinfo(
        requestee="dev",
        asked_by="rosa",
        asked_at=NOW + timedelta(hours=hours),
        cleared_by=None if cleared is None else by,
        cleared_at=None if cleared is None else NOW + timedelta(hours=cleared),
    )


def held(state: RequestState, **more: Any) -> set[str]:
    one = Held(state=state, requested_at=NOW, decided_by="rosa", decided_at=NOW, **more)
    return {place.list.value for place in held_places(one, BETA)}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), set()),
        ((info(1, cleared=2),), {"answered"}),
        ((info(1),), set()),
        ((info(1, cleared=2), info(3)), set()),
        ((info(-2, cleared=-1),), set()),
        ((info(-2), info(1, cleared=2)), {"answered"}),
        # taken back is not answered
        ((info(1, cleared=2, by="rosa"),), set()),
    ],
)
def test_request_is_answered_when_nobody_owes_an_answer_to_what_was_asked_since(
    asked: tuple[Needinfo, ...], expected: set[str]
) -> None:
    assert held(RequestState.REQUESTED, needinfos=asked) == expected
    assert held(RequestState.APPROVED, needinfos=asked, status="fixed") == set()


@pytest.mark.parametrize(
    ("state", "outcome", "status", "expected"),
    [
        (RequestState.APPROVED, Outcome.CLEAN, "affected", {"not-landed"}),
        (RequestState.APPROVED, Outcome.CONFLICT, "---", {"not-landed"}),
        (RequestState.APPROVED, None, None, {"not-landed"}),
        (RequestState.APPROVED, Outcome.CLEAN, "fixed", set()),
        (RequestState.APPROVED, Outcome.CLEAN, "wontfix", set()),
        (RequestState.APPROVED, Outcome.LANDED, "fixed", set()),
        (RequestState.APPROVED, Outcome.LANDED, "affected", {"not-flagged"}),
        (RequestState.APPROVED, Outcome.LANDED, "---", {"not-flagged"}),
        (RequestState.APPROVED, Outcome.LANDED, None, set()),
        (RequestState.REQUESTED, Outcome.LANDED, "affected", {"not-flagged"}),
        (RequestState.REQUESTED, Outcome.CLEAN, "affected", set()),
        (RequestState.REJECTED, Outcome.CLEAN, "affected", set()),
    ],
)
def test_approval_waits_to_land_and_a_landing_to_be_flagged(
    state: RequestState, outcome: Outcome | None, status: str | None, expected: set[str]
) -> None:
    assert held(state, outcome=outcome, status=status) == expected


def test_approval_of_an_older_cycle_says_so() -> None:
    old = Held(state=RequestState.APPROVED, decided_by="rosa", target_major=148, status="affected")
    (place,) = held_places(old, BETA)
    assert place.sentence == "Approved by rosa for 148, not for 149, and it never landed."


# --- needinfo -----------------------------------------------------------------------------------------


def change(hours: float, who: str, removed: str = "", added: str = "") -> Change:
    return Change(
        time=NOW + timedelta(hours=hours), who=who, field="flagtypes.name", removed=removed, added=added
    )


def test_needinfos_are_followed_from_asked_to_answered() -> None:
    one = bug(
        history=(
            change(1, "rosa", added="needinfo?(dev@x.example), needinfo?(qa@x.example)"),
            change(2, "dev@x.example", removed="needinfo?(dev@x.example)"),
            # passed on: answered by one, asked of another
            change(3, "qa@x.example", removed="needinfo?(qa@x.example)", added="needinfo?(pm@x.example)"),
        )
    )
    assert [(n.requestee, n.asked_by, n.cleared_by, n.is_open) for n in needinfos(one)] == [
        ("dev@x.example", "rosa", "dev@x.example", False),
        ("qa@x.example", "rosa", "qa@x.example", False),
        ("pm@x.example", "qa@x.example", None, True),
    ]
    assert answered(None, needinfos(one)) is None


def test_open_flag_that_no_history_tells_of_is_an_open_question() -> None:
    flag = Flag(id=1, name="needinfo", status="?", setter="rosa", requestee="dev@x.example", created=NOW)
    assert [(n.requestee, n.is_open) for n in needinfos(bug(flags=(flag,)))] == [("dev@x.example", True)]
    told = bug(flags=(flag,), history=(change(0, "rosa", added="needinfo?(dev@x.example)"),))
    assert len(needinfos(told)) == 1
