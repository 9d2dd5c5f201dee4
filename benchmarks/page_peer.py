# SPDX-License-Identifier: MPL-2.0
# ruff: noqa: E501 (the template is as long as its rows)
"""The board's peer: the same rows from the same answer, rendered by the server with Jinja2.

Filtering and live updates fetch the rendered rows and put them in place of the old ones, as htmx does, with
a script of a kilobyte. The data, its cache, the web server and the style are ours, so that only the way of
making the page differs. `python -m benchmarks.page_peer URL ROWS` serves both, and says its port.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from litestar import Litestar, Request, Response, get

from shipit.merge.types import Conflict, ConflictKind, Outcome, PatchResult, SeriesResult
from shipit.settings import Backend, Settings
from shipit.storage import bugs, trains
from shipit.storage.pool import Database, Limits, open_pool
from shipit.trains.types import Moment, Stage, Train
from shipit.uplift.report import (
    BugReport,
    BugsReport,
    Contributor,
    RequestReport,
    TrainReport,
    TrainsReport,
    Trial,
)
from shipit.uplift.types import Answer, Flag, Form, PatchRef, PatchSource, RequestState
from shipit.uplift.types import Request as Uplift
from shipit.web import board
from shipit.web.app import create_app
from shipit.web.serving import run, serve
from shipit.web.viewer import Viewer

INSTANCE = "bench"
NOW = datetime.now(UTC).replace(microsecond=0)
TIPS = ("a" * 40, "b" * 40)
STYLES = Path(__file__).resolve().parent.parent / "frontend" / "src" / "styles"
NEEDLE = "session"
_WORDS = (
    "address bar",
    "tab strip",
    "session restore",
    "print preview",
    "video",
    "font cache",
    "proxy",
    "cookie",
)
_OUTCOMES = (Outcome.CLEAN, Outcome.CLEAN, Outcome.CLEAN, Outcome.CONFLICT)

# --- the data, the same for both --------------------------------------------------------------------------


def make_report(number: int) -> BugReport:
    """A bug of believable size, with a request for beta and, for every third, one for release."""
    names = ("beta", "release") if number % 3 == 0 else ("beta",)
    return BugReport(
        bug=number,
        summary=f"The {_WORDS[number % len(_WORDS)]} forgets what it showed when window {number} is moved",
        product="Firefox", component="Tabs" if number % 2 else "Address Bar", status="RESOLVED",
        resolution="FIXED", severity="S2" if number % 7 == 0 else "S3", priority="P1",
        keywords=("regression", "crash") if number % 5 == 0 else (), is_restricted=False, digest="d1",
        contributors=(Contributor(email=f"a{number % 40}@example.com", name=f"Ada Person{number % 40}", roles=("author",)),),
        fields={f"cf_status_firefox{major}": "affected" for major in range(140, 149)},
        flags=(Flag(id=1, name="qe-verify", status="+", setter="qa@example.com"),),
        url=f"https://bugzilla.example.com/{number}", changed=NOW, read_at=NOW, source="bench",
        requests=tuple(_request(number, name) for name in names),
    )  # fmt: skip


def _request(number: int, train: str) -> RequestReport:
    uid = f"{number}-{train}-1"
    outcome = _OUTCOMES[number % len(_OUTCOMES)]
    conflicts = (
        (Conflict(f"browser/part{number}.cpp", ConflictKind.CONTENT),) if outcome is Outcome.CONFLICT else ()
    )
    tree = "7" * 40 if outcome is Outcome.CLEAN else None
    result = SeriesResult(outcome, tree, (PatchResult("D1", outcome, tree, conflicts),))
    risk = ("low", "low", "medium", "high")[number % 4]
    form = Form(
        comment=7, author="a@example.com", time=NOW, generation="bridge", train_hint=train,
        answers=(Answer(question="risk_level", label="Risk", text=risk, value=risk),), raw="As written. " * 40,
    )  # fmt: skip
    return RequestReport(
        request=Uplift(
            uid=uid, bug=number, train=train, state=RequestState.REQUESTED, attachments=(number * 10,),
            series=(PatchRef(source=PatchSource.REVISION, name=f"D{number}", version="11", title="A part"),),
            requested_by="a@example.com", requested_at=NOW - timedelta(hours=number % 200), form=form,
        ),
        target_major=147,
        series_digest="s1",
        trial=Trial(
            request=uid, train=train, tip=TIPS[0], series_digest="s1", key="k", result=result, tried_at=NOW,
            took_ms=11.0, engine="git",
        ),
    )  # fmt: skip


async def fill(database: Database, rows: int) -> None:
    """Store trains and bugs as the bot's reports do."""
    reports = tuple(
        TrainReport(
            train=Train(
                name=name, channel=name, repository="app", branch=name, version="147.0b3", major=147,
                approval_flag=f"approval-mozilla-{name}", stage=Stage.EARLY_BETA, read_at=NOW,
                next_build=Moment("beta_4", NOW + timedelta(days=2)),
                deadlines=tuple(Moment(f"beta_{n}", NOW + timedelta(days=2 * n)) for n in range(4, 9)),
            ),
            tip=TIPS[0], tip_at=NOW, requests_read_at=NOW,
        )
        for name in ("beta", "release")
    )  # fmt: skip
    async with database.connection() as connection:
        await trains.save(connection, TrainsReport(trains=reports))
    numbers = range(1900001, 1900001 + rows)
    for start in range(0, rows, 100):
        report = BugsReport(
            round="r1", bugs=tuple(make_report(each) for each in numbers[start : start + 100])
        )
        async with database.connection() as connection:
            taken = await bugs.take(connection, report)
        assert all(each.result == "created" for each in taken.bugs), taken


