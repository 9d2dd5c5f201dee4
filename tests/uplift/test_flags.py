# SPDX-License-Identifier: MPL-2.0
"""Flags: exact names, obsolete attachments, history, cleared requests; nothing dropped."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uplift_builders import CAST, START, attachment_id, bug, recorded_bugs

from shipit.uplift.flags import Token, parse_tokens, readings
from shipit.uplift.types import Attachment, Change, Flag, RequestState

BETA = "approval-mozilla-beta"


def test_a_flag_whose_name_only_begins_like_ours_is_not_ours() -> None:
    one = bug("attach D1\ndev sets D1 esr140?\ndev sets D1 beta-special?")
    assert readings(one, "approval-mozilla-esr1") == ()
    assert readings(one, "approval-mozilla-esr14") == ()
    assert readings(one, BETA) == ()
    assert [found.state for found in readings(one, "approval-mozilla-esr140")] == ["requested"]


def test_flags_on_obsolete_attachments_do_not_count() -> None:
    assert readings(bug("attach D1 obsolete\ndev sets D1 beta?"), BETA) == ()


def test_flags_on_a_private_attachment_count_only_on_a_restricted_bug() -> None:
    story = "attach D1 private\ndev sets D1 beta?"
    assert readings(bug(story), BETA) == ()
    assert len(readings(bug(story, groups=("core-security",)), BETA)) == 1


def test_several_attachments_have_each_their_own_state() -> None:
    one = bug("attach D1\nattach D2\ndev sets D1 beta?\ndev sets D2 beta?\nrelman sets D1 beta+")
    states = {found.attachment: found.state for found in readings(one, BETA)}
    assert states == {attachment_id("D1"): "approved", attachment_id("D2"): "requested"}


def test_who_asked_and_who_decided_come_from_history_and_setter() -> None:
    (found,) = readings(bug("attach D1\ndev sets D1 beta?\nrelman sets D1 beta-"), BETA)
    assert found.state is RequestState.REJECTED
    assert (found.requested_by, found.requested_at) == (CAST["dev"], START + timedelta(hours=2))
    assert (found.decided_by, found.decided_at) == (CAST["relman"], START + timedelta(hours=3))
    assert [event.status for event in found.events] == ["?", "-"]


def test_a_request_made_again_after_a_rejection_is_open_again() -> None:
    (found,) = readings(bug("attach D1\ndev sets D1 beta?\nrelman sets D1 beta-\ndev sets D1 beta?"), BETA)
    assert found.state is RequestState.REQUESTED
    assert (found.requested_by, found.requested_at) == (CAST["dev"], START + timedelta(hours=4))
    assert found.decided_by is None


def test_without_history_the_flag_itself_says_who_and_when() -> None:
    one = msgspec.structs.replace(bug("attach D1\ndev sets D1 beta?\nrelman sets D1 beta+"), history=())
    (found,) = readings(one, BETA)
    assert (found.requested_by, found.requested_at) == (None, START + timedelta(hours=2))
    assert (found.decided_by, found.decided_at) == (CAST["relman"], START + timedelta(hours=3))


def test_a_cleared_flag_is_a_cleared_request_not_nothing() -> None:
    (found,) = readings(bug("attach D1\ndev sets D1 beta?\nrelman sets D1 beta"), BETA)
    assert found.state is RequestState.CLEARED
    assert (found.requested_by, found.decided_by) == (CAST["dev"], CAST["relman"])


def test_u5_a_change_of_status_fields_alone_reads_well() -> None:
    """The original's KeyError: a change without flagtypes.name, and other flags beside ours."""
    one = bug("attach D1\ndev sets D1 beta?")
    changes = (
        Change(time=START, who="x@y.example", field="cf_status_firefox140", removed="---", added="affected"),
        Change(
            time=START,
            who="x@y.example",
            field="flagtypes.name",
            removed="",
            added="review?(p@q.example)",
            attachment=attachment_id("D1"),
        ),
    )
    assert readings(msgspec.structs.replace(one, history=(*changes, *one.history)), BETA) == readings(
        one, BETA
    )


