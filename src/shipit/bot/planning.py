# SPDX-License-Identifier: MPL-2.0
"""What a round has to do: what changed in Bugzilla, in Phabricator and on the trains, and what is wished."""

from __future__ import annotations

from collections.abc import Iterable

from shipit.bot.barren import Barren
from shipit.bot.carrying import moved
from shipit.bot.outlook import Outlook
from shipit.bot.progress import Round
from shipit.bot.reading import numbers_of, reading_digest, revisions_of
from shipit.bot.searching import Seen
from shipit.uplift.report import Known, KnownBug, KnownRequest, Wish
from shipit.uplift.round_plan import Step, Task, plan

# Wishes for which a bug is read anew; what others ask for is made of what is known.
READ_FOR = frozenset(("trial", "bug"))


async def planned(this: Round, known: Known, outlook: Outlook, seen: Seen) -> list[Step]:
    """What to do: what changed in Bugzilla, Phabricator or on merge day, what was wished for, moved tips."""
    held = {bug.bug for bug in known.bugs}
    barren = Barren(this.doors.cache, outlook.trains)
    changed = {bug: at for bug, at in seen.changed.items() if bug in held or not barren.holds(bug, at)}
    steps = list(plan(known.bugs, changed, tips=outlook.tips, now=this.started, unknown=seen.unknown))
    extra = await _changed_revisions(this, known, outlook)
    moves = moved(requests_in(known.bugs), outlook.trains, this.started)
    for bug in known.bugs:
        for request in bug.requests:
            if request.request.uid in moves:
                extra.setdefault(bug.bug, moves[request.request.uid].reason)
    # what is hidden from us cannot be read; once it is shown again it counts as changed
    veiled = {bug.bug for bug in known.bugs if bug.is_hidden and bug.bug not in changed} | seen.unknown
    extra = {bug: reason for bug, reason in extra.items() if bug not in veiled}
    extra |= _wished(known, this.only)
    steps = [step for step in steps if step.bug not in extra or step.task is not Task.TRY]
    already = {step.bug for step in steps if step.task is Task.READ}
    steps += [
        Step(task=Task.READ, bug=bug, reason=reason)
        for bug, reason in sorted(extra.items())
        if bug not in already
    ]
    if this.only is not None:
        steps = [step for step in steps if step.bug == this.only]
    return steps


async def _changed_revisions(this: Round, known: Known, outlook: Outlook) -> dict[int, str]:
    """Known bugs whose revisions changed since they were read: a new diff does not change the bug."""
    numbers = numbers_of(one.request for one in requests_in(known.bugs))
    revisions = await revisions_of(this.doors, numbers)
    if isinstance(revisions, str):
        this.is_whole = False
        this.failed(None, revisions)
        return {}
    changed = {}
    for bug in known.bugs:
        digest = reading_digest(bug.changed, outlook.trains, [one.request for one in bug.requests], revisions)
        if bug.digest.partition(".")[0] != digest:
            changed[bug.bug] = "its patches or the trains' flags changed"
    return changed


def _wished(known: Known, only: int | None) -> dict[int, str]:
    """Bugs that pages ask about, or that this round is told to read."""
    read = [wish for wish in known.wishes if wish.kind in READ_FOR]
    wished = {bug: "asked for by a page" for wish in read if (bug := bug_of(wish)) is not None}
    if only is not None:
        wished[only] = "asked for by name"
    return wished


def bug_of(wish: Wish) -> int | None:
    """The bug a wish is about: its subject is a bug's number or a request's uid, which begins with it."""
    number = wish.subject.partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else None


def requests_in(bugs: Iterable[KnownBug]) -> list[KnownRequest]:
    return [request for bug in bugs for request in bug.requests]
