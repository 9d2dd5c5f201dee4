# SPDX-License-Identifier: MPL-2.0
"""A whole bot for tests: fake world, real repository, real backend on a real database, real doors.

`Scene` is a tiny language: `scene.ask("beta", on="release")` is a bug with a request whose patch is such.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fixtures_postgres import Database
from shipit.bot.doors import Doors
from shipit.bot.rounds import RoundResult, run_look, run_round
from shipit.cli.opening import bot_doors
from shipit.cli.serve import authenticator
from shipit.clients.http import open_session, utc_now
from shipit.clients.taskcluster import Taskcluster as TaskclusterClient
from shipit.settings import (
    Backend,
    Bot,
    Bugzilla,
    Lando,
    Phabricator,
    Repository,
    Schedule,
    Secret,
    Settings,
    Taskcluster,
    TrainRule,
)
from shipit.storage.pool import Limits, open_pool
from shipit.web.app import create_app
from shipit.web.serving import serve
from shipit.world.repository import Author, Tale, diff_between
from shipit.world.schedule import Calendar
from shipit.world.world import StandingClock, World

START = datetime(2026, 3, 3, 12, tzinfo=UTC)
# Beta carries 149, release 148, and ESRs 140 and 128 live.
CALENDAR = Calendar(first=149, start=datetime(2026, 1, 19, tzinfo=UTC), esr=(128, 140), overlap=20)
AUTHOR = Author("Mira Anand [:mira]", "mira@people.example")
REVIEWER = Author("Tomas Brand [:tbrand]", "tomas@people.example")
MANAGER = Author("Rosa Lind [:rlind]", "rosa@people.example")
BOT = "bot@people.example"
BRIDGE = "bridge@people.example"
TRAINS = ("beta", "release", "esr128", "esr140")
BOT_CLIENT = "tests/bot"
BOT_SCOPES = ("project:shipit:bot", "project:shipit:restricted", "notify:email:*")
SECURITY = "core-security"
# Line that each train alone has changed in every file: a patch that touches it conflicts there.
OWN_LINE = {"beta": 1, "release": 5, "esr128": 9, "esr140": 13}
# Line that every train already has as a patch of `is_empty` makes it.
SHARED_LINE = 30
FREE_LINE = 20
LINES = 40


class Product:
    """The product's repository: a pool of equal files, one for each bug."""

    def __init__(
        self, folder: Path, *, files: int, trains: Sequence[str] = TRAINS, main: str = "main"
    ) -> None:
        self.folder = folder
        self.main = main
        self.tale = Tale()
        self.hashes: dict[int, str] = {}
        self._when = START - timedelta(days=60)
        text = "\n".join(f"line {number}" for number in range(1, LINES + 1)).encode() + b"\n"
        self._say(main, "Bug 1000 - Begin. r=tbrand", {path_of(n): text for n in range(files)})
        for train in trains:
            self.tale.branch(train, start=main)
        for train in trains:
            changes: dict[str, bytes | None] = {}
            for number in range(files):
                own = OWN_LINE.get(train, 1)
                lines = {own: f"only {train}", SHARED_LINE: fixed(SHARED_LINE)}
                changes |= self.tale.edited(train, path_of(number), lines)
            self._say(train, f"Bug 1001 - What only {train} has. r=tbrand", changes)
        self.write()

    def write(self) -> None:
        """Make what was told real."""
        self.hashes = self.tale.write(self.folder)

    def tip(self, branch: str) -> str:
        """The commit at a branch's head."""
        return self.hashes[self.tale.tip(branch)]

    def patch(self, branch: str, number: int, line: int, subject: str, *, text: str | None = None) -> str:
        """A commit that edits one line of a bug's file; its hash."""
        change = self.tale.edited(branch, path_of(number), {line: text or fixed(line)})
        mark = self._say(branch, subject, change)
        self.write()
        return self.hashes[mark]

    def side(self, name: str, start: str) -> str:
        """A branch that nobody fetches, where `start` stands."""
        self.tale.branch(name, start=start)
        return name

    def move(self, branch: str) -> str:
        """Somebody else's commit on a branch, in a file that no bug touches; the new tip."""
        self._say(branch, "Bug 1002 - Something else. r=tbrand", {f"else/{branch}.txt": self._now().encode()})
        self.write()
        return self.tip(branch)

    def diff(self, commit: str) -> str:
        """What a commit changed, as its author would upload it."""
        return diff_between(self.folder, f"{commit}^", commit).decode()

    def _now(self) -> str:
        return self._when.isoformat()

    def _say(self, branch: str, message: str, changes: dict[str, bytes | None]) -> int:
        self._when += timedelta(minutes=1)
        return self.tale.commit(branch, message, changes, author=AUTHOR, when=self._when)


