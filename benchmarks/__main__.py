# SPDX-License-Identifier: MPL-2.0
"""Runs every benchmark beside its peer and writes the tables to docs/benchmarks.md: `python -m benchmarks`.

A benchmark is a module that prints one Markdown section when run. Names of modules as arguments run only
those; what follows `--` is handed to the one named. The other sections stay as they are.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Figures are ratios to a peer measured in the same run, in turn; machines are shared and noisy, so read the
ratio, not the seconds. `make bench` runs all of them again; one on a real repository runs by
`make bench ARGS="merge_trials -- --repo CLONE --history ROWS.jsonl"`. Each section names its command.
"""


def names() -> list[str]:
    """Every benchmark, in alphabetical order: modules that can be run."""
    return [
        path.stem
        for path in sorted(Path(__file__).parent.glob("*.py"))
        if path.stem not in ("__init__", "__main__") and "def main(" in path.read_text("utf-8")
    ]


def main(words: Sequence[str]) -> int:
    """Run the chosen benchmarks (all when none is named); how many of them failed."""
    chosen, _, rest = " ".join(words).partition(" -- ")
    wanted = chosen.split() or names()
    unknown = sorted(set(wanted) - set(names()))
    if unknown or (rest and len(wanted) != 1):
        said = f"no such benchmark: {', '.join(unknown)}" if unknown else "-- goes with one benchmark"
        print(f"{said}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    sections = _sections()
    failed = 0
    for name in wanted:
        print(f"== {name}", flush=True)
        answer = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *rest.split()],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        print(answer.stdout, flush=True)
        failed += bool(answer.returncode)
        # A missed target is told as well as one that is met; what broke on the way has no table.
        if "|" in answer.stdout:
            sections[_key(name, rest)] = _section(name, rest, answer.stdout)
    PAGE.write_text("\n".join([HEAD, *(sections[key] for key in sorted(sections))]), "utf-8")
    return failed


def _section(name: str, rest: str, said: str) -> str:
    # only the names of files: where they lie is nobody's business
    words = " ".join([f"python -m benchmarks.{name}", *(Path(word).name for word in rest.split())])
    return f"<!-- {_key(name, rest)} -->\n## {_purpose(name)}\n\n`{words}`\n\n{said.strip()}\n"


def _key(name: str, rest: str) -> str:
    history = re.search(r"--history \S*?([\w.-]+)\.jsonl", rest)
    return f"{name} {history[1]}" if history else name


def _sections() -> dict[str, str]:
    """The sections as they stand in the page, by key."""
    if not PAGE.exists():
        return {}
    parts = re.split(r"^(?=<!-- [\w .-]+ -->\n)", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {part.split(" -->")[0].removeprefix("<!-- "): part.rstrip() + "\n" for part in parts[1:]}


def _purpose(name: str) -> str:
    text = (Path(__file__).parent / f"{name}.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(text)) or name).splitlines()[0].rstrip(".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
