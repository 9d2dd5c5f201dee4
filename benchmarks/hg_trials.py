# SPDX-License-Identifier: MPL-2.0
"""Trials on Mercurial beside the original's method in one run: `hg graft --tool :merge` in a working copy.

    python -m benchmarks.hg_trials [--repo CLONE --history ROWS.jsonl] [--limit N] [--peer N]
                                   [--git CLONE --git-history ROWS.jsonl]

Without a clone a repository is generated. The rows of a real one come from `benchmarks/hg_convert.py`; the
clone that it converted tells what the same uplifts cost in git. CPU is user and
system time of every process involved; it is the column to trust on a machine that has other work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hg_peer import Case, Plain, Row, cpu_of, measured, original
from benchmarks.merge_trials import recorded
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg import hg_program
from shipit.vcs.hg_store import HgTrials

FILES = 2000
PATCHES = 60


def peak_of(pid: int) -> int:
    """The most memory that a living process has had, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


async def ours(repo: Path, cases: Sequence[Case]) -> tuple[Row, Row, Row, list[Outcome], int]:
    """Ours whole, with the start of the server; again with results kept, and dropped; peak memory."""
    first = Row("ours, first pass, server started for it", len(cases))
    kept = Row("ours again, results kept", len(cases))
    dropped = Row("ours again, results dropped", len(cases))
    requests = [Request(tip, (Commit(patch),), again=True) for tip, patch in cases]
    before = cpu_of(())
    started = time.perf_counter()
    async with HgTrials(repo) as trials:
        results = await trials.run(requests)
        pids = [server.pid for server in trials.servers if server.pid is not None]
        first.cpu, first.wall = cpu_of(pids) - before, time.perf_counter() - started
        times = 20
        with measured(kept, pids):
            for _ in range(times):
                await trials.run(requests)
        kept.cpu, kept.wall = kept.cpu / times, kept.wall / times
        peak = peak_of(pids[0])
    async with HgTrials(repo, remembers=False) as trials:
        await trials.run(requests)
        pids = [server.pid for server in trials.servers if server.pid is not None]
        with measured(dropped, pids):
            await trials.run(requests)
    return first, kept, dropped, [result.outcome for result in results], peak


async def in_git(repo: Path, cases: Sequence[Case]) -> Row:
    """The same uplifts in git, one worker, nothing kept."""
    row = Row("the same uplifts in git, first pass", len(cases))
    before, started = cpu_of(()), time.perf_counter()
    async with GitTrials(repo, remembers=False) as trials:
        await trials.run([Request(tip, (Commit(patch),), again=True) for tip, patch in cases])
    row.cpu, row.wall = cpu_of(()) - before, time.perf_counter() - started
    return row


def generate(folder: Path) -> tuple[Path, list[Case]]:
    """A repository of some thousand files, a train of sixty patches, and another sixty to try on it."""
    repo = folder / "repo"
    subprocess.run([hg_program(), "init", repo], check=True, env={**os.environ, "HGRCPATH": ""})
    chance = random.Random(7)
    texts = {f"d{n % 40}/f{n}.txt": [f"{n} line {row}\n" for row in range(120)] for n in range(FILES)}

    def commit(changed: Sequence[str], message: str) -> str:
        for path in changed:
            (repo / path).parent.mkdir(exist_ok=True)
            (repo / path).write_text("".join(texts[path]), "utf-8")
        plain.run("commit", "-q", "-A", "-m", message)
        return plain.run("log", "-r", ".", "-T", "{node}")[1].decode()

    plain = Plain(repo)
    root = commit(list(texts), "begin")
    begin = {path: list(rows) for path, rows in texts.items()}

    def line(word: str, count: int) -> list[str]:
        made = []
        for number in range(count):
            chosen = chance.sample(sorted(texts)[:300], 3)
            for path in chosen:
                texts[path][chance.randrange(120)] = f"{word} {number}\n"
            made.append(commit(chosen, f"Bug {number} - {word}"))
        return made

    patches = line("main", PATCHES)
    plain.run("update", "-q", "-C", root)
    texts.clear()
    texts.update(begin)
    tips = line("train", PATCHES)
    plain.close()
    return repo, [(tips[n], patches[n]) for n in range(PATCHES)]


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--limit", type=int, default=500, help="cases that ours tries")
    parser.add_argument("--peer", type=int, default=20, help="cases of them that the peer tries")
    parser.add_argument("--git", type=Path, help="the git clone that the repository was converted from")
    parser.add_argument("--git-history", type=Path, help="its recorded uplifts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.repo is None:
            repo, cases = generate(Path(folder))
        else:
            repo = asked.repo.absolute()
            told = [json.loads(line) for line in asked.history.read_text("utf-8").splitlines()]
            cases = [(row["parent"], row["source_commit"]) for row in told]
        cases = cases[: asked.limit]
        step = max(1, len(cases) // asked.peer)
        sample = cases[::step][: asked.peer]
        whole, graft, verdicts = original(repo, sample)
        small, *_, outcomes, _ = asyncio.run(ours(repo, sample))
        small.name = f"ours on the peer's {len(sample)} cases, server started for them"
        first, kept, dropped, all_outcomes, peak = asyncio.run(ours(repo, cases))
    rows = [whole, graft, small, first, dropped, kept]
    if asked.git is not None:
        rows.append(asyncio.run(in_git(asked.git, recorded(asked.git, asked.git_history)[: asked.limit])))
    merged = [outcome in (Outcome.CLEAN, Outcome.EMPTY) for outcome in outcomes]
    print("| | trials | CPU ms each | wall ms each | times less CPU than the original |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        wall = 1000 * row.wall / row.count
        print(f"| {row.name} | {row.count} | {row.each:.2f} | {wall:.2f} | {whole.each / row.each:.0f} |")
    same = sum(one == other for one, other in zip(merged, verdicts, strict=True))
    print(f"\nSame verdict as the original on {same} of {len(sample)}. Outcomes of all: ", end="")
    print(", ".join(f"{all_outcomes.count(one)} {one}" for one in sorted(set(all_outcomes))), end=". ")
    print(f"Peak memory of the command server: {peak} MB.")


if __name__ == "__main__":
    main()
