# SPDX-License-Identifier: MPL-2.0
"""What one bug's full analysis holds: facts from the clone, libmozdata's reading, people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shipit.uplift.sizes import FileChange
from shipit.uplift.types import Bug, PatchSource, Person


class Source(StrEnum):
    """Who told us a fact."""

    CLONE = "clone"
    BUGZILLA = "bugzilla"
    PHABRICATOR = "phabricator"
    MOZDATA = "libmozdata"


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """We could not find out. subject: what ("bug 1234567", a commit hash, "beta"); reason: one sentence."""

    subject: str
    reason: str
    source: Source
    at: datetime


class Churn(msgspec.Struct, frozen=True, kw_only=True):
    """The earlier commits on main that touched a patch's files, each counted once however many it touched.

    since: only commits after it were looked at (None: all that the clone has). by_author: written by the
    patch's author. by_reviewers: written by its reviewers where their addresses are known.
    reviewed_by_reviewers: reviewed by one of the nicks the patch names with r=. backouts: commits that back
    something out or revert it. is_complete False: the index does not reach back to `since`, so the counts are
    a lower bound.
    """

    since: datetime | None
    commits: int
    by_author: int
    by_reviewers: int
    reviewed_by_reviewers: int
    backouts: int
    last: datetime | None
    is_complete: bool = True


class PatchFacts(msgspec.Struct, frozen=True, kw_only=True, tag="patch"):
    """One patch as the clone knows it.

    name: commit hash, "D123456" or "attachment 9123456". message: cut to MESSAGE_LIMIT characters. reviewers:
    nicks in the order the message gives them. landed_at: when the commit got onto main, None while it is not
    there. components: "Product :: Component" by the moz.build files of the tree; directories: the first two
    levels of the paths touched, for trees without moz.build. recent: churn over the window that was asked
    for, None without one. tests_near: test files that commits of main touched beside the patch's files.
    """

    name: str
    kind: PatchSource
    author: Person
    message: str
    authored_at: datetime
    parents: tuple[str, ...] = ()
    landed_at: datetime | None = None
    reviewers: tuple[str, ...] = ()
    is_backout: bool = False
    files: tuple[FileChange, ...] = ()
    languages: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    overall: Churn
    recent: Churn | None = None
    tests_near: int | None = None
    source: Source = Source.CLONE
    read_at: datetime

    @property
    def title(self) -> str:
        """The message's first line."""
        return self.message.split("\n", 1)[0]

    def size(self, *, tests: bool | None = None) -> Size:
        """Its size: all files, only tests, or only what is not a test."""
        return Size.of(f for f in self.files if tests is None or f.is_test == tests)


class Size(msgspec.Struct, frozen=True):
    """How big a change is. lines: diff lines with their context, as libmozdata counts a size."""

    files: int = 0
    added: int = 0
    deleted: int = 0
    lines: int = 0

    @classmethod
    def of(cls, files: Iterable[FileChange]) -> Size:
        """The sum over these files."""
        taken = tuple(files)
        return cls(
            files=len(taken),
            added=sum(f.added for f in taken),
            deleted=sum(f.deleted for f in taken),
            lines=sum(f.lines for f in taken),
        )


class ReadPatch(msgspec.Struct, frozen=True, kw_only=True):
    """A patch of the bug as libmozdata reads it: what landed and was not backed out, else attachments.

    authors, reviewers: addresses matched between the commit and Bugzilla. modules: names in Mozilla's module
    table.
    """

    name: str
    kind: PatchSource
    url: str
    authors: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


class UpliftReading(msgspec.Struct, frozen=True, kw_only=True, tag="uplift"):
    """libmozdata's reading of the uplift request for one approval flag.

    comment: id of the request's comment, None where none is found. html: that comment as libmozdata renders
    it. response, landing, release: request to answer, landing on main to request, request to next release;
    None where one end is unknown (libmozdata says zero there, which is not the same).
    """

    flag: str
    is_accepted: bool
    comment: int | None = None
    html: str | None = None
    author: Person | None = None
    reviewer: Person | None = None
    response: timedelta | None = None
    landing: timedelta | None = None
    release: timedelta | None = None


class MozdataAnalysis(msgspec.Struct, frozen=True, kw_only=True, tag="mozdata"):
    """What libmozdata reads out of a bug. doubts: what it warned about, in its words.

    landings: channel to the last landing comment's time; a channel without landing is absent.
    """

    patches: tuple[ReadPatch, ...]
    backouts: int
    comments: int
    refused_patches: int
    in_testsuite: str
    authors: tuple[str, ...]
    reviewers: tuple[str, ...]
    landings: dict[str, datetime]
    uplifts: tuple[UpliftReading | Failed, ...] = ()
    doubts: tuple[str, ...] = ()
    source: Source = Source.MOZDATA
    read_at: datetime