def path_of(number: int) -> str:
    """The file of the number-th bug."""
    return f"src/part{number:03}.txt"


def fixed(line: int) -> str:
    """What a patch makes of a line."""
    return f"line {line}, fixed"


class Scene:
    """The world, the product, the backend and one bot, with a clock that stands."""

    def __init__(
        self,
        world: World,
        clock: StandingClock,
        product: Product,
        database: Database,
        settings: Settings,
        doors: Doors,
    ) -> None:
        self.world, self.clock, self.product = world, clock, product
        self.database, self.settings, self.doors = database, settings, doors
        self._numbers: dict[int, int] = {}

    # --- what people do -----------------------------------------------------------------------------

    def ask(
        self,
        *trains: str,
        kind: str = "landed",
        on: str | None = None,
        is_empty: bool = False,
        stack: int = 1,
        groups: Sequence[str] = (),
        form: str | None = None,
        bug: int | None = None,
    ) -> int:
        """A bug with a pending request for each train; its number.

        kind: "landed" (a published revision that is on main), "revision" (under review, made on main),
        "rebased" (under review, made on the first train), "attachment" (a raw diff), "nothing" (no patch).
        on: the train that its patch conflicts with. stack: how many patches (only the last conflicts).
        """
        number = len(self._numbers)
        bugs = self.world.bugzilla
        made = bugs.file_bug(
            f"Part {number} is wrong",
            by=REVIEWER.email,
            number=bug or 2000 + number,
            groups=groups,
            assigned_to=AUTHOR.email,
        )
        self._numbers[made] = number
        attached = self._attached(made, number, kind, trains, on, is_empty, stack, bool(groups))
        for train in trains:
            for one in attached:
                words = form_for(train) if form is None else form
                bugs.request_uplift(one, train, by=AUTHOR.email, form=words if one == attached[-1] else "")
        return made

    def decide(self, bug: int, train: str, status: str) -> None:
        """The release manager's "+", "-", a new "?", or "X" to clear."""
        for one in self.carriers(bug):
            self.world.bugzilla.set_flag(
                f"approval-mozilla-{train}", status, by=MANAGER.email, attachment=one
            )

    def revise(self, bug: int, line: int) -> int:
        """A new diff of the bug's only revision, of which Bugzilla says nothing; the diff's number."""
        number = self._numbers[bug]
        side = self.product.side(f"again/{bug}/{line}", self.product.main)
        base = self.product.tip(side)
        commit = self.product.patch(side, number, line, f"Bug {bug} - Better. r=tbrand")
        revision = self.revisions(bug)[-1]
        return self.world.phabricator.update(revision, self.product.diff(commit), base=base)

    def carriers(self, bug: int) -> list[int]:
        """The attachments of a bug."""
        return [one.id for one in self.world.bugzilla.state.attachments.values() if one.bug == bug]

    def revisions(self, bug: int) -> list[int]:
        """The revisions of a bug."""
        return [one.id for one in self.world.phabricator.revisions.values() if one.bug == bug]

    def _attached(
        self,
        bug: int,
        number: int,
        kind: str,
        trains: Sequence[str],
        on: str | None,
        is_empty: bool,
        stack: int,
        is_secret: bool,
    ) -> list[int]:
        bugs, product = self.world.bugzilla, self.product
        if kind == "nothing":
            note = bugs.attach(bug, b"a screenshot", by=AUTHOR.email, content_type="image/png")
            return [note]
        branch = product.main
        if kind != "landed":
            start = trains[0] if kind == "rebased" else product.main
            branch = product.side(f"review/{bug}", start)
        attached: list[int] = []
        parents: list[int] = []
        for part in range(stack):
            is_last = part == stack - 1
            line = FREE_LINE + part
            if is_last and on is not None:
                line = OWN_LINE[on]
            elif is_empty:
                line = SHARED_LINE
            base = product.tip(branch)
            words = f"Bug {bug} - Mend part {number}, {part}. r=tbrand"
            if kind == "attachment":
                commit = product.patch(branch, number, line, words)
                attached.append(
                    bugs.attach(bug, product.diff(commit).encode(), by=AUTHOR.email, is_patch=True)
                )
                continue
            revision = max(self.world.phabricator.revisions, default=5000) + 1
            commit = product.patch(
                branch, number, line, f"{words}\n\nDifferential Revision: https://phab.example/D{revision}"
            )
            self.world.phabricator.revise(
                words,
                product.diff(commit),
                by="mira",
                repository=f"firefox-{trains[0] if kind == 'rebased' else 'main'}",
                base=None if kind == "landed" else base,
                bug=bug,
                parents=parents,
                number=revision,
                status="published" if kind == "landed" else "accepted",
                view=frozenset({"bot", "mira"}) if is_secret else "public",
            )
            parents = [revision]
            attached.append(
                bugs.attach_revision(bug, revision, by=BRIDGE, title=words, root=self.world.phabricator.url)
            )
            if kind == "landed":
                bugs.comment(bug, f"https://github.com/mozilla-firefox/firefox/commit/{commit}", by=BRIDGE)
        return attached

    # --- what the bot does --------------------------------------------------------------------------

    async def round(self, **how: Any) -> RoundResult:
        """A round, a few minutes after whatever was before."""
        self.clock.move(minutes=5)
        return await run_round(self.doors, **how)

    async def look(self) -> RoundResult:
        """A quick look at what changed in the last minute."""
        since = self.clock()
        self.clock.move(minutes=1)
        return await run_look(self.doors, since=since)

    @contextlib.asynccontextmanager
    async def another_bot(self, **changes: Any) -> AsyncIterator[Doors]:
        """The doors of a second bot; changes: of its settings."""
        settings = msgspec.structs.replace(self.settings, **changes)
        async with bot_doors(settings, told=lambda text: None, now=self.clock) as doors:
            yield doors

    # --- what the backend holds ---------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the backend's database."""
        with self.database.connect() as connection:
            return connection.execute(query, values).fetchall()

    def outcomes(self, bug: int | None = None) -> dict[tuple[int, str], str | None]:
        """(bug, train) → newest outcome of each open request; None where nothing was tried."""
        found = self.rows(
            "select r.bug, r.train, (select t.outcome from trials t where t.request = r.uid"
            " order by t.tried_at desc limit 1) from requests r where r.closed_at is null order by 1, 2"
        )
        return {(one[0], one[1]): one[2] for one in found if bug in (None, one[0])}

    def states(self, bug: int) -> dict[str, str]:
        """train → state of each request of a bug that is not closed."""
        return dict(self.rows("select train, state from requests where bug = %s and closed_at is null", bug))

    def asked(self, service: str = "Bugzilla") -> int:
        """How many calls the service got since the world last forgot."""
        return len(getattr(self.world, service.lower()).asked)