# --- the peer ---------------------------------------------------------------------------------------------

_ROWS = """{% for group in groups %}{% if group.rows %}<div class="chunk" role="rowgroup">
<div class="grp" role="row"><div role="rowheader"><h2>{{ group.title }}<span class="n">{{ group.rows|length }}</span></h2><span class="why">{{ group.why }}</span></div></div>
{% for row in group.rows %}<div class="tr" role="row" tabindex="-1" aria-selected="false" data-uid="{{ row.uid }}">
<div class="c-sel" role="gridcell"><input class="check" type="checkbox" tabindex="-1" aria-label="Select bug {{ row.bug }}"></div>
<div class="c-id" role="rowheader"><a class="id" tabindex="-1" href="/requests/{{ row.uid }}">{{ row.bug }}</a></div>
<div class="c-sum" role="gridcell"><a class="sum" tabindex="-1" href="/requests/{{ row.uid }}" title="{{ row.summary }}">{{ row.summary }}</a><div class="sub"><span class="place">{{ row.product }} · {{ row.component }}</span>{% for tag in row.tags %}<span class="tag">{{ tag }}</span>{% endfor %}{% if row.disagrees %}<span class="disagree">{{ row.disagrees|join("; ") }}</span>{% endif %}</div></div>
<div class="c-who" role="gridcell">{% if row.who %}<span class="who" title="{{ row.who.role }}: {{ row.who.name }}">{{ row.who.name[:2]|upper }}<span class="vh">{{ row.who.role }} {{ row.who.name }}</span></span>{% endif %}</div>
<div class="c-age" role="gridcell"><time datetime="{{ row.requested_at }}">{{ age(row.requested_at) }}</time></div>
<div class="c-risk" role="gridcell">{% if row.risk %}<span class="risk{% if row.risk == "high" %} hi{% endif %}"><span class="bars" aria-hidden="true"><i class="on"></i><i></i><i></i></span>{{ row.risk|capitalize }}</span>{% else %}<span class="na">not said</span>{% endif %}</div>
<div class="c-size num" role="gridcell"><span class="na">not measured</span></div>
<div class="c-here" role="gridcell" title="{{ row.here.sentence }}"><span class="st {{ row.here.colour }}"><svg class="ic ic-s" aria-hidden="true"><use href="#i-check"></use></svg><span>{{ row.here.word }}</span><span class="vh"> on {{ train.title }}. {{ row.here.sentence }}</span></span><span class="l2">{{ row.here.detail }}</span></div>
{% for tab in tabs %}<div class="c-o" role="gridcell">{% if tab.name in row.others %}<a class="st" tabindex="-1" href="/requests/{{ row.others[tab.name].request }}" title="{{ row.others[tab.name].sentence }}"><svg class="ic ic-s" aria-hidden="true"><use href="#i-check"></use></svg><span>{{ row.others[tab.name].word }}</span></a>{% else %}<span class="na"><span aria-hidden="true">–</span><span class="vh">not asked for {{ tab.title }}</span></span>{% endif %}</div>{% endfor %}
</div>
{% endfor %}</div>{% endif %}{% endfor %}"""

