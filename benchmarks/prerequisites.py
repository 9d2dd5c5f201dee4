# SPDX-License-Identifier: MPL-2.0
"""What conflicts miss, and landing plans, beside git-deps in one run: lists that really merge, CPU, index.

    python -m benchmarks.prerequisites [--repo CLONE --history ROWS.jsonl] [--limit N]

Without a clone a repository is generated. git-deps (a peer that names commits by blame) is run where
BENCH_GIT_DEPS names its program, on the first `--peer-limit` conflicts, each for at most `--peer-seconds`.
CPU is user and system time of every process involved.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shipit.merge.advice import advise
from shipit.merge.history import Entry
from shipit.merge.landing_order import Memory, Uplift, plan
from shipit.merge.prerequisites_backtest import UpliftRow, cases_of, read_uplift_rows
from shipit.merge.store import Known, Merge
from shipit.vcs.ground import GitGround
from shipit.vcs.objects import look_up

PENDING = 50
LINES = 200

Case = tuple[str, str]
"""Tip and conflicting patch, full ids."""


class Answered(msgspec.Struct, frozen=True):
    """One conflict as one tool answered it. size: commits named; None when it gave no list in time."""

    size: int | None
    merges: bool
    cpu_ms: float


def cpu_now() -> float:
    """Seconds of CPU of this process and of every child that has ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--limit", type=int, default=200, help="conflicts searched")
    parser.add_argument("--peer-limit", type=int, default=20, help="of them also asked of git-deps")
    parser.add_argument(
        "--peer-seconds", type=float, default=60.0, help="seconds for each answer of git-deps"
    )
    options = parser.parse_args()
    if (options.repo is None) != (options.history is None):
        parser.error("--repo and --history go together")
    with tempfile.TemporaryDirectory() as folder:
        if options.repo is None:
            repo, cases, blocks = generated(Path(folder), options.limit)
            source = "a generated repository"
        else:
            repo = options.repo
            rows = read_uplift_rows(options.history.read_bytes().splitlines())
            cases, blocks = asyncio.run(recorded(repo, rows))
            source = f"conflicts of {options.history.stem}"
        step = max(1, len(cases) // options.limit)
        asyncio.run(measured(repo, cases[::step][: options.limit], blocks, source, options, Path(folder)))


async def measured(
    repo: Path,
    cases: Sequence[Case],
    blocks: Sequence[tuple[str, list[str]]],
    source: str,
    options: argparse.Namespace,
    folder: Path,
) -> None:
    """All of one repository, printed as Markdown."""
    async with GitGround(repo, index=folder / "index") as ground:
        names = {name for case in cases for name in case}
        names |= {name for tip, block in blocks for name in (tip, *block)}
        before = cpu_now()
        await ground.entries(sorted(names))
        seconds, count = cpu_now() - before, len(ground.history)
        print(f"{source}; git {ground.version}; Python {platform.python_version()}; {os.cpu_count()} cores\n")
        per = seconds * 20_000 / max(1, count)
        print(
            f"Index, once: {count} commits in {seconds:.1f} CPU s; 20,000 in {per:.1f} (at most 30 wanted).\n"
        )
        ours = [await searched(ground, case) for case in cases]
        program = os.environ.get("BENCH_GIT_DEPS")
        few = cases[:: max(1, len(cases) // options.peer_limit)][: options.peer_limit]
        rows = [("**ours**, all", ours)]
        if program:
            rows.append(("**ours**, on the peer's", [await searched(ground, case) for case in few]))
            for name, words in (("git-deps", []), ("git-deps -r", ["-r"])):
                told = [
                    await peer(ground, repo, [program, *words], case, options.peer_seconds) for case in few
                ]
                rows.append((name, told))
        print(table(rows))
        if not program:
            print("\ngit-deps was not run: BENCH_GIT_DEPS names no program.")
        if blocks:
            print()
        for place, (tip, block) in enumerate(blocks):
            await landing(ground, tip, block, is_first=place == 0)


async def searched(ground: GitGround, case: Case) -> Answered:
    """Ours on one conflict."""
    tip, patch = _entry(ground, case[0]), _entry(ground, case[1])
    before = cpu_now() * 1000 + ground.cpu_ms()
    advice = await advise(ground, [patch], tip)
    spent = cpu_now() * 1000 + ground.cpu_ms() - before
    named = [_entry(ground, one.revision) for one in advice.prerequisites]
    merges = advice.verified and await _merges(ground, tip, [*named, patch])
    return Answered(len(named) if named else None, merges, spent)


async def peer(ground: GitGround, repo: Path, words: Sequence[str], case: Case, seconds: float) -> Answered:
    """git-deps on one conflict: its list, and whether that list, applied in main's order, really merges."""
    tip, patch = _entry(ground, case[0]), _entry(ground, case[1])
    before = cpu_now()
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [*words, "-e", case[0], f"{case[1]}^!"],
            cwd=repo,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Answered(None, False, 1000 * (cpu_now() - before))
    spent = 1000 * (cpu_now() - before)
    ids = {word for word in done.stdout.split() if len(word) == 40} - {case[1]}
    found = [ground.history.find(name) for name in ids]
    named = sorted((one for one in found if one is not None), key=lambda one: one.position)
    if done.returncode != 0 or len(named) != len(ids):
        return Answered(len(ids) or None, False, spent)
    return Answered(len(named), await _merges(ground, tip, [*named, patch]), spent)


async def _merges(ground: GitGround, tip: Entry, sequence: Sequence[Entry]) -> bool:
    """Whether commits, one upon the other, merge onto a tip, and the last changes something."""
    tree = before = tip.tree
    for entry in sequence:
        if entry.base is None:
            return False
        merged = await ground.merge(Merge(entry.base, tree, entry.tree))
        if merged.tree is None:
            return False
        before, tree = tree, merged.tree
    return tree != before


async def landing(ground: GitGround, tip: str, block: Sequence[str], *, is_first: bool) -> None:
    """A landing plan of pending uplifts, and the same again with one more of them."""
    start = _entry(ground, tip)
    uplifts = [Uplift(name, (_entry(ground, name),)) for name in block]
    memory = Memory(ground)
    figures = []
    for some in (uplifts[:-1], uplifts, uplifts):
        before = cpu_now() + ground.cpu_ms() / 1000
        made = await plan(memory, some, start)
        figures.append((len(made.steps), made.merges, cpu_now() + ground.cpu_ms() / 1000 - before))
    (steps, merges, seconds), (_, more, again), (_, same, last) = figures
    if is_first:
        print("| pending uplifts | merge in the plan | merges | CPU s | with one more | nothing changed |")
        print("| --: | --: | --: | --: | --: | --: |")
    print(
        f"| {len(uplifts) - 1} | {steps} | {merges} | {seconds:.2f}"
        f" | {more} merges, {again:.2f} CPU s | {same} merges, {last:.2f} CPU s |"
    )


def table(rows: Sequence[tuple[str, Sequence[Answered]]]) -> str:
    """The tools as Markdown."""
    lines = [
        "| tool | conflicts | with a list | that really merges | of ≤ 3 | median size | CPU ms p50 | p95 |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name, told in rows:
        sizes = [one.size for one in told if one.size is not None]
        right = [one for one in told if one.merges and one.size is not None]
        spent = sorted(one.cpu_ms for one in told)
        few = sum(1 for one in right if one.size is not None and one.size <= 3)
        lines.append(
            f"| {name} | {len(told)} | {len(sizes)} | {len(right)} ({len(right) / max(1, len(told)):.0%})"
            f" | {few} | {statistics.median(sizes) if sizes else '–'}"
            f" | {spent[len(spent) // 2]:.1f} | {spent[min(len(spent) - 1, len(spent) * 95 // 100)]:.1f} |"
        )
    return "\n".join(lines)


def _entry(ground: GitGround, name: str) -> Entry:
    entry = ground.history.find(name)
    assert entry is not None, "everything named was followed"
    return entry


async def recorded(repo: Path, rows: Sequence[UpliftRow]) -> tuple[list[Case], list[tuple[str, list[str]]]]:
    """The recorded (or hard) conflicts that the clone has, and blocks of uplifts that landed one by one."""
    async with GitGround(repo, index=None) as ground:
        names = {name for row in rows for name in (row.parent, row.source_commit, row.branch_point) if name}
        found = await look_up(ground.shadow, names)
        known = {name for name, one in found.items() if isinstance(one, Known)}
    rows = [row for row in rows if row.parent in known and row.source_commit in known]
    usable = [row for row in rows if row.branch_point is None or row.branch_point in known]
    wanted = ("recorded", "hard", "branch point")
    cases = [(case.tip, case.source) for case in cases_of(usable) if case.corpus in wanted]
    branches: dict[str, list[UpliftRow]] = {}
    for row in rows:
        branches.setdefault(row.branch, []).append(row)
    blocks = []
    for mine in sorted(branches.values(), key=len, reverse=True)[:4]:
        sources = list(dict.fromkeys(row.source_commit for row in mine if row.source_commit))[: PENDING + 1]
        if len(sources) == PENDING + 1 and mine[0].branch_point is not None:
            blocks.append((mine[0].parent, sources))
    return list(dict.fromkeys(cases)), blocks


def generated(folder: Path, count: int) -> tuple[Path, list[Case], list[tuple[str, list[str]]]]:
    """A repository in which every commit of main edits a line of some file, often one that another edited."""
    chance = random.Random(7)
    repo = folder / "generated"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(repo)], check=True)
    files = {f"d{place % 10}/f{place}.txt": [f"line {line}" for line in range(LINES)] for place in range(60)}
    out = [_commit("main", 0, "Bug 1 - Begin", files)]
    out.append(b"reset refs/heads/train\nfrom refs/heads/main\n\n")
    for number in range(1, 2001):
        path = chance.choice(sorted(files))
        line = min(LINES - 1, int(chance.expovariate(1 / 12)))
        files[path][line] = f"line {line}, by commit {number}"
        out.append(_commit("main", number, f"Bug {number + 1} - Edit {path}", {path: files[path]}))
    subprocess.run(["git", "-C", str(repo), "fast-import", "--quiet"], input=b"".join(out), check=True)
    said = subprocess.run(
        ["git", "-C", str(repo), "rev-list", "--max-count=1500", "main"], capture_output=True, check=True
    )
    listed = said.stdout.decode().split()
    tip = subprocess.run(
        ["git", "-C", str(repo), "rev-parse", "train"], capture_output=True, text=True, check=True
    ).stdout.strip()
    cases = asyncio.run(_conflicting(repo, tip, listed[::-1][:: max(1, len(listed) // (2 * count))]))
    return repo, cases, [(tip, listed[-PENDING - 1 :][::-1])]


async def _conflicting(repo: Path, tip: str, patches: Sequence[str]) -> list[Case]:
    async with GitGround(repo, index=None) as ground:
        start, *entries = await ground.entries([tip, *patches])
        found = []
        for entry in entries:
            assert entry.base is not None
            merged = await ground.merge(Merge(entry.base, start.tree, entry.tree))
            if merged.tree is None and merged.reason is None:
                found.append((tip, entry.id))
        return found


def _commit(branch: str, number: int, message: str, files: dict[str, list[str]]) -> bytes:
    when = 1_700_000_000 + 60 * number
    out = [
        f"commit refs/heads/{branch}\ncommitter Ada <ada@example.org> {when} +0000\n"
        f"data {len(message)}\n{message}\n".encode()
    ]
    for path, lines in files.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        out.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    return b"".join(out)


if __name__ == "__main__":
    main()
