# SPDX-License-Identifier: MPL-2.0
"""Which commits of a bug still stand on main: what comments say and the clone knows, put together once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from shipit.uplift.hashes import Hashes, is_same
from shipit.uplift.landing_comments import (
    PATTERNS,
    Backout,
    Landing,
    LandingPattern,
    Where,
    backout_in,
    backout_words,
    landings_in,
    lands_again,
    readable,
    undone_bugs,
)
from shipit.uplift.types import Bug

# A push and the comment that reports it.
_SAME_PUSH = timedelta(days=1)

_SUBJECT_BUG = re.compile(r"\bbugs?\s{0,3}#?(\d{1,9})", re.IGNORECASE)
_LEADING_BUG = re.compile(r"\s{0,4}bug\s{0,3}(\d{1,9})\s{0,3}[-:.,–—]{0,3}\s{0,3}", re.IGNORECASE)


class CommitFact(msgspec.Struct, frozen=True, kw_only=True):
    """A commit as the clone knows it; a tuple of them is in topological order, oldest first.

    backs_out: hashes it undoes (full or short); empty while is_backout means "unnamed: all before it".
    on_main: whether main contains it. train: the train that has it, of those that main has not. revision: the
    Phabricator revision its message names.
    """

    sha: str
    subject: str
    author: str
    date: datetime
    is_backout: bool = False
    backs_out: tuple[str, ...] = ()
    on_main: bool = True
    train: str | None = None
    revision: int | None = None


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that still stands on main. missing: why it cannot be tried, None when it can.

    is_known: whether the clone has it.
    """

    sha: str
    subject: str | None = None
    url: str | None = None
    revision: int | None = None
    missing: str | None = None
    is_known: bool = False


def hashes_of(
    bug: Bug, patterns: Sequence[LandingPattern] = PATTERNS, *, kind: str = "git"
) -> frozenset[str]:
    """Hashes in the bug's comments that only a map can turn into the clone's `kind`: what to ask it for."""
    landings = [one for comment in readable(bug) for one in landings_in(comment, patterns)]
    paired = {one.twin for one in landings if one.twin}
    return frozenset(
        one.sha
        for one in landings
        if one.kind != kind and one.twin is None and one.sha not in paired and one.where is not Where.TRAIN
    )


def landed_on_main(
    bug: Bug,
    commits: Sequence[CommitFact] = (),
    hashes: Mapping[str, str | None] | None = None,
    *,
    kind: str = "git",
    patterns: Sequence[LandingPattern] = PATTERNS,
) -> tuple[Landed, ...]:
    """The bug's commits that still stand on main: the clone's in its order, then those it does not know.

    commits: what the clone knows of this bug and of the hashes its comments name. hashes: what the hash map
    answered for hashes of the other kind (None: it knows no twin; absent: nobody asked or it was silent).
    kind: the clone's own kind. What map or clone does not know is kept with `missing` set, never dropped.
    """
    story = _Story(bug.id, commits, _with_twins(bug, hashes or {}, patterns), kind)
    for comment in readable(bug):
        backout = backout_in(comment, bug.id, patterns)
        if backout is not None and story.back_out(backout):
            continue
        landings = landings_in(comment, patterns)
        if lands_again(comment):
            story.land_again(landings)
        for landing in landings:
            story.land(landing)
    return story.told()


def standing_on_main(
    bug: int, commits: Sequence[CommitFact]
) -> tuple[tuple[CommitFact, ...], tuple[CommitFact, ...]]:
    """Of a bug's commits on main those that stand, and the backouts that undid some of them; oldest first.

    A backout that is the bug's own change stands: it undid what another bug did.
    """
    story = _Story(bug, commits, {}, "git")
    return (
        tuple(one for one in commits if one.sha in story.by_clone),
        tuple(one for one in commits if one.is_backout and one.sha in story.undone),
    )


