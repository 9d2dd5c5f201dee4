# SPDX-License-Identifier: MPL-2.0
"""What is missing and what lands first: searches and plans as the bot tells them and people read them."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

import msgspec

from shipit.errors import Missing
from shipit.merge.left_behind import Why
from shipit.storage import advice, plans
from shipit.storage.plans import ShownPlan
from shipit.storage.pool import Connection
from shipit.uplift.needs import State
from shipit.uplift.plans import LeftOut, PlansReport, Scope, Waiting, Warned
from shipit.uplift.report import SearchesReport
from shipit.uplift.types import RequestState
from shipit.web import reading
from shipit.web.house import Answer, Asked, Contract, endpoint, house, nothing
from shipit.web.lists import versioned
from shipit.web.problems import WrongShape
from shipit.web.scopes import Right
from shipit.web.viewer import Audience


class PlanQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests the plan lands: those approved, or those that wait for a decision as well."""

    scope: Scope = Scope.APPROVED


class StepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the order. state: null when the request is closed by now."""

    request: str
    bug: int
    summary: str
    state: RequestState | None
    is_restricted: bool
    revisions: tuple[str, ...]
    subject: str
    is_empty: bool
    after: tuple[str, ...]


class BehindAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A commit left behind, and how it stands on this train."""

    revision: str
    bug: int | None
    subject: str
    of: str
    of_bug: int | None
    why: Why
    state: State


class PlanAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """GET /api/plans/{train}. order, conflicts…: empty with `reason` while there is no plan.

    tip: the commit it was simulated on; is_current: that is the train's tip now. restricted: how many
    requests are not shown, null unless only a number is.
    """

    train: str
    scope: Scope
    made_at: datetime | None
    tip: str | None
    main: str | None
    is_current: bool
    reason: str | None
    order: tuple[StepAnswer, ...]
    conflicts: tuple[Waiting, ...]
    warnings: tuple[Warned, ...]
    left_behind: tuple[BehindAnswer, ...]
    left_out: tuple[LeftOut, ...]
    restricted: int | None


@endpoint(
    "PUT",
    "/api/advice",
    Contract(
        right=Right.BOT,
        summary="Tell what searches for prerequisites found",
        body=SearchesReport,
        status=HTTPStatus.NO_CONTENT,
    ),
)
async def put_advice(request: Asked) -> Answer:
    """Store what was found."""
    report = await reading.body(request, SearchesReport)
    async with house(request).database.connection() as connection:
        await advice.save(connection, report)
    return nothing()


@endpoint(
    "PUT",
    "/api/plans/{train:str}",
    Contract(
        right=Right.BOT,
        summary="Tell the landing plans of a train that were made anew",
        body=PlansReport,
        status=HTTPStatus.NO_CONTENT,
        parts=("train",),
    ),
)
async def put_plans(request: Asked) -> Answer:
    """Store plans of one train."""
    train = reading.name(request.path_params["train"], "train")
    report = await reading.body(request, PlansReport)
    for each in report.plans:
        if each.train != train:
            raise WrongShape("plans", expected=f"plans of {train!r} as in the path", got=each.train)
    async with house(request).database.connection() as connection:
        await plans.save(connection, report)
    return nothing()


@endpoint(
    "GET",
    "/api/plans/{train:str}",
    Contract(
        right=Right.READ,
        summary="In which order the uplifts of a train land, what waits for what, and what is left behind",
        query=PlanQuery,
        answer=PlanAnswer,
        parts=("train",),
    ),
)
async def read_plan(request: Asked) -> Answer:
    """The landing plan of a train."""
    train = reading.name(request.path_params["train"], "train")
    query = reading.query(request, PlanQuery)

    async def make(connection: Connection, audience: Audience) -> bytes:
        found = await plans.shown(
            connection,
            train,
            query.scope,
            see_restricted=audience.sees_restricted,
            count_restricted=audience.counts_restricted,
        )
        if found is None:
            raise Missing(f"there is no train {train!r}")
        return msgspec.json.encode(answer_of(train, query.scope, found))

    return await versioned(request, ("plan", train, query.scope), make)


def answer_of(train: str, scope: Scope, found: ShownPlan) -> PlanAnswer:
    """The answer about a plan that may be seen; pure."""
    plan = found.plan
    if plan is None:
        return PlanAnswer(
            train=train,
            scope=scope,
            made_at=None,
            tip=None,
            main=None,
            is_current=False,
            reason=found.reason,
            order=(),
            conflicts=(),
            warnings=(),
            left_behind=(),
            left_out=(),
            restricted=found.restricted,
        )
    after = {one.request: one.after for one in plan.conflicts if one.lands}
    steps = []
    for each in plan.order:
        title = found.titles.get(each.request)
        steps.append(
            StepAnswer(
                request=each.request,
                bug=each.bug,
                summary=title.summary if title is not None else each.subject,
                state=title.state if title is not None else None,
                is_restricted=title is not None and title.is_restricted,
                revisions=each.revisions,
                subject=each.subject,
                is_empty=each.is_empty,
                after=after.get(each.request, ()),
            )
        )
    behind = [
        BehindAnswer(
            revision=one.revision,
            bug=one.bug,
            subject=one.subject,
            of=one.of,
            of_bug=one.of_bug,
            why=one.why,
            state=found.behind.get(one.revision, State.UNASKED),
        )
        for one in plan.left_behind
    ]
    return PlanAnswer(
        train=train,
        scope=scope,
        made_at=plan.made_at,
        tip=plan.tip,
        main=plan.main,
        is_current=plan.tip is not None and plan.tip == found.tip,
        reason=plan.reason,
        order=tuple(steps),
        conflicts=plan.conflicts,
        warnings=plan.warnings,
        left_behind=tuple(behind),
        left_out=plan.left_out,
        restricted=found.restricted,
    )


HANDLERS = [put_advice, put_plans, read_plan]
