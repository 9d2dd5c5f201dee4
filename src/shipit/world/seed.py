# SPDX-License-Identifier: MPL-2.0
"""Play the invented story into the fake world: repository, bugs, reviews, requests, decisions, in order."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from shipit.world.bugzilla import RELEASE_MANAGERS
from shipit.world.hg_repository import convert, has_hg
from shipit.world.others import RELNOTE, Other, fields_of, others
from shipit.world.repository import diff_between
from shipit.world.schedule import Calendar
from shipit.world.story import CAST, COMPONENTS, MAIN, RELEASE_MANAGER, Branches, Invented, Kind, Story, Told
from shipit.world.world import World

PRODUCT = "Firefox"
NIGHTLY = 150
# the demo always begins in the middle of a cycle, when uplifts are asked for most
INTO_CYCLE = timedelta(days=15)
BOT = "uplift-bot@people.example"
BRIDGE = "phab-bot@people.example"
SECURITY_GROUP = "core-security"
REPOSITORY = "firefox"


class Seeded:
    """What the demo has to know of what was seeded."""

    def __init__(
        self, *, bugzilla_key: str, phabricator_token: str, repository: Path, mercurial: Path | None
    ) -> None:
        """mercurial: the same history as a Mercurial repository; None where the machine has no hg."""
        self.bugzilla_key = bugzilla_key
        self.phabricator_token = phabricator_token
        self.repository = repository
        self.mercurial = mercurial


def calendar_for(now: datetime) -> Calendar:
    """A calendar of four-week cycles in whose middle we are, with two ESRs alive."""
    midnight = datetime.combine(now.date(), time(), UTC)
    return Calendar(first=NIGHTLY, start=midnight - INTO_CYCLE, esr=(128, 140), overlap=20)


def seed(world: World, folder: Path) -> Seeded:
    """Fill the world; the product's repository is made at `folder`."""
    now = world.now()
    world.schedule.calendar = calendar = calendar_for(now)
    carried = calendar.carried(now)
    left_main = {
        "beta": calendar.begins(carried["beta"] + 1),
        "release": calendar.begins(carried["release"] + 1),
        **{f"esr{major}": calendar.begins(major + 1) for major, _ in calendar.living_esr(now)},
    }
    story = Story(now=now, branches=Branches(left_main))
    story.tell()
    hashes = story.tale.write(folder)
    player = _Player(world, folder, hashes)
    player.set_up(carried, [major for major, _ in calendar.living_esr(now)])
    for other in sorted(others(), key=lambda other: -other.days_ago):
        player.play_other(other, now)
    for told in sorted(story.told, key=lambda told: -told.bug.days_ago):
        player.play(told, now)
    world.bugzilla.now = world.phabricator.now = world.now
    return Seeded(
        bugzilla_key=world.bugzilla.key_for(BOT),
        phabricator_token=world.phabricator.token_for("uplift-bot"),
        repository=folder,
        mercurial=_in_mercurial(world, folder) if has_hg() else None,
    )


def _in_mercurial(world: World, folder: Path) -> Path:
    """The product's history as a Mercurial repository, and what Lando's map says of both."""
    target = folder.with_name("product-hg")
    for git, hg in convert(folder, target).items():
        world.lando.add(git, hg)
    return target


