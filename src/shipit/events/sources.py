# SPDX-License-Identifier: MPL-2.0
"""Sources beside the broker and Phabricator, as `[[sources]]` names them; all problems told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shipit.events.routes import BadRoutes

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]{0,60}$")]


class Pushlog(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="pushlog", tag_field="kind"
):
    """The pushlog of a Mercurial repository, polled; its last push id is the cursor."""

    name: _Name
    url: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$")]


class GithubHook(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="github", tag_field="kind"
):
    """A webhook of GitHub whose failed deliveries are asked for again: GitHub does not repeat them itself."""

    name: _Name
    repository: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+/[A-Za-z0-9_.\-]+$")]
    hook: Annotated[int, Meta(ge=1)]
    api: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$")] = "https://api.github.com"


class GroupSweep(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="groups", tag_field="kind"
):
    """Task groups that should have been heard of: for each push of a pushlog its group is looked up in the
    index, and told once it is resolved. index: a namespace with `{revision}` in it."""

    name: _Name
    url: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$")]
    index: Annotated[str, Meta(pattern=r"\{revision\}")]
    scheduler: str = "gecko-level-3"
    after_hours: Annotated[float, Meta(ge=0)] = 6.0
    give_up_hours: Annotated[float, Meta(gt=0)] = 72.0


Source = Pushlog | GithubHook | GroupSweep


def parse_sources(rows: Iterable[Mapping[str, Any]]) -> tuple[Source, ...]:
    """The sources of `[[sources]]`. Raises BadRoutes with every problem."""
    found: list[Source] = []
    problems: list[str] = []
    for place, row in enumerate(rows):
        try:
            found.append(msgspec.convert(dict(row), Source))
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            problems.append(f"sources[{place}]: {error}")
    names = [source.name for source in found]
    problems += [
        f"sources: the name {n!r} is given twice" for n in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise BadRoutes(problems)
    return tuple(found)
