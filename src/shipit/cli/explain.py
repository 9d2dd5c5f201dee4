# SPDX-License-Identifier: MPL-2.0
"""`shipit explain BUG`: why the requests of a bug stand as they do, and what speaks for and against them."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.reading import read_settings
from shipit.clients.http import open_session
from shipit.clients.shipit import Backend
from shipit.errors import InvalidInput
from shipit.merge.conflict_view import ConflictView, HunkView, SideView
from shipit.settings import Settings
from shipit.uplift.check_types import Check, Verdict
from shipit.uplift.evidence import AskState, Evidence
from shipit.uplift.wording import moment

WIDTH = 100
MOST_MOMENTS = 15

_MARKS = {Verdict.DISAGREES: "!", Verdict.AGREES: "=", Verdict.CANT_TELL: "?"}


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """What --format json prints: each open request with all its evidence, as its page has it."""

    bug: int
    summary: str
    requests: tuple[Evidence, ...]


@click.command()
@click.argument("bug", type=click.IntRange(1))
@shape_option
def explain(bug: int, shape: str) -> None:
    """Say how each request of BUG stands and why, as the backend at SHIPIT_URL knows it."""
    settings = read_settings()
    if settings.backend.url is None:
        raise InvalidInput("SHIPIT_URL", expected="the URL of the backend to ask")
    told = asyncio.run(_ask(settings, settings.backend.url, bug))
    if shape == "json":
        click.echo(msgspec.json.encode(told).decode())
        return
    click.echo(f"Bug {bug}: {told.summary}")
    if not told.requests:
        click.echo("No request of it is open.")
    for request in told.requests:
        click.echo("\n" + "\n".join(in_words(request)))


async def _ask(settings: Settings, url: str, bug: int) -> Explained:
    """What the backend knows of the bug, each open request with its evidence."""
    async with open_session(trust_env=True) as session:
        backend = Backend(session, url, credentials=settings.taskcluster.credentials)
        told = await backend.bug(bug)
        uids = [one["uid"] for one in told["requests"] if one["closed_at"] is None]
        requests = await asyncio.gather(*(backend.evidence(uid) for uid in uids))
    return Explained(bug=bug, summary=told["summary"], requests=tuple(requests))


def in_words(told: Evidence) -> Iterator[str]:
    """A request's evidence as lines: the same sentences as on its page, in its order."""
    yield f"{told.train}, {told.state.value}: {told.standing.word}"
    for sentence in (told.standing.sentence, *told.standing.notes):
        yield from _wrapped(sentence, 2)
    yield from _section("Answers and facts", (line for one in told.checks for line in _check(one)))
    yield from _section("Facts", _facts(told))
    yield from _section("Patches", _patches(told))
    yield from _section("Conflict", _conflict(told))
    yield from _section("Since an older version", _interdiff(told))
    yield from _section("People", _people(told))
    yield from _section("Timeline", _timeline(told))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    body = list(lines)
    if body:
        yield f"  {title}"
        yield from body


def _check(check: Check) -> Iterator[str]:
    says = f"says “{' '.join(check.says.split())}”. " if check.says else "not answered. "
    source = f" ({check.source}{f', {moment(check.at)}' if check.at else ''})"
    yield from _wrapped(f"{_MARKS[check.verdict]} {check.label}: {says}{check.measured}{source}", 4)
    for path in check.paths:
        yield f"        {path}"


def _facts(told: Evidence) -> Iterator[str]:
    for fact in told.facts:
        yield from _wrapped(f"{fact.label}: {fact.sentence} ({fact.source})", 4)


def _patches(told: Evidence) -> Iterator[str]:
    for patch in told.patches:
        size = f"+{patch.added} -{patch.deleted} in {patch.files} files" if patch.files is not None else ""
        outcome = patch.outcome.value if patch.outcome else "not tried"
        said = [patch.title or "", size, patch.bake or "", patch.lacking or "", outcome]
        yield from _wrapped(f"{patch.name[:12]}: {'; '.join(filter(None, said))}", 4)


def _conflict(told: Evidence) -> Iterator[str]:
    if told.conflict.state is AskState.NONE:
        return
    yield from _wrapped(told.conflict.sentence, 4)
    view = told.conflict.view
    if view is not None and told.conflict.state is AskState.READY:
        for file in view.files:
            yield from _wrapped(f"{file.path}: {file.sentence}", 4)
            for hunk in file.hunks:
                yield from _hunk(hunk, view)
            for note in file.notes:
                yield from _wrapped(note, 6)


def _hunk(hunk: HunkView, view: ConflictView) -> Iterator[str]:
    for title, side in (
        ("the train has", hunk.ours),
        ("the patch expects", hunk.base),
        ("the patch makes", hunk.theirs),
    ):
        yield f"      {title}{_place(side)}"
        yield from (f"        {line}" for line in side.lines)
        if side.more:
            yield f"        … {side.more} more"
        for span in side.blame:
            if (one := view.commits.get(span.commit)) is not None:
                yield from _wrapped(f"by {one.author}, {moment(one.at)}: {one.subject}", 8)


def _place(side: SideView) -> str:
    if side.is_absent:
        return " no such file"
    return f", from line {side.first}:" if side.lines else f" nothing at line {side.first}"


def _interdiff(told: Evidence) -> Iterator[str]:
    if told.interdiff.state is not AskState.NONE:
        yield from _wrapped(told.interdiff.sentence, 4)


def _people(told: Evidence) -> Iterator[str]:
    for person in told.people:
        yield from _wrapped(f"{person.name} ({', '.join(person.roles)}). {' '.join(person.sentences)}", 4)


def _timeline(told: Evidence) -> Iterator[str]:
    hidden = len(told.timeline) - MOST_MOMENTS
    if hidden > 0:
        yield f"    … {hidden} before"
    for one in told.timeline[-MOST_MOMENTS:]:
        yield from _wrapped(f"{moment(one.at)}  {one.sentence} ({one.source})", 4)


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2), break_on_hyphens=False
    )
