# SPDX-License-Identifier: MPL-2.0
"""Which releases a schedule tells of: calendars, and the history of ESRs that join each of them."""

from __future__ import annotations

from datetime import UTC, datetime

from shipit.trains.schedule import from_product_details, from_whattrainisitnow

NOW = datetime(2026, 3, 3, tzinfo=UTC)


def day(month: int, number: int, hour: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, number, hour, tzinfo=UTC)


def test_history_of_esrs_tells_of_past_releases_once_each() -> None:
    answers: dict[str, object] = {
        "release": {"version": "148.0", "release": "2026-02-24 14:00:00+00:00"},
        "beta": {"version": "149.0", "release": "2026-03-24 14:00:00+00:00"},
        "esr": {
            "140.5.0": "2025-11-11",
            "140.6.0": "2025-12-09",
            "128.18.0": "2025-12-09",
            "140.6.1": "2025-12-18",
            "140.7.0": "2026-01-13",
            "140.8.0": "2026-02-24",
            "140.9.0": "2026-03-24",
        },
    }
    schedule = from_whattrainisitnow(answers, source="whattrainisitnow", read_at=NOW)
    assert schedule.releases() == (
        day(11, 11, year=2025),
        day(12, 9, year=2025),
        day(1, 13),
        day(2, 24, 14),
        day(3, 24, 14),
    )


def test_product_details_tells_of_the_last_and_the_next() -> None:
    answer = {
        "FIREFOX_NIGHTLY": "150.0a1",
        "LAST_RELEASE_DATE": "2026-02-24",
        "NEXT_RELEASE_DATE": "2026-03-24",
    }
    schedule = from_product_details(answer, source="product-details", read_at=NOW)
    assert schedule.releases() == (day(2, 24), day(3, 24))
