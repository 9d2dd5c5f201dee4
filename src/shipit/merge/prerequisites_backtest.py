# SPDX-License-Identifier: MPL-2.0
"""Judge searches for missing commits against recorded uplifts: what was found, how small, and was it true."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from shipit.errors import InvalidInput
from shipit.merge.advice import Advice
from shipit.merge.backtest import Graft
from shipit.merge.types import Outcome

GROUP_DAYS = 7
# In these branches two repositories were imported by merges of subtrees: what came so cannot be named.
_IMPORTED = re.compile(r"releases_v(?:10[6-9]|11[01])$")
_IMPORTING = "mozilla-mobile/firefox-android"

Corpus = Literal["recorded", "hard", "branch point", "branch point, strings", "branch point, import period"]


class UpliftRow(msgspec.Struct, frozen=True):
    """A recorded uplift as far as searches are judged by it. See `shipit.merge.backtest.Row`."""

    repository: str
    branch: str
    parent: str
    source_commit: str | None
    graft: Graft | None = None
    branch_point: str | None = None
    graft_onto_branch_point: str | None = None
    uplift_commit: str | None = None
    commit_date: datetime | None = None
    kind: str = "code"
    bug_ids: tuple[int, ...] = ()
    issue_ids: tuple[int, ...] = ()
    study_set_size: int | msgspec.UnsetType | None = msgspec.UNSET


class Case(msgspec.Struct, frozen=True):
    """One conflict to be explained: the row's source commit onto a tip."""

    corpus: Corpus
    row: UpliftRow
    source: str
    tip: str


class Judged(msgspec.Struct, frozen=True):
    """A case with its answer. is_true: all named were really uplifted before; None where not recorded."""

    case: Case
    advice: Advice
    cpu_ms: float
    is_true: bool | None = None


class Miss(msgspec.Struct, frozen=True):
    """A conflict without a verified set, and what was said instead."""

    branch: str
    tip: str
    source_commit: str
    reason: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one corpus. True: sets (of at most 3) of which all commits were uplifted before.

    cpu_ms: CPU milliseconds per conflict, ours and git's, once the index stands. unverified: conflicts for
    which only commits were found that do not all merge themselves; with_preference: those of them that merge
    if such a commit is merged with a preference for the train.
    """

    conflicts: int
    found: int
    at_most_1: int
    at_most_3: int
    study_found: int | None = None
    study_at_most_3: int | None = None
    true_at_most_3: int | None = None
    neighbours_only: int = 0
    in_the_way: int = 0
    unverified: int = 0
    with_preference: int = 0
    unknown: int = 0
    merges_p50: int = 0
    merges_p95: int = 0
    cpu_ms_p50: float = 0.0
    cpu_ms_p95: float = 0.0
    misses: tuple[Miss, ...] = ()


class LandingOrder(msgspec.Struct, frozen=True):
    """Recorded groups: how many uplifts merge in our order and in the order of the people who landed them."""

    groups: int
    uplifts: int
    ours: int
    humans: int


class LeftBehindFound(msgspec.Struct, frozen=True):
    """Listed commits and recorded follow-ups (later uplifts that share a bug with an earlier one)."""

    listed: int
    listed_and_uplifted: int
    follow_ups: int
    follow_ups_listed: int


class PrerequisitesReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `shipit backtest --prerequisites` says. index_cpu_seconds: for commits newly read."""

    git: str
    index_commits: int
    index_new_commits: int
    index_cpu_seconds: float
    corpora: dict[str, Found]
    landing_order: LandingOrder
    left_behind: LeftBehindFound
    skipped: int = 0


def read_uplift_rows(lines: Iterable[bytes]) -> list[UpliftRow]:
    """Rows of a JSON-lines history; InvalidInput names the line that is none."""
    decoder = msgspec.json.Decoder(UpliftRow)
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                raise InvalidInput(f"line {number}", expected=f"a recorded uplift ({error})") from error
    return rows


