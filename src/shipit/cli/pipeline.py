# SPDX-License-Identifier: MPL-2.0
"""`shipit pipeline` and `shipit sign`: the same actions as API and page, over the same API."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.reading import read_settings
from shipit.clients.http import open_session
from shipit.clients.steps import StepServices
from shipit.errors import (
    InvalidInput,
    Missing,
    NotAllowed,
    NotAuthenticated,
    Refused,
    ShipitError,
    Unavailable,
)
from shipit.pipeline.hindsight import calibration
from shipit.pipeline.replay import replay as replay_releases

_ERRORS: dict[int, type[ShipitError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: Missing,
    409: Refused,
}
because_option = click.option("--reason", default="", help="Why, in words.")


@click.group()
def pipeline() -> None:
    """Pipelines of the backend at SHIPIT_URL."""


@pipeline.command()
@click.argument("uid")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--template", help="FILE holds the values of this template, not a definition.")
@shape_option
def create(uid: str, file: Path, template: str | None, shape: str) -> None:
    """Create a pipeline from the definition in FILE (JSON); the same again changes nothing.

    For the template merge-day, merges that FILE does not name come from the calendar.
    """
    given = _read(file)
    if template == "merge-day" and "merges" not in given:
        day = ask("GET", "/api/merge-day")
        at = {"at": day["at"]} if day["at"] else {}
        given = {"version": day["version"], "merges": day["merges"], **at, **given}
    if template is not None:
        given = ask("POST", f"/api/templates/{template}", given)
    show_answer(ask("PUT", f"/api/pipelines/{uid}", given), shape)


@pipeline.command()
@shape_option
def kinds(shape: str) -> None:
    """Which kinds of releases may be started, and what happens in each."""
    found = ask("GET", "/api/release-kinds")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for kind in found:
        click.echo(f"{kind['name']} ({kind['product']}): {kind['description']}")
        last = kind["last"]
        click.echo(f"  the last one: {last['uid'] if last else 'none'}")
        for number, step in enumerate(kind["steps"], start=1):
            click.echo(f"  {number:2}. {step}")
        if kind["why_not"]:
            click.echo(f"  you may not start one: {kind['why_not']}")


@pipeline.command()
@click.argument("kind")
@click.option("--version", default="", help="Such as 147.0b3 (default: the calendar's, where it has one).")
@click.option("--revision", default="", help="The commit that is built.")
@click.option(
    "--values",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON object: other values of the kind's template.",
)
@shape_option
def start(kind: str, version: str, revision: str, values: Path | None, shape: str) -> None:
    """Start a release of KIND; build number and uid are given out by Ship It.

    A revision that is being built already is not built twice: its build is shown.
    """
    more = _read(values) if values is not None else {}
    body = {"kind": kind, "version": version, "revision": revision, "values": more}
    show_answer(ask("POST", "/api/releases", body, what="release"), shape)


@pipeline.command()
@click.argument("uid")
@shape_option
def show(uid: str, shape: str) -> None:
    """How a pipeline and each of its steps stands, and why."""
    show_answer(ask("GET", f"/api/pipelines/{uid}/status"), shape)


@pipeline.command("list")
@click.option("--status", type=click.Choice(["in_progress", "success", "failure", "cancelled"]))
@shape_option
def list_all(status: str | None, shape: str) -> None:
    """Every pipeline, or those of one status."""
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        query = f"limit=500&after={after}" + (f"&status={status}" if status else "")
        page = ask("GET", "/api/pipelines", query=query)
        rows += page["steps"]
        after = page["next"]
    if shape == "json":
        click.echo(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        click.echo(f"{row['status']:12} {row['uid']}")


@pipeline.command()
@click.argument("uid")
@shape_option
def cancel(uid: str, shape: str) -> None:
    """Cancel a pipeline that runs, with everything that runs of it; remove one that has ended."""
    show_answer(ask("DELETE", f"/api/pipelines/{uid}"), shape)


@pipeline.command()
@click.argument("uid")
@because_option
@shape_option
def hold(uid: str, reason: str, shape: str) -> None:
    """Hold a pipeline: nothing more starts. Without a reason it goes on."""
    show_answer(ask("POST", f"/api/pipelines/{uid}/hold", {"reason": reason}), shape)


@pipeline.command()
@click.option("--product", default="", help="Only this product (default: everything).")
@click.option("--phase", default="", help="Only this phase.")
@click.option("--reason", required=True, help="Why, in words.")
@shape_option
def stop(product: str, phase: str, reason: str, shape: str) -> None:
    """Stop a product's phase, or everything, at once. Going on again is signed."""
    made = ask("POST", "/api/stops", {"product": product, "phase": phase, "reason": reason})
    show_told(made, f"stopped: {made['uid']}", shape)