def test_u5_lists_of_different_length_are_not_paired_by_position() -> None:
    one = bug("attach D1")
    flags = (Flag(id=1, name=BETA, status="+", setter=CAST["relman"], created=START, modified=START),)
    attached = msgspec.structs.replace(one.attachments[0], flags=flags)
    change = Change(
        time=START,
        who=CAST["relman"],
        field="flagtypes.name",
        removed="approval-mozilla-aurora?",
        added="approval-mozilla-aurora+, approval-mozilla-beta+, approval-mozilla-release?",
        attachment=attached.id,
    )
    one = msgspec.structs.replace(one, attachments=(attached,), history=(change,))
    assert [found.state for found in readings(one, BETA)] == ["approved"]
    assert readings(one, "approval-mozilla-release") == (), "nothing carries it, nobody took it away"


def test_b12_both_plus_and_minus_on_one_attachment_keep_the_newest() -> None:
    one = bug("attach D1")
    flags = (
        Flag(id=1, name=BETA, status="-", setter="a@b.example", modified=START),
        Flag(id=2, name=BETA, status="+", setter="c@d.example", modified=START + timedelta(hours=1)),
    )
    one = msgspec.structs.replace(
        one, attachments=(msgspec.structs.replace(one.attachments[0], flags=flags),)
    )
    (found,) = readings(one, BETA)
    assert (found.state, found.decided_by) == ("approved", "c@d.example")


def test_a_flag_on_the_bug_itself_is_read() -> None:
    one = bug(flags=(Flag(id=1, name=BETA, status="?", setter=CAST["dev"], created=START),))
    (found,) = readings(one, BETA)
    assert (found.attachment, found.state) == (None, "requested")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ()),
        ("approval-mozilla-beta?", (Token("approval-mozilla-beta", "?"),)),
        (
            "review?(dbaron@dbaron.org), approval-mozilla-beta?",
            (Token("review", "?", "dbaron@dbaron.org"), Token("approval-mozilla-beta", "?")),
        ),
        ("a+ b- c?(x@y z)", (Token("a", "+"), Token("b", "-"), Token("c", "?", "x@y z"))),
        ("needinfo?(x@y)", (Token("needinfo", "?", "x@y"),)),
        ("nothing, ?, +", ()),
    ],
)
def test_history_lists_are_read_token_by_token(text: str, tokens: tuple[Token, ...]) -> None:
    assert parse_tokens(text) == tokens


@given(st.text(max_size=400))
def test_no_text_makes_the_token_reader_raise(text: str) -> None:
    for token in parse_tokens(text):
        assert token.name and token.status in "?+-"


def test_a_megabyte_of_parentheses_is_read_in_no_time() -> None:
    for text in ("(" * 1_000_000, "a(" * 500_000, "a?(" + "b" * 1_000_000):
        parse_tokens(text)


NAMES = st.sampled_from(
    [BETA, BETA + "x", "approval-mozilla-bet", "approval-mozilla-release", "review", "BETA"]
)
FLAGS = st.lists(st.builds(lambda name, status: (name, status), NAMES, st.sampled_from("?+-")), max_size=4)


@given(st.lists(st.tuples(FLAGS, st.booleans()), max_size=6))
def test_every_exact_flag_is_read_once_and_nothing_else(
    those: list[tuple[list[tuple[str, str]], bool]],
) -> None:
    attachments = tuple(
        Attachment(
            id=number,
            bug=1,
            file_name=f"{number}.patch",
            content_type="text/plain",
            summary="",
            creator="x@y.example",
            is_obsolete=is_obsolete,
            flags=tuple(
                Flag(id=10 * number + place, name=name, status=status, setter="s@t.example", modified=START)
                for place, (name, status) in enumerate(flags)
            ),
        )
        for number, (flags, is_obsolete) in enumerate(those, 1)
    )
    one = bug(attachments=attachments)
    expected = {
        one.id for one in attachments if not one.is_obsolete and any(f.name == BETA for f in one.flags)
    }
    assert {found.attachment for found in readings(one, BETA)} == expected
    assert len(readings(one, BETA)) == len(expected)


def test_the_recorded_flags_give_exactly_these_readings(shared: Path) -> None:
    names = ["aurora", "beta", "release", "esr10", "esr17", "esr38", "esr45"]
    counted: Counter[str] = Counter()
    for one in recorded_bugs(shared):
        for name in names:
            for found in readings(one, f"approval-mozilla-{name}"):
                counted[f"{name} {found.state}"] += 1
    assert counted == {
        "aurora approved": 28,
        "beta approved": 28,
        "beta rejected": 2,
        "release approved": 9,
        "release rejected": 12,
        "esr10 approved": 1,
        "esr17 rejected": 1,
        "esr38 approved": 1,
        "esr45 rejected": 1,
    }
