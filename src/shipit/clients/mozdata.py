# SPDX-License-Identifier: MPL-2.0
"""libmozdata's reading of a bug over what we have read already: it asks nobody and stays unchanged."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, TypeVar

from libmozdata import modules as mozilla_modules
from libmozdata import patchanalysis, utils

from shipit.clients.mozdata_answers import Answers, bind
from shipit.clients.mozdata_words import (
    PREFIX,
    directory,
    late_fields,
    public_attachments,
    raw_bug,
    raw_commit,
)
from shipit.uplift.analysis import (
    Failed,
    MozdataAnalysis,
    PatchFacts,
    ReadPatch,
    Source,
    UpliftReading,
)
from shipit.uplift.types import Bug, Comment, PatchSource, Person

TIMEOUT = 30.0
_REQUEST = "Approval Request"
# A form and its flag are one change in Bugzilla; what other services write for people comes a little apart.
_APART = timedelta(minutes=10)
_ADDRESS = re.compile(r"https?://[\w.-]{1,80}/[\w./-]{1,120}/(?:rev|commit)/([0-9a-f]{7,40})")
_READABLE = re.compile(
    r"://hg\.mozilla\.org/(?:mozilla-central|integration/(?:mozilla-inbound|fx-team))/rev/"
)
_NICK = re.compile(r"[a-zA-Z0-9._]+\Z")
_MOST_PATHS = 2000
# A release date that stands for "none is planned" is thousands of years away.
_FOREVER = timedelta(days=365 * 1000)
_T = TypeVar("_T")


async def analyse(
    bug: Bug,
    *,
    commits: Mapping[str, PatchFacts],
    flags: Mapping[str, int | None],
    releases: Sequence[datetime],
    now: datetime,
    people: Sequence[Person] = (),
    bugzilla_url: str = "https://bugzilla.mozilla.org",
    within: float = TIMEOUT,
) -> MozdataAnalysis | Failed:
    """Let libmozdata read a bug; a reading that fails is a Failed with the reason, never an exception.

    commits: what the clone knows, under the hashes that the bug's comments use (git or hg) and as
    "attachment N". flags: approval flags to read, each with the id of its request's comment, None to look for
    it. releases: release dates, past and planned. people: whoever may be behind a nick or an author's name.
    within: seconds.
    """
    subject = f"bug {bug.id}"

    def read() -> MozdataAnalysis:
        return _Reader(bug, commits, flags, releases, people, bugzilla_url, now).read()

    try:
        async with asyncio.timeout(within):
            return await asyncio.to_thread(_attempt, subject, now, read)
    except TimeoutError:
        reason = f"libmozdata did not finish within {within:g} s"
        return Failed(subject=subject, reason=reason, source=Source.MOZDATA, at=now)


def render_comment(text: str, *, bug: int, bugzilla_url: str = "https://bugzilla.mozilla.org") -> str:
    """An uplift request's comment as the HTML that libmozdata makes of it; the text is escaped."""
    namespace = bind(patchanalysis, Answers(bugzilla_url=bugzilla_url))
    html: str = namespace["parse_uplift_comment"](text, bug)
    return html


@lru_cache(maxsize=50_000)
def module_of(path: str) -> str | None:
    """The module that owns a path in Mozilla's module table as libmozdata carries it; None outside of it."""
    module = mozilla_modules.module_from_path(path)
    return None if module is None else str(module["name"])


def _attempt(subject: str, now: datetime, read: Callable[[], _T]) -> _T | Failed:
    # libmozdata says "I cannot" by bare asserts, KeyErrors and plain Exceptions: this is its only door.
    try:
        return read()
    except Exception as failure:  # noqa: BLE001
        said = " ".join(f"{type(failure).__name__}: {failure}".split())[:300]
        return Failed(subject=subject, reason=f"libmozdata stopped: {said}", source=Source.MOZDATA, at=now)


