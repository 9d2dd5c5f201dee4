# SPDX-License-Identifier: MPL-2.0
"""Merge trials where they could become slow: a large tree, a long history, memory, repeats, an hourly replay.

    python -m benchmarks.merge_limits [--full | --files N --commits N] [--repo CLONE --history ROWS.jsonl]

With a clone and its recorded uplifts every request is tried each hour from its landing on main to its uplift,
with results kept and without, and every verdict and tree is compared; the benchmark fails when one differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.merge_trials import Case, cpu_now, git, recorded
from shipit.merge.series import Request
from shipit.merge.types import Commit
from shipit.vcs.git_store import GitTrials
from shipit.vcs.kept_trials import KeptTrials

FULL_FILES, FULL_COMMITS = 300_000, 1_000_000
SMALL_FILES, SMALL_COMMITS = 10_000, 10_000
PATCHES = 900
# A pass over these alone tells what starting costs, which is the round's and not the trial's.
FEW = 300
ROUNDS = 7
HOUR = 3600
LINES = [f"line {number} of a file like others" for number in range(40)]


def place_of(number: int) -> str:
    """Folders of about twenty entries each, as deep as they must be."""
    return f"a{number // 8000}/b{number // 400 % 20}/c{number // 20 % 20}/f{number}.txt"


def file(number: int, line: int | None = None, word: str = "") -> bytes:
    """The content of a file, one of its lines changed."""
    words = [f"file {number}", *LINES]
    if line is not None:
        words[line] = word
    return "\n".join(words).encode() + b"\n"


def stream(files: int, commits: int) -> Iterator[bytes]:
    """For fast-import: a tree of `files`, then `commits` on main; a train leaves it near its end."""

    def commit(ref: str, when: int, origin: str = "") -> bytes:
        head = f"commit refs/heads/{ref}\ncommitter b <b> {1_600_000_000 + when} +0000\ndata 1\nx\n"
        return (head + (f"from {origin}\n" if origin else "")).encode()

    def change(number: int, content: bytes) -> bytes:
        return f"M 100644 inline {place_of(number)}\ndata {len(content)}\n".encode() + content + b"\n"

    yield commit("main", 0)
    for number in range(files):
        yield change(number, file(number))
    fork = max(1, commits - 2 * PATCHES)
    for number in range(1, commits + 1):
        yield commit("main", number) + change(
            number * 7919 % files, file(number * 7919 % files, 20, str(number))
        )
        if number == fork:
            yield commit("train", number, "refs/heads/main") + change(0, file(0, 1, "train"))
    for number in range(20):
        # Every few patches meet a file that the train changed too, some at the very line.
        chosen = (commits - number) * 7919 % files
        yield commit("train", commits + number) + change(
            chosen, file(chosen, 20 if number % 2 else 5, "train")
        )


def made(folder: Path, files: int, commits: int) -> tuple[Path, list[Case]]:
    """Generate a repository with its cases."""
    repo = folder / f"files-{files}-commits-{commits}"
    repo.mkdir()
    git(repo, "init", "-q", "--bare", "-b", "main", ".")
    words = ["git", "-C", str(repo), "fast-import", "--quiet", "--depth=10"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for piece in stream(files, commits):
            process.stdin.write(piece)
        process.stdin.close()
    if process.returncode:
        raise SystemExit("fast-import failed")
    # As a server sends a clone, newest first; fast-import leaves the newest scattered among the oldest.
    git(repo, "repack", "-a", "-d", "-q", "--no-write-bitmap-index")
    git(repo, "commit-graph", "write", "--reachable")
    tips = git(repo, "rev-list", "--max-count=20", "train").decode().split()
    patches = git(repo, "rev-list", f"--max-count={PATCHES}", "main").decode().split()
    return repo, [(tips[place % len(tips)], patch) for place, patch in enumerate(patches)]


def requests(cases: list[Case], *, again: bool = True) -> list[Request]:
    """The trials of cases. again: without asking history whether they have landed."""
    return [Request(tip, (Commit(patch),), again) for tip, patch in cases]


async def fresh(repo: Path, cases: list[Case], *, again: bool = True) -> float:
    """CPU seconds of all trials with nothing kept."""
    began = cpu_now()
    async with GitTrials(repo, remembers=False) as engine:
        await engine.run(requests(cases, again=again))
    return cpu_now() - began


def alternated(one: tuple[Path, list[Case]], other: tuple[Path, list[Case]]) -> tuple[float, float]:
    """CPU milliseconds per trial of two repositories, in turn: medians, without what starting costs."""
    times: dict[tuple[int, bool], list[float]] = defaultdict(list)
    for turn in range(ROUNDS + 1):
        for place, (repo, cases) in enumerate((one, other)):
            for is_whole in (False, True):
                spent = asyncio.run(fresh(repo, cases if is_whole else cases[:FEW]))
                if turn:
                    times[place, is_whole].append(spent * 1000)

    def each(place: int) -> float:
        whole, few = (statistics.median(times[place, is_whole]) for is_whole in (True, False))
        return (whole - few) / (PATCHES - FEW)

    return each(0), each(1)


async def start_of_round(repo: Path, cases: list[Case]) -> float:
    """CPU seconds until the first merge: names looked up, and history asked what has landed."""
    began = cpu_now()
    async with GitTrials(repo, remembers=False) as engine:
        known = await engine.store.look_up({name for case in cases for name in case})
        await engine.store.ancestors({(patch, tip) for tip, patch in cases})
        assert len(known) > 1
    return cpu_now() - began


async def repeats(repo: Path, cases: list[Case]) -> tuple[float, float]:
    """CPU seconds of a first pass, and of the same trials again while results are kept."""
    async with GitTrials(repo) as engine:
        began = cpu_now()
        first = await engine.run_timed(requests(cases))
        middle = cpu_now()
        for _ in range(10):
            again = await engine.run_timed(requests(cases))
        spent = (cpu_now() - middle) / 10
        if [one.result for one in first] != [one.result for one in again]:
            raise SystemExit("a repeat differs")
        # The processes of a batch have ended and are counted; those of a pipe would not be.
        return middle - began, spent


def memory(repo: Path, cases: list[Case]) -> float:
    """The most MiB that one merge process held; in a process of its own, which has no other children."""
    words = [sys.executable, "-m", "benchmarks.merge_limits", "--memory-of", str(repo)]
    said = subprocess.run(words, input=json.dumps(cases).encode(), capture_output=True, check=True)
    return float(said.stdout)


def tips_by_hour(repo: Path, rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Each hour's tip of a branch at which its requests waited, with their commits."""
    last = rows[-1]["parent"]
    told = git(repo, "log", "--first-parent", "--reverse", "--max-count=300", "--format=%H %ct", last, "--")
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


