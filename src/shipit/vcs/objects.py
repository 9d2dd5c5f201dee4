# SPDX-License-Identifier: MPL-2.0
"""Read many objects of a clone with one process, and say of each that cannot be read why."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import msgspec

from shipit.errors import CommandFailed
from shipit.merge.store import Known, Unknown
from shipit.vcs.git import GitAnswer
from shipit.vcs.shadow import Shadow

LONGEST_NAME = 250
# What a ref name may not contain, and the spellings of git that search or look into logs: a revision that
# people hand us names a commit, it does not ask git to work.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f:?*\[\\]|\.\.|@\{|\^\{|^-|^$")
_MOST_RESTARTS = 50


class Read(msgspec.Struct, frozen=True):
    """An object as read. kind: "commit", "tree", "blob" or "tag"."""

    id: str
    kind: str
    content: bytes


def is_name(revision: str) -> bool:
    """Whether a revision is a plain name of a commit: no option, no search, no range."""
    return len(revision) <= LONGEST_NAME and not _FORBIDDEN.search(revision)


async def read_objects(shadow: Shadow, names: Sequence[str]) -> list[Read | Unknown]:
    """Read what `names` (each `is_name`, or with a suffix like "^{tree}" of ours) lead to, in order."""
    results: list[Read | Unknown] = []
    restarts = 0
    while len(results) < len(names):
        rest = names[len(results) :]
        lines = b"".join(name.encode("utf-8", "surrogateescape") + b"\n" for name in rest)
        try:
            answer = await shadow.git("cat-file", "--batch", stdin=lines, check=False)
        except CommandFailed as error:
            answer = GitAnswer(None, b"", error.stderr.encode())
        results += _objects(answer.stdout, len(rest))
        if len(results) < len(names):
            # It died of the next one: that one is unreadable, the others need not suffer.
            restarts += 1
            broken = Unknown(_why(answer), is_broken=True)
            left = len(names) - len(results)
            results += [broken] * (1 if restarts < _MOST_RESTARTS else left)
    return results


def _objects(output: bytes, most: int) -> list[Read | Unknown]:
    results: list[Read | Unknown] = []
    at = 0
    while at < len(output) and len(results) < most:
        end = output.find(b"\n", at)
        if end < 0:
            break
        words = output[at:end].split(b" ")
        at = end + 1
        if words[-1] in (b"missing", b"ambiguous"):
            word = "is ambiguous" if words[-1] == b"ambiguous" else "is not in this clone"
            results.append(Unknown(word))
            continue
        size = int(words[2])
        if at + size >= len(output):
            break
        results.append(Read(words[0].decode(), words[1].decode(), output[at : at + size]))
        at += size + 1
    return results


def _why(answer: GitAnswer) -> str:
    return f"cannot be read: {answer.complaint or f'git ended with {answer.code}'}"


class _Header(msgspec.Struct):
    tree: str = ""
    parents: list[str] = msgspec.field(default_factory=list)
    author: str = ""
    authored: int = 0


async def look_up(shadow: Shadow, names: Collection[str]) -> dict[str, Known | Unknown]:
    """The commits that revisions name; every name has an answer."""
    asked = [name for name in names if is_name(name)]
    found: dict[str, Known | Unknown] = {
        name: Unknown("is not a name of a commit") for name in names if not is_name(name)
    }
    quick = await _look_up_whole(shadow, asked)
    careful = await _look_up_doubtful(shadow, [name for name in asked if name not in quick])
    return found | quick | careful


async def _look_up_whole(shadow: Shadow, names: Sequence[str]) -> dict[str, Known]:
    """With one process: the commits of which nothing is missing. The others are left out."""
    if not names:
        return {}
    lines = [
        f"contents {name}^{{commit}}\ninfo {name}^{{tree}}\ninfo {name}^^{{tree}}\n".encode(
            "utf-8", "surrogateescape"
        )
        for name in names
    ]
    try:
        # Each commit is read whole anyway: the graph would only be another place to look.
        call = ("-c", "core.commitGraph=false", "cat-file", "--batch-command")
        answer = await shadow.git(*call, stdin=b"".join(lines), check=False)
    except CommandFailed:
        return {}
    found: dict[str, Known] = {}
    output, at = answer.stdout, 0
    for name in names:
        content = None
        words, at = _line(output, at)
        if len(words) == 3:
            id_, size = words[0].decode(), int(words[2])
            content, at = output[at : at + size], at + size + 1
        tree, at = _line(output, at)
        base, at = _line(output, at)
        if at > len(output):
            break
        if content is None or tree[1:2] != [b"tree"]:
            continue
        header, message = parse_commit(content)
        if len(header.parents) == 1 and base[1:2] != [b"tree"]:
            continue
        above = shadow.empty_tree if not header.parents else None
        if len(header.parents) == 1:
            above = base[0].decode()
        found[name] = Known(
            id_, header.tree, above, tuple(header.parents), header.author, header.authored, message
        )
    return found


def _line(output: bytes, at: int) -> tuple[list[bytes], int]:
    """The words of the line at a place, and where the next begins: beyond the end when it is torn."""
    end = output.find(b"\n", at)
    return ([], len(output) + 1) if end < 0 else (output[at:end].split(b" "), end + 1)


async def _look_up_doubtful(shadow: Shadow, asked: Sequence[str]) -> dict[str, Known | Unknown]:
    """One thing after the other, to say of each name what is wrong with it."""
    found: dict[str, Known | Unknown] = {}
    if not asked:
        return found
    reads = await read_objects(shadow, [f"{name}^{{commit}}" for name in asked])
    headers: dict[str, tuple[Read, _Header, str]] = {}
    for name, read in zip(asked, reads, strict=True):
        if isinstance(read, Unknown):
            found[name] = read
            continue
        headers[name] = (read, *parse_commit(read.content))
    singles = sorted({header.parents[0] for _, header, _ in headers.values() if len(header.parents) == 1})
    bases = dict(zip(singles, await read_objects(shadow, singles), strict=True))
    for name, (read, header, message) in headers.items():
        found[name] = _known(read.id, header, message, bases, shadow.empty_tree)
    await _tell_without_tree(shadow, found)
    await _tell_broken(shadow, found)
    return found


def _known(
    name: str, header: _Header, message: str, bases: dict[str, Read | Unknown], empty: str
) -> Known | Unknown:
    base: str | None = empty
    if len(header.parents) > 1:
        base = None
    elif header.parents:
        parent = bases[header.parents[0]]
        if isinstance(parent, Unknown):
            return Unknown(f"its parent {header.parents[0][:12]} {parent.reason}", is_broken=True)
        base = parse_commit(parent.content)[0].tree
    return Known(name, header.tree, base, tuple(header.parents), header.author, header.authored, message)


def parse_commit(content: bytes) -> tuple[_Header, str]:
    """Header and message of a raw commit object."""
    head, _, message = content.partition(b"\n\n")
    header = _Header()
    encoding = "utf-8"
    for line in head.split(b"\n"):
        word, _, value = line.partition(b" ")
        if word == b"tree":
            header.tree = value.decode("ascii", "replace")
        elif word == b"parent":
            header.parents.append(value.decode("ascii", "replace"))
        elif word == b"author":
            person, _, when = value.rpartition(b"> ")
            header.author = person.decode("utf-8", "replace") + ">"
            seconds = when.split(b" ")[0]
            header.authored = int(seconds) if seconds.isdigit() else 0
        elif word == b"encoding":
            encoding = value.decode("ascii", "replace")
    try:
        return header, message.decode(encoding, "replace")
    except LookupError:
        return header, message.decode("utf-8", "replace")


async def _tell_without_tree(shadow: Shadow, found: dict[str, Known | Unknown]) -> None:
    """A commit whose tree is not there is unreadable; a merge would take the tree for an empty one."""
    known = [answer for answer in found.values() if isinstance(answer, Known)]
    trees = sorted({tree for answer in known for tree in (answer.tree, answer.base) if tree is not None})
    answer = await shadow.git(
        "cat-file", "--batch-check=%(objecttype)", stdin="".join(f"{tree}\n" for tree in trees).encode()
    )
    said = answer.stdout.decode("utf-8", "replace").splitlines()
    lost = {tree for tree, word in zip(trees, said, strict=True) if word != "tree"}
    for name, one in list(found.items()):
        if isinstance(one, Known) and (missing := {one.tree, one.base} & lost):
            found[name] = Unknown(f"lacks its tree {sorted(filter(None, missing))[0]}", is_broken=True)


async def _tell_broken(shadow: Shadow, found: dict[str, Known | Unknown]) -> None:
    """A ref that leads to no object tells of a broken clone, not of an unknown name."""
    for name, answer in list(found.items()):
        if not isinstance(answer, Unknown) or answer.is_broken or not is_name(name):
            continue
        if re.fullmatch(r"[0-9a-fA-F]{4,64}", name) or "ambiguous" in answer.reason:
            continue
        known = await shadow.git("rev-parse", "--verify", "--quiet", "--end-of-options", name, check=False)
        if known.code == 0:
            found[name] = Unknown("leads to a commit whose objects are not in this clone", is_broken=True)
