# SPDX-License-Identifier: MPL-2.0
"""Merge trials beside their peers in one run: cherry-pick in a work tree, a merge-tree process for each.

    python -m benchmarks.merge_trials [--repo CLONE --history ROWS.jsonl [--converted HG-CLONE]] [--limit N]

Without a clone a repository is generated. CPU is user and system time of every process involved, children
included; it is the column to trust on a machine that has other work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.hg_convert import convert, shamap
from benchmarks.hg_peer import original
from shipit.errors import CommandFailed
from shipit.merge.series import Request
from shipit.merge.store import Known, Merge
from shipit.merge.types import Commit
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg import hg_program

ROUNDS = 5

Case = tuple[str, str]
"""Tip and patch, full ids."""


@dataclass(frozen=True)
class Row:
    """One engine's figures for all cases."""

    name: str
    count: int
    cpu: float
    wall: float

    @property
    def each(self) -> float:
        """CPU milliseconds per trial."""
        return 1000 * self.cpu / self.count


def cpu_now() -> float:
    """Seconds of CPU of this process and of every child that has ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def measure(name: str, count: int, work: Callable[[], object]) -> Row:
    """Run and time one engine."""
    cpu, wall = cpu_now(), time.perf_counter()
    work()
    return Row(name, count, cpu_now() - cpu, time.perf_counter() - wall)


def git(repo: Path, *words: str, stdin: bytes | None = None, check: bool = True) -> bytes:
    """Plain git, as a script would call it, without anybody's configuration."""
    env = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "b",
        "GIT_AUTHOR_EMAIL": "b",
        "GIT_COMMITTER_NAME": "b",
        "GIT_COMMITTER_EMAIL": "b",
    }
    done = subprocess.run(["git", "-C", repo, *words], input=stdin, capture_output=True, check=False, env=env)
    if check and done.returncode:
        raise SystemExit(f"git {' '.join(words[:3])}: {done.stderr.decode(errors='replace')}")
    return done.stdout


async def trials(repo: Path, cases: list[Case], workers: int) -> None:
    """Ours, whole: names looked up, ancestors found, merges run, conflicts read."""
    async with GitTrials(repo, workers=workers, remembers=False) as engine:
        await engine.run([Request(tip, (Commit(patch),), again=True) for tip, patch in cases])


async def prepared(repo: Path, cases: list[Case]) -> list[tuple[str, str, str]]:
    """For the peers: (base commit, tip tree, patch) of each case."""
    async with GitTrials(repo) as engine:
        known = await engine.store.look_up({name for case in cases for name in case})
    rows = []
    for tip, patch in cases:
        one, other = known[tip], known[patch]
        assert isinstance(one, Known)
        assert isinstance(other, Known)
        rows.append((other.parents[0], one.tree, other.id))
    return rows


async def bare_loop(repo: Path, cases: list[Case]) -> Row:
    """The floor: one merge-tree process over all, its input ready made, its answers not even read."""
    async with GitTrials(repo) as engine:
        known = await engine.store.look_up({name for case in cases for name in case})
        merges = []
        for tip, patch in cases:
            one, other = known[tip], known[patch]
            assert isinstance(one, Known)
            assert isinstance(other, Known)
            merges.append(Merge(other.base or engine.shadow.empty_tree, one.tree, other.tree))
        lines = b"".join(engine.store.lines(merges))
        cpu, wall = cpu_now(), time.perf_counter()
        await engine.shadow.git("merge-tree", "--write-tree", "-z", "--stdin", stdin=lines, timeout=3600)
        return Row(
            "one bare `merge-tree --stdin`, input ready made",
            len(cases),
            cpu_now() - cpu,
            time.perf_counter() - wall,
        )


