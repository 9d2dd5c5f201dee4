# SPDX-License-Identifier: MPL-2.0
"""Compare what trials say now with what was recorded when uplifts were grafted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from shipit.errors import InvalidInput
from shipit.merge.types import Outcome, SeriesResult

MERGED = frozenset((Outcome.CLEAN, Outcome.EMPTY, Outcome.LANDED))


class Graft(msgspec.Struct, frozen=True):
    """What grafting the source commit on the parent gave. result: "clean", "conflict", None when not done."""

    result: str | None = None
    result_tree: str | None = None
    conflicts: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """A recorded uplift: source_commit was (or could have been) put upon parent, on a train's branch."""

    repository: str
    branch: str
    parent: str
    source_commit: str | None
    graft: Graft | None = None


class Disagreement(msgspec.Struct, frozen=True):
    """A row whose trial says otherwise than the record."""

    branch: str
    parent: str
    source_commit: str
    expected: str
    got: str
    reason: str


class Skipped(msgspec.Struct, frozen=True):
    """A row that cannot count, and why."""

    branch: str
    parent: str
    source_commit: str | None
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The agreement of a whole history. Times: milliseconds for each trial (its share of its batch's)."""

    total: int
    agree: int
    disagree: tuple[Disagreement, ...]
    outcomes: dict[str, int]
    trials_per_second: float
    p50_ms: float
    p95_ms: float
    workers: int
    skipped: int = 0
    skipped_rows: tuple[Skipped, ...] = ()


def read_rows(lines: Iterable[bytes]) -> list[Row]:
    """Rows of a JSON-lines history; InvalidInput names the line that is none."""
    decoder = msgspec.json.Decoder(Row)
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            raise InvalidInput(f"line {number}", expected=f"a recorded uplift ({error})") from error
    return rows


def compare(row: Row, result: SeriesResult) -> Disagreement | None:
    """None when the trial of a row's commit agrees with its record; clean asks for the same tree too."""
    graft = row.graft or Graft()
    found = sorted({conflict.path for patch in result.patches for conflict in patch.conflicts})
    if graft.result == "clean":
        if result.outcome in MERGED and result.tree == graft.result_tree:
            return None
        if result.outcome in MERGED:
            reason = f"another tree: {result.tree} instead of {graft.result_tree}"
        else:
            reason = _because(result) or f"conflicts in {', '.join(found)}"
    else:
        missing = sorted(set(graft.conflicts) - set(found))
        added = sorted(set(found) - set(graft.conflicts))
        if result.outcome is Outcome.CONFLICT and not missing and not added:
            return None
        if result.outcome is Outcome.CONFLICT:
            reason = f"other paths: not found {missing}, found besides {added}"
        else:
            reason = _because(result) or f"merged to {result.tree}"
    return Disagreement(
        row.branch, row.parent, row.source_commit or "", graft.result or "", result.outcome.value, reason
    )


def _because(result: SeriesResult) -> str:
    return "; ".join(patch.reason for patch in result.patches if patch.reason)


def report(
    rows: Sequence[Row],
    results: Sequence[SeriesResult],
    *,
    skipped: Sequence[Skipped],
    seconds: float,
    each: Sequence[float],
    workers: int,
) -> Report:
    """The report of counted rows with their results. seconds: of the whole run; each: of every trial."""
    found = [answer for row, result in zip(rows, results, strict=True) if (answer := compare(row, result))]
    ordered = sorted(each)
    return Report(
        total=len(rows),
        agree=len(rows) - len(found),
        disagree=tuple(found),
        outcomes=dict(sorted(Counter(result.outcome.value for result in results).items())),
        trials_per_second=round(len(rows) / seconds, 1) if seconds else 0.0,
        p50_ms=_percentile(ordered, 50),
        p95_ms=_percentile(ordered, 95),
        workers=workers,
        skipped=len(skipped),
        skipped_rows=tuple(skipped),
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    if not ordered:
        return 0.0
    place = min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)
    return round(ordered[place] * 1000, 3)
