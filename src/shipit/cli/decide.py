# SPDX-License-Identifier: MPL-2.0
"""`shipit decide` and `shipit decisions`: the same actions as page and API, over the same API."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.pipeline import ask
from shipit.errors import InvalidInput, Refused
from shipit.uplift.verdicts import Verdict

ENDS = frozenset({"done", "changed", "stuck", "undone", "dropped"})


@click.command()
@click.argument("verdict", type=click.Choice([verdict.value for verdict in Verdict]))
@click.argument("requests", nargs=-1)
@click.option(
    "--bug", "bugs", type=click.IntRange(min=1), multiple=True, help="A bug on a list, for ask or flags."
)
@click.option("--train", default="", help="With --bug: the train that it is done for.")
@click.option(
    "--comment", default="", help="Words for people; {build}, {version}, {train}, {bug} are filled in."
)
@click.option("--template", default="", help="Words by name; `shipit decisions templates` lists them.")
@click.option("--until", help="For defer: a build (118.0b5), a time (RFC 3339) or a condition in words.")
@click.option("--ask", "requestee", default="", help="For ask: whose login; by default who requested.")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A status or tracking field.")
@click.option("--flag", "flags", multiple=True, metavar="NAME=STATUS", help="A generic flag: ?, +, - or X.")
@click.option("--reason", default="", help="Kept in the audit, written nowhere else.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before it is sent.")
@click.option("--wait", is_flag=True, help="Wait until it is written, or cannot be.")
@shape_option
def decide(
    verdict: str,
    requests: tuple[str, ...],
    bugs: tuple[int, ...],
    train: str,
    until: str | None,
    fields: tuple[str, ...],
    flags: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    wait: bool,
    shape: str,
    **words: str,
) -> None:
    """Decide about REQUESTS (their uids): shows what would be written where, and sends it if you agree.

    A bug that nobody requests anything for can be asked about, and have its flags set.
    """
    if not (requests or bugs):
        raise click.UsageError("Missing argument 'REQUESTS...' or option '--bug'.")
    if bugs and not train:
        raise click.UsageError("Missing option '--train': the train for which the bugs are decided about.")
    wanted: dict[str, Any] = {
        "verdict": verdict,
        "requests": requests,
        "bugs": bugs,
        "train": train,
        **{name: value for name, value in words.items() if value},
        "fields": _pairs("--set", fields),
        "flags": _pairs("--flag", flags),
    }
    if until is not None:
        wanted["until"] = _until(until)
    preview = ask("POST", "/api/decisions/preview", wanted, what="decision")
    if dry_run:
        _show_preview(preview, shape)
        return
    if shape == "text":
        _show_preview(preview, shape)
    if not preview["parts"]:
        raise Refused("nothing of this can be decided so")
    if preview["blockers"]:
        raise Refused("; ".join(each["reason"] for each in preview["blockers"]))
    if not yes:
        click.confirm(f"{preview['label']}?", abort=True, err=True)
    uid = f"cli-{secrets.token_hex(8)}"
    given = wanted | {"seen": preview["seen"], "stamps": preview["stamps"]}
    made = ask("PUT", f"/api/decisions/{uid}", given, what="decision")
    while wait and made["state"] not in ENDS:
        time.sleep(1)
        made = ask("GET", f"/api/decisions/{uid}")
    _show_decision(made, shape)
    if wait and made["state"] != "done":
        raise Refused(made["sentence"])


@click.group()
def decisions() -> None:
    """Decisions made: read them, take one back, resume or let be what is stuck."""


@decisions.command("list")
@click.option("--request", help="Only those about this request.")
@click.option("--bug", type=click.IntRange(min=1), help="Only those about this bug.")
@click.option("--mine", is_flag=True, help="Only your own.")
@shape_option
def list_all(request: str | None, bug: int | None, mine: bool, shape: str) -> None:
    """Decisions, newest first."""
    given = {"request": request, "bug": bug, "mine": "true" if mine else None}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    found = ask("GET", "/api/decisions", query=query)
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        click.echo(f"{each['uid']}  {each['verb']:10} {each['word']:10} {each['person']}: {each['sentence']}")


@decisions.command()
@click.argument("uid")
@shape_option
def show(uid: str, shape: str) -> None:
    """A decision and each of its writes."""
    _show_decision(ask("GET", f"/api/decisions/{uid}"), shape)


@decisions.command()
@click.argument("uid")
@shape_option
def undo(uid: str, shape: str) -> None:
    """Take a decision back, as long as nothing of it was sent."""
    _show_decision(ask("DELETE", f"/api/decisions/{uid}"), shape)


@decisions.command()
@click.argument("uid")
@shape_option
def resume(uid: str, shape: str) -> None:
    """Go on with what is stuck; what is written stays written once."""
    _show_decision(ask("POST", f"/api/decisions/{uid}/resume", {}), shape)


@decisions.command()
@click.argument("uid")
@click.option("--reason", required=True, help="Why, in words.")
@shape_option
def drop(uid: str, reason: str, shape: str) -> None:
    """Let be what is stuck; what was written stays."""
    _show_decision(ask("POST", f"/api/decisions/{uid}/drop", {"reason": reason}), shape)


@decisions.command()
@shape_option
def templates(shape: str) -> None:
    """The words that verdicts come with."""
    found = ask("GET", "/api/decision-templates")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        click.echo(f"{each['verdict']:10} {each['key']:20} {each['text']}")


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for each in given:
        name, found, value = each.partition("=")
        if not found or not name:
            raise InvalidInput(option, expected="NAME=VALUE", got=each)
        pairs[name] = value
    return pairs


def _until(text: str) -> dict[str, str]:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        is_build = text[:1].isdigit() and " " not in text
        return {"build": text} if is_build else {"condition": text}
    return {"at": (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()}


def _show_preview(preview: Any, shape: str) -> None:
    if shape == "json":
        click.echo(msgspec.json.encode(preview).decode())
        return
    for part in preview["parts"]:
        click.echo(f"bug {part['bug']}: {', '.join(part['requests']) or 'no request'}")
        for write in part["writes"]:
            click.echo(f"  {write['system']}, {write['object']}, as {write['as_whom'] or 'nobody yet'}")
            _show_rows(write)
        for kept in part["not_written"]:
            click.echo(f"  not written: {kept['object']}: {kept['field']} {kept['why']}")
        for note in part["notes"]:
            click.echo(f"  note: {note}")
    for refusal in preview["refusals"]:
        click.echo(f"not decided: {refusal['request']}: {refusal['field']}: {refusal['reason']}")
    for blocker in preview["blockers"]:
        click.echo(f"cannot be sent: {blocker['reason']}")


def _show_decision(made: Any, shape: str) -> None:
    if shape == "json":
        click.echo(msgspec.json.encode(made).decode())
        return
    click.echo(f"{made['uid']}: {made['verb']}: {made['word']}: {made['sentence']}")
    for part in made["parts"]:
        click.echo(f"  bug {part['bug']}: {part['word']}: {part['sentence']}")
        for write in part["writes"]:
            answer = f" ({write['answer'][:200]})" if write["state"] == "failed" else ""
            click.echo(f"    {write['word']:14} {write['system']}, {write['object']}{answer}")


def _show_rows(write: Any) -> None:
    for row in write["rows"]:
        click.echo(f"    {row['field']}: {row['before']} -> {row['after']}")
    if write["comment"]:
        first, *others = write["comment"].split("\n")
        click.echo(f"    comment: {first}")
        for line in others:
            click.echo(f"             {line}")
