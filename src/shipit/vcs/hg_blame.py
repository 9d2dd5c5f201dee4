# SPDX-License-Identifier: MPL-2.0
"""Who wrote lines of a file at a changeset of a Mercurial clone."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.errors import CommandFailed
from shipit.merge.conflict_view import Blame, Span
from shipit.vcs.blame import Blamed, Lines, wrote
from shipit.vcs.hg import HgServer

LARGEST_BLAMED = 2 << 20


class HgBlamer:
    """Blame in a command server."""

    def __init__(self, server: HgServer) -> None:
        self._server = server

    async def after(self, commit: str, tree: str) -> str | None:
        """None: a changeset upon others cannot be made without writing into the clone."""
        del commit, tree
        return None

    async def blame(self, commit: str, path: bytes, blob: str | None, lines: Sequence[Lines]) -> Blamed:
        """See `GitBlamer.blame`."""
        try:
            (answer,) = await self._server.ask(
                "annotate",
                commit=commit,
                path=path.decode("latin-1"),
                blob=blob,
                lines=[list(one) for one in lines],
                most=LARGEST_BLAMED,
            )
        except CommandFailed as error:
            return Blamed(Blame(reason=f"who wrote it cannot be read: {error.detail[:200]}"))
        rows = answer.get("commits", ())
        spans = [Span(first=first, last=last, commit=name) for first, last, name in answer.get("spans", ())]
        return Blamed(
            Blame(spans=tuple(spans), last=answer.get("last"), reason=answer.get("reason")),
            {
                row["id"]: wrote(
                    row["id"], row["author"], str(row["authored"]), row["message"].partition("\n")[0]
                )
                for row in rows
            },
        )
