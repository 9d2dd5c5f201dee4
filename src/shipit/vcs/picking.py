# SPDX-License-Identifier: MPL-2.0
"""Write a landing plan as commits: a new branch of the clone, or patches; no existing branch is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from shipit.errors import CommandFailed, Refused
from shipit.merge.history import Entry
from shipit.vcs.git import git
from shipit.vcs.objects import Read, read_objects
from shipit.vcs.packs import write_pack
from shipit.vcs.shadow import Shadow

COMMITTER = "Ship It <shipit@localhost>"


class Pick(msgspec.Struct, frozen=True):
    """A commit of main to be picked, and the tree after it; with a message a patch that is no commit yet."""

    entry: Entry
    tree: str
    message: str | None = None


async def write_branch(shadow: Shadow, repo: Path, tip: str, picks: Sequence[Pick], name: str) -> str:
    """Make a new branch with the picks upon a tip; answers what was done, in words.

    Raises Refused when there is such a branch, CommandFailed when the clone cannot be written. Nothing of
    the clone's configuration or hooks runs.
    """
    ref = f"refs/heads/{name}"
    if (await shadow.git("check-ref-format", ref, check=False)).code != 0:
        raise Refused(f"{name!r} cannot be the name of a branch")
    if (await shadow.git("rev-parse", "--verify", "--quiet", ref, check=False)).code == 0:
        raise Refused(f"there is a branch {name} already, and no branch is ever changed")
    head = await _commit_all(shadow, tip, picks)
    pack = await shadow.git("pack-objects", "--revs", "--stdout", stdin=f"{head}\n^{tip}\n".encode())
    if head != tip:
        await git(repo, "index-pack", "--stdin", "--fix-thin", stdin=pack.stdout)
    await git(repo, "update-ref", "-m", "shipit landing-plan", ref, head, "0" * len(head))
    return f"branch {name} is at {head}, {len(picks)} commits above {tip[:12]}"


async def write_patches(shadow: Shadow, tip: str, picks: Sequence[Pick], folder: Path) -> str:
    """Write the picks as numbered patches into a folder; answers what was done, in words."""
    head = await _commit_all(shadow, tip, picks)
    place = await asyncio.to_thread(_made, folder)
    answer = await shadow.git("format-patch", "--no-signature", "--output-directory", place, f"{tip}..{head}")
    return f"{len(answer.stdout.splitlines())} patches are in {folder}"


def _made(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder.resolve())


async def _commit_all(shadow: Shadow, tip: str, picks: Sequence[Pick]) -> str:
    """The last of the new commits: each with its author, time and message, and where it was picked from."""
    names = [pick.entry.id for pick in picks if pick.message is None]
    reads = dict(zip(names, await read_objects(shadow, names), strict=True))
    parent = tip
    for pick in picks:
        if pick.message is not None:
            made = _new(pick, parent)
        elif isinstance(read := reads[pick.entry.id], Read):
            made = _picked(read.content, pick, parent)
        else:
            raise CommandFailed(("git", "cat-file"), None, f"commit {pick.entry.id} {read.reason}")
        (parent,) = write_pack(shadow.objects / "pack", [("commit", made)], hash_name=shadow.hash_name)
    return parent


def _new(pick: Pick, parent: str) -> bytes:
    """A commit of a patch that nobody committed yet: the patch does not say reliably who wrote it."""
    who = f"{COMMITTER} {pick.entry.authored} +0000"
    lines = [f"tree {pick.tree}", f"parent {parent}", f"author {who}", f"committer {who}", ""]
    return "\n".join([*lines, f"{pick.message}\n\n(from {pick.entry.id})\n"]).encode()


def _picked(content: bytes, pick: Pick, parent: str) -> bytes:
    head, _, message = content.partition(b"\n\n")
    lines = head.split(b"\n")
    author = next(line for line in lines if line.startswith(b"author "))
    encoding = [line for line in lines if line.startswith(b"encoding ")]
    # the time is the author's: the same plan makes the same commits
    when = author.rpartition(b"> ")[2]
    kept = [
        f"tree {pick.tree}".encode(),
        f"parent {parent}".encode(),
        author,
        f"committer {COMMITTER} ".encode() + when,
        *encoding,
    ]
    said = message.rstrip(b"\n") + f"\n\n(cherry picked from commit {pick.entry.id})\n".encode()
    return b"\n".join(kept) + b"\n\n" + said
