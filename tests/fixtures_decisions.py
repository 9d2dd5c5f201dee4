# SPDX-License-Identifier: MPL-2.0
"""A release manager's desk: fake Bugzilla and Phabricator over real HTTP, real database, real runner."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fixtures_postgres import Database
from shipit.actions import deciding, my_keys
from shipit.actions.deciding import Decide, House
from shipit.actions.decisions_shown import DecisionShown, Preview
from shipit.actions.persons import Actor, actor
from shipit.cli.writing import outside_of, whose_of
from shipit.clients.http import open_session
from shipit.clients.phabricator import Phabricator
from shipit.runner.decisions import Runner
from shipit.runner.writing import Outside
from shipit.settings import Bugzilla, Decisions, Secret, Settings
from shipit.settings import Phabricator as PhabricatorSettings
from shipit.storage import bugs, pool, trains
from shipit.trains.types import Moment, Stage, Train
from shipit.uplift.report import BugReport, BugsReport, RequestReport, TrainReport, TrainsReport
from shipit.uplift.requests import requests_of
from shipit.uplift.round_plan import series_digest
from shipit.uplift.types import Bug
from shipit.uplift.verdicts import Verdict, Wanted
from shipit.world.phabricator_state import Revision
from shipit.world.world import World

ROSA, MIRA, HUGO = "rosa@people.example", "mira@people.example", "hugo@people.example"
BRIDGE = "bridge@people.example"
SECURITY = "core-security"
DECIDES = ("project:shipit:user", "project:shipit:decide/*")
TRAINS = ("beta", "release")
NOW_ISH = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUSE = House(is_shadow=False, has_phabricator=True, hold=timedelta(0))


def make_train(name: str) -> Train:
    """A train whose next build is known."""
    return Train(
        name=name,
        channel=name,
        repository="firefox",
        branch=name,
        version="118.0b3" if name == "beta" else "117.0",
        major=118 if name == "beta" else 117,
        approval_flag=f"approval-mozilla-{name}",
        status_flag=f"cf_status_firefox_{name}",
        tracking_flag=f"cf_tracking_firefox_{name}",
        stage=Stage.EARLY_BETA,
        next_build=Moment("beta_4" if name == "beta" else "planned_dot_release", NOW_ISH),
        read_at=NOW_ISH,
    )


@dataclass
class Desk:
    """Everything a test of decisions needs; people act on the world, the desk decides."""

    world: World
    database: Database
    pool: pool.Database
    settings: Settings
    outside: Outside
    session: Any
    by: Actor
    runner: Runner
    bugs: list[int] = field(default_factory=list)

    # --- what people do in the world ----------------------------------------------------------------

    def file(
        self,
        *trains: str,
        attachments: int = 1,
        uplift: int = 0,
        groups: Sequence[str] = (),
        status: str = "needs-review",
    ) -> int:
        """A bug with a request on these trains: raw patches, or `uplift` revisions made for the train."""
        bugzilla = self.world.bugzilla
        bug = bugzilla.file_bug(
            "Something is wrong",
            by=MIRA,
            groups=groups,
            assigned_to=MIRA,
            cf_status_firefox_beta="affected",
            cf_status_firefox_release="affected",
        )
        for train in trains or ("beta",):
            for number in self.carriers(bug, train, attachments, uplift, status):
                bugzilla.request_uplift(number, train, by=MIRA, form="")
        self.bugs.append(bug)
        return bug

    def carriers(self, bug: int, train: str, attachments: int, uplift: int, status: str) -> list[int]:
        """The attachments that carry a flag."""
        bugzilla, phabricator = self.world.bugzilla, self.world.phabricator
        if not uplift:
            known = [one.id for one in bugzilla.bug(bug).attachments]
            return known or [
                bugzilla.attach(bug, b"--- a\n+++ b\n", by=MIRA, is_patch=True) for _ in range(attachments)
            ]
        made, parents = [], []
        for _ in range(uplift):
            revision = phabricator.revise(
                f"Bug {bug} - Fix",
                "--- a\n+++ b\n",
                by="mira",
                repository=f"firefox-{train}",
                bug=bug,
                parents=parents,
                status=status,
                blocking=("release-managers",),
            )
            parents = [revision]
            made.append(bugzilla.attach_revision(bug, revision, by=BRIDGE, root=phabricator.url))
        return made

    def status_of(self, bug: int, train: str = "beta") -> list[str]:
        """The train's flag on each attachment, "" where it is not set."""
        name = f"approval-mozilla-{train}"
        return [
            next((flag.status for flag in one.flags if flag.type.name == name), "")
            for one in self.world.bugzilla.bug(bug).attachments
        ]

    def revisions(self, bug: int) -> list[Revision]:
        """The revisions of a bug, parents first."""
        return [one for one in self.world.phabricator.revisions.values() if one.bug == bug]

    async def begin(self) -> None:
        """Forget what the test before did to the world; its rows stay, and concern nobody."""
        self.world.heal()
        self.world.bridge.is_held = False
        self.bugs.clear()
        self.runner = Runner(self.outside)
        self.world.bugzilla.state.users[ROSA].groups.add("release-managers")
        self.query("update decision_parts set state = 'dropped' where state in ('held', 'writing', 'stuck')")
        self.query("delete from wishes")
        await self.enter_keys(self.by, ROSA, "rosa")

    def said(self, bug: int, by: str = ROSA) -> list[str]:
        """What somebody wrote on a bug."""
        return [one.raw for one in self.world.bugzilla.bug(bug).comments[1:] if one.creator == by]

    # --- what the bot does --------------------------------------------------------------------------

    async def read(self, *numbers: int) -> None:
        """Read bugs as the bot does and store them."""
        found = await self.outside.bugzilla.bugs(numbers or self.bugs, self.outside.reading_key)
        rows = [make_train(name) for name in TRAINS]
        for bug in found.values():
            assert isinstance(bug, Bug), bug
            ids = {
                int(one.file_name.split("-")[1][1:])
                for one in bug.attachments
                if one.file_name.startswith("phabricator-D")
            }
            phabricator = Phabricator(self.session, self.world.phabricator.url, self.outside.reading_token)
            made = requests_of(bug, rows, revisions=(await phabricator.revisions(ids)).found)
            async with self.pool.connection() as connection:
                taken = await bugs.take(connection, BugsReport(round="r", bugs=(_report(bug, made),)))
            assert taken.bugs[0].result != "refused", taken

    # --- what the release manager does --------------------------------------------------------------

    def uids(self, *numbers: int) -> tuple[str, ...]:
        """The open requests of bugs."""
        query = "select uid from requests where bug = any(%s) and closed_at is null order by uid"
        return tuple(row[0] for row in self.query(query, list(numbers)))

    async def preview(self, verdict: Verdict, *numbers: int, by: Actor | None = None, **more: Any) -> Preview:
        """What a verdict about all requests of these bugs would write."""
        uids = more.pop("uids", None) or self.uids(*numbers)
        see = more.pop("see_restricted", True)
        async with self.pool.connection() as connection:
            return await deciding.preview(
                connection,
                Wanted(verdict=verdict, requests=uids, **more),
                by or self.by,
                see_restricted=see,
                house=HOUSE,
                now=datetime.now(UTC),
            )

    async def decide(
        self,
        verdict: Verdict,
        *numbers: int,
        by: Actor | None = None,
        uid: str | None = None,
        house: House = HOUSE,
        preview: Preview | None = None,
        **more: Any,
    ) -> DecisionShown:
        """Decide as previewed."""
        uids = self.uids(*numbers)
        seen = preview or await self.preview(verdict, *numbers, by=by, **more)
        given = Decide(verdict=verdict, requests=uids, seen=seen.seen, stamps=seen.stamps, **more)
        async with self.pool.connection() as connection:
            shown, _ = await deciding.decide(
                connection,
                uid or f"decision-{secrets.token_hex(6)}",
                given,
                by or self.by,
                see_restricted=True,
                house=house,
                now=datetime.now(UTC),
            )
        return shown

    async def shown(self, uid: str) -> DecisionShown:
        """A decision as it stands."""
        async with self.pool.connection() as connection:
            return await deciding.read(connection, uid, self.by, see_restricted=True)

    async def act(self, verb: Any, uid: str, by: Actor | None = None, **more: Any) -> DecisionShown:
        """undo, resume or drop."""
        async with self.pool.connection() as connection:
            found: DecisionShown = await verb(connection, uid, by or self.by, see_restricted=True, **more)
            return found

    async def turn(self) -> None:
        """Let the runner write whatever is due."""
        while await self.runner.claim():
            await self.runner.settle()

    async def settle(self, uid: str, *, turns: int = 12) -> DecisionShown:
        """Let the runner come to an end, without the pauses between tries."""
        for _ in range(turns):
            await self.turn()
            shown = await self.shown(uid)
            if shown.state not in ("held", "writing"):
                return shown
            self.hurry()
        raise AssertionError(f"{uid} is {shown.state}: {shown.sentence}")

    def hurry(self) -> None:
        """As if the pause before the next try had passed."""
        self.query("update decision_parts set due_at = now() - interval '1 second' where state = 'writing'")
        self.query("update decision_writes set sent_at = sent_at - interval '10 minutes'")

    async def enter_keys(self, by: Actor, login: str, name: str) -> None:
        """A person's keys, entered as on the page."""
        whose = whose_of(self.settings, self.session)
        bugzilla, phabricator = self.world.bugzilla, self.world.phabricator
        given = {"bugzilla": bugzilla.key_for(login), "phabricator": phabricator.token_for(name)}
        for system, key in given.items():
            await my_keys.enter(self.pool, self.outside.vault, whose, by, system, key)
        self.query("delete from key_tries")

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database directly."""
        with self.database.connect() as connection:
            cursor = connection.execute(text, values)
            return cursor.fetchall() if cursor.description else []


@contextlib.asynccontextmanager
async def desked(database: Database, **outside: Any) -> AsyncIterator[Desk]:
    """A desk for Rosa, who has entered her keys. outside: settings of the runner's doors."""
    async with (
        World.open() as world,
        open_session() as session,
        pool.open_pool(database.url, instance=database.instance, limits=pool.Limits(connections=4)) as opened,
    ):
        settings = settle(world)
        doors = outside_of(settings, session, opened)
        assert doors is not None
        doors = dataclasses.replace(doors, **({"quiet": timedelta(seconds=5)} | outside))
        by = actor(ROSA, (*DECIDES, "project:shipit:restricted"))
        desk = Desk(world, database, opened, settings, doors, session, by, Runner(doors))
        async with opened.connection() as connection:
            rows = tuple(TrainReport(train=make_train(name), tip="a" * 40) for name in TRAINS)
            await trains.save(connection, TrainsReport(trains=rows))
        yield desk


