# SPDX-License-Identifier: MPL-2.0
"""Read what providers say (already decoded from JSON or TOML) into a Schedule, and refuse what is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time

from shipit.errors import InvalidInput
from shipit.trains.types import Cycle, Listing, Moment, Schedule

NIGHTLY, AURORA, BETA, RELEASE, ESR = "nightly", "aurora", "beta", "release", "esr"

# Newest first: each carries one version less than the one before it, and all move together on merge day.
LADDER = (NIGHTLY, AURORA, BETA, RELEASE)

MAX_NAME = 100
MAX_MOMENTS = 200
_VERSION = re.compile(r"(\d{1,5})([.a-z][0-9a-z.+-]{0,30})?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WORDS = {
    "nightly": NIGHTLY,
    "aurora": AURORA,
    "alpha": AURORA,
    "devel": BETA,
    "devedition": BETA,
    "beta": BETA,
}
# "released" repeats "devel" later, "older" is a monument, the rest are not trains of ours.
_NOT_TRAINS = {"released", "older", "pinebuild", "ios", "date"}
# How product-details names its dates, seen from nightly's version: which moment of which version.
_DATES = {
    "LAST_MERGE_DATE": ("merge_day", 1),
    "LAST_RELEASE_DATE": ("release", 2),
    "NEXT_SOFTFREEZE_DATE": ("soft_code_freeze", 0),
    "NEXT_STRINGFREEZE_DATE": ("string_freeze", 0),
    "NEXT_MERGE_DATE": ("merge_day", 0),
    "NEXT_RELEASE_DATE": ("release", 1),
}


def major_of(version: str) -> int | None:
    """The first number of a version ("147.0b3" and "89.0.0-beta.9" alike); None when there is none."""
    found = _VERSION.fullmatch(version)
    return int(found[1]) if found else None


def read_moment(name: str, value: object) -> Moment:
    """A moment from "YYYY-MM-DD", "YYYY-MM-DD HH:MM:SS+00:00", RFC 3339, or TOML's date and datetime.

    Exactly midnight UTC is how calendars write a day whose hour they do not know, so it counts as a whole
    day. Raises InvalidInput for anything else, and for a time without a zone.
    """
    expected = "a day (YYYY-MM-DD) or a time with its zone"
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if _DAY.fullmatch(value) else datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidInput(name, expected=expected, got=value) from error
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidInput(name, expected=expected, got=value.isoformat())
        try:
            at = value.astimezone(UTC)
        except OverflowError as error:
            raise InvalidInput(name, expected=expected, got=value.isoformat()) from error
        return Moment(name, at, at.time() == time())
    if isinstance(value, date):
        return Moment(name, datetime.combine(value, time(), UTC), True)
    raise InvalidInput(name, expected=expected, got=value)


def from_product_details(answer: object, *, source: str, read_at: datetime) -> Schedule:
    """Read `*_versions.json` of any product: {"FIREFOX_NIGHTLY": "147.0a1", "NEXT_MERGE_DATE": "2026-01-12",
    …}.

    Keys are understood by their words, so any number of ESR keys, Aurora, Thunderbird's and mobile's are
    read; empty and absent values are nothing. It knows days only, hence every moment is a whole day.
    Raises InvalidInput where the answer names no version at all.
    """
    table = _table("versions", answer)
    listings: list[Listing] = []
    for key, value in table.items():
        channel = _channel_of(key)
        if channel is None or not isinstance(value, str) or (major := major_of(value)) is None:
            continue
        listings.append(Listing(channel=channel, version=value, major=major))
    cycles = _cycles_of_dates(table, listings, read_at)
    return _checked(Schedule(source=source, read_at=read_at, listings=_best(listings), cycles=cycles))


def from_whattrainisitnow(
    answers: Mapping[str, object], *, failed: Mapping[str, str] | None = None, source: str, read_at: datetime
) -> Schedule:
    """Read the answers of the whattrainisitnow API, by part.

    trains: `lando/uplift/train/`. nightly, beta, release, and a number: `release/schedule/?version=…`.
    owners: `release/owners/`. esr: `esr/releases/` {version: day}. failed: parts that could not be had, with
    the reason; parts that cannot be read join them. Raises InvalidInput when no version is left.
    """
    wrong = dict(failed or {})
    listings: list[Listing] = []
    cycles: dict[int, Cycle] = {}
    owners: dict[int, str] = {}
    released: tuple[datetime, ...] = ()
    for part, answer in answers.items():
        try:
            if part == "trains":
                listings += _listed_trains(_table("lando/uplift/train", answer))
            elif part == "owners":
                owners = read_owners(answer)
            elif part == ESR:
                table = _table("esr/releases", answer)
                listings += _living_esr(table, read_at)
                released = tuple(datetime.combine(day, time(), UTC) for day in _common_days(table, read_at))
            else:
                cycle = read_cycle(answer)
                cycles[cycle.major] = cycle
                if part in LADDER:
                    listings.append(Listing(channel=part, version=cycle.version, major=cycle.major))
        except InvalidInput as error:
            wrong[part] = error.detail
    if any(part in LADDER or part.isdigit() for part in wrong):
        wrong.setdefault("calendar", "; ".join(f"{part}: {reason}" for part, reason in wrong.items()))
    if not listings:
        raise InvalidInput(
            "schedule", expected="; ".join(["at least one version", *sorted(set(wrong.values()))])
        )
    return Schedule(
        source=source,
        read_at=read_at,
        listings=_best(listings),
        cycles=tuple(cycles[major] for major in sorted(cycles)),
        owners=owners,
        failed=wrong,
        released=released,
    )


def from_file(content: object, *, source: str, read_at: datetime) -> Schedule:
    """Read our own shape, the same in JSON and TOML; all but `versions` may be absent.

    versions: {channel: version, or a list of versions}. calendar: {version: {moment: day or time}}.
    owners: {major: name}. no_builds_left: channels whose version gets no further build.
    """
    table = _table("file", content)
    listings: list[Listing] = []
    done = table.get("no_builds_left", ())
    if not isinstance(done, list | tuple):
        raise InvalidInput("no_builds_left", expected="a list of channels", got=done)
    for channel, given in _table("versions", table.get("versions")).items():
        for version in given if isinstance(given, list) else [given]:
            if not isinstance(version, str) or (major := major_of(version)) is None:
                raise InvalidInput(f"versions.{channel}", expected='versions such as "147.0b3"', got=version)
            left = False if channel in done else None
            listings.append(Listing(channel=channel, version=version, major=major, has_builds_left=left))
    cycles = [
        read_cycle({"version": version, **_table(f"calendar.{version}", moments)})
        for version, moments in _table("calendar", table.get("calendar", {})).items()
    ]
    return _checked(
        Schedule(
            source=source,
            read_at=read_at,
            listings=tuple(listings),
            cycles=tuple(sorted(cycles, key=lambda cycle: cycle.major)),
            owners=read_owners(table.get("owners", {})),
        )
    )


def read_cycle(answer: object) -> Cycle:
    """One calendar: {"version": "147.0", "merge_day": "2026-01-12 00:00:00+00:00", …}; null moments are
    absent.

    Raises InvalidInput where it is none (an error object, a version without a number, a moment without a
    time).
    """
    table = _table("schedule", answer)
    version = table.get("version")
    major = major_of(version) if isinstance(version, str) else None
    if not isinstance(version, str) or major is None:
        raise InvalidInput(
            "schedule.version", expected='a version such as "147.0"', got=table.get("error", version)
        )
    if len(table) > MAX_MOMENTS:
        raise InvalidInput("schedule", expected=f"at most {MAX_MOMENTS} moments", got=len(table))
    moments = [
        read_moment(name, value) for name, value in table.items() if name != "version" and value is not None
    ]
    return Cycle(major=major, version=version, moments=tuple(sorted(moments, key=lambda moment: moment.at)))


def read_owners(answer: object) -> dict[int, str]:
    """{"147": "Somebody"} by major; placeholders for "nobody knows" are left out. Raises InvalidInput."""
    owners: dict[int, str] = {}
    for version, name in _table("owners", answer).items():
        major = major_of(version)
        if major is not None and isinstance(name, str) and name.strip() and name != "Not documented":
            owners[major] = name.strip()[:MAX_NAME]
    return owners


def _table(field: str, answer: object) -> dict[str, object]:
    if not isinstance(answer, dict) or not all(isinstance(key, str) for key in answer):
        raise InvalidInput(field, expected="a table", got=answer)
    return answer


def _checked(schedule: Schedule) -> Schedule:
    if not schedule.listings:
        raise InvalidInput("schedule", expected="at least one version of a channel")
    return schedule


def _channel_of(key: str) -> str | None:
    words = set(key.lower().split("_"))
    if words & _NOT_TRAINS:
        return None
    if any(word.startswith(ESR) for word in words):
        return ESR
    for word, channel in _WORDS.items():
        if word in words:
            return channel
    return RELEASE if "version" in words else None


def _best(listings: Iterable[Listing]) -> tuple[Listing, ...]:
    """One listing per ladder channel, the newest named; one per major for the others, in the order given."""
    best: dict[tuple[str, int], Listing] = {}
    for new in listings:
        key = (new.channel, 0 if new.channel in LADDER else new.major)
        old = best.get(key)
        if old is None or new.major > old.major:
            best[key] = new
        elif new.major == old.major:
            best[key] = _merged(old, new)
    return tuple(best.values())


def _merged(old: Listing, new: Listing) -> Listing:
    more = new if len(new.version) > len(old.version) else old
    left = old.has_builds_left if old.has_builds_left is not None else new.has_builds_left
    return Listing(channel=old.channel, version=more.version, major=old.major, has_builds_left=left)


def _cycles_of_dates(
    table: Mapping[str, object], listings: Iterable[Listing], read_at: datetime
) -> tuple[Cycle, ...]:
    nightly = max((listing.major for listing in listings if listing.channel == NIGHTLY), default=None)
    if nightly is None:
        return ()
    moments: dict[int, list[Moment]] = {}
    for key, (name, behind) in _DATES.items():
        value = table.get(key)
        if not isinstance(value, str) or not _DAY.fullmatch(value):
            continue
        moment = read_moment(name, value)
        # A "next" day that is over shows that nobody keeps these days up to date: none of them can be
        # believed.
        if key.startswith("NEXT_") and moment.has_passed(read_at):
            return ()
        moments.setdefault(nightly - behind, []).append(moment)
    return tuple(
        Cycle(major=major, version="", moments=tuple(sorted(found, key=lambda moment: moment.at)))
        for major, found in sorted(moments.items())
    )


def _listed_trains(table: Mapping[str, object]) -> list[Listing]:
    """{"beta": {"version": 152 or "152.0b3", "has_betas_left": true}, "esr_previous": {…} or null, …}."""
    listings = []
    for name, train in table.items():
        if not isinstance(train, dict) or not train.get("version"):
            continue
        version = str(train["version"])
        major = major_of(version)
        if major is None:
            raise InvalidInput(f"lando/uplift/train.{name}.version", expected="a version", got=version)
        left = train.get("has_betas_left")
        listings.append(
            Listing(
                channel=ESR if name.startswith(ESR) else name,
                version="" if version.isdigit() else version,
                major=major,
                has_builds_left=left if isinstance(left, bool) else None,
            )
        )
    return listings


def _living_esr(table: Mapping[str, object], read_at: datetime) -> list[Listing]:
    """The ESRs still built, out of the history of all their releases.

    ESRs are released together: whoever missed the last two common releases is over. One release late is
    deliberate, because ending a train closes its requests, and on release day the history fills up bit by
    bit.
    """
    newest: dict[int, tuple[date, str]] = {}
    for version, value in table.items():
        major = major_of(version)
        if major is None or not isinstance(value, str) or not _DAY.fullmatch(value):
            continue
        day = date.fromisoformat(value)
        if day > read_at.astimezone(UTC).date():
            continue
        newest[major] = max(newest.get(major, (date.min, "")), (day, version))
    common = _common_days(table, read_at)
    since = common[-2:][0] if common else date.min
    return [
        Listing(channel=ESR, version=version, major=major)
        for major, (day, version) in sorted(newest.items())
        if day >= since
    ]


def _common_days(table: Mapping[str, object], read_at: datetime) -> list[date]:
    """Days up to now on which ESRs were released together with everything else, ascending."""
    days = {
        date.fromisoformat(value)
        for version, value in table.items()
        if isinstance(value, str)
        and _DAY.fullmatch(value)
        and major_of(version) is not None
        and version.removesuffix(ESR).split(".")[2:] in ([], ["0"])
    }
    return sorted(day for day in days if day <= read_at.astimezone(UTC).date())
