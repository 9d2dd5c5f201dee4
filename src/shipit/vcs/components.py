# SPDX-License-Identifier: MPL-2.0
"""Which component owns a path, by the moz.build files of a tree; read as data, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

import msgspec

from shipit.vcs.git import git

LARGEST_RULES = 1 << 17
_WILD = re.compile(r"(\*\*/|\*\*|\*)")


class Rule(msgspec.Struct, frozen=True):
    """`with Files(patterns): BUG_COMPONENT = …`; patterns are relative to the moz.build's folder."""

    patterns: tuple[str, ...]
    component: str


async def read_components(repo: Path, files: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The components that own the paths of each commit, sorted; () where the tree has no moz.build for them.

    files: commit hash to the paths touched. One git process for all. Raises CommandFailed.
    """
    taken = {commit: tuple(paths) for commit, paths in files.items()}
    return owners(taken, await _rules(repo, folders_above(taken)))


def folders_above(files: Mapping[str, Iterable[str]]) -> tuple[tuple[str, str], ...]:
    """Commit and folder of every moz.build that may own the paths of a commit."""
    return tuple(
        dict.fromkeys(
            (commit, folder)
            for commit, paths in files.items()
            for path in paths
            for folder in _folders(path)
            if "\n" not in folder
        )
    )


def owners(
    files: Mapping[str, Iterable[str]], rules: Mapping[tuple[str, str], tuple[Rule, ...]]
) -> dict[str, tuple[str, ...]]:
    """The components that own the paths of each commit, by the rules of the folders of its tree."""
    return {
        commit: tuple(sorted({found for path in paths if (found := _owner(path, commit, rules))}))
        for commit, paths in files.items()
    }


def read_rules(text: bytes) -> tuple[Rule, ...]:
    """The Files rules with a BUG_COMPONENT at the top level of a moz.build; () when it is not readable."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(
        Rule(patterns, component)
        for node in tree.body
        if isinstance(node, ast.With)
        and (patterns := _patterns(node))
        and (component := _component(node.body))
    )


def _folders(path: str) -> list[str]:
    """The folders above a path, the nearest first, "" for the root."""
    return [("" if str(folder) == "." else str(folder)) for folder in PurePosixPath(path).parents]


async def _rules(repo: Path, wanted: tuple[tuple[str, str], ...]) -> dict[tuple[str, str], tuple[Rule, ...]]:
    if not wanted:
        return {}
    names = "".join(f"{commit}:{folder + '/' if folder else ''}moz.build\n" for commit, folder in wanted)
    answer = await git(repo, "cat-file", "--batch", stdin=names.encode("utf-8", "surrogateescape"))
    found: dict[tuple[str, str], tuple[Rule, ...]] = {}
    at = 0
    for key in wanted:
        end = answer.stdout.index(b"\n", at)
        words = answer.stdout[at:end].rsplit(b" ", 2)
        at = end + 1
        if len(words) == 3 and words[2].isdigit():
            size = int(words[2])
            if words[1] == b"blob" and size <= LARGEST_RULES:
                found[key] = read_rules(answer.stdout[at : at + size])
            at += size + 1
    return found


def _owner(path: str, commit: str, rules: Mapping[tuple[str, str], tuple[Rule, ...]]) -> str | None:
    """The nearest folder's last matching rule wins, as in the build system."""
    for folder in _folders(path):
        inside = path[len(folder) + 1 :] if folder else path
        for rule in reversed(rules.get((commit, folder), ())):
            if any(_matcher(pattern).match(inside) for pattern in rule.patterns):
                return rule.component
    return None


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> re.Pattern[str]:
    parts = _WILD.split(pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile(
        "".join(known.get(part) or re.escape(part) for part in parts) + r"(?:/.*)?\Z", re.DOTALL
    )


def _patterns(node: ast.With) -> tuple[str, ...]:
    call = node.items[0].context_expr
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Files"):
        return ()
    return tuple(
        argument.value
        for argument in call.args
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        # More wildcards than any real rule has would make matching slow.
        and len(_WILD.findall(argument.value)) <= 3
    )


def _component(body: Iterable[ast.stmt]) -> str | None:
    for statement in body:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Tuple)):
            continue
        target, words = statement.targets[0], statement.value.elts
        if isinstance(target, ast.Name) and target.id == "BUG_COMPONENT" and len(words) == 2:
            said = [w.value for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)]
            if len(said) == 2:
                return f"{said[0]} :: {said[1]}"[:200]
    return None
