# SPDX-License-Identifier: MPL-2.0
"""`shipit backtest --prerequisites`: searches on recorded conflicts, with every miss and its reason."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from shipit.merge.advice import Advice, advise
from shipit.merge.history import Entry, Twins
from shipit.merge.landing_order import Memory, Uplift, plan
from shipit.merge.left_behind import left_behind
from shipit.merge.prerequisites_backtest import (
    Case,
    Judged,
    LandingOrder,
    LeftBehindFound,
    PrerequisitesReport,
    UpliftRow,
    cases_of,
    groups_of,
    judge,
    read_uplift_rows,
)
from shipit.merge.store import Known, Merge
from shipit.vcs.ground import GitGround, kept_index
from shipit.vcs.objects import look_up


def backtest_prerequisites(repo: Path, history: Path, *, index: Path | None, shape: str) -> None:
    """Run the searches on a history's conflicts and print the report as text or JSON."""
    rows = read_uplift_rows(history.read_bytes().splitlines())
    answer = asyncio.run(_replay(repo, rows, index or kept_index(repo)))
    if shape == "json":
        click.echo(msgspec.json.encode(answer))
    else:
        _tell(answer)


async def _replay(repo: Path, rows: Sequence[UpliftRow], index: Path) -> PrerequisitesReport:
    async with GitGround(repo, index=index) as ground:
        names = {name for row in rows for name in _names(row)}
        known = {
            name for name, one in (await look_up(ground.shadow, names)).items() if isinstance(one, Known)
        }
        usable = [row for row in rows if _is_usable(row, known)]
        started = _cpu_seconds()
        new = await ground.history.follow(
            ground.shadow, {name for row in usable for name in _names(row)} | await _main(ground)
        )
        seconds = _cpu_seconds() - started
        judged = await _judge_all(ground, cases_of(usable))
        return PrerequisitesReport(
            git=ground.version,
            index_commits=len(ground.history),
            index_new_commits=new,
            index_cpu_seconds=round(seconds, 1),
            corpora=judge(judged),
            landing_order=await _landing_order(ground, usable),
            left_behind=_left_behind(ground, usable, await _main(ground)),
            skipped=len(rows) - len(usable),
        )


def _names(row: UpliftRow) -> list[str]:
    names = (row.parent, row.source_commit, row.branch_point, row.uplift_commit)
    return [name for name in names if name is not None]


def _is_usable(row: UpliftRow, known: set[str]) -> bool:
    return row.source_commit is not None and all(name in known for name in _names(row))


async def _main(ground: GitGround) -> set[str]:
    head = (await look_up(ground.shadow, ["HEAD"]))["HEAD"]
    return {head.id} if isinstance(head, Known) else set()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


async def _judge_all(ground: GitGround, cases: Sequence[Case]) -> list[Judged]:
    judged = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        for case in bar.track(cases, description="conflicts"):
            source, tip = _entry(ground, case.source), _entry(ground, case.tip)
            before = _cpu_seconds() * 1000 + ground.cpu_ms()
            advice = await advise(ground, [source], tip)
            spent = _cpu_seconds() * 1000 + ground.cpu_ms() - before
            is_true = await _is_true(ground, case, advice, source)
            judged.append(Judged(case, advice, spent, is_true))
    return judged


def _entry(ground: GitGround, name: str) -> Entry:
    entry = ground.history.find(name)
    assert entry is not None, "every row's commits were followed"
    return entry


async def _is_true(ground: GitGround, case: Case, advice: Advice, source: Entry) -> bool | None:
    """Whether all named were on the branch before the uplift: as twins, or so that they change nothing."""
    if not case.corpus.startswith("branch point") or not advice.verified:
        return None
    parent = _entry(ground, case.row.parent)
    candidates, own = ground.history.apart([source.position], [parent.position])
    twins = Twins(ground.history, own)
    for one in advice.prerequisites:
        named = _entry(ground, one.revision)
        if named.position not in candidates or twins.of(named) is not None or named.base is None:
            continue
        if (await ground.merge(Merge(named.base, parent.tree, named.tree))).tree != parent.tree:
            return False
    return True