@pipeline.command()
@shape_option
def stops(shape: str) -> None:
    """What is stopped, by whom and why."""
    found = ask("GET", "/api/stops")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        where = "/".join(part for part in (each["product"], each["phase"]) if part) or "everything"
        restart = f"; to be signed: {each['restart']}" if each["restart"] else ""
        click.echo(f"{each['uid']} {where}: {each['reason']} ({each['author']}, {each['since']}){restart}")


@pipeline.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shape_option
def replay(file: Path, shape: str) -> None:
    """Replay recorded releases (transitions, one JSON object a line) and compare with what ours says."""
    rows = _lines(file)
    report, forecasts = replay_releases(rows), calibration(rows)
    if shape == "json":
        click.echo(msgspec.json.encode({**msgspec.to_builtins(report), "forecasts": forecasts}).decode())
        return
    click.echo(
        f"{report.releases} releases, {report.builds} builds; phases in order in {report.phases_in_order}; "
        f"aborts agreed {report.aborts_agreed} of {report.aborts}"
    )
    click.echo(
        f"of {report.moments} things done, ours had {report.ready} ready, {report.held} held by an open "
        f"issue and {report.blocked} blocked; for {report.unknown} it is unknown, since the end of a graph "
        f"is not recorded; {report.again} more were done already"
    )
    click.echo(
        f"{report.issues} issues were opened; ticked tasks opened again: {report.reopened}, and "
        f"{report.reopened_too_late} after what follows had begun"
    )
    click.echo(
        f"of {forecasts.forecasts} forecasts for {forecasts.releases} releases, {forecasts.inside} ended "
        f"between early and late (8 of 10 should), {forecasts.by_middle} by the likely time (half should)"
    )
    for why, count in Counter(each.why for each in report.differences).most_common():
        click.echo(f"  {count:4} {why}")
    for hint in report.hints:
        late = "" if hint.hours is None else f" ({hint.hours:g} h)"
        click.echo(f"  {hint.release} build {hint.build}: {hint.step}: {hint.what}{late}")


@click.command()
@click.argument("uid")
@click.option("--comment", default="", help="What you want to say with it.")
@click.option("--digest", help="Of the content as you saw it: refused when it changed.")
@click.option("--group", help="Sign for this group only.")
@click.option("--revoke", is_flag=True, help="Take your signature back.")
@shape_option
def sign(uid: str, comment: str, digest: str | None, group: str | None, revoke: bool, shape: str) -> None:
    """Sign the signoff step UID, such as firefox-147.0.sign_ship.1."""
    path = f"/steps/signoff/{uid}/sign"
    if revoke:
        show_answer(ask("DELETE", path), shape)
        return
    show_answer(ask("PUT", path, {"comment": comment, "digest": digest, "group": group}), shape)


def ask(method: str, path: str, body: object = None, *, query: str = "", what: str = "definition") -> Any:
    """One call to the backend, signed; its answer. Raises the error it tells of; what: is sent."""
    settings = read_settings()
    url = settings.backend.url
    if url is None:
        raise InvalidInput("SHIPIT_URL", expected="the URL of the backend")

    async def call() -> Any:
        async with open_session(trust_env=True) as session:
            backend = StepServices(
                session, lambda _: None, credentials=settings.taskcluster.credentials, timeout=30
            )
            return await backend.ask(method, url, path, body, query=query)

    answer = asyncio.run(call())
    found = answer.json() if answer.body else {}
    if answer.status < 400:
        return found
    detail = str(found.get("detail") or found.get("title")) if isinstance(found, dict) else answer.text
    if answer.status in (400, 422):
        raise InvalidInput(what, expected=detail)
    error = _ERRORS.get(answer.status)
    raise error(detail) if error else Unavailable("Ship It", f"{detail} ({answer.status})")


def show_answer(found: Any, shape: str) -> None:
    """A step or pipeline, for people or programs."""
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(f"{found['uid']}: {found['status']}: {found.get('message', '')}")
    for step in found.get("details", {}).get("steps", ()):
        name = f" ({step['step']})" if step.get("step") else ""
        click.echo(f"  {step['state']:12} {step['uid']}{name}: {step['message']}")


def show_told(found: Any, words: str, shape: str) -> None:
    """What was answered, for programs; in one line for people."""
    click.echo(msgspec.json.encode(found).decode() if shape == "json" else words)


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        return msgspec.json.Decoder(dict[str, Any]).decode_lines(file.read_bytes())
    except msgspec.DecodeError as error:
        raise InvalidInput("file", expected=f"a JSON object a line ({error})") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput("file", expected=f"a JSON object ({error})") from error