class _Story:
    """What stands while one reads on. The clone's own account wins; comments speak for what it lacks."""

    def __init__(
        self, bug: int, commits: Sequence[CommitFact], hashes: Mapping[str, str | None], kind: str
    ) -> None:
        self.bug = bug
        self.hashes = hashes
        self.kind = kind
        self.known = {one.sha: one for one in commits}
        self.by_clone: dict[str, Landed] = {}
        self.undone: set[str] = set()
        self.undoing = Hashes()
        self.names = Hashes(self.known)
        self.said: dict[str, Landed] = {}
        self.said_names = Hashes()
        self.matched: set[str] = set()
        self.is_told_by_clone = False
        for commit in commits:
            if commit.on_main:
                self._take(commit)

    def _take(self, commit: CommitFact) -> None:
        if not commit.is_backout:
            if _is_foreign(commit.subject, self.bug):
                return
            self.is_told_by_clone = True
            self.by_clone[commit.sha] = _of_fact(commit)
            return
        if any(_is_one_of(sha, commit.backs_out) and self.known[sha].is_backout for sha in self.undone):
            # Who undoes a backout lands the change again: this commit holds it now.
            self.by_clone[commit.sha] = _of_fact(commit)
            return
        targets = self._undone_by(commit)
        if not targets and _is_fix(commit.subject, self.bug, is_alone=not self.by_clone):
            self.by_clone[commit.sha] = _of_fact(commit)
            return
        for sha in targets:
            del self.by_clone[sha]
        self.undone.update(targets, {commit.sha})

    def _undone_by(self, commit: CommitFact) -> list[str]:
        if commit.backs_out:
            return [sha for sha in self.by_clone if _is_one_of(sha, commit.backs_out)]
        bugs = undone_bugs(backout_words(commit.subject) or "")
        # "Backed out 2 changesets (bug N) for failing what bug M tests" leaves bug M alone.
        return [] if bugs and self.bug not in bugs else list(self.by_clone)

    def back_out(self, backout: Backout) -> bool:
        """Drop what a comment says was backed out; False when that was nothing: it may be the fix itself."""
        if backout.where is Where.TRAIN:
            return True
        if any(_is_one_of(sha, backout.shas) for sha in self.by_clone):
            return False
        is_old_news = bool(backout.shas) and all(self.undoing.find(sha) for sha in backout.shas)
        if is_old_news or backout.is_partial:
            self.undoing.add(backout.shas)
            return True
        names = Hashes(name for one in backout.named for name in (one, self.hashes.get(one)) if name)
        targets = [
            sha for sha in self.said if sha not in self.known and (not backout.named or names.find(sha))
        ]
        for sha in targets:
            del self.said[sha]
        self._catch_up(backout, names)
        has_undone = bool(targets or backout.named or self.is_told_by_clone or not backout.shas)
        if has_undone:
            self.undoing.add(backout.shas)
        return has_undone

    def _catch_up(self, backout: Backout, names: Hashes) -> None:
        """Believe a comment about what stands in the clone, if the clone lacks the backout itself."""
        if any(one.is_backout and abs(one.date - backout.at) <= _SAME_PUSH for one in self.known.values()):
            return
        for sha in list(self.by_clone):
            is_meant = names.find(sha) is not None if backout.named else True
            if is_meant and self.known[sha].date < backout.at:
                del self.by_clone[sha]
                self.said.pop(sha, None)

    def land_again(self, landings: Sequence[Landing]) -> None:
        """A relanding of at least as many commits replaces what only comments said before it."""
        if len([one for one in landings if one.where is not Where.TRAIN]) >= len(self.said):
            self.said = {sha: one for sha, one in self.said.items() if sha in self.known}

    def land(self, landing: Landing) -> None:
        """Take a commit that a comment reports, unless it is a train's or the clone knows better."""
        if landing.where is Where.TRAIN:
            return
        one = self._resolve(landing)
        if one.is_known:
            self.matched.add(one.sha)
        if self.undoing.find(one.sha):
            return
        fact = self.known.get(one.sha)
        if fact is not None and one.sha not in self.by_clone:
            return
        self.said.pop(one.sha, None)
        self.said[one.sha] = one
        self.said_names.add([one.sha])

    def told(self) -> tuple[Landed, ...]:
        """What stands in the end."""
        unmapped = [sha for sha, one in self.said.items() if one.missing]
        own = [one for one in self.known.values() if one.on_main and not one.is_backout]
        unmatched = [
            one for one in own if one.sha not in self.matched and not _is_foreign(one.subject, self.bug)
        ]
        # Commits of the bug that no comment names are those with names nobody could map; a clone that lags
        # behind lacks the newest.
        for sha in unmapped[: len(unmatched)]:
            del self.said[sha]
        for sha, one in self.said.items():
            mine = self.by_clone.get(sha)
            self.by_clone[sha] = one if mine is None else msgspec.structs.replace(mine, url=one.url)
        return tuple(self.by_clone.values())

    def _resolve(self, landing: Landing) -> Landed:
        names = [landing.sha] if landing.kind == self.kind else []
        for name in (landing.twin, self.hashes.get(landing.sha)):
            if name:
                names.append(name)
        for name in names:
            sha = self.names.find(name)
            if sha is not None:
                return msgspec.structs.replace(_of_fact(self.known[sha]), url=landing.url)
        if names:
            # Comments shorten hashes: the name given first stays.
            return Landed(sha=self.said_names.find(names[0]) or names[0], url=landing.url)
        asked = landing.sha in self.hashes
        why = f"{landing.kind} commit {landing.sha} is not mapped to {self.kind}"
        return Landed(sha=landing.sha, url=landing.url, missing=why if asked else f"{why} yet")


def _with_twins(
    bug: Bug, hashes: Mapping[str, str | None], patterns: Sequence[LandingPattern]
) -> dict[str, str | None]:
    """The map's answers, completed by what comments themselves pair."""
    found: dict[str, str | None] = {}
    for comment in readable(bug):
        for landing in landings_in(comment, patterns):
            if landing.twin is not None:
                found[landing.twin] = landing.sha
                found[landing.sha] = landing.twin
    return found | {name: twin for name, twin in hashes.items() if twin is not None or name not in found}


def _is_foreign(subject: str, bug: int) -> bool:
    bugs = {int(number) for number in _SUBJECT_BUG.findall(subject[:2000])}
    return bool(bugs) and bug not in bugs


def _is_fix(subject: str, bug: int, *, is_alone: bool) -> bool:
    """Whether a backout is this bug's own change: under its number, or all it has while undoing another's."""
    leading = _LEADING_BUG.match(subject)
    undone = undone_bugs(backout_words(subject[leading.end() :] if leading else subject) or "")
    if bug in undone:
        return False
    return (bool(undone) and is_alone) or (leading is not None and int(leading[1]) == bug)


def _is_one_of(sha: str, names: set[str] | tuple[str, ...]) -> bool:
    return any(is_same(sha, name) for name in names)


def _of_fact(fact: CommitFact) -> Landed:
    return Landed(sha=fact.sha, subject=fact.subject, revision=fact.revision, is_known=True)
