# SPDX-License-Identifier: MPL-2.0
"""How a fake Bugzilla searches: boolean charts, plain fields, times, paging, as the recorded answers show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from shipit.world.bugzilla_state import Bug, Says, State, User

PLAIN = (
    "product",
    "component",
    "status",
    "bug_status",
    "resolution",
    "priority",
    "severity",
    "keywords",
    "type",
    "creator",
    "assigned_to",
    "whiteboard",
    "summary",
    "groups",
)
MOST = 10_000

Values = Callable[[Bug], list[str]]
Test = Callable[[Bug], bool]


def search(state: State, viewer: User | None, query: Sequence[tuple[str, str]]) -> list[Bug]:
    """The visible bugs that match, paged and ordered. Raises Says for what Bugzilla refuses."""
    single = dict(query)
    matching = _criteria(state, query, single)
    limit, offset = _paging(single)
    found = [bug for bug in state.bugs.values() if matching(bug) and state.sees(viewer, bug)]
    _order(found, single.get("order", ""))
    return found[offset : offset + min(limit or MOST, MOST)]


def time_of(text: str) -> datetime:
    """A time as given in a query. Raises Says 56."""
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Says(56, f"'{text}' is not a legal date.") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def flag_texts(bug: Bug) -> list[str]:
    """Every flag of a bug and its attachments, as a search for flagtypes.name sees them."""
    flags = [*bug.flags, *(flag for one in bug.attachments for flag in one.flags)]
    return [flag.text for flag in flags]


def _paging(single: Mapping[str, str]) -> tuple[int, int]:
    # What is no number is ignored by the real one; a negative number is not.
    for name in ("limit", "offset"):
        if re.fullmatch(r"-\d+", single.get(name, "")):
            raise Says(52, f"Invalid parameter {name} passed to Bugzilla::Search::new: It must be numeric.")
    if "offset" in single and "limit" not in single:
        raise Says(50, "The function Bug.search() requires a limit argument, and that argument was not set.")
    limit, offset = (
        int(single[name]) if single.get(name, "").isdigit() else 0 for name in ("limit", "offset")
    )
    return limit, offset


def _order(found: list[Bug], order: str) -> None:
    found.sort(key=lambda bug: bug.id)
    if order.split(",")[0].split()[0:1] in (["changeddate"], ["delta_ts"], ["last_change_time"]):
        found.sort(key=lambda bug: bug.changed)
    if order.lower().endswith(" desc"):
        found.reverse()


def _criteria(
    state: State, query: Sequence[tuple[str, str]], single: Mapping[str, str]
) -> Callable[[Bug], bool]:
    plain: list[Callable[[Bug], bool]] = []
    charts: list[Callable[[Bug], bool]] = []
    ids = [part.strip() for name, value in query if name in ("id", "bug_id") for part in value.split(",")]
    if ids:
        wanted = {int(one) for one in ids if one.isdigit()}
        plain.append(lambda bug: bug.id in wanted)
    for name in PLAIN:
        values = [value for key, value in query if key == name]
        if values:
            plain.append(_any_of(_values(state, name), values))
    charts += _charts(state, single)
    # Bugzilla turns these two into charts of their own, so that j_top=OR governs them as well.
    for name, attribute in (("last_change_time", "changed"), ("creation_time", "created")):
        if name in single:
            charts.append(_since(attribute, time_of(single[name])))
    if "quicksearch" in single:
        plain.extend(_quick(state, single["quicksearch"]))
    if not plain and not charts:
        raise Says(1000, "You may not search, or create saved searches, without any search terms.")
    together = any if single.get("j_top", "AND") == "OR" else all
    return lambda bug: all(one(bug) for one in plain) and (not charts or together(one(bug) for one in charts))


def _charts(state: State, single: Mapping[str, str]) -> list[Test]:
    """The numbered charts in order; OP opens a group that CP closes, joined by its own j (AND where none)."""
    top: list[Test] = []
    open_groups: list[tuple[list[Test], str]] = [(top, "")]
    numbers = sorted(int(name[1:]) for name in single if re.fullmatch(r"f\d+", name))
    for number in numbers:
        field = single[f"f{number}"]
        if field == "OP":
            open_groups.append(([], single.get(f"j{number}", "AND")))
        elif field == "CP":
            if len(open_groups) > 1:
                inside, joined = open_groups.pop()
                open_groups[-1][0].append(_joined(inside, joined))
        else:
            operator, value = single.get(f"o{number}", "equals"), single.get(f"v{number}", "")
            open_groups[-1][0].append(_chart(state, field, operator, value))
    # Bugzilla closes what was left open
    while len(open_groups) > 1:
        inside, joined = open_groups.pop()
        open_groups[-1][0].append(_joined(inside, joined))
    return top


def _joined(tests: Sequence[Test], how: str) -> Test:
    together = any if how == "OR" else all
    return lambda bug: together(one(bug) for one in tests)


def _since(attribute: str, when: datetime) -> Callable[[Bug], bool]:
    return lambda bug: bool(getattr(bug, attribute) >= when)


def _any_of(values: Values, wanted: Iterable[str]) -> Callable[[Bug], bool]:
    lowered = {one.lower() for one in wanted}
    return lambda bug: any(value.lower() in lowered for value in values(bug))


def _quick(state: State, text: str) -> list[Callable[[Bug], bool]]:
    found: list[Callable[[Bug], bool]] = []
    for word in text.split():
        name, _, value = word.partition(":")
        if name == "flag":
            found.append(_chart(state, "flagtypes.name", "substring", value))
        elif name in PLAIN:
            found.append(_chart(state, name, "substring", value))
        else:
            found.append(_chart(state, "short_desc", "substring", word))
    return found


def _values(state: State, name: str) -> Values:
    simple: dict[str, Values] = {
        "flagtypes.name": flag_texts,
        "bug_id": lambda bug: [str(bug.id)],
        "bug_status": lambda bug: [bug.status],
        "status": lambda bug: [bug.status],
        "assigned_to": lambda bug: [bug.assignee],
        "reporter": lambda bug: [bug.creator],
        "creator": lambda bug: [bug.creator],
        "short_desc": lambda bug: [str(bug.values.get("summary", ""))],
        "bug_group": lambda bug: bug.lists["groups"],
        "longdesc": lambda bug: [comment.text for comment in bug.comments],
        "delta_ts": lambda bug: [bug.changed.isoformat()],
        "attachments.mimetype": lambda bug: [one.content_type for one in bug.attachments],
        "attachments.filename": lambda bug: [one.file_name for one in bug.attachments],
    }
    if name in simple:
        return simple[name]
    if name in ("keywords", "groups", "cc", "blocks", "depends_on", "regressed_by", "regressions"):
        return lambda bug: [str(one) for one in bug.lists[name]]
    if name in state.custom_fields:
        return lambda bug: [str(bug.custom.get(name, state.custom_fields[name]) or "")]
    if name in (
        "product",
        "component",
        "resolution",
        "priority",
        "severity",
        "type",
        "whiteboard",
        "summary",
    ):
        return lambda bug: [str(bug.values.get(name, ""))]
    raise Says(108, f"Can't use {name} as a field name.")


def _chart(state: State, name: str, operator: str, value: str) -> Callable[[Bug], bool]:
    values = _values(state, name)
    test = _operator(operator, value)
    if operator.startswith("not") or operator.startswith("nowords"):
        return lambda bug: all(test(one) for one in values(bug) or [""])
    return lambda bug: any(test(one) for one in values(bug) or [""])


def _operator(name: str, value: str) -> Callable[[str], bool]:
    lowered = value.lower()
    words = [word for word in re.split(r"[\s,]+", lowered) if word]
    tests: dict[str, Callable[[str], bool]] = {
        "equals": lambda one: one.lower() == lowered,
        "notequals": lambda one: one.lower() != lowered,
        "anyexact": lambda one: one.lower() in [part.strip() for part in lowered.split(",")],
        "substring": lambda one: lowered in one.lower(),
        "casesubstring": lambda one: value in one,
        "notsubstring": lambda one: lowered not in one.lower(),
        "anywordssubstr": lambda one: any(word in one.lower() for word in words),
        "allwordssubstr": lambda one: all(word in one.lower() for word in words),
        "nowordssubstr": lambda one: not any(word in one.lower() for word in words),
        "anywords": lambda one: any(word in one.lower().split() for word in words),
        "nowords": lambda one: not any(word in one.lower().split() for word in words),
        "regexp": lambda one: re.search(value, one) is not None,
        "isempty": lambda one: not one,
        "isnotempty": lambda one: bool(one),
        "greaterthan": lambda one: _key(one) > _key(value),
        "greaterthaneq": lambda one: _key(one) >= _key(value),
        "lessthan": lambda one: _key(one) < _key(value),
        "lessthaneq": lambda one: _key(one) <= _key(value),
    }
    if name not in tests:
        raise Says(68000, f'Bugzilla does not support the search type "{name}".', HTTPStatus.BAD_REQUEST)
    return tests[name]


def _key(text: str) -> tuple[int, Any]:
    if text.isdigit():
        return (0, int(text))
    return (1, text.replace("Z", "+00:00"))
