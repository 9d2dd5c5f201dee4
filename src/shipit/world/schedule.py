# SPDX-License-Identifier: MPL-2.0
"""A fake release calendar of any cadence, served as whattrainisitnow and product-details serve theirs."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import msgspec
from aiohttp import web

from shipit.world.server import Clock, Fake, utc_now

GTB = timedelta(hours=21)
BUILD = timedelta(hours=13)
RELEASE = timedelta(hours=14)


class Calendar(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar: on `start` (midnight UTC) nightly begins `first`; merge days follow.

    lengths: days of the cycles, over and over. betas: builds per cycle. rc_days: days between the release
    candidate's go-to-build and merge day. release_days: days between merge day and release day.
    has_aurora: whether a version passes through Aurora between nightly and beta. esr: majors that become
    ESRs.
    overlap: how many releases an ESR still joins after the next one has begun. owners: in turn.
    """

    first: int = 149
    start: datetime = datetime(2026, 1, 12, tzinfo=UTC)
    lengths: tuple[int, ...] = (28,)
    betas: int = 9
    rc_days: int = 7
    release_days: int = 1
    has_aurora: bool = False
    esr: tuple[int, ...] = (128, 140, 153)
    overlap: int = 3
    owners: tuple[str, ...] = ("Rosa Marsh", "Yuki Field", "Omar Bell")

    def begins(self, major: int) -> datetime:
        """Merge day on which nightly begins to carry that version."""
        whole, rest = divmod(major - self.first, len(self.lengths))
        return self.start + timedelta(days=whole * sum(self.lengths) + sum(self.lengths[:rest]))

    def merge_day(self, major: int) -> datetime:
        """When that version leaves nightly."""
        return self.begins(major + 1)

    def beta_day(self, major: int) -> datetime:
        """When that version becomes beta."""
        return self.begins(major + self._rank("beta"))

    def handover(self, major: int) -> datetime:
        """When that version leaves beta."""
        return self.begins(major + self._rank("release"))

    def rc_gtb(self, major: int) -> datetime:
        """When its release candidate is built."""
        days = min(self.rc_days, (self.handover(major) - self.beta_day(major)).days - 1)
        return self.handover(major) - timedelta(days=days) + (GTB if days else -timedelta(hours=3))

    def release(self, major: int) -> datetime:
        """When it is released."""
        return self.handover(major) + timedelta(days=self.release_days) + RELEASE

    def nightly(self, now: datetime) -> int:
        """The version nightly carries."""
        whole = (now - self.start) // timedelta(days=sum(self.lengths))
        major = self.first + whole * len(self.lengths)
        while self.begins(major + 1) <= now:
            major += 1
        return major

    def carried(self, now: datetime) -> dict[str, int]:
        """The truth that no provider says in one place: what each channel's branch carries."""
        nightly = self.nightly(now)
        ranks = {channel: self._rank(channel) for channel in ("nightly", "aurora", "beta", "release")}
        majors = {channel: nightly - rank for channel, rank in ranks.items()}
        if not self.has_aurora:
            del majors["aurora"]
        if now >= self.rc_gtb(majors["beta"]):
            majors["release"] = majors["beta"]
        return majors

    def released(self, now: datetime) -> int:
        """The newest released major."""
        major = self.nightly(now)
        while self.release(major) > now:
            major -= 1
        return major

    def beta_builds(self, major: int) -> list[datetime]:
        """When its betas are built: evenly, the first on the day it becomes beta."""
        start, end = self.beta_day(major), self.rc_gtb(major)
        step = (end - start) / max(self.betas, 1)
        days = [
            datetime.combine((start + step * n).date(), time(), UTC) + BUILD for n in range(1, self.betas)
        ]
        return [start, *(at for at in days if start < at < end)] if self.betas else []

    def living_esr(self, now: datetime) -> list[tuple[int, str]]:
        """The ESRs still built, oldest first, each with its newest version: [(140, "140.3.0")]."""
        living = []
        newest = self.released(now)
        for major, following in pairwise((*self.esr, None)):
            assert major is not None
            if newest < major or (following is not None and newest >= following + self.overlap):
                continue
            living.append((major, f"{major}.{newest - major}.0"))
        return living

    def _rank(self, channel: str) -> int:
        ranks = {"nightly": 0, "aurora": 1, "beta": 1, "release": 2}
        return ranks[channel] + (1 if self.has_aurora and channel in ("beta", "release") else 0)


