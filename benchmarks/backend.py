# SPDX-License-Identifier: MPL-2.0
"""CPU per request of the web service beside a Flask service that works as the original did, in one run.

The peer does what the original's backend did: Flask on gunicorn, SQLAlchemy, the bug's payload as one opaque
column that is parsed and encoded again for each answer, contributors asked for bug by bug. Both run here, on
the same PostgreSQL, one process each; CPU is what the kernel counted for the server's processes.
Neither asks an auth service over the network; ours still hashes each body and checks scopes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy import orm

from shipit.merge.types import Outcome, PatchResult, SeriesResult
from shipit.settings import Backend, Settings
from shipit.storage import embedded, migrate
from shipit.storage.pool import Limits, open_pool
from shipit.trains.types import Stage, Train
from shipit.uplift.report import (
    BugReport,
    BugsReport,
    Contributor,
    RequestReport,
    TrainReport,
    TrainsReport,
    Trial,
)
from shipit.uplift.types import Answer, Flag, Form, PatchRef, PatchSource, Request, RequestState
from shipit.web.app import create_app
from shipit.web.hawk import Verdict, payload_hash
from shipit.web.serving import run, serve

INSTANCE = "bench"
BUGS = 200
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
JSON = "application/json"


# --- the same bugs for both -------------------------------------------------------------------------------


def make_report(number: int, revision: int) -> BugReport:
    """A bug of believable size: some 3 kB of JSON with form, patches, people and one trial."""
    uid = f"{number}-beta-1"
    answers = tuple(
        Answer(
            question=f"question_{place}", label=f"A question {place}?", text="An answer of some length. " * 3
        )
        for place in range(6)
    )
    series = tuple(
        PatchRef(source=PatchSource.REVISION, name=f"D{number}{n}", version=f"9{n}", title=f"Part {n}")
        for n in range(2)
    )
    request = Request(
        uid=uid, bug=number, train="beta", state=RequestState.REQUESTED, attachments=(number * 10,),
        series=series, requested_by="author@example.com", requested_at=NOW,
        form=Form(
            comment=7, author="author@example.com", time=NOW, generation="2024", train_hint="beta",
            answers=answers, raw="The form as written. " * 20,
        ),
    )  # fmt: skip
    digest = f"s{revision}"
    patches = tuple(PatchResult(each.name, Outcome.CLEAN, "7" * 40) for each in series)
    trial = Trial(
        request=uid, train="beta", tip="a" * 40, series_digest=digest, key=digest,
        result=SeriesResult(Outcome.CLEAN, "7" * 40, patches), tried_at=NOW + timedelta(seconds=revision),
        took_ms=11.0, engine="git",
    )  # fmt: skip
    people = tuple(
        Contributor(email=f"{role}{number % 40}@example.com", name=f"A Person {number % 40}", roles=(role,))
        for role in ("creator", "assignee", "author")
    )
    return BugReport(
        bug=number, summary=f"Summary of the bug {number}, as long as such lines are", product="Core",
        component="DOM: Core & HTML", status="RESOLVED", resolution="FIXED", severity="S2", priority="P1",
        keywords=("regression", "crash"), is_restricted=False, digest=digest, contributors=people,
        fields={f"cf_status_firefox{major}": "affected" for major in range(140, 149)},
        flags=(Flag(id=1, name="qe-verify", status="+", setter="qa@example.com"),),
        url=f"https://bugzilla.example.com/{number}", changed=NOW, read_at=NOW + timedelta(seconds=revision),
        source="bench", requests=(RequestReport(request=request, series_digest=digest, trial=trial),),
    )  # fmt: skip


def make_trains() -> TrainsReport:
    """One train."""
    train = Train(
        name="beta", channel="beta", repository="app", branch="beta", version="147.0b3", major=147,
        approval_flag="approval-mozilla-beta", stage=Stage.EARLY_BETA, read_at=NOW,
    )  # fmt: skip
    return TrainsReport(trains=(TrainReport(train=train, tip="a" * 40, tip_at=NOW, requests_read_at=NOW),))


# --- the peer ---------------------------------------------------------------------------------------------


def peer_app(url: str) -> Any:
    """The original's way of storing and serving, in as few lines as it takes."""

    class Base(orm.DeclarativeBase):
        pass

    class Bug(Base):
        __tablename__ = "bug_result"
        id = sa.Column(sa.Integer, primary_key=True)
        bugzilla_id = sa.Column(sa.Integer, unique=True)
        payload = sa.Column(sa.LargeBinary)
        payload_hash = sa.Column(sa.String(64))

    class Person(Base):
        __tablename__ = "contributor"
        id = sa.Column(sa.Integer, primary_key=True)
        email = sa.Column(sa.String(200), unique=True)
        name = sa.Column(sa.String(200))

    class Role(Base):
        __tablename__ = "contributor_bugs"
        bug_id = sa.Column(sa.Integer, primary_key=True)
        contributor_id = sa.Column(sa.Integer, primary_key=True)
        roles = sa.Column(sa.String(200))

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    app = flask.Flask("peer")

    def people_of(session: orm.Session, bug: Any) -> list[dict[str, Any]]:
        query = (
            sa.select(Person, Role).join(Role, Role.contributor_id == Person.id).where(Role.bug_id == bug.id)
        )
        return [
            {"id": person.id, "email": person.email, "name": person.name, "roles": role.roles.split(",")}
            for person, role in session.execute(query)
        ]

    @app.get("/list")
    def listed() -> Any:
        with orm.Session(engine) as session:
            return flask.jsonify(
                [
                    {**pickle.loads(bug.payload), "id": bug.id, "contributors": people_of(session, bug)}
                    for bug in session.scalars(sa.select(Bug))
                ]
            )

    @app.put("/bugs")
    def put() -> Any:
        given = flask.request.get_json()["bugs"][0]
        with orm.Session(engine) as session:
            bug = session.scalar(sa.select(Bug).where(Bug.bugzilla_id == given["bug"]))
            if bug is None:
                bug = Bug(bugzilla_id=given["bug"])
                session.add(bug)
            bug.payload, bug.payload_hash = pickle.dumps(given, 2), given["digest"]
            session.flush()
            for each in given["contributors"]:
                person = session.scalar(sa.select(Person).where(Person.email == each["email"]))
                if person is None:
                    person = Person(email=each["email"], name=each["name"])
                    session.add(person)
                    session.flush()
                if session.get(Role, (bug.id, person.id)) is None:
                    roles = ",".join(each["roles"])
                    session.add(Role(bug_id=bug.id, contributor_id=person.id, roles=roles))
            session.commit()
            return flask.jsonify({**given, "id": bug.id, "contributors": people_of(session, bug)})

    return app