async def replay(repo: Path, rows: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Re-trials, those proved unchanged, and those whose kept result was wrong."""
    branches = defaultdict(list)
    for row in rows:
        if (row.get("graft") or {}).get("result"):
            branches[row["branch"]].append(row)
    retried = proved = wrong = 0
    last: dict[str, str] = {}
    async with GitTrials(repo, kept=KeptTrials()) as keeping, GitTrials(repo, remembers=False) as plain:
        for branch in branches.values():
            for tip, waiting in tips_by_hour(repo, branch):
                asked = requests([(tip, patch) for patch in waiting])
                for patch, kept, right in zip(
                    waiting, await keeping.run_timed(asked), await plain.run(asked), strict=True
                ):
                    if last.get(patch, tip) != tip:
                        retried += 1
                        proved += kept.is_kept
                    wrong += kept.result != right
                    last[patch] = tip
    return retried, proved, wrong


def tell_repeats(first: float, again: float, count: int) -> None:
    """Print what repeats cost."""
    said = f"{1000 * first / count:.2f} ms, then {1000 * again / count:.4f} ms: {first / again:.0f}×"
    print(f"| CPU per trial, the same trials again with results kept | {said} | ≥ 20× |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="300,000 files and 1,000,000 commits")
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--commits", type=int, default=100_000)
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of is not None:
        cases = [(tip, patch) for tip, patch in json.load(sys.stdin)]
        asyncio.run(fresh(options.memory_of, cases))
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
        return
    print("| what | measured | target |\n| --- | --- | --- |")
    if options.repo is not None and options.history is not None:
        rows = [json.loads(line) for line in options.history.read_text().splitlines() if line.strip()]
        retried, proved, wrong = asyncio.run(replay(options.repo, rows))
        print(f"| re-trials of the hourly replay of {options.history.stem} | {retried} | |")
        print(f"| … proved unchanged | {100 * proved / max(1, retried):.1f} % | ≥ 80 % |")
        print(f"| … wrong | {wrong} | 0 |")
        cases = recorded(options.repo, options.history)
        tell_repeats(*asyncio.run(repeats(options.repo, cases)), len(cases))
        print(f"| most memory of a merge process | {memory(options.repo, cases):.0f} MiB | ≤ 300 MiB |")
        if wrong:
            raise SystemExit(1)
        return
    files, commits = (FULL_FILES, FULL_COMMITS) if options.full else (options.files, options.commits)
    with tempfile.TemporaryDirectory() as folder:
        small = made(Path(folder), SMALL_FILES, SMALL_COMMITS)
        for name, other, target in (
            (f"{files:,} files against {SMALL_FILES:,}", made(Path(folder), files, SMALL_COMMITS), 1.5),
            (f"{commits:,} commits against {SMALL_COMMITS:,}", made(Path(folder), SMALL_FILES, commits), 1.1),
        ):
            few, many = alternated(small, other)
            said = f"{many:.2f} ms against {few:.2f} ms: {many / few:.2f}×"
            print(f"| CPU per trial, {name} | {said} | ≤ {target}× |", flush=True)
            print(
                f"| most memory of a merge process there | {memory(*other):.0f} MiB | ≤ 300 MiB |", flush=True
            )
        print(f"| start of a round there | {asyncio.run(start_of_round(*other)):.2f} CPU s | < 5 s |")
        tell_repeats(*asyncio.run(repeats(*small)), PATCHES)


if __name__ == "__main__":
    main()
