# SPDX-License-Identifier: MPL-2.0
"""What `shipit pipeline` does to one step, to a rollout, to a phase; and what a build contains."""

from __future__ import annotations

import json

import click
import msgspec

from shipit.cli.options import shape_option
from shipit.cli.pipeline import ask, because_option, pipeline, show_answer, show_told
from shipit.errors import InvalidInput

why_option = click.option("--reason", required=True, help="Why, in words.")
signers_option = click.option(
    "--signers",
    help="Who must sign that it goes on, as JSON: '[{\"releng\": 2}]' (default: as it says itself).",
)


# Command -> the API's verb, what it does, whether a reason must be given.
STEP_VERBS = {
    "retry": ("retry", "Try a failed step once more.", False),
    "rerun": ("rerun", "Do a step again that succeeded, as long as nothing after it has taken effect.", True),
    "skip": ("skip", "Go on without a step; the reason is on record.", True),
    "unskip": ("unskip", "Do a step after all that was skipped.", True),
    "cancel-step": (
        "cancel",
        "Cancel one step; what requires it waits for a retry or a skip.",
        True,
    ),
    "release": ("release", "Let a step go that a person must release.", False),
}


def _step_verb(name: str, verb: str, words: str, needs_reason: bool) -> None:
    @pipeline.command(name, help=words)
    @click.argument("uid")
    @click.argument("step")
    @(why_option if needs_reason else because_option)
    @shape_option
    def change(uid: str, step: str, reason: str, shape: str) -> None:
        body = {"reason": reason}
        show_answer(ask("POST", f"/api/pipelines/{uid}/steps/{step}/{verb}", body), shape)


for _name, (_verb, _words, _needs_reason) in STEP_VERBS.items():
    _step_verb(_name, _verb, _words, _needs_reason)


@pipeline.command()
@click.argument("uid")
@click.argument("step")
@click.option("--failed", is_flag=True, help="It could not be done.")
@click.option("--comment", default="", help="What came of it.")
@shape_option
def done(uid: str, step: str, failed: bool, comment: str, shape: str) -> None:
    """Tick off a step that a person does, or say that it could not be done."""
    body = {"done": not failed, "comment": comment}
    show_answer(ask("PUT", f"/steps/manual/{_served(uid, step)}/done", body), shape)


@pipeline.command()
@click.argument("uid")
@click.argument("phase")
@why_option
@shape_option
def rollback(uid: str, phase: str, reason: str, shape: str) -> None:
    """Take a phase back by its plan: the pipeline is held, the plan runs as a pipeline of its own."""
    show_answer(ask("POST", f"/api/pipelines/{uid}/rollback/{phase}", {"reason": reason}), shape)


@pipeline.command()
@click.argument("uid")
@click.argument("step")
@why_option
@shape_option
def halt(uid: str, step: str, reason: str, shape: str) -> None:
    """Halt a rollout: nothing is raised any more. Anybody concerned may, also a machine."""
    show_answer(ask("PUT", f"/steps/rollout/{_served(uid, step)}/halt", {"reason": reason}), shape)


@pipeline.command()
@click.argument("uid")
@click.argument("step")
@signers_option
@shape_option
def resume(uid: str, step: str, signers: str | None, shape: str) -> None:
    """Ask that a halted rollout goes on; the last signature lets it."""
    body = {"policy": _policy(signers)}
    made = ask("PUT", f"/steps/rollout/{_served(uid, step)}/resume", body)
    show_told(made, f"to be signed: {made['signoff']}", shape)


@pipeline.command()
@click.argument("stop")
@signers_option
@shape_option
def restart(stop: str, signers: str | None, shape: str) -> None:
    """Ask that what a stop holds goes on; the last signature lets it."""
    made = ask("POST", f"/api/stops/{stop}/restart", {"policy": _policy(signers) or []})
    show_told(made, f"to be signed: {made['signoff']}", shape)