# --- both as processes ------------------------------------------------------------------------------------


async def run_ours(url: str) -> None:
    """Our service in this process; says its port on standard output."""

    async def accept(**asked: Any) -> Verdict:
        signed = dict(part.split("=", 1) for part in asked["authorization"].removeprefix("Hawk ").split(", "))
        return Verdict(
            status="auth-success", client_id="bench", scopes=("project:shipit:bot",),
            hash=signed["hash"].strip('"') or None,
        )  # fmt: skip

    settings = Settings(
        instance=INSTANCE, backend=Backend(url="http://127.0.0.1:1", public_read=True, database_url=None)
    )
    async with open_pool(url, instance=INSTANCE, limits=Limits(connections=4)) as database:
        app = create_app(settings, database=database, database_url=url, authenticator=accept)
        await serve(app, "127.0.0.1", 0, handles_signals=True, ready=lambda port: print(port, flush=True))


@dataclass
class Server:
    """A running server. pid: of its first process, whose children count as well."""

    process: subprocess.Popen[str]
    port: int

    def cpu(self) -> float:
        """Seconds of CPU so far, children included."""
        return sum(_ticks(pid) for pid in [self.process.pid, *_children(self.process.pid)]) / os.sysconf(
            "SC_CLK_TCK"
        )

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def start_ours(url: str) -> Server:
    """Our service."""
    process = subprocess.Popen([sys.executable, __file__, "--serve", url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server(process, int(process.stdout.readline()))


def start_peer(url: str, folder: Path) -> Server:
    """The peer on gunicorn, one worker with threads, as the original was deployed."""
    port = _free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "8", "--keep-alive", "75",
        "--bind", f"127.0.0.1:{port}",
        "--log-level", "error", "--chdir", str(Path(__file__).parent), f"backend:peer_app({url!r})",
    ]  # fmt: skip
    process = subprocess.Popen(command, text=True, cwd=folder)
    for _ in range(300):
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
            time.sleep(1)
            return Server(process, port)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the peer did not start")


class Client:
    """One connection, kept open; counts what it got."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[bytes, Any]:
        """The answer's body and headers."""
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 204, 304), (path, answer.status, content[:300])
        return content, answer.headers

    def put(self, path: str, body: bytes) -> None:
        """PUT JSON, with the hash of the body where a signature would be."""
        signed = f'Hawk id="bench", hash="{payload_hash(body, JSON)}"'
        self.ask("PUT", path, body, **{"Content-Type": JSON, "Authorization": signed})


