# SPDX-License-Identifier: MPL-2.0
"""Make a Mercurial repository of a git clone's main and train branches, and its recorded uplifts with it.

The history goes through Mercurial's own `convert`; the rows of an uplift history are then spelled in the new
hashes, and their result trees (which are git's) as the engine for Mercurial names trees: the tip's manifest
and what the merge changes in it, each file by the hash of its content.

    python benchmarks/hg_convert.py CLONE HISTORY.jsonl TARGET --main main
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome
from shipit.vcs.git_store import GitTrials
from shipit.vcs.hg import hg_program
from shipit.vcs.hg_trees import tree_name

FLAGS = {"100644": "", "100755": "x", "120000": "l"}
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "HGRCPATH": "",
    "HGPLAIN": "1",
    "LC_ALL": "C.UTF-8",
}


def run(*words: str | Path, stdin: bytes | None = None) -> bytes:
    """What a command says; its failure is ours."""
    return subprocess.run(words, input=stdin, check=True, stdout=subprocess.PIPE, env=ENVIRONMENT).stdout


def branches_of(clone: Path, main: str, rows: Iterable[dict[str, Any]]) -> list[str]:
    """Main and the branches of the rows, as far as the clone has them."""
    have = run("git", "-C", clone, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").decode()
    wanted = {main, *(row["branch"] for row in rows)}
    return sorted(wanted & set(have.split()))


def convert(clone: Path, branches: list[str], target: Path) -> dict[str, str]:
    """Convert; answers git hash to hg hash. A second call goes on where the first ended."""
    narrow = target.with_name(target.name + ".git")
    if not narrow.exists():
        run("git", "init", "--quiet", "--bare", narrow)
        objects = run("git", "-C", clone, "rev-parse", "--git-path", "objects").decode().strip()
        (narrow / "objects/info/alternates").write_text(f"{(clone / objects).resolve()}\n", "utf-8")
    for branch in branches:
        tip = run("git", "-C", clone, "rev-parse", f"refs/heads/{branch}").decode().strip()
        run("git", "-C", narrow, "update-ref", f"refs/heads/{branch}", tip)
    _stand_in(narrow)
    options = ("extensions.convert=", "convert.git.similarity=50", "convert.git.renamelimit=7000")
    settings = [word for option in options for word in ("--config", option)]
    run(hg_program(), *settings, "convert", "--quiet", "-s", "git", narrow, target)
    return shamap(target)


def shamap(target: Path) -> dict[str, str]:
    """Git hash to hg hash of what was converted into it."""
    lines = (target / ".hg/shamap").read_text("ascii").splitlines()
    return dict(line.split() for line in lines)


def _stand_in(narrow: Path) -> None:
    """Put something in the place of files that the clone lacks; a row that needs one does not count."""
    listed = run("git", "-C", narrow, "rev-list", "--objects", "--all", "--missing=print").decode()
    for line in listed.splitlines():
        if line.startswith("?"):
            file = narrow / "objects" / line[1:3] / line[3:]
            file.parent.mkdir(exist_ok=True)
            text = f"in the place of {line[1:]}\n".encode()
            file.write_bytes(zlib.compress(b"blob %d\0" % len(text) + text))


def manifests(target: Path) -> dict[str, str]:
    """The manifest of each changeset."""
    template = "{node} {manifest}\n"
    lines = run(hg_program(), "-R", target, "--debug", "log", "-T", template).decode().splitlines()
    pairs = (line.split() for line in lines)
    return {node: manifest.rpartition(":")[2] for node, manifest in pairs}


def changes(listed: bytes) -> dict[bytes, tuple[str, str] | None]:
    """What a raw diff of git trees names: (flag, content hash) by path, None where the file is gone."""
    words = iter(listed.split(b"\0"))
    found: dict[bytes, tuple[str, str] | None] = {}
    for facts in words:
        if not facts:
            break
        _, mode, _, name, _ = facts.decode().split(" ")
        found[next(words)] = None if mode == "000000" else (FLAGS[mode], name)
    return found


async def mapped(
    clone: Path, rows: Iterable[dict[str, Any]], hashes: Mapping[str, str], manifest: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows in the new hashes, their trees as git makes them again; each says what git's trial said.

    Rows with a commit that was not converted, or that git cannot try either, are left out.
    """
    chosen = [
        row for row in rows if row["parent"] in hashes and row["source_commit"] in hashes and row["graft"]
    ]
    requests = [Request(row["parent"], (Commit(row["source_commit"]),), again=True) for row in chosen]
    found = []
    async with GitTrials(clone) as trials:
        results = await trials.run(requests)
        for row, result in zip(chosen, results, strict=True):
            if result.outcome is Outcome.ERROR:
                continue
            graft = {key: row["graft"].get(key) for key in ("result", "result_tree", "conflicts")}
            graft["conflicts"] = graft["conflicts"] or []
            parent = hashes[row["parent"]]
            if result.tree is not None and result.tree == graft["result_tree"]:
                old = f"{row['parent']}^{{tree}}"
                listed = await trials.shadow.git("diff-tree", "-r", "-z", "--no-renames", old, result.tree)
                graft["result_tree"] = tree_name(manifest[parent], changes(listed.stdout))
            said = {
                "outcome": result.outcome,
                "conflicts": [
                    {"path": one.path, "kind": one.kind}
                    for patch in result.patches
                    for one in patch.conflicts
                ],
            }
            found.append(
                {
                    "repository": row["repository"],
                    "branch": row["branch"],
                    "parent": parent,
                    "source_commit": hashes[row["source_commit"]],
                    "graft": graft,
                    "git": {"parent": row["parent"], "source_commit": row["source_commit"], **said},
                }
            )
    return found


def convert_history() -> None:
    """Convert, and write TARGET.jsonl beside the new repository."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clone", type=Path)
    parser.add_argument("history", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--main", default="main")
    asked = parser.parse_args()
    rows = [json.loads(line) for line in asked.history.read_text("utf-8").splitlines()]
    hashes = convert(asked.clone, branches_of(asked.clone, asked.main, rows), asked.target)
    found = asyncio.run(mapped(asked.clone, rows, hashes, manifests(asked.target)))
    out = asked.target.with_name(asked.target.name + ".jsonl")
    out.write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")
    print(f"{len(hashes)} changesets, {len(found)} of {len(rows)} rows: {out}")


if __name__ == "__main__":
    convert_history()
