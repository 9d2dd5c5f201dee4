# SPDX-License-Identifier: MPL-2.0
"""Landing plans of trains as the bot made them, and as they may be seen now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shipit.storage import advice
from shipit.storage.pool import Connection
from shipit.storage.statements import load
from shipit.uplift.needs import State, state_of
from shipit.uplift.plans import PlansReport, Scope, TrainPlan
from shipit.uplift.types import RequestState

_SQL = load("advice")


class Titled(msgspec.Struct, frozen=True, kw_only=True):
    """What a request of a plan is called, and how it stands now."""

    summary: str
    state: RequestState
    is_restricted: bool


class ShownPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that may be seen now. plan: None while there is none (yet), with the reason.

    tip: the train's head now. titles: by request. behind: how each commit left behind stands on the train.
    restricted: how many of the train's requests are not shown, None for whoever may not even know that.
    """

    plan: TrainPlan | None
    tip: str | None
    reason: str | None = None
    titles: Mapping[str, Titled] = {}
    behind: Mapping[str, State] = {}
    restricted: int | None = None


async def save(connection: Connection, report: PlansReport) -> int:
    """Store plans and return how many; an older one never replaces a newer."""
    rows = [
        {
            "train": each.train,
            "scope": each.scope.value,
            "sees_restricted": each.sees_restricted,
            "key": each.key,
            "tip": each.tip,
            "made_at": each.made_at,
            "requests": each.requests,
            "content": each,
        }
        for each in report.plans
    ]
    if not rows:
        return 0
    cursor = await connection.execute(_SQL["save_plans"], {"plans": msgspec.json.encode(rows).decode()})
    return cursor.rowcount


async def shown(
    connection: Connection, train: str, scope: Scope, *, see_restricted: bool, count_restricted: bool
) -> ShownPlan | None:
    """The plan of a train; None when there is no such train."""
    wanted = {"train": train, "scope": scope.value, "see_restricted": see_restricted}
    row = await (await connection.execute(_SQL["read_plan"], wanted)).fetchone()
    if row is None:
        return None
    content, tip, is_veiled = row
    restricted = await _restricted(connection, train, scope) if count_restricted else None
    if content is None or is_veiled:
        # a bug of it became restricted since: the plan without it comes with the bot's next round
        reason = "no plan was made yet: it comes with the bot's next round"
        return ShownPlan(plan=None, tip=tip, reason=reason, restricted=restricted)
    plan = msgspec.convert(content, TrainPlan)
    if not see_restricted:
        plan = await _without_restricted(connection, plan)
    cursor = await connection.execute(
        _SQL["planned"], {"requests": list(plan.requests), "see_restricted": see_restricted}
    )
    titles = {
        uid: Titled(summary=summary, state=RequestState(state), is_restricted=is_restricted)
        for uid, summary, state, is_restricted in await cursor.fetchall()
    }
    by_train = await advice.open_on(
        connection,
        [train],
        bugs={one.bug for one in plan.left_behind if one.bug is not None},
        revisions={one.revision for one in plan.left_behind},
        see_restricted=see_restricted,
    )
    requests = by_train.get(train, ())
    behind = {one.revision: state_of(one.revision, one.bug, requests)[0] for one in plan.left_behind}
    return ShownPlan(plan=plan, tip=tip, titles=titles, behind=behind, restricted=restricted)


async def _without_restricted(connection: Connection, plan: TrainPlan) -> TrainPlan:
    """A plan without what is left behind of (or for) security bugs."""
    named = {bug for one in plan.left_behind for bug in (one.bug, one.of_bug) if bug is not None}
    secret = await advice.restricted_among(connection, named)
    left = tuple(one for one in plan.left_behind if secret.isdisjoint({one.bug, one.of_bug}))
    return msgspec.structs.replace(plan, left_behind=left)


async def _restricted(connection: Connection, train: str, scope: Scope) -> int:
    cursor = await connection.execute(_SQL["count_restricted"], {"train": train, "scope": scope.value})
    row = await cursor.fetchone()
    return int(row[0]) if row is not None else 0