@pipeline.command("sign-balrog")
@click.argument("uid")
@click.argument("step")
@click.argument("role")
@shape_option
def sign_balrog(uid: str, step: str, role: str, shape: str) -> None:
    """Sign a step's scheduled change in Balrog as yourself, with your own key and ROLE."""
    found = _step(uid, step)
    show_answer(ask("PUT", f"/steps/{found['kind']}/{found['step']}/balrog", {"role": role}), shape)


@pipeline.command()
@click.argument("uid")
@shape_option
def uplifts(uid: str, shape: str) -> None:
    """Which uplifts a build contains, and which are approved and are not in it."""
    found = ask("GET", f"/api/pipelines/{uid}/uplifts")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(found["sentence"])
    for each in found["uplifts"]:
        new = " (new)" if each["is_new"] else ""
        click.echo(f"  {each['bug']}{new}: {each['sentence']}: {each['summary']}")


@pipeline.command()
@click.argument("uid")
@shape_option
def history(uid: str, shape: str) -> None:
    """Who did what when and why."""
    found = ask("GET", f"/api/pipelines/{uid}/history")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in found:
        moved = f": {line['before']} -> {line['after']}" if line["before"] or line["after"] else ""
        why = f" ({line['reason']})" if line["reason"] else ""
        click.echo(f"{line['at']} {line['actor']:12} {line['step']} {line['what']}{moved}{why}".strip())


@pipeline.command("merge-day")
@shape_option
def merge_day(shape: str) -> None:
    """What the next merge day does, from the calendar."""
    found = ask("GET", "/api/merge-day")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(f"{found['at'] or 'at a time the calendar does not say'}: main becomes {found['version']}")
    for merge in found["merges"]:
        after = f" (after {', '.join(merge['after'])})" if merge.get("after") else ""
        click.echo(f"  {merge['behavior']}{after}")
    for reason in found["reasons"]:
        click.echo(f"since {reason}")


@pipeline.command()
@click.argument("to")
@click.argument("group")
@click.option("--until", required=True, help="RFC 3339, at most 31 days from now.")
@why_option
@shape_option
def delegate(to: str, group: str, until: str, reason: str, shape: str) -> None:
    """Let the person TO sign for your GROUP for a while; it is on record whenever they do."""
    body = {"to": to, "group": group, "until": until, "reason": reason}
    made = ask("POST", "/api/delegations", body, what="delegation")
    show_told(made, f"delegated: {made['id']}", shape)


@pipeline.command()
@click.argument("number", type=int)
@shape_option
def undelegate(number: int, shape: str) -> None:
    """End a delegation that you gave; what was signed by it and took no effect yet counts no more."""
    ask("DELETE", f"/api/delegations/{number}")
    show_told({"id": number}, f"ended: {number}", shape)


@pipeline.command()
@shape_option
def delegations(shape: str) -> None:
    """What you delegate, and what is delegated to you."""
    found = ask("GET", "/api/delegations")
    if shape == "json":
        click.echo(msgspec.json.encode(found).decode())
        return
    for each in found:
        what = f"{each['giver']} lets {each['taker']} sign for {each['group']}"
        click.echo(f"{each['id']} {what} until {each['until']} ({each['reason']})")


def _step(uid: str, step: str) -> dict[str, str]:
    """A step with the uid it has at its service."""
    steps = ask("GET", f"/api/pipelines/{uid}/status")["details"]["steps"]
    found = next((each for each in steps if each["uid"] == step), None)
    if found is None:
        known = ", ".join(each["uid"] for each in steps)
        raise InvalidInput("step", expected=f"one of {known}", got=step)
    if found["step"] is None:
        raise InvalidInput("step", expected="a step that has begun", got=f"{step} ({found['message']})")
    return {"kind": found["kind"], "step": found["step"]}


def _served(uid: str, step: str) -> str:
    return _step(uid, step)["step"]


def _policy(signers: str | None) -> list[dict[str, int]] | None:
    if signers is None:
        return None
    try:
        return msgspec.convert(json.loads(signers), list[dict[str, int]])
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidInput("signers", expected='JSON such as [{"releng": 2}]', got=signers[:80]) from error
