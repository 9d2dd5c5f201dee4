# SPDX-License-Identifier: MPL-2.0
"""The demo's invented product: its trains, people, bugs and patches, told as data and as real commits.

Nothing here is taken from a real bug. Every kind of trial occurs at least once, so that the page shows each.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from importlib import resources

import msgspec

from shipit.world.repository import Author, Tale

MAIN = "main"


class Kind(StrEnum):
    """What is special about an invented bug's patch on the trains it is requested for."""

    CLEAN = "clean"
    CONFLICT = "conflict"
    NEEDS_ANOTHER = "needs another"
    FILE_IS_NEW = "file is new"
    LANDED = "landed"
    EMPTY = "empty"
    STACK = "stack"
    NOT_LANDED = "not landed"
    REBASED = "rebased"
    ATTACHED_DIFF = "attached diff"
    RELANDED = "relanded"
    BACKED_OUT = "backed out"
    BUILDS_ON = "builds on another request"


@dataclass(frozen=True)
class Invented:
    """One invented bug. requests: train -> flag status. lines: which lines of `path` the patch edits.

    status: train -> value of its status flag. needinfo: what the release manager asks the author; `answer`:
    what that one answers, "" while the answer is owed. tested, strings, android: what the form says ("": what
    is so). parts: how many files of its own the fix adds.
    """

    id: int
    summary: str
    component: str
    path: str
    lines: tuple[int, ...]
    kind: Kind
    requests: Mapping[str, str]
    author: str = "mira"
    reviewer: str = "tomas"
    risk: str = "low"
    tested: str = "yes"
    strings: str = ""
    android: str = ""
    parts: int = 0
    impact: str = "The defect described in the bug stays in the release."
    why: str = "Few lines, covered by tests, easy to back out."
    severity: str = "S3"
    keywords: tuple[str, ...] = ()
    is_restricted: bool = False
    days_ago: float = 3.0
    form: str = "bridge"
    status: Mapping[str, str] = field(default_factory=dict)
    needinfo: str = ""
    answer: str = ""


@dataclass
class Told:
    """What became of an invented bug in the repository; hashes are filled in once the tale is written.

    landings: commits on main in order (backouts included). based_on: for patches that are not landed, the
    commit they were made on and the commit that holds them (on a side branch nobody fetches).
    """

    bug: Invented
    landings: list[int] = field(default_factory=list)
    backouts: list[int] = field(default_factory=list)
    based_on: int | None = None
    patched: list[int] = field(default_factory=list)


CAST: dict[str, Author] = {
    "mira": Author("Mira Anand [:mira]", "mira@people.example"),
    "jonas": Author("Jonas Falk [:jfalk]", "jonas@people.example"),
    "ines": Author("Inês Moura [:ines]", "ines@people.example"),
    "tomas": Author("Tomas Brand [:tbrand]", "tomas@people.example"),
    "yuki": Author("Yuki Hara [:yhara]", "yuki@people.example"),
    "rosa": Author("Rosa Lind [:rlind]", "rosa@people.example"),
}
RELEASE_MANAGER = CAST["rosa"]

COMPONENTS: dict[str, str] = {
    "Tabs": "browser/tabs",
    "Address Bar": "browser/urlbar",
    "Preferences": "browser/preferences",
    "Networking": "netwerk/protocol",
    "Layout": "layout/generic",
    "Graphics": "gfx/layers",
    "Audio/Video": "dom/media",
    "JavaScript Engine": "js/src/vm",
    "Printing": "widget/printing",
    "Android": "mobile/android/feature",
}


