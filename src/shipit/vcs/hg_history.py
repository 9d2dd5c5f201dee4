# SPDX-License-Identifier: MPL-2.0
"""Who changed which file of a Mercurial main, and the facts of its changesets."""

from __future__ import annotations

import asyncio
import base64
import re
from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shipit.errors import CommandFailed
from shipit.uplift.analysis import Failed, PatchFacts, Source
from shipit.uplift.sizes import DiffReader, FileChange
from shipit.uplift.types import Person
from shipit.vcs.commits import LARGEST_DIFF, MESSAGE_LIMIT, Head, is_backout, reviewers_of, seconds, text
from shipit.vcs.components import LARGEST_RULES, Rule, folders_above, owners, read_rules
from shipit.vcs.facts import Facts, failed, paths_of
from shipit.vcs.hg import HgServer
from shipit.vcs.hg_landings import server_on
from shipit.vcs.history import History
from shipit.vcs.kept_history import load, save

_AUTHOR = re.compile(r"^\s*(.*?)\s*<([^<>]*)>\s*$", re.DOTALL)


class HgHistory(History):
    """The newest changesets of a Mercurial main: see `History`."""

    async def _follow(self, tip: str) -> int:
        if self.kept is not None and not self._is_loaded:
            self._restore(await asyncio.to_thread(load, self.kept, most_commits=self.most_commits))
        if tip == self.tip:
            return 0
        async with server_on(self.repo) as server:
            if len(self) > self.most_commits * 3 // 2 or not await self._is_below(server, tip):
                self._forget()
            # The newest come first; one more than wanted tells whether there are more.
            rows = await server.ask("files", tip=tip, low=self.tip, merges=False, most=self.most_commits + 1)
        if self.tip is None:
            self.is_complete = len(rows) <= self.most_commits
            rows = rows[: self.most_commits]
        for row in reversed(rows):
            self._note(row)
        self.tip = tip
        if self.kept is not None:
            await asyncio.to_thread(save, self.kept, self._as_kept(tip))
        return len(rows)

    async def _is_below(self, server: HgServer, tip: str) -> bool:
        """Whether the last tip is below the new one. Raises CommandFailed when there is no such tip."""
        names = [tip] if self.tip is None else [tip, self.tip]
        answers = await server.ask("look_up", names=names)
        if answers[0].get("id") != tip:
            raise CommandFailed(("hg", "log"), None, f"the clone has no commit {tip[:80]!r}")
        if self.tip is None:
            return True
        if "id" not in answers[1]:
            return False
        (answer,) = await server.ask("ancestors", tips={tip: [self.tip]})
        return bool(answer["below"])

    def _note(self, row: dict[str, Any]) -> None:
        position = len(self._times)
        self._positions[bytes.fromhex(row["id"])] = position
        self._times.append(seconds(str(row["authored"])))
        self._authors.append(self._number(_address(row["author"]).lower()))
        said = row["message"][:MESSAGE_LIMIT]
        self._reviewers.append(tuple(self._number(nick) for nick in reviewers_of(said)))
        self._backouts.append(is_backout(said))
        for path in row["paths"]:
            self._touched.setdefault(text(path.encode("latin-1")), array("I")).append(position)


async def read_patches(
    history: HgHistory,
    revisions: Sequence[str],
    *,
    now: datetime,
    recent_since: datetime | None = None,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, PatchFacts | Failed]:
    """The facts of changesets of the clone, under the names they were asked by; see `facts.read_patches`."""
    wanted = tuple(dict.fromkeys(revisions))
    found: dict[str, PatchFacts | Failed] = {}
    heads: dict[str, Head] = {}
    files: dict[str, tuple[FileChange, ...]] = {}
    try:
        async with server_on(history.repo) as server:
            for name, row in zip(wanted, await server.ask("look_up", names=wanted), strict=True):
                if "id" not in row:
                    reason = "the clone has no such commit" if "broken" not in row else row["reason"]
                    found[name] = failed(name, reason, Source.CLONE, now)
                    continue
                (answer,) = await server.ask("diff", commit=row["id"], most=LARGEST_DIFF)
                if "diff" not in answer:
                    found[name] = failed(name, answer["reason"], Source.CLONE, now)
                    continue
                heads[name] = _head(row)
                files[name] = await asyncio.to_thread(_read_diff, base64.b64decode(answer["diff"]))
            components = await _components(server, heads, files)
    except CommandFailed as failure:
        return {name: failed(name, failure.detail, Source.CLONE, now) for name in wanted}
    facts = Facts(history, recent_since, addresses or {}, now)
    return found | {name: facts.of(heads[name], files[name], components[name]) for name in heads}


def _read_diff(diff: bytes) -> tuple[FileChange, ...]:
    reader = DiffReader()
    for line in diff.split(b"\n"):
        reader.take(line)
    return reader.files()


async def _components(
    server: HgServer, heads: Mapping[str, Head], files: Mapping[str, tuple[FileChange, ...]]
) -> dict[str, tuple[str, ...]]:
    paths = {name: paths_of(files[name]) for name in heads}
    wanted = folders_above(paths)
    asked = [(heads[name].name, f"{folder}/moz.build" if folder else "moz.build") for name, folder in wanted]
    spelled = [(name, path.encode("utf-8", "surrogateescape").decode("latin-1")) for name, path in asked]
    rules: dict[tuple[str, str], tuple[Rule, ...]] = {}
    for key, answer in zip(wanted, await server.ask("read", files=spelled), strict=True):
        content = base64.b64decode(answer["content"] or "")
        if content and len(content) <= LARGEST_RULES:
            rules[key] = read_rules(content)
    return owners(paths, rules)


def _head(row: dict[str, Any]) -> Head:
    name = row["author"]
    match = _AUTHOR.match(name)
    email = match[2] if match else None
    return Head(
        name=row["id"],
        parents=tuple(row["parents"]),
        author=Person(
            name=(match[1] if match and match[1] else name)[:200], email=(email or "")[:200] or None
        ),
        authored=seconds(str(row["authored"])),
        committed=seconds(str(row["authored"])),
        message=row["message"][:MESSAGE_LIMIT],
    )


def _address(author: str) -> str:
    match = _AUTHOR.match(author)
    return match[2] if match else author
