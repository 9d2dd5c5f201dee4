# SPDX-License-Identifier: MPL-2.0
"""Which facts about a change go with later trouble: `python -m benchmarks.uplift_trouble ROWS.jsonl=CLONE …`.

ROWS are recorded uplifts (one JSON object a line: branch, branch_point, uplift_commit, source_commit,
commit_date, kind, bug_ids, issue_ids, graft), CLONE a git repository that has them. Facts are those known
when the uplift was made; trouble is what happened in the days after it. Uplifts are few, and few of them are
backed out: so the facts that any landing has are counted over the newest landings on main as well. Strings
and release chores are left out.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.standing import Landing, bugs_of, is_backout, is_same_subject, named_by, quoted_by
from shipit.uplift.check_types import BACKOUT_SHARE, FEW_BACKOUTS, MANY_FILES, MANY_LINES
from shipit.uplift.facts import Measured, measure
from shipit.uplift.sizes import FileChange
from shipit.vcs.commits import read_files, text
from shipit.vcs.git import git
from shipit.vcs.history import History

REVERT_DAYS = 60
FOLLOW_DAYS = 30
RECENT = timedelta(days=180)
Z = 1.96

_ISSUE = re.compile(r"\b(?:for|close[sd]?|fix(?:e[sd])?|issue|part of)[ :]+#(\d{3,6})\b", re.IGNORECASE)
_CHORE = re.compile(
    r"(?:\[(?:fenix|focus|ac)\] )?(?:update|set|bump|import|sync|uplift|upgrade|merge|automated?)\b.*"
    r"(?:experiments\.json|version|strings|l10n|geckoview|gv |a-c|android components|glean|release)",
    re.IGNORECASE,
)


class Commit(msgspec.Struct, frozen=True):
    """A commit of main or of a release branch."""

    landing: Landing
    at: datetime
    email: str

    @property
    def ids(self) -> frozenset[str]:
        """The bugs and issues its subject names."""
        subject = self.landing.subject
        return frozenset(
            {f"b{bug}" for bug in bugs_of(subject)} | {f"i{issue}" for issue in _ISSUE.findall(subject)}
        )


class Uplift(msgspec.Struct, frozen=True, kw_only=True):
    """One uplift (or landing on main) with the facts of its time and what came of it.

    bake_hours: on main before, negative when main got it later. days_in: since the branch began. churn,
    backouts: recent commits to its files. troubled: one of its files was often backed out.
    """

    repository: str
    commit: str
    measured: Measured
    weekday: int
    churn: int
    backouts: int
    troubled: bool
    by_author: int
    earlier: int
    tests_near: int
    reverted: bool
    bake_hours: float | None = None
    days_in: float | None = None
    is_conflict: bool | None = None
    followed: bool = False


Fact = tuple[str, Callable[[Uplift], bool]]
# Chosen before anything was counted. Thresholds are the rules' own, or round numbers.
FACTS: tuple[Fact, ...] = (
    (f"≥ {MANY_FILES} files or ≥ {MANY_LINES} lines outside tests", lambda u: _is_large(u.measured)),
    ("> 100 lines outside tests", lambda u: u.measured.size > 100),
    ("≥ 10 files outside tests", lambda u: u.measured.code_files >= 10),
    ("touches no test", lambda u: not u.measured.tests and not u.measured.is_tests_only),
    ("no test lies beside the code", lambda u: u.tests_near == 0 and not u.measured.is_tests_only),
    (
        "program code without any test touched or near",
        lambda u: u.measured.programs > 0 and not u.measured.tests and u.tests_near == 0,
    ),
    ("only tests change", lambda u: u.measured.is_tests_only),
    ("words change", lambda u: bool(u.measured.strings)),
    ("a file often backed out (the rule's)", lambda u: u.troubled),
    ("≥ 1 recent backout in its files", lambda u: u.backouts > 0),
    ("> 20 recent commits to its files", lambda u: u.churn > 20),
    ("its author never touched the files before", lambda u: u.earlier > 0 and u.by_author == 0),
    ("uplifted before main had it", lambda u: u.bake_hours is not None and u.bake_hours < 0),
    ("on main for less than 4 h", lambda u: u.bake_hours is not None and 0 <= u.bake_hours < 4),
    ("on main for less than 24 h", lambda u: u.bake_hours is not None and 0 <= u.bake_hours < 24),
    ("later than 3 weeks on the branch", lambda u: u.days_in is not None and u.days_in > 21),
    ("uplifted on Friday to Sunday", lambda u: u.weekday >= 4),
    ("conflicts", lambda u: bool(u.is_conflict)),
)


def _is_large(measured: Measured) -> bool:
    return measured.code_files >= MANY_FILES or measured.size >= MANY_LINES


MOST_LANDINGS = 4000
_CHUNK = 40


async def landings_of(name: str, repo: Path) -> list[Uplift]:
    """The newest landings on main with the facts of their time. Raises CommandFailed."""
    tip = (await git(repo, "rev-parse", "HEAD")).stdout.decode().strip()
    main = await _log(repo, "--no-merges", tip)
    history = History(repo)
    await history.follow(tip)
    newest = main[0].at - timedelta(days=REVERT_DAYS)
    chosen = [
        one
        for one in main
        if one.at <= newest
        and not is_backout(one.landing)
        and not _CHORE.match(one.landing.subject)
        and "[bot]" not in one.email
    ][:MOST_LANDINGS]
    found = []
    for start in range(0, len(chosen), _CHUNK):
        part = chosen[start : start + _CHUNK]
        try:
            files = await read_files(repo, [one.landing.id for one in part])
        except CommandFailed:
            # one of them is larger than anything a person reads
            continue
        found += [
            _landing(name, one, files[one.landing.id], history, main) for one in part if files[one.landing.id]
        ]
    return found


def _landing(
    name: str, commit: Commit, files: Sequence[FileChange], history: History, main: Sequence[Commit]
) -> Uplift:
    row = {
        "uplift_commit": commit.landing.id,
        "source_commit": commit.landing.id,
        "subject": commit.landing.subject,
    }
    return _with_facts(
        name,
        commit.landing.id,
        files,
        history,
        before=history.position(commit.landing.id) or 0,
        at=commit.at,
        author=commit.email,
        reverted=_is_reverted(row, commit.at, main, ()),
    )


async def uplifts_of(rows: Path, repo: Path) -> list[Uplift]:
    """Every uplift of code with its facts. Raises CommandFailed when the repository lacks one."""
    text_of_rows = await asyncio.to_thread(rows.read_text, "utf-8")
    recorded = [json.loads(line) for line in text_of_rows.splitlines()]
    wanted = [
        row
        for row in recorded
        if row["kind"] == "code" and row["source_commit"] and not _CHORE.match(row["subject"])
    ]
    tip = (await git(repo, "rev-parse", "HEAD")).stdout.decode().strip()
    main = await _log(repo, tip)
    history = History(repo)
    await history.follow(tip)
    files = await read_files(repo, list(dict.fromkeys(row["uplift_commit"] for row in wanted)))
    found = []
    for row in wanted:
        branch = await _log(repo, f"refs/heads/{row['branch']}", f"^{tip}")
        found.append(_uplift(rows.stem, row, files[row["uplift_commit"]], history, main, branch))
    return found


def _uplift(
    name: str,
    row: Mapping[str, Any],
    files: Sequence[FileChange],
    history: History,
    main: Sequence[Commit],
    branch: Sequence[Commit],
) -> Uplift:
    at = datetime.fromisoformat(row["commit_date"]).astimezone(UTC)
    source = next((one for one in main if one.landing.id == row["source_commit"]), None)
    mine = next((one for one in branch if one.landing.id == row["uplift_commit"]), None)
    position = history.position(row["source_commit"])
    is_later = source is not None and source.at > at
    before: int | datetime = at if position is None or is_later else position
    point = next((one.at for one in main if one.landing.id == row["branch_point"]), at)
    ids = {f"b{bug}" for bug in row["bug_ids"]} | {f"i{issue}" for issue in row["issue_ids"]}
    ids |= mine.ids if mine else frozenset()
    return _with_facts(
        name,
        row["uplift_commit"],
        files,
        history,
        before=before,
        at=at,
        author=mine.email if mine else "",
        bake_hours=None if source is None else (at - source.at) / timedelta(hours=1),
        days_in=(at - point) / timedelta(days=1),
        is_conflict=row["graft"]["result"] == "conflict",
        reverted=_is_reverted(row, at, main, branch),
        followed=_is_followed(row, ids, at, main, branch),
    )


def _with_facts(
    name: str,
    commit: str,
    files: Sequence[FileChange],
    history: History,
    *,
    before: int | datetime,
    at: datetime,
    author: str,
    **more: Any,
) -> Uplift:
    paths = [file.path for file in files]
    recent = history.churn(paths, before=before, since=at - RECENT)
    overall = history.churn(paths, before=before, authors=[author])
    each = [history.churn([path], before=before, since=at - RECENT) for path in paths]
    return Uplift(
        repository=name,
        commit=commit,
        measured=measure(files),
        weekday=at.weekday(),
        churn=recent.commits,
        backouts=recent.backouts,
        troubled=any(
            one.backouts >= FEW_BACKOUTS and one.backouts / one.commits >= BACKOUT_SHARE
            for one in each
            if one.commits
        ),
        by_author=overall.by_author,
        earlier=overall.commits,
        tests_near=history.tests_near(paths),
        **more,
    )


def _is_reverted(
    row: Mapping[str, Any], at: datetime, main: Sequence[Commit], branch: Sequence[Commit]
) -> bool:
    """Whether a later commit undoes it, on main or on the branch."""
    hashes = [row["uplift_commit"], row["source_commit"]]
    subjects = [row[key] for key in ("subject", "source_subject") if row.get(key)]
    for one in (*undoing(main), *undoing(branch)):
        landing = one.landing
        if not at < one.at <= at + timedelta(days=REVERT_DAYS) or landing.id in hashes:
            continue
        if any(full.startswith(name) for name in named_by(landing) for full in hashes):
            return True
        quoted = quoted_by(landing)
        if quoted and any(is_same_subject(quoted, subject) for subject in subjects):
            return True
    return False


_UNDOING: dict[int, tuple[Sequence[Commit], list[Commit]]] = {}


def undoing(commits: Sequence[Commit]) -> list[Commit]:
    """Those of a history that undo something; each history is looked through once."""
    known = _UNDOING.get(id(commits))
    if known is None or known[0] is not commits:
        known = _UNDOING[id(commits)] = (commits, [one for one in commits if is_backout(one.landing)])
    return known[1]


def _is_followed(
    row: Mapping[str, Any], ids: set[str], at: datetime, main: Sequence[Commit], branch: Sequence[Commit]
) -> bool:
    """Whether main got more about the same bug or issue afterwards: not its own source or push."""
    own = {row["uplift_commit"], row["source_commit"]}
    subjects = {one.landing.subject for one in (*main, *branch) if one.at <= at or one.landing.id in own}
    return any(
        one.ids & ids and one.landing.id not in own and one.landing.subject not in subjects
        for one in main
        if at + timedelta(hours=12) < one.at <= at + timedelta(days=FOLLOW_DAYS)
    )


async def _log(repo: Path, *names: str) -> list[Commit]:
    answer = await git(repo, "log", "-z", "--format=%H%n%ct%n%ae%n%an <%ae>%n%at%n%B", *names, "--")
    commits = []
    for record in answer.stdout.split(b"\0"):
        if record:
            sha, landed, email, author, authored, message = text(record).split("\n", 5)
            landing = Landing(sha, author, int(authored or 0), message.strip())
            commits.append(Commit(landing, datetime.fromtimestamp(int(landed), UTC), email.lower()))
    return commits


# --- plain statistics ---------------------------------------------------------------------------------


def wilson(hits: int, number: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson's)."""
    if number == 0:
        return 0.0, 1.0
    rate, square = hits / number, Z * Z
    middle = rate + square / (2 * number)
    half = Z * math.sqrt(rate * (1 - rate) / number + square / (4 * number * number))
    return (middle - half) / (1 + square / number), (middle + half) / (1 + square / number)