class Role(StrEnum):
    """What somebody did for a bug."""

    CREATOR = "creator"
    ASSIGNEE = "assignee"
    AUTHOR = "author"
    REVIEWER = "reviewer"
    REQUESTER = "uplift requester"
    APPROVER = "uplift approver"


class Contributor(msgspec.Struct, frozen=True):
    """A person with everything they did for the bug, in Role's order."""

    person: Person
    roles: tuple[Role, ...]


class Relations(msgspec.Struct, frozen=True, kw_only=True):
    """The bugs this bug is tied to, as Bugzilla says."""

    depends_on: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    regressed_by: tuple[int, ...] = ()
    regressions: tuple[int, ...] = ()
    dupe_of: int | None = None


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything we found out about one bug, and what we could not find out, with the reason.

    size, test_size: over the patches whose facts are known. bug_read_at: when Bugzilla told us.
    """

    bug: int
    patches: tuple[PatchFacts | Failed, ...]
    reading: MozdataAnalysis | Failed
    people: tuple[Contributor, ...]
    relations: Relations
    size: Size
    test_size: Size
    bug_read_at: datetime
    analysed_at: datetime


def assemble(
    bug: Bug, *, reading: MozdataAnalysis | Failed, patches: Sequence[PatchFacts | Failed], now: datetime
) -> Analysis:
    """The analysis of a bug out of its parts; whatever part failed, the bug is kept."""
    known = [patch for patch in patches if isinstance(patch, PatchFacts)]
    files = [file for patch in known for file in patch.files]
    return Analysis(
        bug=bug.id,
        patches=tuple(patches),
        reading=reading,
        people=_contributors(bug, reading, known),
        relations=Relations(
            depends_on=bug.depends_on,
            blocks=bug.blocks,
            regressed_by=bug.regressed_by,
            regressions=bug.regressions,
            dupe_of=bug.dupe_of,
        ),
        size=Size.of(f for f in files if not f.is_test),
        test_size=Size.of(f for f in files if f.is_test),
        bug_read_at=bug.read_at,
        analysed_at=now,
    )


def window_start(releases: Iterable[datetime], *, before: datetime, count: int) -> datetime | None:
    """When the last `count` releases before a moment began; None when fewer are known."""
    earlier = sorted({at for at in releases if at < before}, reverse=True)
    return earlier[count - 1] if 0 < count <= len(earlier) else None


def _contributors(
    bug: Bug, reading: MozdataAnalysis | Failed, patches: Iterable[PatchFacts]
) -> tuple[Contributor, ...]:
    roles: dict[str, set[Role]] = {}
    persons: dict[str, Person] = {}

    def add(person: Person | None, role: Role) -> None:
        if person is not None and (person.email or person.name):
            key = (person.email or person.name).lower()
            roles.setdefault(key, set()).add(role)
            persons.setdefault(key, person)

    add(bug.creator, Role.CREATOR)
    add(bug.assignee, Role.ASSIGNEE)
    for patch in patches:
        add(patch.author, Role.AUTHOR)
    if isinstance(reading, MozdataAnalysis):
        for email in reading.authors:
            add(Person(name=email, email=email), Role.AUTHOR)
        for email in _reviewers(reading):
            add(Person(name=email, email=email), Role.REVIEWER)
        for uplift in reading.uplifts:
            if isinstance(uplift, UpliftReading):
                add(uplift.author, Role.REQUESTER)
                # libmozdata names whoever set the flag last, be it to ask
                if uplift.is_accepted or _is_decided(bug, uplift.flag):
                    add(uplift.reviewer, Role.APPROVER)
    order = list(Role)
    return tuple(
        Contributor(person, tuple(sorted(roles[key], key=order.index))) for key, person in persons.items()
    )


def _is_decided(bug: Bug, name: str) -> bool:
    return any(
        flag.name.endswith(name) and flag.status in ("+", "-")
        for attachment in bug.attachments
        for flag in attachment.flags
    )


def _reviewers(reading: MozdataAnalysis) -> Iterable[str]:
    matched = (email for patch in reading.patches for email in patch.reviewers)
    return dict.fromkeys((*reading.reviewers, *matched))