async def _landing_order(ground: GitGround, rows: Sequence[UpliftRow]) -> LandingOrder:
    groups = groups_of(rows)
    ours = humans = 0
    for group in groups:
        tip = _entry(ground, group[0].parent)
        sources = [_entry(ground, row.source_commit) for row in group if row.source_commit is not None]
        uplifts = [Uplift(entry.id, (entry,)) for entry in dict.fromkeys(sources)]
        memory = Memory(ground)
        ours += len((await plan(memory, uplifts, tip)).steps)
        tree = tip.tree
        for uplift in uplifts:
            (entry,) = uplift.entries
            merged = await memory.merge(Merge(entry.base, tree, entry.tree)) if entry.base else None
            if merged is not None and merged.tree is not None:
                tree, humans = merged.tree, humans + 1
    return LandingOrder(len(groups), sum(len(group) for group in groups), ours, humans)


def _left_behind(ground: GitGround, rows: Sequence[UpliftRow], main: set[str]) -> LeftBehindFound:
    history = ground.history
    branches: dict[str, list[UpliftRow]] = {}
    for row in rows:
        if row.branch_point is not None and row.commit_date is not None:
            branches.setdefault(row.branch, []).append(row)
    listed = uplifted = follow_ups = follow_ups_listed = 0
    heads = [_entry(ground, name).position for name in main]
    for own in branches.values():
        order = {
            row.source_commit: place for place, row in reversed(list(enumerate(own))) if row.source_commit
        }
        sources = {_entry(ground, name).position for name in order}
        start, end = own[0].branch_point, own[-1].commit_date
        if start is None or end is None:
            continue
        later = history.apart(heads, [_entry(ground, start).position])[0]
        window = {p for p in later if history.at(p).committed <= end.timestamp()}
        found = [
            one
            for one in left_behind(history, sources, window)
            if order.get(one.revision, len(own)) > order[one.of]
        ]
        names = {one.revision for one in found}
        listed += len(names)
        uplifted += sum(name in order for name in names)
        wanted = _follow_ups(ground, own)
        follow_ups += len(wanted)
        follow_ups_listed += len(wanted & names)
    return LeftBehindFound(listed, uplifted, follow_ups, follow_ups_listed)


def _follow_ups(ground: GitGround, rows: Sequence[UpliftRow]) -> set[str]:
    """Sources that share a recorded bug or issue with an uplift before them, and are newer on main."""
    found = set()
    for place, row in enumerate(rows):
        mine = {*row.bug_ids, *row.issue_ids}
        for earlier in rows[:place]:
            if row.source_commit is None or earlier.source_commit is None:
                continue
            is_newer = (
                _entry(ground, row.source_commit).position > _entry(ground, earlier.source_commit).position
            )
            if is_newer and mine & {*earlier.bug_ids, *earlier.issue_ids}:
                found.add(row.source_commit)
    return found


def _tell(answer: PrerequisitesReport) -> None:
    click.echo(
        f"git {answer.git}, index of {answer.index_commits} commits"
        f" ({answer.index_new_commits} newly read, {answer.index_cpu_seconds:g} CPU s)"
    )
    for name, one in answer.corpora.items():
        click.echo(
            f"{name}: {one.conflicts} conflicts, verified set for {one.found}"
            f" (1 commit {one.at_most_1}, at most 3 {one.at_most_3})"
        )
        if one.study_found is not None:
            click.echo(f"  study: {one.study_found}, at most 3 {one.study_at_most_3}")
        if one.true_at_most_3 is not None:
            click.echo(f"  all named really uplifted before: {one.true_at_most_3} of {one.at_most_3}")
        click.echo(
            f"  {one.neighbours_only} neighbours only, {one.in_the_way} with the train's commits in the way,"
            f" {one.unverified} with unverified sets only"
            f" ({one.with_preference} merge with a preference for the train), {one.unknown} unknown"
        )
        click.echo(
            f"  merges p50 {one.merges_p50}, p95 {one.merges_p95};"
            f" CPU ms p50 {one.cpu_ms_p50:g}, p95 {one.cpu_ms_p95:g}"
        )
        for miss in one.misses:
            click.echo(
                f"  no set: {miss.branch} {miss.source_commit[:12]} onto {miss.tip[:12]}: {miss.reason}"
            )
    order = answer.landing_order
    click.echo(
        f"landing order: {order.groups} groups, {order.uplifts} uplifts,"
        f" {order.ours} merge in our order, {order.humans} in the order of people"
    )
    left = answer.left_behind
    click.echo(
        f"left behind: {left.listed} listed, {left.listed_and_uplifted} of them later uplifted;"
        f" {left.follow_ups} follow-ups uplifted, {left.follow_ups_listed} of them had been listed"
    )
    if answer.skipped:
        click.echo(f"skipped {answer.skipped}: not in this clone")
