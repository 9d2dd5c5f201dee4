# SPDX-License-Identifier: MPL-2.0
"""Deliveries are read or told why not; nothing they hold can stop us."""

from __future__ import annotations

import os
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_builders import EXCHANGES, RESOLVED, delivery, published, resolved, spoilt
from shipit.events.deliveries import MAX_BODY, natural_key, read
from shipit.events.matching import judge_all
from shipit.events.originals import all_routes, default_hooks
from shipit.events.types import Delivery, Event, Kind, Unreadable

ROUTES = all_routes((), default_hooks("testing"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b'{"taskGroupId": "A', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[]", "expected a JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested too deep"),
        (b'{"taskGroupId": 7}', "taskGroupId: expected text"),
        (b"{}", "taskGroupId: expected text"),
        (b'"' + b"a" * MAX_BODY + b'"', "larger than"),
    ],
)
def test_a_malformed_delivery_has_a_reason(body: bytes, reason: str) -> None:
    found = read(delivery(RESOLVED, "primary.A.b._", body))
    assert isinstance(found, Unreadable)
    assert reason in found.reason


def test_the_same_delivery_has_the_same_key_and_others_do_not() -> None:
    assert natural_key(resolved()) == natural_key(resolved())
    assert len({natural_key(resolved("A")), natural_key(resolved("B")), natural_key(published())}) == 3
    split = {natural_key(delivery("a", "bc", b"{}")), natural_key(delivery("ab", "c", b"{}"))}
    assert len(split) == 2


def test_a_key_is_printable_whatever_the_broker_says() -> None:
    key = natural_key(delivery("exchange/\0\n", "pri mary.\ud800", b"{}"))
    assert key.isprintable()
    assert key.isascii()


def test_a_wrapped_and_a_bare_message_are_read_alike() -> None:
    wrapped = read(published({"rev": "a"}))
    assert isinstance(wrapped, Event)
    bare = read(delivery("exchange/mozreview/", "mozreview.commits.published", wrapped.payload))
    assert isinstance(bare, Event)
    assert (wrapped.kind, wrapped.values) == (bare.kind, bare.values) == (Kind.MOZREVIEW, bare.values)


def test_malformed_deliveries_each_end_with_a_reason_or_a_verdict() -> None:
    rolls = random.Random(5)
    count = int(os.environ.get("SHIPIT_FUZZ", "20000"))
    for _ in range(count):
        found = read(spoilt(rolls))
        if isinstance(found, Unreadable):
            assert found.reason
            continue
        judged = judge_all(found, ROUTES, instance="testing")
        assert judged.ignored or judged.triggers or judged.needs or judged.broken


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["status", "taskId", "payload", "fields", "phid", "id", "x"]), inner
            )
        ),
    ),
    st.sampled_from(EXCHANGES),
)
@settings(max_examples=150)
def test_any_json_is_read_or_refused(value: object, exchange: str) -> None:
    try:
        body = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return
    found = read(Delivery(source="pulse", exchange=exchange, body=body))
    assert isinstance(found, Event | Unreadable)
