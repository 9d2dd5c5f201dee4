# SPDX-License-Identifier: MPL-2.0
"""Scopes: star rules as Taskcluster's own client has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskcluster.utils import scopeMatch

from shipit.web.scopes import satisfies

SCOPES = st.text(alphabet="ab:*/", max_size=6)


@given(st.lists(SCOPES, max_size=5), st.lists(st.lists(SCOPES, max_size=3), max_size=3))
def test_it_decides_as_the_client_of_taskcluster_does(held: list[str], required: list[list[str]]) -> None:
    assert satisfies(held, required) == scopeMatch(held, required)


@pytest.mark.parametrize(
    ("held", "required", "expected"),
    [
        (["project:shipit:*"], [["project:shipit:bot"]], True),
        (["*"], [["anything"]], True),
        (["project:shipit:b"], [["project:shipit:bot"]], False),
        (["project:*:bot"], [["project:shipit:bot"]], False),
        ([], [[]], True),
        ([], [], False),
        (["a"], [["a", "b"], ["a"]], True),
        (["a"], [["a", "b"]], False),
    ],
)
def test_star_rules(held: list[str], required: list[list[str]], expected: bool) -> None:
    assert satisfies(held, required) is expected
