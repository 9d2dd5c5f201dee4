# SPDX-License-Identifier: MPL-2.0
"""Repositories made by chance: patches on main, and a train that goes its own way."""

from __future__ import annotations

import random
from pathlib import Path

from git_builder import File, Repo, numbered

PATHS = [f"{folder}{name}.txt" for folder in ("", "src/", "src/deep/", "lib/") for name in "abc"]


def wild(chance: random.Random, files: dict[str, bytes]) -> dict[str, File]:
    """A random commit upon a tree: edits, additions, removals, renames of files and of folders."""
    deed = chance.choice(["edit"] * 6 + ["add", "remove", "rename", "rename", "move"])
    there = sorted(files)
    if deed == "edit" and there:
        path = chance.choice(there)
        words = files[path].split(b"\n")
        words[chance.randrange(len(words) - 1)] = f"edit {chance.randrange(1000)}".encode()
        return {path: b"\n".join(words)}
    if deed in ("remove", "rename") and len(there) > 4:
        path = chance.choice(there)
        free = [other for other in PATHS if other not in files]
        return {path: None, **({chance.choice(free): files[path]} if deed == "rename" and free else {})}
    if deed == "move":
        moved = {path: files[path] for path in there if path.startswith("lib/")}
        made: dict[str, File] = dict.fromkeys(moved)
        return made | {"moved/" + path.removeprefix("lib/"): content for path, content in moved.items()}
    path = chance.choice([*PATHS, f"src/new{chance.randrange(9)}.txt", f"lib/new{chance.randrange(9)}.txt"])
    return {path: numbered(12, l1=path, l6=str(chance.randrange(1000)))}


def applied(files: dict[str, bytes], change: dict[str, File]) -> dict[str, bytes]:
    after = {**files, **{path: content for path, content in change.items() if isinstance(content, bytes)}}
    return {path: content for path, content in after.items() if change.get(path, b"") is not None}


def generated(folder: Path, seed: int) -> tuple[Repo, list[str], list[str]]:
    """A repository, its patches on main, and the tips that its train "beta" had one after the other."""
    chance = random.Random(seed)
    told = Repo(folder)
    begin = {path: numbered(12, l1=path) for path in PATHS}
    told.commit("begin", begin)
    told.branch("beta", "main")
    main, patches = begin, []
    for number in range(10):
        change = wild(chance, main)
        main = applied(main, change)
        patches.append(told.commit(f"Bug {number + 2}", change))
    beta, tips = begin, []
    for number in range(14):
        change = wild(chance, beta)
        beta = applied(beta, change)
        tips.append(told.commit(f"train {number}", change, on="beta"))
    return told, patches, tips
