# SPDX-License-Identifier: MPL-2.0
"""What a request's page reads is found by indexes, however many requests there are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fixtures_postgres import Database
from shipit.storage.statements import load

# They hold a row or two for each train, or none is ever looked for alone.
FEW = {"trains", "rounds"}
VALUES = {
    "uid": "1-beta-1",
    "request": "1-beta-1",
    "bug": 1,
    "bugs": [1],
    "requests": ["1-beta-1"],
    "train": "beta",
    "person": "rosa@people.example",
    "since": datetime(2026, 1, 1, tzinfo=UTC),
    "see_restricted": False,
    "see_notes": True,
    "see_private": False,
}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("evidence", "told"),
        ("evidence", "others"),
        ("evidence", "conflict_now"),
        ("decisions", "facts"),
        ("decisions", "audit_of_request"),
        ("decisions", "audit_of_bug"),
        ("requests", "read_request"),
        ("bugs", "read_bug"),
    ],
)
def test_nothing_that_grows_is_read_whole(database: Database, file: str, name: str) -> None:
    with database.connect() as connection:
        connection.execute("set enable_seqscan = off")
        rows = connection.execute(b"explain (format json) " + load(file)[name], VALUES).fetchone()
    assert rows is not None
    read_whole = set(_scanned(rows[0][0]["Plan"])) - FEW
    assert not read_whole, f"{file}.{name} reads {read_whole} from end to end"


def _scanned(plan: dict[str, object]) -> list[str]:
    found = [str(plan["Relation Name"])] if plan["Node Type"] == "Seq Scan" else []
    children = plan.get("Plans", [])
    assert isinstance(children, list)
    return found + [name for child in children for name in _scanned(child)]
