# SPDX-License-Identifier: MPL-2.0
"""Templates: definitions of the usual pipelines, made of data. No product, version or ESR is in the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from shipit.errors import Missing
from shipit.pipeline.definition import InvalidDefinition
from shipit.pipeline.schema import problems

Values = Mapping[str, Any]
Step = dict[str, Any]

_NAME = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[A-Za-z0-9_.-]+$"}
_POLICY = {"type": "array", "minItems": 1, "items": {"type": "object", "minProperties": 1}}
_SECONDS = {"type": "number", "minimum": 1}
RELEASE_VALUES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["product", "version", "build", "revision", "hook", "signers"],
    "properties": {
        "product": _NAME,
        "version": _NAME,
        "build": {"type": "integer", "minimum": 1},
        "revision": {**_NAME, "pattern": r"^[A-Za-z0-9_./-]+$", "description": "the commit that is built"},
        "train": {**_NAME, "description": "wait until its approved uplifts have landed"},
        "major": {"type": "integer", "minimum": 1},
        "hook": {
            "type": "object",
            "required": ["group", "id"],
            "description": "makes the task group of a phase; its payload gets the phase and the release",
        },
        "cancel_hook": {"type": "object", "required": ["group", "id"]},
        "signers": {**_POLICY, "description": "who signs before something reaches users"},
        "qa": {"type": "string", "description": "group that ticks QA off; none: no QA step"},
        "phase_hours": {"type": "number", "minimum": 0.01, "description": "longest time of one phase"},
        "rollout": {
            "type": "object",
            "additionalProperties": False,
            "required": ["rule", "percents", "pause_seconds"],
            "description": "a rule of Balrog whose rate is raised over time",
            "properties": {
                "rule": {"type": ["integer", "string"]},
                "percents": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
                "pause_seconds": _SECONDS,
                "mapping": {"type": "string", "description": "release the rule must offer"},
                "product": {**_NAME, "description": "as Balrog spells it, for the shutoff of a rollback"},
                "channel": _NAME,
            },
        },
    },
}
MERGE_VALUES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["product", "version", "hook", "signers", "merges"],
    "properties": {
        "product": _NAME,
        "version": {**_NAME, "description": "major version that main becomes"},
        "at": {"type": "string", "description": "when the merges begin (RFC 3339): the calendar's merge day"},
        "hook": {"type": "object", "required": ["group", "id"]},
        "signers": _POLICY,
        "merges": {
            "type": "array",
            "minItems": 1,
            "description": "as the calendar has them, each after those it names",
            "items": {
                "type": "object",
                "required": ["behavior"],
                "additionalProperties": False,
                "properties": {
                    "behavior": {"type": "string", "pattern": r"^[a-z0-9-]{1,40}$"},
                    "after": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}


class Phase(msgspec.Struct, frozen=True):
    """A phase of a release; title: as people call it. signed: only after a signoff. tested: QA ticks it off
    before anything later.

    rollback: how it is taken back, in a sentence; undo: what people do for that, one after another.
    """

    name: str
    signed: bool = False
    tested: bool = False
    rollback: str = ""
    undo: tuple[str, ...] = ()
    reaches_users: bool = False

    @property
    def title(self) -> str:
        """ "Ship RC" of "ship_rc"."""
        return self.name.capitalize().replace("_rc", " RC").replace("_", " ")


class Template(msgspec.Struct, frozen=True):
    """How a kind of pipeline is made; values: schema of what it wants."""

    description: str
    values: dict[str, Any]
    build: Callable[[Values], list[Step]]
    rollbacks: Callable[[Values], dict[str, Any]]


PROMOTE = Phase(
    "promote",
    tested=True,
    rollback="nothing reached anybody: abandon this build and start the next",
    undo=("cancel what still runs of this build", "start the next build"),
)
PUSH = Phase(
    "push",
    signed=True,
    rollback="remove the files from the release folder; nobody is offered them yet",
    undo=("remove the files from the release folder", "see that the mirrors dropped them"),
)
SHIP = Phase(
    "ship",
    signed=True,
    rollback="shut the updates off, set the rules back to the former release, ship a new build",
    undo=(
        "set the update rules back to the former release in Balrog, and have it signed there",
        "set the download links back to the former release",
        "end the emergency shutoff in Balrog, and have it signed there",
        "start the next build",
    ),
    reaches_users=True,
)
MERGE = Phase(
    "merge",
    rollback="back the merge out, then run it again",
    undo=("close the trees that were merged", "back the merges out", "make the next merge day"),
)
# A kind of release -> its phases in order.
RELEASES: dict[str, tuple[str, tuple[Phase, ...]]] = {
    "release": ("A release on its channel: promote, push, ship", (PROMOTE, PUSH, SHIP)),
    "beta": ("A beta: promote, push, ship", (PROMOTE, PUSH, SHIP)),
    "devedition": ("A developer edition: promote, push, ship", (PROMOTE, PUSH, SHIP)),
    "esr": ("An extended support release: promote, push, ship", (PROMOTE, PUSH, SHIP)),
    "dot-release": ("A dot release: promote, push, ship", (PROMOTE, PUSH, SHIP)),
    "release-candidate": (
        "A release candidate: to the beta channel first, then to everybody",
        (
            Phase("promote_rc", tested=True, rollback=PROMOTE.rollback, undo=PROMOTE.undo),
            Phase(
                "ship_rc",
                signed=True,
                tested=True,
                rollback=SHIP.rollback,
                undo=SHIP.undo,
                reaches_users=True,
            ),
            PUSH,
            SHIP,
        ),
    ),
}


def release_steps(phases: tuple[Phase, ...], values: Values) -> list[Step]:
    """The steps of a release: each phase after the one before, signed and tested where it says so."""
    made: list[Step] = []
    before: list[str] = []
    groups: list[str] = []
    if "train" in values:
        wanted = {"train": values["train"], **({"major": values["major"]} if "major" in values else {})}
        made.append(_step("uplifts", "uplifts", wanted, [], "Approved uplifts have landed", phases[0]))
        before = ["uplifts"]
    for phase in phases:
        if phase.signed:
            name = f"sign_{phase.name}"
            subject = f"{phase.title}: {values['product']} {values['version']} build {values['build']}"
            parameters = {
                "policy": values["signers"],
                "subject": subject,
                # What the phase before put out: done again, it must be signed again.
                "digest": _of(groups[-1], "digest") if groups else values["revision"],
            }
            made.append(_step(name, "signoff", parameters, before, f"Signoff for {phase.title}", phase))
            before = [name]
        made.append(_group(phase, values, before, groups))
        before, groups = [phase.name], [*groups, phase.name]
        if phase.tested and values.get("qa"):
            name = f"qa_{phase.name}"
            asked = {"instructions": f"Test what {phase.title} made.", "group": values["qa"]}
            made.append(_step(name, "manual", asked, before, f"QA after {phase.title}", phase))
            before = [name]
    if "rollout" in values:
        made.append(_rollout(values, before, phases[-1]))
    return made


def merge_steps(values: Values) -> list[Step]:
    """The steps of a merge day: one signature, then each merge after those it names."""
    phase = MERGE
    subject = f"merge day of {values['product']}, main becomes {values['version']}"
    parameters = {"policy": values["signers"], "subject": subject}
    made = [_step("sign", "signoff", parameters, [], "Signoff for the merge day", phase)]
    for merge in values["merges"]:
        name = merge["behavior"]
        payload = {**values["hook"].get("payload", {}), "behavior": name, "version": values["version"]}
        hook = {**values["hook"], "payload": payload}
        before = list(merge.get("after", ())) or ["sign"]
        step = _step(name, "taskcluster", {"hook": hook}, before, name.replace("-", " ").capitalize(), phase)
        made.append({**step, **({"not_before": values["at"]} if "at" in values else {})})
    return made


def merges(
    versions: Mapping[str, int], esrs: list[int], *, new_esr: int | None = None
) -> list[dict[str, Any]]:
    """The merges of one day, from the calendar: the ESRs there are, and the one that begins, if one does.

    versions: what each train is before the day ("main", "beta"); a train that is not there is not merged.
    """
    made: list[dict[str, Any]] = []
    if "beta" in versions:
        made.append({"behavior": "beta-to-release"})
    if new_esr is not None:
        made.append({"behavior": f"release-to-esr{new_esr}", "after": ["beta-to-release"]})
    if "beta" in versions:
        made.append({"behavior": "main-to-beta", "after": ["beta-to-release"]})
    made.append({"behavior": "bump-main", **({"after": ["main-to-beta"]} if "beta" in versions else {})})
    return made + [{"behavior": f"bump-esr{esr}"} for esr in sorted(esrs)]


def rollbacks(phases: tuple[Phase, ...], values: Values) -> dict[str, Any]:
    """A plan per phase to take it back."""
    return {phase.name: _rollback(phase, values) for phase in phases}


def _rollback(phase: Phase, values: Values) -> dict[str, Any]:
    steps: list[Step] = []
    before: list[str] = []
    rollout = values.get("rollout", {})
    if phase.reaches_users and {"product", "channel"} <= set(rollout):
        where = {"product": rollout["product"], "channel": rollout["channel"]}
        words = f"Shut off the updates of {rollout['channel']}"
        steps.append(_step("shutoff", "shutoff", where, [], words, phase))
        before = ["shutoff"]
    for number, task in enumerate(phase.undo, start=1):
        name = f"undo_{number}"
        steps.append(_step(name, "manual", {"instructions": task}, before, task[0].upper() + task[1:], phase))
        before = [name]
    return {"description": phase.rollback, "steps": steps}


TEMPLATES: dict[str, Template] = {
    name: Template(words, RELEASE_VALUES, partial(release_steps, phases), partial(rollbacks, phases))
    for name, (words, phases) in RELEASES.items()
} | {
    "merge-day": Template(
        "A merge day, generated from the calendar", MERGE_VALUES, merge_steps, partial(rollbacks, (MERGE,))
    )
}


def make(name: str, values: Values) -> dict[str, Any]:
    """The definition of a template with these values, to be put. Raises Missing, InvalidDefinition."""
    if name not in TEMPLATES:
        raise Missing(f"there is no template {name[:60]!r}; there are {', '.join(TEMPLATES)}")
    template = TEMPLATES[name]
    found = problems(dict(values), template.values)
    if found:
        raise InvalidDefinition(found)
    given = {"product": values["product"], "version": str(values["version"]), "template": name}
    more = {name: values[name] for name in ("build", "revision") if name in values}
    return {**given, **more, "steps": template.build(values), "rollbacks": template.rollbacks(values)}


def _of(step: str, field: str) -> dict[str, Any]:
    """What an earlier step put out, left out where it was skipped."""
    return {"$output": f"{step}.{field}", "$optional": True}


def _group(phase: Phase, values: Values, before: list[str], earlier: list[str]) -> Step:
    """The task group of a phase. earlier: those before it, whose tasks it goes on with."""
    release = {name: values[name] for name in ("product", "version", "build", "revision")}
    hook = values["hook"]
    payload = {**hook.get("payload", {}), "phase": phase.name, **release}
    if earlier:
        named = payload.get("previous_graph_ids", [])
        payload["previous_graph_ids"] = [*named, *(_of(name, "task_group_id") for name in earlier)]
    parameters: dict[str, Any] = {"hook": {**hook, "payload": payload}}
    if "cancel_hook" in values:
        parameters["cancel_hook"] = values["cancel_hook"]
    made = _step(phase.name, "taskcluster", parameters, before, phase.title, phase)
    if "phase_hours" in values:
        made["timeout_seconds"] = values["phase_hours"] * 3600
    return made


def _rollout(values: Values, before: list[str], phase: Phase) -> Step:
    """The rate raised over time, by whoever's role Balrog asks for; halted at any time."""
    rollout = values["rollout"]
    names = ("rule", "percents", "pause_seconds", "mapping")
    parameters = {name: rollout[name] for name in names if name in rollout}
    told = " %, ".join(str(percent) for percent in rollout["percents"])
    made = _step(
        "rollout",
        "rollout",
        {**parameters, "signers": values["signers"]},
        before,
        f"Offer it to {told} %",
        phase,
    )
    return {**made, "rollback": phase.rollback}


def _step(
    uid: str, kind: str, parameters: dict[str, Any], before: list[str], description: str, phase: Phase
) -> Step:
    return {
        "uid": uid,
        "kind": kind,
        "parameters": parameters,
        "requires": list(before),
        "description": description,
        "phase": phase.name,
        **({"rollback": phase.rollback} if kind == "taskcluster" else {}),
    }