class FakeSchedule(Fake):
    """Both providers over one calendar, with a clock that can be set.

    `/api/…` answers as whattrainisitnow (which never knew Aurora), `/1.0/firefox_versions.json` as
    product-details.
    beta_lag: how long both keep naming the old beta after merge day. product_details_lag: how far all of
    product-details is behind. said: values that replace what product-details would say (None: key absent).
    """

    name = "schedule"

    def __init__(self, calendar: Calendar | None = None, now: Clock = utc_now) -> None:
        super().__init__(now)
        self.calendar = calendar or Calendar()
        self.beta_lag = timedelta(days=2)
        self.product_details_lag = timedelta()
        self.said: dict[str, str | None] = {}

    def set_now(self, when: datetime) -> None:
        """Stop the clock there."""
        self.now = lambda: when

    def merge_day(self) -> datetime:
        """Let the next merge day dawn; gives its time."""
        when = self.calendar.merge_day(self.calendar.nightly(self.now()))
        self.set_now(when)
        return when

    def routes(self) -> list[web.RouteDef]:
        """The endpoints of both providers."""
        return [
            web.get("/api/release/schedule/", self._answer_schedule),
            web.get("/api/lando/uplift/train/", self._answer_trains),
            web.get("/api/release/owners/", self._answer_owners),
            web.get("/api/esr/releases/", self._answer_esr_releases),
            web.get("/1.0/firefox_versions.json", self._answer_versions),
        ]

    def versions(self) -> dict[str, str]:
        """What product-details says now."""
        now = self.now() - self.product_details_lag
        calendar = self.calendar
        nightly = calendar.nightly(now)
        beta, number = self._beta(now)
        spelled = f"{beta}.0b{number}"
        living = calendar.living_esr(now)
        said: dict[str, str | None] = {
            "FIREFOX_AURORA": f"{nightly - 1}.0a2" if calendar.has_aurora else "",
            "FIREFOX_DEVEDITION": spelled,
            "FIREFOX_ESR": "",
            "FIREFOX_ESR_NEXT": "",
            "FIREFOX_NIGHTLY": f"{nightly}.0a1",
            "LAST_MERGE_DATE": f"{calendar.merge_day(nightly - 1):%Y-%m-%d}",
            "LAST_RELEASE_DATE": f"{calendar.release(nightly - 2):%Y-%m-%d}",
            "LATEST_FIREFOX_DEVEL_VERSION": spelled,
            "LATEST_FIREFOX_OLDER_VERSION": "3.6.28",
            "LATEST_FIREFOX_RELEASED_DEVEL_VERSION": spelled,
            "LATEST_FIREFOX_VERSION": f"{calendar.released(now)}.0",
            "NEXT_MERGE_DATE": f"{calendar.merge_day(nightly):%Y-%m-%d}",
            "NEXT_RELEASE_DATE": f"{calendar.release(nightly - 1):%Y-%m-%d}",
        }
        *older, last = [(major, version + "esr") for major, version in living] or [(0, "")]
        if older:
            said["FIREFOX_ESR"], said["FIREFOX_ESR_NEXT"] = older[-1][1], last[1]
        else:
            said["FIREFOX_ESR"] = last[1]
        said |= {f"FIREFOX_ESR{major}": version for major, version in older[:-1]}
        said |= self.said
        return {key: value for key, value in said.items() if value is not None}

    def _beta(self, now: datetime) -> tuple[int, int]:
        beta = self.calendar.carried(now - self.beta_lag)["beta"]
        built = sum(at <= now - self.beta_lag for at in self.calendar.beta_builds(beta))
        return beta, max(built, 1)

    def moments(self, major: int) -> dict[str, str]:
        """The calendar of one version as whattrainisitnow spells it."""
        calendar = self.calendar
        merge = calendar.merge_day(major)
        release_day = calendar.release(major) - RELEASE
        moments = {
            "nightly_start": calendar.begins(major),
            "soft_code_freeze": merge - timedelta(days=4) + timedelta(hours=8),
            "string_freeze": merge - timedelta(days=3),
            "merge_day": merge,
            **{f"beta_{place}": at for place, at in enumerate(calendar.beta_builds(major), 1)},
            "rc_gtb": calendar.rc_gtb(major),
            "rc": datetime.combine(calendar.rc_gtb(major).date(), time(), UTC) + timedelta(days=1),
            "release": calendar.release(major),
            "planned_dot_release": release_day + timedelta(days=calendar.lengths[0] // 2),
        }
        said = {name: f"{at:%Y-%m-%d %H:%M:%S}+00:00" for name, at in moments.items()}
        return {"version": f"{major}.0", **said}

    def named(self) -> dict[str, int]:
        """The versions whattrainisitnow means by nightly, beta and release now."""
        now = self.now()
        return {
            "nightly": self.calendar.nightly(now),
            "beta": self._beta(now)[0],
            "release": self.calendar.released(now),
        }

    def trains(self) -> dict[str, object]:
        """What its endpoint for Lando says now: counted up from the newest release, whatever beta does."""
        now, calendar = self.now(), self.calendar
        release = calendar.released(now)
        beta = {"has_betas_left": now < calendar.rc_gtb(release + 1), "is_rc_shipped": False}
        return {
            "nightly": self._train(release + 2),
            "beta": {**self._train(release + 1), **beta},
            "release": self._train(release),
        }

    def owners(self) -> dict[str, str]:
        """The release owners, by major."""
        names = self.calendar.owners
        newest = self.calendar.nightly(self.now())
        return {str(major): names[major % len(names)] for major in range(newest - 20, newest + 3)}

    def esr_releases(self) -> dict[str, str]:
        """Every ESR release so far, with its day."""
        released: dict[str, str] = {}
        calendar = self.calendar
        newest = calendar.released(self.now())
        for major, following in pairwise((*calendar.esr, None)):
            assert major is not None
            last = newest if following is None else min(newest, following + calendar.overlap - 1)
            for joined in range(major, last + 1):
                released[f"{major}.{joined - major}.0"] = f"{calendar.release(joined):%Y-%m-%d}"
        return released

    def _train(self, major: int) -> dict[str, object]:
        return {"version": major, "release_date": f"{self.calendar.release(major):%Y-%m-%d}"}

    async def _answer_versions(self, _: web.Request) -> web.Response:
        return web.json_response(self.versions())

    async def _answer_schedule(self, request: web.Request) -> web.Response:
        asked = request.query.get("version", "beta")
        number = asked.split(".")[0]
        major = self.named().get(asked) or (int(number) if number.isdigit() else 0)
        if not 0 < major <= self.calendar.nightly(self.now()) + 2:
            return web.json_response({"error": "Invalid version number."})
        return web.json_response(self.moments(major))

    async def _answer_trains(self, _: web.Request) -> web.Response:
        return web.json_response(self.trains())

    async def _answer_owners(self, _: web.Request) -> web.Response:
        return web.json_response(self.owners())

    async def _answer_esr_releases(self, _: web.Request) -> web.Response:
        return web.json_response(self.esr_releases())