def cases_of(rows: Sequence[UpliftRow]) -> list[Case]:
    """The conflicts that rows record: at the uplift's parent, and at the branch point if it merged later."""
    cases = []
    for row in rows:
        if row.source_commit is None or row.graft is None:
            continue
        if row.graft.result == "conflict":
            corpus: Corpus = "recorded" if row.study_set_size is msgspec.UNSET else "hard"
            cases.append(Case(corpus, row, row.source_commit, row.parent))
        elif row.graft_onto_branch_point == "conflict" and row.branch_point is not None:
            cases.append(Case(_kind(row), row, row.source_commit, row.branch_point))
    return cases


def _kind(row: UpliftRow) -> Corpus:
    if row.repository == _IMPORTING and _IMPORTED.match(row.branch):
        return "branch point, import period"
    return "branch point" if row.kind == "code" else "branch point, strings"


def judge(judged: Sequence[Judged]) -> dict[str, Found]:
    """What was found, by corpus."""
    corpora: dict[str, list[Judged]] = {}
    for one in judged:
        corpora.setdefault(one.case.corpus, []).append(one)
    return {name: _found(rows) for name, rows in corpora.items()}


def _found(judged: Sequence[Judged]) -> Found:
    verified = [one for one in judged if one.advice.verified]
    few = [one for one in verified if len(one.advice.prerequisites) <= 3]
    studied = [one.case.row.study_set_size for one in judged if one.case.corpus == "hard"]
    merges = sorted(one.advice.merges for one in judged)
    times = sorted(one.cpu_ms for one in judged)
    return Found(
        conflicts=len(judged),
        found=len(verified),
        at_most_1=sum(len(one.advice.prerequisites) <= 1 for one in verified),
        at_most_3=len(few),
        study_found=sum(isinstance(size, int) for size in studied) if studied else None,
        study_at_most_3=sum(isinstance(size, int) and size <= 3 for size in studied) if studied else None,
        true_at_most_3=_count_true(few),
        neighbours_only=sum(one.advice.neighbours_only for one in judged),
        in_the_way=sum(bool(one.advice.in_the_way) for one in judged),
        unverified=sum(bool(one.advice.unverified) for one in judged),
        with_preference=sum(bool(one.advice.preferring) for one in judged),
        unknown=sum(one.advice.is_unknown for one in judged),
        merges_p50=int(_percentile(merges, 50)),
        merges_p95=int(_percentile(merges, 95)),
        cpu_ms_p50=round(_percentile(times, 50), 1),
        cpu_ms_p95=round(_percentile(times, 95), 1),
        misses=tuple(
            Miss(one.case.row.branch, one.case.tip, one.case.source, one.advice.reason)
            for one in judged
            if not one.advice.verified
        ),
    )


def _count_true(few: Sequence[Judged]) -> int | None:
    known = [one.is_true for one in few if one.is_true is not None]
    return sum(known) if known else None


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def groups_of(rows: Sequence[UpliftRow]) -> list[list[UpliftRow]]:
    """Uplifts of one branch within a week of the first of them, in the order in which they landed."""
    groups: list[list[UpliftRow]] = []
    for row in rows:
        if row.source_commit is None or row.commit_date is None or row.uplift_commit is None:
            continue
        last = groups[-1] if groups else None
        if last is not None and _is_with(last[0], row):
            last.append(row)
        else:
            groups.append([row])
    return [group for group in groups if len(group) > 1]


def _is_with(first: UpliftRow, row: UpliftRow) -> bool:
    if first.commit_date is None or row.commit_date is None or first.branch != row.branch:
        return False
    return row.commit_date - first.commit_date <= timedelta(days=GROUP_DAYS)


def is_conflict(advice: Advice) -> bool:
    """Whether a case is one for a search: what is on the tip already is none."""
    return advice.outcome is Outcome.CONFLICT
