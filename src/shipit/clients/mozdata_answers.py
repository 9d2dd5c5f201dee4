# SPDX-License-Identifier: MPL-2.0
"""Stand-ins for what libmozdata would ask over HTTP, and its own functions bound to them.

libmozdata keeps its connections in classes and module globals of the whole process. Instead of changing those
we run the library's own code in a name space of ours, made anew for each reading, in which every name that
reaches the network is one of the stand-ins below: two readings at once cannot meet, and no call can leave the
machine.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import parse_qs

NEVER = datetime.max.replace(tzinfo=UTC)


class Answers:
    """All that one reading may ask for.

    revisions: first 12 digits of a hash to {desc, user, date, parents}. people: {name, email, real_name}.
    attachments: what libmozdata asks for late {id, is_obsolete, creation_time}. doubts: what it warned about.
    """

    def __init__(
        self,
        *,
        bugzilla_url: str,
        revisions: Mapping[str, dict[str, Any]] | None = None,
        people: Sequence[dict[str, str]] = (),
        attachments: Sequence[dict[str, Any]] = (),
        releases: Sequence[datetime] = (),
    ) -> None:
        self.bugzilla_url = bugzilla_url.rstrip("/")
        self.revisions = dict(revisions or {})
        self.people = people
        self.attachments = attachments
        self.releases = releases
        self.doubts: list[str] = []

    def revision(self, channel: str, name: str) -> dict[str, Any]:
        """A commit's description, author, date and known parents; {} for one that we do not know."""
        found = self.revisions.get(name[:12])
        if found is None:
            return {}
        return {**found, "parents": [p for p in found["parents"] if p[:12] in self.revisions]}

    def next_release(self, date: datetime) -> tuple[str, datetime]:
        """The next release after a date; one that never comes where none is planned."""
        return "", min((at for at in self.releases if at > date), default=NEVER)

    def named(self, name: str) -> list[dict[str, str]]:
        """The people with this login name."""
        return [person for person in self.people if person["email"].lower() == name.lower()]

    def matching(self, words: str) -> list[dict[str, str]]:
        """The people whose name or address holds these words."""
        sought = words.lower()
        return [p for p in self.people if sought in p["real_name"].lower() or sought in p["email"].lower()]

    def doubt(self, message: object, *_: object, **__: object) -> None:
        """Note a warning."""
        if len(self.doubts) < 100:
            self.doubts.append(str(message)[:300])


def bind(module: ModuleType, answers: Answers) -> dict[str, Any]:
    """The names of libmozdata.patchanalysis, its functions bound to these answers; it stays as it is."""
    namespace: dict[str, Any] = dict(vars(module))
    for name, thing in vars(module).items():
        if isinstance(thing, FunctionType) and thing.__module__ == module.__name__:
            namespace[name] = FunctionType(
                thing.__code__, namespace, thing.__name__, thing.__defaults__, thing.__closure__
            )
    namespace.update(
        Bugzilla=_bugzilla(module.Bugzilla, answers),
        BugzillaUser=_users(answers),
        hgmozilla=SimpleNamespace(
            Revision=SimpleNamespace(get_revision=answers.revision),
            RawRevision=SimpleNamespace(get_revision=lambda channel, name: name),
            Mercurial=SimpleNamespace(get_repo_url=partial(_repository_url, module)),
        ),
        versions=SimpleNamespace(getCloserRelease=answers.next_release),
        warnings=SimpleNamespace(warn=answers.doubt),
        get_user_details=lambda name: next(iter(answers.named(name)), {"name": name, "real_name": name}),
        patch_analysis=_who,
        HGFileInfo=_refuse,
        urlopen=_refuse,
        author_match=_forgiving(namespace["author_match"], answers, lambda name: {name}),
        reviewer_match=_forgiving(namespace["reviewer_match"], answers, lambda name: None),
    )
    return namespace


def _forgiving(
    match: Callable[..., Any], answers: Answers, otherwise: Callable[[str], Any]
) -> Callable[..., Any]:
    """A matching of names that several people fit is a doubt about one name, and no reason to lose the
    bug.
    """

    def matched(name: str, *more: object) -> Any:
        try:
            return match(name, *more)
        except AssertionError as failure:
            answers.doubt(failure)
            return otherwise(name)

    return matched


def _who(patch: str, authors: set[str], reviewers: set[str], date: datetime) -> dict[str, Any]:
    """Sizes and history come from the clone: all we want to hear is whom libmozdata takes for whom."""
    return {"authors": authors, "reviewers": reviewers}


def _refuse(*_: object, **__: object) -> NoReturn:
    raise ConnectionRefusedError("libmozdata may not ask the network")


def _repository_url(module: ModuleType, channel: str) -> str:
    return f"https://hg.mozilla.org/{module.hgmozilla.Mercurial.get_repo(channel)}"


def _bugzilla(library: Any, answers: Answers) -> type:
    class Prefetched:
        URL = answers.bugzilla_url
        get_landing_comments = staticmethod(library.get_landing_comments)
        get_history_matches = staticmethod(library.get_history_matches)

        def __init__(self, bug: int, *, attachmenthandler: Any, attachment_include_fields: object) -> None:
            # The data of an attachment is only carried to `patch_analysis`, which does not look at it.
            data = base64.b64encode(b"-").decode()
            attachmenthandler([{**attachment, "data": data} for attachment in answers.attachments], bug)

        def get_data(self) -> Prefetched:
            return self

        def wait(self) -> None:
            """Everything is here already."""

    return Prefetched


def _users(answers: Answers) -> type:
    class Directory:
        def __init__(
            self,
            user_names: str | None = None,
            *,
            search_strings: str | None = None,
            user_handler: Any,
            include_fields: object = None,
        ) -> None:
            if user_names is not None:
                found = answers.named(user_names)
            else:
                words = parse_qs(search_strings or "").get("match", [""])[0]
                found = answers.matching(words) if words else []
            for person in found:
                user_handler(person)

        def wait(self) -> None:
            """Everybody is here already."""

    return Directory
