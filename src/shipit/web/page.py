# SPDX-License-Identifier: MPL-2.0
"""The first page: trains with honest counts, and each train's requests with outcome and reason."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from html import escape

import msgspec
from litestar import Response

from shipit.storage import requests, trains
from shipit.storage.pool import Connection
from shipit.uplift import standing
from shipit.uplift.standing import Standing
from shipit.web.answers import RequestRow, RequestsAnswer, TrainRow, TrainsAnswer
from shipit.web.frame import ASSETS, Frame, digest, document, moment_tag, time_tag
from shipit.web.house import Answer, Asked, Contract, House, endpoint, house
from shipit.web.lists import versioned
from shipit.web.scopes import Right
from shipit.web.viewer import Audience

_MOST_ROWS = 1000
_COLOURS = {"clean": "green", "conflict": "red"}
_trains = msgspec.json.Decoder(TrainsAnswer)
_requests = msgspec.json.Decoder(RequestsAnswer)


@endpoint(
    "GET", "/", Contract(right=Right.READ, summary="The page for people", answer=str, media="text/html")
)
async def show(request: Asked) -> Answer:
    """The page."""
    return await versioned(request, "page", partial(_page, house(request)), media="text/html")


def _serve(name: str, media: str) -> Answer:
    return Response(
        ASSETS[name][1],
        media_type=media,
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


@endpoint(
    "GET", "/assets/page.css", Contract(right=Right.PUBLIC, summary="Its style", answer=str, media="text/css")
)
async def style(request: Asked) -> Answer:
    """The page's style; its URL changes with it."""
    return _serve("page.css", "text/css")


@endpoint(
    "GET",
    "/assets/page.js",
    Contract(right=Right.PUBLIC, summary="Its script", answer=str, media="text/javascript"),
)
async def script(request: Asked) -> Answer:
    """The page's script; its URL changes with it."""
    return _serve("page.js", "text/javascript")


@endpoint(
    "GET",
    "/assets/icon.svg",
    Contract(right=Right.PUBLIC, summary="Its icon", answer=str, media="image/svg+xml"),
)
async def icon(request: Asked) -> Answer:
    """The page's icon."""
    return _serve("icon.svg", "image/svg+xml")


HANDLERS = [show, style, script, icon]


async def _page(things: House, connection: Connection, audience: Audience) -> bytes:
    listed = await trains.listed(
        connection,
        see_restricted=audience.sees_restricted,
        count_restricted=audience.counts_restricted,
        see_addresses=audience.sees_addresses,
    )
    rows = await requests.listed(
        connection,
        see_restricted=audience.sees_restricted,
        see_addresses=audience.sees_addresses,
        limit=_MOST_ROWS,
    )
    return render(
        _trains.decode(listed).trains,
        _requests.decode(rows),
        bugzilla=things.settings.bugzilla.url,
        is_demo=things.is_demo,
        now=datetime.now(UTC),
    ).encode()


def render(
    listed: list[TrainRow], page: RequestsAnswer, *, bugzilla: str, is_demo: bool, now: datetime
) -> str:
    """The page as HTML; pure, and every word that came from outside is escaped."""
    by_train: dict[str, list[RequestRow]] = {}
    for row in page.requests:
        by_train.setdefault(row.train, []).append(row)
    links = "".join(
        f'<a href="#{escape(each.name)}">{escape(each.name)}</a><span class="chip">{_open(each)}</span>'
        for each in listed
    )
    sections = "".join(_train(each, by_train.get(each.name, []), bugzilla, now) for each in listed)
    if not listed:
        sections = '<p class="empty" data-key="none" data-tag="none">No train has been reported yet.</p>'
    more = (
        ""
        if page.next is None
        else f'<p class="empty" data-key="more">Only the first {_MOST_ROWS} are shown.</p>'
    )
    return document(
        Frame(
            title="Ship It: uplift requests",
            place="/",
            label="Trains",
            links=links,
            main=sections + more,
            is_demo=is_demo,
        )
    )


def _open(train: TrainRow) -> str:
    return "?" if train.open is None else str(train.open)


def _train(train: TrainRow, rows: list[RequestRow], bugzilla: str, now: datetime) -> str:
    head = _head(train)
    body = "".join(_row(row, bugzilla, _standing(row, train, now)) for row in rows)
    if rows:
        body = (
            '<table><thead><tr><th scope="col">Bug</th><th scope="col">Request</th><th scope="col">State</th>'
            f'<th scope="col">Merge</th><th scope="col">Asked</th></tr></thead><tbody>{body}</tbody></table>'
        )
    elif train.open is None:
        body = '<p class="empty">Whether there are requests is not known.</p>'
    else:
        body = '<p class="empty">No open request.</p>'
    return (
        f'<section class="train" id="{escape(train.name)}" data-key="{escape(train.name)}" '
        f'data-tag="{digest(head + body)}"><div>{head}</div>{body}</section>'
    )