def form_for(train: str) -> str:
    """The form that a request's comment holds."""
    return (
        f"### firefox-{train} Uplift Approval Request\n"
        "- **User impact if declined/Reason for urgency**: It stays wrong.\n"
        "- **Code covered by automated testing?**: yes\n"
        "- **Risk associated with taking this patch**: low\n"
        "- **String changes made/needed?**: none\n"
    )


def rule(name: str, *, suffix: str = "", branch: str | None = None) -> TrainRule:
    """How a train of Firefox is spelled."""
    return TrainRule(
        name=name,
        repository="firefox",
        branch=branch or name,
        approval_flag=f"approval-mozilla-{name}",
        status_flag=f"cf_status_firefox{suffix}{{major}}",
        tracking_flag=f"cf_tracking_firefox{suffix}{{major}}",
    )


def settled(world: World, product: Product, database: Database, port: int, cache: Path) -> Settings:
    """The settings of an installation on this world."""
    token = world.taskcluster.add_client(BOT_CLIENT, BOT_SCOPES, days=365)
    return Settings(
        instance=database.instance,
        backend=Backend(
            url=f"http://127.0.0.1:{port}", database_url=Secret(database.url), public_read=True, port=port
        ),
        bugzilla=Bugzilla(url=world.bugzilla.url, api_key=Secret(world.bugzilla.key_for(BOT))),
        phabricator=Phabricator(url=world.phabricator.url, token=Secret(world.phabricator.token_for("bot"))),
        taskcluster=Taskcluster(
            root_url=world.taskcluster.url, client_id=BOT_CLIENT, access_token=Secret(token)
        ),
        schedule=Schedule(provider="whattrainisitnow", url=world.schedule.url),
        lando=Lando(url=world.lando.url),
        bot=Bot(cache=str(cache), workers=2),
        repositories=(Repository(name="firefox", url=str(product.folder), main=product.main),),
        trains=(rule("beta"), rule("release"), rule("esr{major}", suffix="_esr")),
    )