def a_process_each(repo: Path, rows: list[tuple[str, str, str]]) -> None:
    """commit-tree and merge-tree for every trial."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = scratch_of(repo, Path(folder))
        for base, tree, patch in rows:
            ours = git(scratch, "commit-tree", tree, "-p", base, "-m", "x").decode().strip()
            git(scratch, "merge-tree", "--write-tree", "-z", ours, patch, check=False)


def scratch_of(repo: Path, folder: Path) -> Path:
    """A bare repository on the clone's objects."""
    git(folder, "init", "-q", "--bare", ".")
    common = repo / ".git" if (repo / ".git").is_dir() else repo
    (folder / "objects/info/alternates").write_text(f"{(common / 'objects').resolve()}\n")
    return folder


def cherry_picks(repo: Path, cases: list[Case], wanted: int) -> tuple[Row, Row]:
    """Patches picked in a work tree, as people do it: with the checkouts of their tips, and without.

    Cases that cannot be checked out (a clone that lacks a blob) are left out.
    """
    picking = checking = wall = 0.0
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        git(work, "init", "-q", ".")
        common = repo / ".git" if (repo / ".git").is_dir() else repo
        (work / ".git/objects/info/alternates").write_text(f"{(common / 'objects').resolve()}\n")
        for tip, patch in cases:
            started, began = cpu_now(), time.perf_counter()
            git(work, "checkout", "-q", "--force", "--detach", tip, check=False)
            git(work, "clean", "-qfd")
            if git(work, "rev-parse", "HEAD", check=False).decode().strip() != tip:
                continue
            checked = cpu_now()
            git(work, "cherry-pick", "--allow-empty", patch, check=False)
            git(work, "reset", "-q", "--hard")
            checking += checked - started
            picking += cpu_now() - checked
            wall += time.perf_counter() - began
            count += 1
            if count == wanted:
                break
    if not count:
        raise SystemExit("no case could be checked out")
    return (
        Row("cherry-pick in a work tree, checkouts left out", count, picking, wall),
        Row("cherry-pick in a work tree, checkouts and all", count, picking + checking, wall),
    )