def _head(train: TrainRow) -> str:
    facts = [f"<span>{escape(train.repository)} <code>{escape(train.branch)}</code></span>"]
    if train.tip:
        facts.append(f"<span>tip <code>{escape(train.tip[:12])}</code></span>")
    if train.next_build:
        facts.append(
            f"<span>next build {escape(train.next_build.name)} {time_tag(train.next_build.at)}</span>"
        )
    if train.owner:
        facts.append(f"<span>owner {escape(train.owner)}</span>")
    if train.requests_read_at:
        facts.append(f"<span>Bugzilla read {time_tag(train.requests_read_at)}</span>")
    version = f"<small>{escape(train.version or 'version unknown')} · {escape(train.stage.value)}</small>"
    return (
        f"<h2>{escape(train.name)}{version}</h2>"
        f'<div class="facts">{"".join(facts)}</div>{_counts(train)}{_gaps(train)}'
    )


def _counts(train: TrainRow) -> str:
    chips = []
    if train.counts is None:
        chips.append('<li class="chip">requests: not known</li>')
    else:
        for state in ("requested", "approved", "rejected"):
            counted = train.counts.get(state)
            chips.append(f'<li class="chip run">{counted.total if counted else 0} {state}</li>')
        by_outcome: dict[str, int] = {}
        requested = train.counts.get("requested")
        if requested:
            by_outcome = dict(sorted(requested.outcomes.items()))
        chips += [
            f'<li class="chip {_COLOURS.get(name, "")}">{number} {escape(name)}</li>'
            for name, number in by_outcome.items()
        ]
    if train.restricted:
        chips.append(f'<li class="chip">{train.restricted} restricted</li>')
    return f'<ul class="counts">{"".join(chips)}</ul>'


def _gaps(train: TrainRow) -> str:
    gaps = []
    if train.requests_unavailable_since:
        reason = f": {escape(train.requests_unavailable_reason)}" if train.requests_unavailable_reason else ""
        gaps.append(f"Requests unavailable since {moment_tag(train.requests_unavailable_since)}{reason}")
    elif train.requests_read_at is None:
        gaps.append("Requests have not been read yet")
    if train.unavailable_since:
        gaps.append(f"Schedule unavailable since {moment_tag(train.unavailable_since)}")
    if train.tip_reason:
        gaps.append(f"The branch cannot be read: {escape(train.tip_reason)}")
    elif train.tip is None:
        gaps.append("The branch has not been read yet")
    return "".join(f'<p class="gap">{gap}.</p>' for gap in gaps)


def _row(row: RequestRow, bugzilla: str, stands: Standing) -> str:
    restricted = '<span class="l2 restricted">restricted</span>' if row.is_restricted else ""
    says = " ".join((stands.sentence, *stands.notes))
    asked = time_tag(row.requested_at) if row.requested_at else ""
    by = f'<span class="l2">{escape(row.requested_by)}</span>' if row.requested_by else ""
    patches = "1 patch" if row.patches == 1 else f"{row.patches} patches"
    cells = (
        f'<td class="bug"><a href="{escape(bugzilla)}/show_bug.cgi?id={row.bug}">{row.bug}</a>'
        f"{restricted}</td>"
        f'<td class="what">{escape(row.summary)}<span class="l2">{escape(row.product)} :: '
        f"{escape(row.component)} · {patches}</span></td>"
        f'<td class="state">{escape(row.state.value)}</td>'
        f'<td class="says"><span class="chip {stands.colour.value}">{escape(stands.word)}</span>'
        f'<span class="l2">{escape(says)}</span></td>'
        f'<td class="when">{asked}{by}</td>'
    )
    return (
        f'<tr data-key="{escape(row.uid)}" data-tag="{digest(cells)}" '
        f'data-outcome="{row.outcome or "untried"}" '
        f'data-standing="{stands.key.value}">{cells}</tr>'
    )


def _standing(row: RequestRow, train: TrainRow, now: datetime) -> Standing:
    asked = standing.Asked(
        state=row.state,
        patches=row.patches,
        series_digest=row.series_digest or "",
        series_reason=row.series_reason,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        target_major=row.target_major,
    )
    tried = None
    if row.outcome is not None and row.tip is not None and row.tried_at is not None:
        tried = standing.Tried(
            outcome=row.outcome,
            tip=row.tip,
            series_digest=row.trial_digest or "",
            tried_at=row.tried_at,
            files=tuple(row.files),
            reason=row.reason,
        )
    # That Bugzilla does not answer is said once for the train, not again for each of its requests.
    aim = standing.Aim(name=train.name, tip=train.tip, tip_reason=train.tip_reason, major=train.major)
    return standing.standing(asked, tried, aim, now=now)