_PAGE = (
    """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ train.title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/peer.css">
<script src="/peer.js" defer></script></head><body>
<header class="top"><div class="top-in"><a class="brand" href="/">Ship It</a><nav class="nav"><a href="/">Board</a></nav></div></header>
<main class="wrap stack"><h1>{{ train.title }}</h1>
<div class="bar"><label class="field"><span class="vh">Search</span><input type="search"></label></div>
<section class="panel"><div class="board peer" role="grid" id="rows" data-rows="{{ count }}">"""
    + _ROWS
    + """</div></section></main></body></html>"""
)

_SCRIPT = """
const rows = document.getElementById("rows"), search = document.querySelector("input[type=search]");
async function draw() {
  const answer = await fetch("/peer/rows?q=" + encodeURIComponent(search.value));
  rows.innerHTML = await answer.text();
  rows.dataset.rows = answer.headers.get("x-rows");
}
search.addEventListener("input", draw);
new EventSource("/api/live").addEventListener("change", draw);
"""


@cache
def _templates() -> tuple[jinja2.Template, jinja2.Template]:
    environment = jinja2.Environment(autoescape=True)
    environment.globals["age"] = _age
    return environment.from_string(_PAGE), environment.from_string(_ROWS)


def _age(at: str | None) -> str:
    hours = int((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()) // 3600 if at else 0
    return f"{hours} h" if hours < 24 else f"{hours // 24} d"


async def _shown(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """What the templates show: our own answer, from its cache, with the rows that the query wants."""
    request.state.viewer = Viewer()
    answer = msgspec.json.decode((await board.body_of(request, "beta")).content)
    word = request.query_params.get("q", "").lower()
    by: dict[str, list[Any]] = {group["key"]: [] for group in answer["groups"]}
    for row in answer["rows"]:
        if word in f"{row['summary']} {row['product']} {row['component']} {row['bug']}".lower():
            by[row["group"]].append(row)
    groups = [{**group, "rows": sorted(by[group["key"]], key=_before)} for group in answer["groups"]]
    tabs = [tab for tab in answer["tabs"] if tab["name"] != "beta"]
    count = sum(len(each) for each in by.values())
    return {"train": answer["train"], "groups": groups, "tabs": tabs, "count": count}


def _before(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["rank"], row["requested_at"], row["uid"]


@get("/peer", media_type="text/html")
async def page(request: Request[Any, Any, Any]) -> str:
    """The page."""
    shown = await _shown(request)
    return _templates()[0].render(shown)


@get("/peer/rows", media_type="text/html")
async def rows(request: Request[Any, Any, Any]) -> Response[str]:
    """The rows alone."""
    shown = await _shown(request)
    return Response(_templates()[1].render(shown), headers={"X-Rows": str(shown["count"])})


@get("/peer.css", media_type="text/css")
async def style() -> Response[str]:
    """Our own style."""
    names = ("tokens", "base", "components", "board")
    order = "@layer reset, tokens, base, layout, components, utilities;"
    text = order + "".join((STYLES / f"{name}.css").read_text(encoding="utf-8") for name in names)
    return Response(
        text + ".peer{--cols:38px 84px minmax(240px,1fr) 42px 66px 92px 118px 168px 100px}",
        media_type="text/css",
    )


@get("/peer.js", media_type="text/javascript")
async def script() -> str:
    """What fetches rows when the search or the data changes; nothing waits."""
    return _SCRIPT


async def serve_both(url: str, count: int) -> None:
    """Ours and the peer on one port, which is printed."""
    settings = Settings(instance=INSTANCE, backend=Backend(url="http://127.0.0.1:1", public_read=True))
    async with open_pool(url, instance=INSTANCE, limits=Limits(connections=6)) as database:
        await fill(database, count)
        app: Litestar = create_app(settings, database=database, database_url=url, authenticator=None)
        for handler in (page, rows, style, script):
            app.register(handler)
        await serve(app, "127.0.0.1", 0, handles_signals=True, ready=lambda port: print(port, flush=True))


if __name__ == "__main__":
    run(serve_both(sys.argv[1], int(sys.argv[2])))