class _Reader:
    """One reading of one bug."""

    def __init__(
        self,
        bug: Bug,
        commits: Mapping[str, PatchFacts],
        flags: Mapping[str, int | None],
        releases: Sequence[datetime],
        people: Sequence[Person],
        bugzilla_url: str,
        now: datetime,
    ) -> None:
        self.bug, self.flags, self.now, self.bugzilla_url = bug, flags, now, bugzilla_url
        self.people = directory(bug, people)
        self.commits = {
            name[:12]: facts for name, facts in commits.items() if facts.kind is PatchSource.COMMIT
        }
        self.commits |= {facts.name[:12]: facts for facts in self.commits.values()}
        self.others = {name: facts for name, facts in commits.items() if facts.kind is not PatchSource.COMMIT}
        self.addresses: dict[str, str] = {}
        self.answers = Answers(
            bugzilla_url=bugzilla_url,
            revisions={name: raw_commit(facts, self._message(facts)) for name, facts in self.commits.items()},
            people=self.people,
            attachments=[late_fields(a) for a in public_attachments(bug)],
            releases=tuple(releases),
        )
        self.library = bind(patchanalysis, self.answers)

    def read(self) -> MozdataAnalysis:
        comments = [c for c in self.bug.comments if not c.is_private]
        info = self.library["bug_analysis"](self._raw(comments, None), None, {}, {})
        uplifts = tuple(
            _attempt(flag, self.now, partial(self._uplift, flag, asked, comments))
            for flag, asked in self.flags.items()
        )
        return MozdataAnalysis(
            patches=tuple(self._patch(name, patch) for name, patch in info["patches"].items()),
            backouts=info["backout_num"],
            comments=info["comments"],
            refused_patches=info["r-ed_patches"],
            in_testsuite=info["in-testsuite"],
            authors=_sorted(info["users"]["authors"]),
            reviewers=_sorted(info["users"]["reviewers"]),
            landings=self._landings(comments),
            uplifts=uplifts,
            doubts=tuple(dict.fromkeys(self.answers.doubts)),
            read_at=self.now,
        )

    # --- what it is given -------------------------------------------------------------------------

    def _raw(self, comments: Iterable[Comment], flag: str | None) -> dict[str, Any]:
        return raw_bug(self.bug, comments, people=self.people, speakable=self._speakable, flag=flag)

    def _speakable(self, text: str) -> str:
        """The text with each commit of main under the only kind of address that libmozdata looks for."""

        def said(match: re.Match[str]) -> str:
            facts = self.commits.get(match[1][:12])
            if facts is None or facts.landed_at is None:
                return match[0]
            if facts.name.startswith(match[1]) and _READABLE.search(match[0]):
                return match[0]
            self.addresses.setdefault(facts.name[:12], match[0])
            return f"https://hg.mozilla.org/mozilla-central/rev/{facts.name[:12]}"

        return _ADDRESS.sub(said, text)

    def _message(self, facts: PatchFacts) -> str:
        """A commit's message with hashes under our names, and git's reverts in hg's words."""

        def named(match: re.Match[str]) -> str:
            known = self.commits.get(match[0][:12])
            return known.name if known else match[0]

        message = re.sub(r"\b[0-9a-f]{12,40}\b", named, facts.message)
        message = re.sub(r"\breverts commit ([0-9a-f]{12,40})", r"backed out changeset \1", message)
        # Of "r=ada,ben" libmozdata takes the first alone.
        return " ".join([message, *(f"r={nick}" for nick in facts.reviewers if _NICK.match(nick))])

    # --- what it says -----------------------------------------------------------------------------

    def _patch(self, name: str | int, patch: dict[str, Any]) -> ReadPatch:
        if patch["source"] == "mercurial":
            facts, kind = self.commits.get(str(name)), PatchSource.COMMIT
            shown = facts.name if facts else str(name)
        else:
            shown, kind = f"attachment {name}", PatchSource.ATTACHMENT
            facts = self.others.get(shown)
        files = facts.files if facts else ()
        paths = [path for file in files for path in (file.old_path, file.path) if path][:_MOST_PATHS]
        return ReadPatch(
            name=shown,
            kind=kind,
            url=self.addresses.get(str(name), patch["url"]),
            authors=_sorted(patch["authors"]),
            reviewers=_sorted(patch["reviewers"]),
            languages=_sorted(map(utils.get_language, paths)),
            modules=_sorted(map(module_of, paths)),
        )

    def _landings(self, comments: Iterable[Comment]) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        spoken = [{"text": self._speakable(c.text), "time": c.time} for c in comments]
        channels = ["nightly", "aurora", "beta", "release", "esr"]
        for landing in self.library["Bugzilla"].get_landing_comments(spoken, channels):
            channel, at = landing["channel"], landing["comment"]["time"]
            found[channel] = max(at, found.get(channel, at))
        return found

    def _uplift(self, flag: str, asked: int | None, comments: Sequence[Comment]) -> UpliftReading:
        spelled = flag if flag.startswith(PREFIX) else PREFIX + flag
        chosen = _request_comment(self.bug, flag, asked, comments)
        heard = [c for c in comments if c is chosen or _REQUEST not in c.text]
        raw = self._raw(heard, None if spelled == flag else flag)
        info = self.library["uplift_info"](raw, spelled.removeprefix(PREFIX))
        delta = info["release_delta"]
        release = delta if timedelta() < delta < _FOREVER else None
        return UpliftReading(
            flag=flag,
            is_accepted=info["uplift_accepted"],
            comment=chosen.id if chosen else None,
            html=render_comment(chosen.text, bug=self.bug.id, bugzilla_url=self.bugzilla_url)
            if chosen
            else None,
            author=self._person(chosen.creator) if chosen else None,
            reviewer=self._person(info["uplift_reviewer"]["name"]) if info["uplift_reviewer"] else None,
            response=info["response_delta"] or None,
            landing=info["landing_delta"] or None,
            release=release,
        )

    def _person(self, email: str) -> Person:
        known = next((p for p in self.people if p["email"] == email), None)
        return Person(name=known["real_name"] if known else email, email=email)


def _request_comment(bug: Bug, flag: str, asked: int | None, comments: Sequence[Comment]) -> Comment | None:
    """The comment of the flag's own last request, not the first that any train ever had."""
    if asked is not None:
        return next((c for c in comments if c.id == asked), None)
    candidates = [c for c in comments if _REQUEST in c.text]
    times = [h.time for h in bug.history if f"{flag}?" in re.split(r", |\(", h.added)]
    if times:
        with_it = [c for c in candidates if c.time >= times[-1] - _APART]
        before = [c for c in candidates if c.time < times[-1] - _APART]
        return with_it[0] if with_it else (before[-1] if before else None)
    return candidates[0] if candidates else None


def _sorted(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))
