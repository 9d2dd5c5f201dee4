# SPDX-License-Identifier: MPL-2.0
"""A search for bugs that meet any of several groups of conditions, as Bugzilla understands it."""

from __future__ import annotations

import aiohttp
import pytest

from shipit.clients.bugzilla import Bugzilla
from shipit.clients.bugzilla_charts import any_of, field_in, without
from shipit.errors import Unavailable
from shipit.uplift.lists import Term
from shipit.uplift.types import Bug
from shipit.world.server import Trouble
from shipit.world.world import World

TRACKED, FIXED = Term("cf_tracking_1", "equals", "?"), Term("resolution", "equals", "FIXED")
RATED = Term("keywords", "anywords", "sec-high sec-critical")


def test_each_group_is_a_pair_of_parentheses_and_said_once() -> None:
    assert any_of([(TRACKED,), (FIXED, RATED), (TRACKED,)]) == [
        ("j_top", "OR"),
        ("f1", "OP"),
        ("f2", "cf_tracking_1"), ("o2", "equals"), ("v2", "?"),
        ("f3", "CP"),
        ("f4", "OP"),
        ("f5", "resolution"), ("o5", "equals"), ("v5", "FIXED"),
        ("f6", "keywords"), ("o6", "anywords"), ("v6", "sec-high sec-critical"),
        ("f7", "CP"),
    ]  # fmt: skip


def test_field_of_an_error_is_the_longest_that_is_named() -> None:
    longer = Term("cf_tracking_12", "equals", "?")
    groups = [(TRACKED,), (longer, FIXED)]
    assert field_in("Can't use cf_tracking_12 as a field name.", groups) == "cf_tracking_12"
    assert field_in("Something else.", groups) is None
    assert without(groups, "cf_tracking_12") == [(TRACKED,)]


async def test_search_finds_what_meets_all_terms_of_a_group_and_leaves_out_unknown_fields() -> None:
    async with World.open() as world, aiohttp.ClientSession() as session:
        bugs = world.bugzilla
        bugs.add_user("dev@people.example", "Dev", groups=("editbugs", "core-security"))
        bugs.add_field("cf_tracking_1")
        for number, fields in {
            1: {"cf_tracking_1": "?"},
            2: {"keywords": ["sec-high"], "resolution": "FIXED"},
            3: {"keywords": ["sec-high"]},
            4: {"resolution": "FIXED"},
            5: {"keywords": ["sec-critical"], "resolution": "FIXED", "groups": ["core-security"]},
        }.items():
            bugs.file_bug("It is wrong", by="dev@people.example", number=number, **fields)  # type: ignore[arg-type]
        client = Bugzilla(session, bugs.url, bugs.key_for("dev@people.example"))
        found, unknown = await client.matching([(TRACKED,), (FIXED, RATED)], fields=["cf_tracking_1"])
        assert (sorted(found), unknown) == ([1, 2, 5], {})
        first, secret = found[1], found[5]
        assert isinstance(first, Bug) and isinstance(secret, Bug)
        assert (first.fields, secret.is_restricted) == ({"cf_tracking_1": "?"}, True)
        # who may not see it is not told of it
        stranger = Bugzilla(session, bugs.url)
        assert sorted((await stranger.matching([(FIXED, RATED)]))[0]) == [2]
        odd = Term("cf_tracking_2", "equals", "?")
        found, unknown = await client.matching([(odd,), (FIXED, RATED)])
        assert sorted(found) == [2, 5]
        assert unknown == {"cf_tracking_2": "Bugzilla does not know the field cf_tracking_2"}
        assert await client.matching([(odd,)]) == ({}, unknown)
        bugs.fail(Trouble.ERROR)
        with pytest.raises(Unavailable):
            await client.matching([(TRACKED,)])
