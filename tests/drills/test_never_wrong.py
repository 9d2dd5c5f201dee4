# SPDX-License-Identifier: MPL-2.0
"""Kept results are never wrong: histories replayed with and without them, every verdict and tree compared.

Generated histories are always at hand (a few of them in tests/vcs/test_kept_trials.py, more here). Real ones
are where SHIPIT_HISTORIES names a folder of bare clones, each called as its table of recorded uplifts.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from generated_trains import generated
from git_builder import run_git
from hg_builder import Converted, need_hg
from real_parts import absent
from shipit.merge.series import Request
from shipit.merge.types import Commit, Patch
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg_store import HgTrials
from shipit.vcs.kept_trials import KeptTrials

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

HOUR = 3600
REAL = ("fenix", "firefox-android")
MOST_HOURS = 120
"""Of each real history, so that the drill takes a minute; the benchmark merge_limits replays all of them."""


async def replayed(
    folder: Path, moments: list[tuple[str, list[tuple[Patch, ...]]]], kept: Path, *, kind: str = "git"
) -> tuple[int, int]:
    """Try each moment's series on its tip; how many trials there were and how many were proved, none wrong.

    The engine is closed and opened again now and then: a later process goes on with what the file kept.
    """
    engine = HgTrials if kind == "hg" else GitTrials
    tried = proved = 0
    async with engine(folder, remembers=False) as fresh:
        for start in range(0, len(moments), 7):
            some = moments[start : start + 7]
            async with engine(folder, kept=KeptTrials(kept)) as keeping:
                for tip, series in some:
                    asked = [Request(tip, one) for one in series]
                    timed = await keeping.run_timed(asked)
                    right = await fresh.run(asked)
                    for one, kept_result, wanted in zip(series, timed, right, strict=True):
                        # a result holds the outcome, the conflicts and the tree of every patch
                        assert kept_result.result == wanted, (tip, one, kept_result.is_kept)
                    tried += len(series)
                    proved += sum(one.is_kept for one in timed)
    return tried, proved


@pytest.mark.parametrize("kind", ["git", "hg"])
async def test_never_wrong_on_generated_histories(kind: str, tmp_path: Path) -> None:
    total = 0
    for seed in range(100, 106 if kind == "git" else 103):
        told, patches, tips = generated(tmp_path / f"{seed}", seed)
        folder, chance = told.path, random.Random(seed)
        if kind == "hg":
            need_hg()
            converted = Converted(told, tmp_path / f"hg-{seed}")
            folder = converted.path
            patches, tips = [converted.id(one) for one in patches], [converted.id(one) for one in tips]
        series: list[tuple[Patch, ...]] = [(Commit(one),) for one in patches]
        series += [(Commit(one), Commit(two)) for one, two in itertools.pairwise(patches)]
        # a train is read again at tips it had before, as after a bad pull
        walk = [*tips, *chance.sample(tips, 5)]
        tried, proved = await replayed(
            folder, [(tip, series) for tip in walk], tmp_path / f"kept-{seed}", kind=kind
        )
        assert 0 < proved < tried, "were nothing ever proved, or all, this would show nothing"
        total += tried
    print(f"\ndrill: kept results on generated {kind} histories: {total} trials, 0 wrong")


@pytest.mark.parametrize("name", REAL)
async def test_never_wrong_on_recorded_histories(name: str, shared: Path, tmp_path: Path) -> None:
    clone = Path(os.environ.get("SHIPIT_HISTORIES", "/nonexistent")) / name
    if not clone.is_dir():
        absent("histories", f"SHIPIT_HISTORIES names no folder with a bare clone {name}")
    rows = [
        json.loads(line)
        for line in (shared / "data" / "uplift-history" / f"{name}.jsonl").read_text().splitlines()
    ]
    branches = defaultdict(list)
    for row in rows:
        if (row.get("graft") or {}).get("result"):
            branches[row["branch"]].append(row)
    moments: list[tuple[str, list[tuple[Patch, ...]]]] = []
    for branch in branches.values():
        moments += [(tip, [(Commit(one),) for one in waiting]) for tip, waiting in by_hour(clone, branch)]
    moments = moments[-MOST_HOURS:]
    tried, proved = await replayed(clone, moments, tmp_path / "kept")
    assert tried > 100
    assert proved > 0
    print(f"\ndrill: kept results on {name}, {len(moments)} hours: {tried} trials, {proved} proved, 0 wrong")


def by_hour(repo: Path, rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Each hour's tip of a branch at which its requests waited, with their commits."""
    last = rows[-1]["parent"]
    told = run_git(
        repo, "log", "--first-parent", "--reverse", "--max-count=300", "--format=%H %ct", last, "--"
    )
    hours = {int(when) // HOUR: (tip, int(when)) for tip, when in map(str.split, told.decode().splitlines())}
    for hour in sorted(hours):
        tip, when = hours[hour]
        waiting = {
            row["source_commit"]
            for row in rows
            if datetime.fromisoformat(row["source_commit_date"]).timestamp() <= when
            and when <= datetime.fromisoformat(row["commit_date"]).timestamp()
            and row["uplift_commit"] != tip
        }
        if waiting:
            yield tip, sorted(waiting)
