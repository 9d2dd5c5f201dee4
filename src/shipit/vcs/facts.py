# SPDX-License-Identifier: MPL-2.0
"""The facts of patches, landed or not, from a clone and the history of its main branch; few processes for
many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from shipit.errors import CommandFailed
from shipit.uplift.analysis import Churn, Failed, PatchFacts, Source
from shipit.uplift.sizes import FileChange, languages, read_diff
from shipit.uplift.types import PatchSource, Person
from shipit.vcs.commits import LARGEST_DIFF, Head, is_backout, read_files, read_heads, resolve, reviewers_of
from shipit.vcs.components import read_components
from shipit.vcs.history import History


async def read_patches(
    history: History,
    revisions: Sequence[str],
    *,
    now: datetime,
    recent_since: datetime | None = None,
    addresses: Mapping[str, str] | None = None,
) -> dict[str, PatchFacts | Failed]:
    """The facts of commits of the clone, under the names they were asked by; four processes for all.

    recent_since: where the window of `PatchFacts.recent` begins. addresses: nick (lower case) to e-mail, so
    that what reviewers wrote themselves can be counted. What cannot be read is a Failed with the reason.
    """
    repo = history.repo
    try:
        resolved = await resolve(repo, revisions)
        hashes = tuple(dict.fromkeys(full for full in resolved.values() if full is not None))
        heads = await read_heads(repo, hashes)
        files = await read_files(repo, hashes)
        components = await read_components(repo, {name: paths_of(files[name]) for name in hashes})
    except CommandFailed as failure:
        if len(revisions) == 1:
            return {name: failed(name, failure.detail, Source.CLONE, now) for name in revisions}
        # One bad object must not hide the facts of the others.
        found: dict[str, PatchFacts | Failed] = {}
        for name in dict.fromkeys(revisions):
            found |= await read_patches(
                history, [name], now=now, recent_since=recent_since, addresses=addresses
            )
        return found
    facts = Facts(history, recent_since, addresses or {}, now)
    return {
        name: failed(name, "the clone has no such commit", Source.CLONE, now)
        if full is None
        else facts.of(heads[full], files[full], components[full])
        for name, full in resolved.items()
    }


def facts_of_diff(
    history: History,
    name: str,
    diff: bytes,
    *,
    kind: PatchSource,
    author: Person,
    message: str,
    authored_at: datetime,
    now: datetime,
    recent_since: datetime | None = None,
    addresses: Mapping[str, str] | None = None,
) -> PatchFacts | Failed:
    """The facts of a patch that has not landed (a Phabricator diff, an attachment), from its raw diff.

    name: "D123456" or "attachment 9123456". Earlier commits are all that main has now.
    """
    if len(diff) > LARGEST_DIFF:
        return failed(name, f"its diff is larger than {LARGEST_DIFF} bytes", Source.BUGZILLA, now)
    head = Head(name, (), author, int(authored_at.timestamp()), int(now.timestamp()), message)
    facts = Facts(history, recent_since, addresses or {}, now)
    return facts.of(head, read_diff(diff), (), kind=kind)


class Facts:
    """What the patches of one call have in common."""

    def __init__(
        self, history: History, window: datetime | None, addresses: Mapping[str, str], now: datetime
    ) -> None:
        self.history, self.window, self.addresses, self.now = history, window, addresses, now

    def of(
        self,
        head: Head,
        files: tuple[FileChange, ...],
        components: tuple[str, ...],
        *,
        kind: PatchSource = PatchSource.COMMIT,
    ) -> PatchFacts:
        position = self.history.position(head.name) if kind is PatchSource.COMMIT else None
        committed = datetime.fromtimestamp(head.committed, UTC)
        before: int | datetime = committed if position is None else position
        paths = paths_of(files)
        recent = None if self.window is None else self._churn(paths, head, before, self.window)
        return PatchFacts(
            name=head.name,
            kind=kind,
            author=head.author,
            message=head.message,
            authored_at=datetime.fromtimestamp(head.authored, UTC),
            parents=head.parents,
            landed_at=None if position is None else committed,
            reviewers=reviewers_of(head.message),
            is_backout=is_backout(head.message),
            files=tuple(self._counted(file, head, before) for file in files),
            languages=languages(files),
            directories=tuple(sorted({"/".join(path.split("/")[:-1][:2]) for path in paths})),
            components=components,
            overall=self._churn(paths, head, before, None),
            recent=recent,
            tests_near=self.history.tests_near(paths),
            source=_SOURCES[kind],
            read_at=self.now,
        )

    def _counted(self, file: FileChange, head: Head, before: int | datetime) -> FileChange:
        paths = paths_of([file])
        earlier = self._churn(paths, head, before, None).commits
        recent = None if self.window is None else self._churn(paths, head, before, self.window)
        return msgspec.structs.replace(
            file,
            earlier=earlier,
            recent=recent and recent.commits,
            backouts=recent and recent.backouts,
        )

    def _churn(
        self, paths: Iterable[str], head: Head, before: int | datetime, since: datetime | None
    ) -> Churn:
        nicks = reviewers_of(head.message)
        return self.history.churn(
            paths,
            before=before,
            since=since,
            authors=[head.author.email or head.author.name],
            reviewers=nicks,
            reviewer_addresses=[self.addresses[nick] for nick in nicks if nick in self.addresses],
        )


_SOURCES = {
    PatchSource.COMMIT: Source.CLONE,
    PatchSource.REVISION: Source.PHABRICATOR,
    PatchSource.ATTACHMENT: Source.BUGZILLA,
}


def paths_of(files: Iterable[FileChange]) -> tuple[str, ...]:
    """Every path that changes name, the old ones too."""
    return tuple(dict.fromkeys(path for file in files for path in (file.old_path, file.path) if path))


def failed(name: str, reason: str, source: Source, now: datetime) -> Failed:
    """A patch whose facts cannot be had, and why."""
    return Failed(subject=name[:100], reason=reason, source=source, at=now)
