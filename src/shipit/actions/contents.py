# SPDX-License-Identifier: MPL-2.0
"""What a build contains: the uplifts that are in it, that are new in it, and that missed it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from shipit.errors import Missing
from shipit.pipeline.states import State
from shipit.pipeline.types import StepDefinition
from shipit.storage import pipelines, steps
from shipit.storage.pipelines import Stored
from shipit.storage.pool import Connection
from shipit.storage.steps import Uplift

KIND = "uplifts"


class UpliftLine(msgspec.Struct, frozen=True, kw_only=True):
    """One uplifted bug. state: "in_build", "waited_for" (approved, not landed) or "missed" (too late)."""

    bug: int
    summary: str
    state: str
    is_new: bool
    sentence: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The uplifts of a build. is_settled: it was built of these. sentence: all of it for people.

    restricted: how many are not shown, None: not told.
    """

    uid: str
    train: str
    build: int | None
    is_settled: bool
    sentence: str
    uplifts: tuple[UpliftLine, ...]
    restricted: int | None = None


async def contents(
    connection: Connection, stored: Stored, *, sees_restricted: bool, counts_restricted: bool
) -> Contents:
    """What this build contains, as this viewer may see it. Raises Missing where nothing waits for uplifts."""
    facts = stored.facts
    step = next((each for each in facts.definition.steps if each.kind == KIND), None)
    if step is None:
        raise Missing(f"pipeline {facts.uid!r} has no step that waits for uplifts")
    train = str(step.parameters.get("train", ""))
    revision = facts.definition.revision
    found = await steps.uplifts(connection, train, step.parameters.get("major"), revision=revision)
    spared = set(step.parameters.get("except", ()))
    approved = [each for each in found if each.bug not in spared]
    settled = await _settled(connection, stored, step)
    before = await pipelines.former_uplifts(
        connection, product=facts.definition.product, train=train, before=stored.created_at
    )
    lines = judged(approved, settled, before)
    hidden = {each.bug for each in approved if each.is_restricted}
    shown = tuple(line for line in lines if sees_restricted or line.bug not in hidden)
    return Contents(
        uid=facts.uid,
        train=train,
        build=facts.definition.build,
        is_settled=settled is not None,
        sentence=sentence(
            shown,
            facts.definition.build,
            is_settled=settled is not None,
            unseen=revision if approved and all(each.is_in_commit is None for each in approved) else "",
        ),
        uplifts=shown,
        restricted=len({line.bug for line in lines} & hidden) if counts_restricted else None,
    )


def judged(
    approved: Sequence[Uplift], settled: Collection[int] | None, before: Collection[int] | None
) -> list[UpliftLine]:
    """Each bug once: in the build when all its requests are; new when the build before had it not.

    What was tried on the commit that is built is in it or not, whatever landed on the train since.
    """
    lines = []
    for bug in sorted({each.bug for each in approved}):
        own = [each for each in approved if each.bug == bug]
        if all(each.is_closed and not each.is_landed for each in own):
            continue
        has_landed = all(each.is_landed or each.is_closed for each in own)
        tried = [each.is_in_commit for each in own if each.is_in_commit is not None]
        is_late = has_landed and not all(tried)
        is_in = not is_late and (has_landed if settled is None else bug in settled)
        state = "in_build" if is_in else "missed" if settled is not None or is_late else "waited_for"
        lines.append(
            UpliftLine(
                bug=bug,
                summary=own[0].summary,
                state=state,
                is_new=is_in and before is not None and bug not in before,
                sentence=_SENTENCES[state, has_landed],
            )
        )
    return lines


_SENTENCES = {
    ("in_build", True): "In this build",
    ("in_build", False): "In this build, in part",
    ("waited_for", False): "Approved, not landed",
    ("waited_for", True): "Approved, not landed",
    ("missed", True): "Approved, landed too late for this build",
    ("missed", False): "Approved, missed it",
}


def sentence(lines: Sequence[UpliftLine], build: int | None, *, is_settled: bool, unseen: str = "") -> str:
    """ "Build 7 will contain 14 uplifts, 5 of them new; 2 are approved and not landed".

    unseen: the commit that is built, where nothing was tried on it: then it is the train's tip that says so.
    """
    name = f"build {build}" if build is not None else "this build"
    inside = [line for line in lines if line.state == "in_build"]
    new = sum(line.is_new for line in inside)
    verb = "contains" if is_settled else "will contain"
    told = f"{name} {verb} {_count(len(inside))}" + (f", {new} of them new" if new else "")
    missed = sum(line.state == "missed" for line in lines)
    if missed:
        told += f"; {missed} {'is' if missed == 1 else 'are'} approved and missed it"
    if waits := len(lines) - len(inside) - missed:
        told += f"; {waits} {'is' if waits == 1 else 'are'} approved and not landed"
    if unseen:
        told += f"; as the train's tip has it, for nothing was tried on {unseen[:12]}"
    return told[0].upper() + told[1:]


def _count(number: int) -> str:
    return "no uplifts" if number == 0 else "1 uplift" if number == 1 else f"{number} uplifts"


async def _settled(connection: Connection, stored: Stored, step: StepDefinition) -> set[int] | None:
    """The bugs that were there when the build began, also without the rest; None while it waits."""
    node = stored.facts.nodes[step.uid]
    if not node.attempt or node.state not in (State.SUCCESS, State.SKIPPED):
        return None
    row = await steps.read(connection, KIND, stored.facts.key(step.uid, node.attempt))
    known: dict[str, Any] = row.memory if row is not None else {}
    return {int(bug) for bug in known.get("contains", node.output.get("bugs", ()))}