def peopled(world: World, trains: Sequence[str] = TRAINS) -> None:
    """The cast, the product and its flags."""
    world.schedule.calendar = CALENDAR
    # Signatures are judged by the real time, as they are made by it.
    world.taskcluster.now = utc_now
    for one in (AUTHOR, REVIEWER):
        world.bugzilla.add_user(one.email, one.name, groups=("editbugs", SECURITY))
    world.bugzilla.add_user(MANAGER.email, MANAGER.name, groups=("editbugs", SECURITY, "release-managers"))
    for login in (BOT, BRIDGE):
        world.bugzilla.add_user(login, login, groups=("editbugs", SECURITY))
    for name in ("mira", "bot"):
        world.phabricator.add_user(name)
    for train in trains:
        world.bugzilla.add_approval(train)
    for name in ("main", *trains):
        world.phabricator.add_repository(f"firefox-{name}")
    majors = [str(major) for major in range(147, 153)] + [f"_esr{major}" for major in (128, 140)]
    for major in majors:
        for kind in ("status", "tracking"):
            world.bugzilla.add_field(f"cf_{kind}_firefox{major}")
    world.bugzilla.add_field("cf_tracking_firefox_relnote")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def serving(settings: Settings, database: Database) -> AsyncIterator[None]:
    """The real web service at the settings' URL, asking the fake Taskcluster who signed."""
    root = settings.taskcluster.root_url
    assert root is not None
    async with (
        open_session() as session,
        open_pool(database.url, instance=database.instance, limits=Limits(connections=2)) as pool,
    ):
        app = create_app(
            settings,
            database=pool,
            database_url=database.url,
            authenticator=authenticator(TaskclusterClient(session, root)),
        )
        ready = asyncio.Event()
        task = asyncio.create_task(
            serve(app, "127.0.0.1", settings.backend.port, ready=lambda _: ready.set())
        )
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def staged(database: Database, folder: Path, *, files: int = 12) -> AsyncIterator[Scene]:
    """A scene with nothing asked yet. files: how many bugs it can have."""
    clock = StandingClock(START)
    async with World.open(now=clock) as world:
        peopled(world)
        product = Product(folder / "product.git", files=files)
        settings = settled(world, product, database, free_port(), folder / "cache")
        async with (
            serving(settings, database),
            bot_doors(settings, told=lambda text: None, now=clock) as doors,
        ):
            yield Scene(world, clock, product, database, settings, doors)