def settle(world: World) -> Settings:
    """People, trains and repositories of the world, and the settings that point at it."""
    bugzilla, phabricator = world.bugzilla, world.phabricator
    for login in (ROSA, MIRA, HUGO, BRIDGE):
        groups = ["editbugs", SECURITY, *(["release-managers"] if login in (ROSA, HUGO) else [])]
        name = login.split("@")[0]
        bugzilla.add_user(login, name.capitalize(), groups=groups)
        phabricator.add_user(name, name.capitalize(), email=login)
    phabricator.add_project("release-managers", ["rosa", "hugo"])
    bugzilla.add_flag_type("qe-verify", "bug")
    for train in TRAINS:
        bugzilla.add_approval(train)
        phabricator.add_repository(f"firefox-{train}")
        bugzilla.add_field(f"cf_status_firefox_{train}")
        bugzilla.add_field(f"cf_tracking_firefox_{train}")
    return Settings(
        bugzilla=Bugzilla(url=bugzilla.url, api_key=Secret(bugzilla.key_for(BRIDGE))),
        phabricator=PhabricatorSettings(url=phabricator.url, token=Secret(phabricator.token_for("bridge"))),
        decisions=Decisions(enabled=True),
        secret_key=(Secret("a secret of the tests, long enough"),),
    )


def _report(bug: Bug, made: Sequence[Any]) -> BugReport:
    return BugReport(
        bug=bug.id,
        summary=bug.summary,
        product=bug.product,
        component=bug.component,
        status=bug.status,
        groups=bug.groups,
        is_restricted=bug.is_restricted,
        fields=bug.fields,
        flags=bug.flags,
        url="https://bugzilla.example",
        changed=bug.changed,
        read_at=bug.read_at,
        source="bugzilla",
        digest=secrets.token_hex(8),
        requests=tuple(
            RequestReport(
                request=one,
                target_major=make_train(one.train).major,
                series_digest=series_digest(one),
            )
            for one in made
        ),
    )