def measure(server: Server, times: int, act: Callable[[int], object]) -> float:
    """Microseconds of the server's CPU per call; the best of three passes."""
    passes = []
    for turn in range(3):
        before = server.cpu()
        for place in range(times):
            act(turn * times + place)
        passes.append((server.cpu() - before) / times)
    return min(passes) * 1e6


# --- the run ----------------------------------------------------------------------------------------------


def main() -> int:
    """Run and print; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, default=150, help="calls per pass")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    options = parser.parse_args()
    if options.serve:
        run(run_ours(options.serve))
        return 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(embedded.run(folder / "database"))
        migrate.upgrade(url, instance=INSTANCE)
        ours, peer = start_ours(url), start_peer(url, folder)
        stack.callback(peer.stop)
        stack.callback(ours.stop)
        rows = compare(url, ours, peer, options.times)
    show(rows, options.format)
    return 0 if all(row["ratio"] >= row["target"] for row in rows) else 1


def compare(url: str, ours: Server, peer: Server, times: int) -> list[dict[str, Any]]:
    """Every comparison, the same data in both."""
    us, them = Client(ours), Client(peer)
    us.put("/api/trains", msgspec.json.encode(make_trains()))
    bodies = [[_body(number, revision) for number in range(1, BUGS + 1)] for revision in (1, 2)]
    for body in bodies[0]:
        us.put("/api/bugs", body)
        them.put("/bugs", body)
    theirs = measure(peer, times // 3, lambda _: them.ask("GET", "/list"))
    path = "/api/requests?train=beta"
    content, headers = us.ask("GET", path)
    assert len(json.loads(content)["requests"]) == BUGS
    assert len(json.loads(them.ask("GET", "/list")[0])) == BUGS
    packed = {"Accept-Encoding": "gzip"}
    with psycopg.connect(url, autocommit=True, options=f"-c search_path={INSTANCE}") as connection:

        def after_change(place: int) -> object:
            connection.execute("update trains set tip_at = now() + make_interval(secs => %s)", [place])
            return us.ask("GET", path)

        lists = [
            ("list of 200, nothing changed", measure(ours, times * 4, lambda _: us.ask("GET", path)), 5.0),
            (
                "list of 200, compressed",
                measure(ours, times * 4, lambda _: us.ask("GET", path, **packed)),
                5.0,
            ),
            (
                "list of 200, the caller has it (304)",
                measure(ours, times * 4, lambda _: us.ask("GET", path, **{"If-None-Match": headers["ETag"]})),
                5.0,
            ),
            ("list of 200, changed before each call", measure(ours, times, after_change), 5.0),
        ]
    upserts = [
        measure(
            server,
            times,
            lambda place, client=client, to=to: client.put(to, _body(place % BUGS + 1, place + 5)),
        )
        for server, client, to in ((peer, them, "/bugs"), (ours, us, "/api/bugs"))
    ]
    rows = [_row(name, theirs, figure, target) for name, figure, target in lists]
    return [*rows, _row("upsert of one bug with request and trial", upserts[0], upserts[1], 1.4)]


def show(rows: list[dict[str, Any]], form: str) -> None:
    """A markdown table, or JSON."""
    if form == "json":
        print(json.dumps(rows))
        return
    print("| what | Flask + gunicorn, µs CPU | Ship It, µs CPU | times less | target |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for row in rows:
        figures = f"{row['peer_us']:.0f} | {row['ours_us']:.0f} | {row['ratio']:.1f} | ≥ {row['target']:.1f}"
        print(f"| {row['what']} | {figures} |")


def _row(what: str, theirs: float, ours: float, target: float) -> dict[str, Any]:
    return {
        "what": what,
        "peer_us": theirs,
        "ours_us": ours,
        "ratio": theirs / max(ours, 1),
        "target": target,
    }


def _body(number: int, revision: int) -> bytes:
    return msgspec.json.encode(BugsReport(round="bench", bugs=(make_report(number, revision),)))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    sys.exit(main())