def grafts(repo: Path, cases: list[Case], folder: Path, converted: Path | None) -> list[Row]:
    """The original's method on the same history in Mercurial, with the checkouts of the tips and without.

    converted: the repository in Mercurial where it was converted before. No rows where there is no hg.
    """
    try:
        hg_program()
    except CommandFailed:
        return []
    target = converted or folder / "converted"
    names = git(repo, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").decode().split()
    hashes = convert(repo, names, target) if converted is None else shamap(target)
    theirs = [(hashes[tip], hashes[patch]) for tip, patch in cases if tip in hashes and patch in hashes]
    whole, bare, _ = original(target, theirs)
    name = "the original's method in Mercurial: `hg graft`"
    return [
        Row(f"{name}, checkouts left out", bare.count, bare.cpu, bare.wall),
        Row(f"{name}, checkouts and all", whole.count, whole.cpu, whole.wall),
    ]


def generated(folder: Path, files: int, patches: int) -> tuple[Path, list[Case]]:
    """A repository of `files` files, a train, and patches of which some conflict."""
    chance = random.Random(1)
    repo = folder / "generated"
    repo.mkdir()
    git(repo, "init", "-q", "--bare", "-b", "main", ".")
    out = [b"commit refs/heads/main\ncommitter b <b> 1700000000 +0000\ndata 1\nx\n"]
    body = [f"line {number}" for number in range(120)]
    for number in range(files):
        content = "\n".join([f"file {number}", *body]).encode()
        out.append(
            b"M 100644 inline d%d/e%d/f%d\ndata %d\n%s\n"
            % (number % 50, number % 400, number, len(content), content)
        )
    out.append(b"\nreset refs/heads/train\nfrom refs/heads/main\n\n")
    for number in range(patches):
        for branch, mark in (("main", "theirs"), ("train", "ours")):
            chosen = chance.randrange(files) if branch == "train" else number % files
            lines = [f"file {chosen}", *body]
            lines[chance.randrange(1, 100)] = f"{mark} {number}"
            content = "\n".join(lines).encode()
            out.append(
                b"commit refs/heads/%s\ncommitter b <b> %d +0000\ndata 1\nx\n"
                % (branch.encode(), 1700000060 + number)
            )
            out.append(
                b"M 100644 inline d%d/e%d/f%d\ndata %d\n%s\n\n"
                % (chosen % 50, chosen % 400, chosen, len(content), content)
            )
    git(repo, "fast-import", "--quiet", stdin=b"".join(out))
    tips = git(repo, "rev-list", "--max-count=20", "train").decode().split()
    made = git(repo, "rev-list", f"--max-count={patches}", "main").decode().split()
    return repo, [(tips[place % len(tips)], patch) for place, patch in enumerate(made)]


def recorded(repo: Path, history: Path) -> list[Case]:
    """The cases of a recorded history whose commits the clone has."""
    rows = [json.loads(line) for line in history.read_text().splitlines() if line.strip()]
    cases = [(row["parent"], row["source_commit"]) for row in rows if (row.get("graft") or {}).get("result")]
    asked = "\n".join(name for case in cases for name in case).encode()
    said = git(repo, "cat-file", "--batch-check=%(objecttype)", stdin=asked).decode().split("\n")
    return [case for place, case in enumerate(cases) if said[2 * place] == said[2 * place + 1] == "commit"]


def table(rows: list[Row], ours: Row) -> str:
    """The rows as markdown, with the ratio to ours."""
    lines = [
        "| engine | trials | CPU ms each | trials/s | CPU against ours |",
        "| --- | --: | --: | --: | --: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.count} | {row.each:.2f} | {row.count / row.wall:.0f}"
            f" | {row.each / ours.each:.2f}× |"
        )
    return "\n".join(lines)


def in_turn(repo: Path, cases: list[Case]) -> tuple[Row, Row, Row]:
    """The floor and ours with one and two workers, again and again in turn; the medians by CPU."""
    rounds: list[list[Row]] = [[], [], []]
    for _ in range(ROUNDS):
        rounds[0].append(asyncio.run(bare_loop(repo, cases)))
        for workers in (1, 2):
            name = "**trials, 1 worker**" if workers == 1 else "trials, 2 workers"
            work = partial(asyncio.run, trials(repo, cases, workers))
            rounds[workers].append(measure(name, len(cases), work))
    floor, ours, two = (sorted(rows, key=lambda row: row.cpu)[ROUNDS // 2] for rows in rounds)
    return floor, ours, two


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--limit", type=int, default=400, help="trials of the fast engines")
    parser.add_argument("--slow-limit", type=int, default=40, help="trials of the slow engines")
    parser.add_argument("--graft-limit", type=int, default=10, help="trials of the original's method")
    parser.add_argument("--converted", type=Path, help="the clone in Mercurial, made by hg_convert")
    parser.add_argument("--files", type=int, default=10_000, help="files of the generated repository")
    options = parser.parse_args()
    if (options.repo is None) != (options.history is None):
        parser.error("--repo and --history go together")
    with tempfile.TemporaryDirectory() as folder:
        if options.repo is None:
            repo, cases = generated(Path(folder), options.files, options.limit)
            source = f"generated repository of {options.files} files"
        else:
            repo, cases = options.repo, recorded(options.repo, options.history)[: options.limit]
            source = f"{len(cases)} recorded uplifts of {options.history.stem}"
        few = cases[:: max(1, len(cases) // (2 * options.slow_limit))]
        rows = asyncio.run(prepared(repo, cases))
        asyncio.run(trials(repo, cases, 1))  # the disk's cache is warm for everybody
        floor, ours, two = in_turn(repo, cases)
        each = measure("a merge-tree process for each", len(cases), lambda: a_process_each(repo, rows))
        bare, picks = cherry_picks(repo, few, options.slow_limit)
        version = git(repo, "version").decode().strip()
        print(f"{source}; {version}; Python {platform.python_version()}; {os.cpu_count()} cores\n")
        told = grafts(repo, few[: options.graft_limit], Path(folder), options.converted)
        print(table([floor, ours, two, each, bare, picks, *told], ours))


if __name__ == "__main__":
    main()
