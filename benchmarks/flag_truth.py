# SPDX-License-Identifier: MPL-2.0
"""Whether what two kinds of flags measure is so, on histories: `python -m benchmarks.flag_truth CLONE …`.

Words: that a commit adds or changes words is read from the lines of its diff; the truth is both versions of
the whole file, parsed. Tests: that no test lies beside a commit's code is read from an index of paths; the
truth is whether any test file of that commit's tree mentions the name of a file it touches.
"""

from __future__ import annotations

import asyncio
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shipit.uplift.facts import is_test_file
from shipit.uplift.words import is_string_file
from shipit.vcs.commits import read_files
from shipit.vcs.git import git
from shipit.vcs.history import History

MOST_STRINGS = 600
MOST_TESTS = 1500
MOST_GREPS = 150
_CODE = re.compile(r".*\.(?:kt|java|py|js)$")


class Counts(msgspec.Struct):
    """Right and wrong claims, and what was missed."""

    looked_at: int = 0
    claimed: int = 0
    right: int = 0
    missed: int = 0


async def words(repo: Path) -> Counts:
    """Commits that touch string files: is it said of each that words change exactly when they do?"""
    counts = Counts()
    listed = await git(
        repo,
        "log",
        "--no-merges",
        f"--max-count={MOST_STRINGS}",
        "--format=%H",
        "HEAD",
        "--",
        "*values/strings.xml",
    )
    for commit in listed.stdout.decode().split():
        files = (await read_files(repo, [commit]))[commit]
        for file in files:
            if not is_string_file(file.path) or not file.path.endswith(".xml") or is_test_file(file.path):
                continue
            counts.looked_at += 1
            is_claimed = bool(file.words)
            before, after = [await _strings(repo, name, file.path) for name in (f"{commit}^", commit)]
            is_so = any(before.get(name) != text for name, text in after.items())
            counts.claimed += is_claimed
            counts.right += is_claimed and is_so
            counts.missed += is_so and not is_claimed
    return counts


async def _strings(repo: Path, commit: str, path: str) -> dict[str, str]:
    """Name to text of everything in a file that localizers translate."""
    answer = await git(repo, "cat-file", "blob", f"{commit}:{path}", check=False)
    if answer.code != 0:
        return {}
    try:
        root = ElementTree.fromstring(answer.stdout)
    except ElementTree.ParseError:
        return {}
    return {
        node.get("name", ""): " ".join("".join(node.itertext()).split())
        for node in root.iter()
        if node.tag in ("string", "plurals", "string-array") and node.get("translatable") != "false"
    }


async def tests(repo: Path) -> Counts:
    """Commits of code without a test: where none is said to lie beside, does none mention the code?"""
    counts = Counts()
    seen: set[tuple[str, ...]] = set()
    tip = (await git(repo, "rev-parse", "HEAD")).stdout.decode().strip()
    history = History(repo)
    await history.follow(tip)
    listed = await git(repo, "rev-list", "--no-merges", f"--max-count={MOST_TESTS}", tip)
    for commit in listed.stdout.decode().split():
        paths = await _paths(repo, commit)
        code = [path for path in paths if _CODE.match(path) and not is_test_file(path)]
        if not code or any(is_test_file(path) for path in paths):
            continue
        # what is changed every day, as the number of a dependency is, counts once
        if tuple(code) in seen:
            continue
        seen.add(tuple(code))
        counts.looked_at += 1
        if history.tests_near(paths) or counts.claimed >= MOST_GREPS:
            continue
        counts.claimed += 1
        counts.right += not await _is_mentioned(repo, commit, code)
    return counts


async def _paths(repo: Path, commit: str) -> list[str]:
    answer = await git(repo, "diff-tree", "-r", "--no-commit-id", "--name-only", "-z", "--root", commit)
    return [path.decode("utf-8", "replace") for path in answer.stdout.split(b"\0") if path]


async def _is_mentioned(repo: Path, commit: str, code: Sequence[str]) -> bool:
    names = sorted({Path(path).stem for path in code})[:20]
    wanted = [word for name in names for word in ("-e", name)]
    answer = await git(repo, "grep", "-l", "-w", "-F", "-z", *wanted, commit, "--", check=False)
    found = (path.decode("utf-8", "replace").partition(":")[2] for path in answer.stdout.split(b"\0") if path)
    return any(is_test_file(path) for path in found)


async def report(repos: Sequence[Path]) -> str:
    """The figures as Markdown."""
    lines = [
        "| what is said | history | looked at | said so | right | missed |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for repo in repos:
        name = repo.parent.name.rpartition("+")[2] if repo.name == "repo" else repo.name
        for what, counts in (
            ("words change", await words(repo)),
            ("no test lies beside the code", await tests(repo)),
        ):
            missed = str(counts.missed) if what == "words change" else "–"
            lines.append(
                f"| {what} | {name} | {counts.looked_at} | {counts.claimed} | {counts.right} | {missed} |"
            )
    return "\n".join(lines)


def run(words_given: Sequence[str]) -> int:
    """Print the figures of the clones that are named."""
    if not words_given or not all(Path(word).is_dir() for word in words_given):
        print("name clones: python -m benchmarks.flag_truth CLONE …", file=sys.stderr)
        return 2
    print(asyncio.run(report([Path(word) for word in words_given])))
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