class _Player:
    """Plays one told bug after another, each step at its time."""

    def __init__(self, world: World, folder: Path, hashes: dict[int, str]) -> None:
        self.world = world
        self.folder = folder
        self.hashes = hashes
        self.majors: dict[str, int] = {}

    def set_up(self, carried: dict[str, int], esrs: list[int]) -> None:
        bugzilla, phabricator = self.world.bugzilla, self.world.phabricator
        for name, author in CAST.items():
            groups = ["editbugs", SECURITY_GROUP] + (
                ["release-managers"] if author is RELEASE_MANAGER else []
            )
            bugzilla.add_user(author.email, author.name, groups=groups)
            phabricator.add_user(name, author.name, email=author.email)
        bugzilla.add_user(BOT, "Uplift bot", groups=("editbugs", SECURITY_GROUP))
        bugzilla.add_user(BRIDGE, "Phabricator bridge", groups=("editbugs", SECURITY_GROUP))
        phabricator.add_user("uplift-bot", "Uplift bot")
        managers = [name for name, author in CAST.items() if author is RELEASE_MANAGER]
        phabricator.add_project(RELEASE_MANAGERS, managers)
        bugzilla.add_product(PRODUCT, *COMPONENTS)
        for train in ("beta", "release", *(f"esr{major}" for major in esrs)):
            bugzilla.add_approval(train)
            phabricator.add_repository(f"{REPOSITORY}-{train}")
        phabricator.add_repository(f"{REPOSITORY}-{MAIN}")
        for major in sorted({*carried.values()}):
            for name in ("status", "tracking"):
                bugzilla.add_field(f"cf_{name}_firefox{major}")
        for major in esrs:
            for name in ("status", "tracking"):
                bugzilla.add_field(f"cf_{name}_firefox_esr{major}")
        bugzilla.add_field(RELNOTE)
        self.majors = {**carried, **{f"esr{major}": major for major in esrs}}

    def play(self, told: Told, now: datetime) -> None:
        bug = told.bug
        author = CAST[bug.author].email
        asked = now - timedelta(days=bug.days_ago)
        self._at(asked - timedelta(days=2))
        self.world.bugzilla.file_bug(
            bug.summary,
            by=CAST[bug.reviewer].email,
            number=bug.id,
            description=bug.impact,
            product=PRODUCT,
            component=bug.component,
            groups=(SECURITY_GROUP,) if bug.is_restricted else (),
            keywords=list(bug.keywords),
            severity=bug.severity,
            assigned_to=author,
            **fields_of({"status": bug.status}, self.majors),
        )
        self._at(asked - timedelta(hours=11))
        self._say_landings(told)
        self._at(asked)
        attachments = self._attach(told)
        for train in bug.requests:
            for attachment in attachments:
                form = _form(bug, train) if attachment == attachments[-1] else ""
                self.world.bugzilla.request_uplift(
                    attachment, train, by=BRIDGE if form else author, form=form
                )
        self._at(min(asked + timedelta(hours=16), now - timedelta(minutes=10)))
        for train, status in bug.requests.items():
            if status != "?":
                self._decide(bug, attachments, train, status)
        if bug.needinfo:
            self._ask(bug, now)

    def play_other(self, bug: Other, now: datetime) -> None:
        """A bug without a request."""
        bugzilla, author = self.world.bugzilla, CAST[bug.author].email
        self._at(now - timedelta(days=bug.days_ago))
        flags = fields_of({"status": bug.status, "tracking": bug.tracking}, self.majors)
        bugzilla.file_bug(
            bug.summary,
            by=CAST[bug.reviewer].email,
            number=bug.id,
            product=PRODUCT,
            component=bug.component,
            groups=(SECURITY_GROUP,) if bug.is_restricted else (),
            keywords=list(bug.keywords),
            severity=bug.severity,
            assigned_to=author,
            **flags,
            **({RELNOTE: "?"} if bug.is_relnote else {}),
        )
        if bug.is_fixed:
            bugzilla.change(bug.id, by=author, resolution="FIXED", status="RESOLVED")

    def _ask(self, bug: Invented, now: datetime) -> None:
        """The release manager asks the author, who answers (or has not yet)."""
        bugzilla, author, manager = self.world.bugzilla, CAST[bug.author].email, RELEASE_MANAGER.email
        asked = now - timedelta(days=bug.days_ago / 2)
        self._at(asked)
        bugzilla.set_flag("needinfo", "?", by=manager, bug=bug.id, requestee=author, comment=bug.needinfo)
        if bug.answer:
            self._at(min(asked + timedelta(hours=3), now - timedelta(minutes=5)))
            bugzilla.set_flag("needinfo", "X", by=author, bug=bug.id, comment=bug.answer)

    def _say_landings(self, told: Told) -> None:
        """The comments that a landing leaves on its bug."""
        root = "https://github.com/mozilla-firefox/firefox/commit"
        bug = told.bug
        for place, mark in enumerate(told.landings):
            address = f"{root}/{self.hashes[mark]}"
            self.world.bugzilla.comment(bug.id, f"{address}\n{bug.summary}", by=BRIDGE)
            if place < len(told.backouts):
                undone = f"{root}/{self.hashes[told.backouts[place]]}"
                text = f"Backed out for failing tests.\nBackout: {undone}"
                self.world.bugzilla.comment(bug.id, text, by=CAST["yuki"].email)

    def _attach(self, told: Told) -> list[int]:
        """The attachments that carry the flags: a revision each, or a raw diff."""
        bug = told.bug
        author = CAST[bug.author].email
        if bug.kind is Kind.ATTACHED_DIFF:
            diff = self._diff(told.based_on, told.patched[0])
            return [
                self.world.bugzilla.attach(
                    bug.id, diff.encode(), by=author, summary=f"Patch for {bug.summary}", is_patch=True
                )
            ]
        if bug.kind is Kind.REBASED:
            base, patches, where = told.based_on, told.patched, next(iter(bug.requests))
        elif bug.kind is Kind.NOT_LANDED:
            base, patches, where = told.based_on, told.patched, MAIN
        else:
            base, patches, where = None, told.landings[-1:] if told.backouts else told.landings, MAIN
        attached: list[int] = []
        parents: list[int] = []
        for number, mark in enumerate(patches):
            revision = self.world.phabricator.revise(
                f"Bug {bug.id} - {bug.summary}",
                self._diff(base, mark),
                by=bug.author,
                repository=f"{REPOSITORY}-{where}",
                base=self.hashes[base] if base else None,
                bug=bug.id,
                parents=parents,
                number=250_000 + (bug.id - 1_900_100) * 10 + number,
                status=_status(bug, base),
                # A revision made for a train waits for the release managers; only their accept lets it land.
                blocking=(RELEASE_MANAGERS,) if bug.kind is Kind.REBASED else (),
                view=frozenset({"uplift-bot", *CAST}) if bug.is_restricted else "public",
            )
            parents = [revision]
            attached.append(
                self.world.bugzilla.attach_revision(
                    bug.id, revision, by=BRIDGE, title=bug.summary, root=self.world.phabricator.url
                )
            )
        return attached

    def _decide(self, bug: Invented, attachments: list[int], train: str, status: str) -> None:
        words = f"Approved for {train}." if status == "+" else f"Too late for {train}; it rides the trains."
        for attachment in attachments:
            self.world.bugzilla.set_flag(
                f"approval-mozilla-{train}",
                status,
                by=RELEASE_MANAGER.email,
                attachment=attachment,
                comment=words if attachment == attachments[-1] else "",
            )

    def _diff(self, base: int | None, mark: int) -> str:
        new = self.hashes[mark]
        return diff_between(self.folder, self.hashes[base] if base else f"{new}^", new).decode()

    def _at(self, when: datetime) -> None:
        """Both services live at that time until the next step."""
        moment = when.replace(microsecond=0)
        self.world.bugzilla.now = self.world.phabricator.now = lambda: moment