def difference(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """The 95 % interval of the difference of two rates (hits, number), by Newcombe's method."""
    rates = [hits / number if number else 0.0 for hits, number in (one, other)]
    (low, high), (other_low, other_high) = wilson(*one), wilson(*other)
    between = rates[0] - rates[1]
    return (
        between - math.hypot(rates[0] - low, other_high - rates[1]),
        between + math.hypot(high - rates[0], rates[1] - other_low),
    )


def table(uplifts: Sequence[Uplift], trouble: Callable[[Uplift], bool]) -> list[str]:
    """One row for each fact: how often trouble followed with it and without it."""
    lines = [
        "| fact at the time of the uplift | with it | trouble | without it | trouble | difference (95 %) | |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for name, holds in FACTS:
        parts = [[one for one in uplifts if holds(one) is is_so] for is_so in (True, False)]
        if not all(parts):
            continue
        counts = [(sum(trouble(one) for one in part), len(part)) for part in parts]
        low, high = difference(*counts)
        says = "says something" if low > 0 or high < 0 else ""
        if min(number for _, number in counts) < 20:
            says = "too few"
        cells = " | ".join(f"{number} | {_rate(hits, number)}" for hits, number in counts)
        lines.append(f"| {name} | {cells} | {100 * low:+.0f} to {100 * high:+.0f} points | {says} |")
    return lines


def _rate(hits: int, number: int) -> str:
    if not number:
        return "–"
    low, high = wilson(hits, number)
    return f"{hits} ({100 * hits / number:.0f} %, {100 * low:.0f}–{100 * high:.0f})"


def report(uplifts: Sequence[Uplift], landings: Sequence[Uplift]) -> str:
    """The tables as Markdown."""
    parts: list[tuple[str, Sequence[Uplift], Callable[[Uplift], bool]]] = [
        (f"Uplifts backed out within {REVERT_DAYS} days", uplifts, lambda u: u.reverted),
        (
            f"Uplifts backed out, or main got more about the same bug within {FOLLOW_DAYS} days",
            uplifts,
            lambda u: u.reverted or u.followed,
        ),
        (f"Landings on main backed out within {REVERT_DAYS} days", landings, lambda u: u.reverted),
    ]
    lines = []
    for title, those, trouble in parts:
        hits = sum(trouble(one) for one in those)
        lines += [
            f"**{title}** ({_counts(those)}): {_rate(hits, len(those))}",
            "",
            *table(those, trouble),
            "",
        ]
    return "\n".join(lines)


def _counts(uplifts: Sequence[Uplift]) -> str:
    names = dict.fromkeys(one.repository for one in uplifts)
    return ", ".join(f"{sum(one.repository == name for one in uplifts)} of {name}" for name in names)


def run(words: Sequence[str]) -> int:
    """Print the tables of the uplifts and clones that are named."""
    pairs = [word.partition("=") for word in words]
    if not pairs or any(not (Path(rows).is_file() and Path(repo).is_dir()) for rows, _, repo in pairs):
        print("name files of uplifts with their clones: ROWS.jsonl=CLONE …", file=sys.stderr)
        return 2

    async def every() -> str:
        uplifts = [one for rows, _, repo in pairs for one in await uplifts_of(Path(rows), Path(repo))]
        landings = [one for rows, _, repo in pairs for one in await landings_of(Path(rows).stem, Path(repo))]
        return report(uplifts, landings)

    print(asyncio.run(every()))
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