def bugs() -> tuple[Invented, ...]:
    """The invented bugs (bugs.toml), oldest number first."""
    text = resources.files("shipit.world").joinpath("bugs.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["bug"], tuple[Invented, ...])


def file_text(path: str, *, lines: int = 60) -> bytes:
    """A believable file of numbered lines."""
    name = path.rsplit("/", 1)[-1].split(".")[0]
    if path.endswith(".ftl"):
        rows = [f"{name}-label-{number} = Words of label {number}" for number in range(1, lines + 1)]
    else:
        rows = [f"  {name.lower()}_step({number}, state);" for number in range(1, lines + 1)]
        rows[0] = f"// {name}: see the notes in docs/{name.lower()}.md"
    return ("\n".join(rows) + "\n").encode()


def folder_of(bug: Invented) -> str:
    """The path of the file that the bug's patch edits."""
    return f"{COMPONENTS[bug.component]}/{bug.path}"


@dataclass(frozen=True)
class Branches:
    """When each train's branch left main, by train name; "beta" and so on are also the branch names."""

    left_main: Mapping[str, datetime]


class Story:
    """Tells the commits of every invented bug in the order of their times."""

    def __init__(self, *, now: datetime, branches: Branches) -> None:
        self.now = now
        self.tale = Tale()
        self.told = [Told(bug) for bug in bugs()]
        self._branches = branches

    def tell(self) -> None:
        """Tell everything, oldest first: the tree, the years before, branch points, fixes, uplifts."""
        self._tell_tree()
        for name, when in sorted(self._branches.left_main.items(), key=lambda item: item[1]):
            self._tell_work_before(when)
            self.tale.branch(name, start=MAIN)
        self._tell_what_only_branches_have()
        for told in sorted(self.told, key=lambda told: -told.bug.days_ago):
            self._tell_bug(told)

    def _tell_tree(self) -> None:
        """The first commit: every file that is not new on main later, and some that nobody requests."""
        first = min(self._branches.left_main.values()) - timedelta(days=30)
        files: dict[str, bytes | None] = {}
        for told in self.told:
            if told.bug.kind is not Kind.FILE_IS_NEW:
                files[folder_of(told.bug)] = file_text(folder_of(told.bug))
        for folder in COMPONENTS.values():
            files[f"{folder}/Common.cpp"] = file_text("Common.cpp")
            files[f"{folder}/test/test_common.js"] = file_text("test_common.js", lines=30)
        files["docs/index.md"] = b"# An invented product\n"
        self.tale.commit(MAIN, "Bug 1800000 - Begin. r=tomas", files, author=CAST["tomas"], when=first)
        self._last = first

    def _tell_work_before(self, until: datetime) -> None:
        """Ordinary work on main, so that history, churn and branch points mean something."""
        people = list(CAST.values())
        folders = list(COMPONENTS.values())
        for step in range(12):
            when = self._last + (until - self._last) * (step + 1) / 13
            path = f"{folders[step % len(folders)]}/Common.cpp"
            number = 5 + (step * 7 + len(self.tale.tree(MAIN))) % 50
            text = f"  common_step({number}, state);  // {when:%Y-%m-%d}"
            author = people[step % len(people)]
            message = f"Bug {1800000 + int(when.timestamp()) % 90000} - Tend {path}. r=yuki"
            self.tale.commit(
                MAIN, message, self.tale.edited(MAIN, path, {number: text}), author=author, when=when
            )
        self._last = until

    def _tell_what_only_branches_have(self) -> None:
        """What makes patches conflict or turn out empty: commits that only one side has."""
        for told in self.told:
            bug, path = told.bug, folder_of(told.bug)
            when = self.now - timedelta(days=bug.days_ago + 4)
            if bug.kind is Kind.CONFLICT:
                for train in bug.requests:
                    self._edit(
                        train,
                        path,
                        {bug.lines[0]: "  hotfix_for_this_train(state);"},
                        f"Bug {bug.id - 700} - Hotfix for {train}. r=yuki a=rosa",
                        CAST["yuki"],
                        when,
                    )
            elif bug.kind is Kind.EMPTY:
                # more than the fix, so that it is no twin of it: the fix is there, but nobody uplifted it
                also = {bug.lines[-1] + 20: "  without_the_probe(state);"}
                for train in bug.requests:
                    self._edit(
                        train,
                        path,
                        {**self._fix(bug, bug.lines), **also},
                        f"Bug {bug.id - 600} - Drop an unread probe. r=ines a=rosa",
                        CAST["ines"],
                        when,
                    )
            elif bug.kind is Kind.NEEDS_ANOTHER:
                self._edit(
                    MAIN,
                    path,
                    {bug.lines[0]: f"  {bug.path.split('.')[0].lower()}_prepare(state, 2);"},
                    f"Bug {bug.id - 500} - Prepare {bug.path} for the next step. r=tomas",
                    CAST["jonas"],
                    when,
                )
            elif bug.kind is Kind.FILE_IS_NEW:
                self.tale.commit(
                    MAIN,
                    f"Bug {bug.id - 400} - Add {bug.path}. r=ines",
                    {path: file_text(path)},
                    author=CAST["mira"],
                    when=when,
                )

    def _tell_bug(self, told: Told) -> None:
        bug, path, author = told.bug, folder_of(told.bug), CAST[told.bug.author]
        when = self.now - timedelta(days=bug.days_ago + 0.5)
        subject = f"Bug {bug.id} - {bug.summary}. r={bug.reviewer}"
        fix = self._fix(bug, bug.lines)
        match bug.kind:
            case Kind.STACK:
                train = next(iter(bug.requests))
                self._edit(
                    train,
                    path,
                    {bug.lines[1]: "  budget_for_this_train(state);"},
                    f"Bug {bug.id - 300} - Cap budgets on {train}. r=mira a=rosa",
                    CAST["mira"],
                    when - timedelta(days=1),
                )
                for part, line in enumerate(bug.lines, start=1):
                    words = f"Bug {bug.id} - Part {part}: {bug.summary}. r={bug.reviewer}"
                    at = when + timedelta(minutes=part)
                    told.landings.append(self._edit(MAIN, path, self._fix(bug, (line,)), words, author, at))
            case Kind.NOT_LANDED | Kind.REBASED | Kind.ATTACHED_DIFF:
                start = MAIN if bug.kind is not Kind.REBASED else next(iter(bug.requests))
                side = f"review/{bug.id}"
                told.based_on = self.tale.tip(start)
                self.tale.branch(side, start=start)
                told.patched.append(self._edit(side, path, fix, subject, author, when))
            case Kind.RELANDED | Kind.BACKED_OUT:
                before = self.tale.tree(MAIN)[path]
                first = self._edit(MAIN, path, fix, subject, author, when - timedelta(days=1))
                told.landings.append(first)
                backout = f"Backed out 1 changesets (bug {bug.id}) for failing tests on a CLOSED TREE"
                told.backouts.append(
                    self.tale.commit(
                        MAIN, backout, {path: before}, author=CAST["yuki"], when=when - timedelta(hours=20)
                    )
                )
                if bug.kind is Kind.RELANDED:
                    again = {**fix, bug.lines[0] + 1: "  relanded_with_a_test(state);"}
                    told.landings.append(self._edit(MAIN, path, again, subject, author, when))
            case Kind.BUILDS_ON:
                # an older request's patch wrote that line, and what mends this one was left on main
                named = bug.path.split(".")[0].lower()
                ours = {bug.lines[0]: f"  {named}_guarded({bug.lines[0]}, state);"}
                told.landings.append(self._edit(MAIN, path, ours, subject, author, when))
                words = f"Bug {bug.id - 200} - Settle {bug.path} again. r=yuki"
                cause = f"{words}\n\nThis fixes a regression from bug {bug.id}."
                mended = {bug.lines[0] + 8: f"  {named}_settled(state);"}
                self._edit(MAIN, path, mended, cause, CAST["ines"], when + timedelta(hours=3))
            case _:
                files = self.tale.edited(MAIN, path, fix) | self._parts(bug)
                told.landings.append(self.tale.commit(MAIN, subject, files, author=author, when=when))
                if bug.kind is Kind.LANDED:
                    for train in bug.requests:
                        self._edit(
                            train,
                            path,
                            fix,
                            f"{subject} a={RELEASE_MANAGER.name.split()[0].lower()}",
                            author,
                            when + timedelta(days=1),
                        )

    def _parts(self, bug: Invented) -> dict[str, bytes | None]:
        name = bug.path.split(".")[0]
        paths = (f"{COMPONENTS[bug.component]}/{name}Part{part}.cpp" for part in range(1, bug.parts + 1))
        return {path: file_text(path, lines=20) for path in paths}

    def _fix(self, bug: Invented, lines: tuple[int, ...]) -> dict[int, str]:
        if bug.path.endswith(".ftl"):
            return {number: f"prompts-label-{number} = Words that say what happens" for number in lines}
        return {number: f"  {bug.path.split('.')[0].lower()}_fixed({number}, state);" for number in lines}

    def _edit(
        self, branch: str, path: str, lines: Mapping[int, str], message: str, author: Author, when: datetime
    ) -> int:
        return self.tale.commit(
            branch, message, self.tale.edited(branch, path, lines), author=author, when=when
        )