def _status(bug: Invented, base: int | None) -> str:
    if bug.kind is Kind.REBASED:
        return "needs-review"
    return "published" if base is None and bug.kind is not Kind.BACKED_OUT else "accepted"


def _form(bug: Invented, train: str) -> str:
    """The request's form, in the wording its author used."""
    if bug.form == "unreadable":
        words = f"Please take it! It is {bug.risk} risk I think; QA looked at it on Friday."
        return f"### {REPOSITORY}-{train} Uplift Approval Request\n{words}"
    if bug.form == "older":
        answers = {
            "User impact if declined": bug.impact,
            "Is this code covered by automated tests?": bug.tested.capitalize(),
            "Has the fix been verified in Nightly?": "Yes",
            "Needs manual test from QE?": "No",
            "List of other uplifts needed": "None",
            "Risk to taking this patch": bug.risk.capitalize(),
            "Why is the change risky/not risky? (and alternatives if risky)": bug.why,
            "String changes made/needed": "None",
        }
        return "### Beta/Release Uplift Approval Request\n" + "\n".join(
            f"* **{question}**: {answer}" for question, answer in answers.items()
        )
    answers = {
        "User impact if declined/Reason for urgency": bug.impact,
        "Code covered by automated testing?": bug.tested,
        "Fix verified in Nightly?": "no" if bug.kind in (Kind.NOT_LANDED, Kind.REBASED) else "yes",
        "Needs manual QE testing?": "no",
        "Risk associated with taking this patch": bug.risk,
        "Explanation of risk level": bug.why,
        "String changes made/needed?": bug.strings or ("one string" if bug.path.endswith(".ftl") else "none"),
        "Is Android affected?": bug.android or ("yes" if bug.component == "Android" else "no"),
    }
    return f"### {REPOSITORY}-{train} Uplift Approval Request\n" + "\n".join(
        f"- **{question}**: {answer}" for question, answer in answers.items()
    )
