# SPDX-License-Identifier: MPL-2.0
"""A tiny language for bugs, revisions and trains, so that a test reads like the story it tells.

    attach D200 [obsolete] [private]             attach 7 patch       an attachment (of a revision, or not)
    dev sets D200 beta?                          relman sets 7 beta   a flag set, decided, or taken away
    dev says Some words\\nmore words              on 7 dev says …      a comment (about an attachment)
    dev pushes A B                               sheriff merges A     landing comments, as the bots word them
    sheriff backs out A                          sheriff backs out everything
    relman uplifts A beta                        a landing on a train

Every line happens an hour after the one before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipit.trains.types import Train
from shipit.uplift.landings import CommitFact
from shipit.uplift.types import Attachment, Bug, Change, Comment, Flag, Person, Revision

START = datetime(2026, 9, 1, 8, tzinfo=UTC)
CAST = {
    "dev": "dev@patches.example",
    "relman": "relman@releases.example",
    "sheriff": "sheriff@tree.example",
    "stranger": "stranger@nowhere.example",
    "bot": "phab-bot@bmo.example",
}
BUG = 1900001


def train(name: str, **more: Any) -> Train:
    """A train by its name: "beta", "release", "esr140", "comm-beta"."""
    family, _, short = name.rpartition("-")
    channel = "esr" if short.startswith("esr") else short
    facts: dict[str, Any] = {
        "name": name,
        "channel": channel,
        "repository": "firefox",
        "branch": short,
        "approval_flag": f"approval-{family or 'mozilla'}-{short}",
        "status_flag": f"cf_status_firefox_{short}",
    }
    return Train(**(facts | more))


def trains(*names: str) -> tuple[Train, ...]:
    """Several trains by name."""
    return tuple(train(name) for name in names)


def git(name: str) -> str:
    """The git hash of an invented commit."""
    return hashlib.sha1(f"git {name}".encode()).hexdigest()


def hg(name: str) -> str:
    """The hg hash of the same commit."""
    return hashlib.sha1(f"hg {name}".encode()).hexdigest()


def revision(number: int, *, on: tuple[int, ...] = (), **more: Any) -> Revision:
    """A Phabricator revision stacked on others; accepted, on main, with diff 10·number."""
    facts: dict[str, Any] = {
        "phid": f"PHID-DREV-{number}",
        "title": f"Bug {BUG} - D{number}",
        "status": "accepted",
        "repository": "firefox-main",
        "bug": BUG,
        "diff": 10 * number,
        "parents": on,
    }
    return Revision(id=number, **(facts | more))


def revisions(*those: Revision) -> dict[int, Revision]:
    """Revisions by number, as readers want them."""
    return {one.id: one for one in those}


def commit(name: str, subject: str | None = None, **more: Any) -> CommitFact:
    """A commit as the clone knows it."""
    return CommitFact(
        sha=git(name), subject=subject or f"Bug {BUG} - {name} r=peer", author=CAST["dev"], date=START, **more
    )


def bug(story: str = "", *, number: int = BUG, **more: Any) -> Bug:
    """The bug that a story tells (see the module's words)."""
    teller = _Teller(number)
    for line in filter(None, (line.strip() for line in story.splitlines())):
        teller.tell(line)
    return teller.bug(**more)


def attachment_id(name: str) -> int:
    """The attachment's number: the one given, or made from the revision's."""
    return 9_000_000 + int(name[1:]) if name.startswith("D") else int(name)


class _Teller:
    def __init__(self, number: int) -> None:
        self.number = number
        self.now = START
        self.attachments: dict[int, Attachment] = {}
        self.comments = [
            Comment(id=1, number=0, creator=CAST["dev"], time=START, text="It crashes when it should not.")
        ]
        self.changes: list[Change] = []
        self.flags = 0

    def tell(self, line: str) -> None:
        self.now += timedelta(hours=1)
        about = None
        if line.startswith("on "):
            _, name, line = line.split(" ", 2)
            about = attachment_id(name)
        who, *rest = line.split(" ")
        if who == "attach":
            self._attach(*rest)
            return
        verb, words = rest[0], rest[1:]
        if verb == "sets":
            self._set(CAST[who], words[0], words[1])
        elif verb == "says":
            self._say(CAST[who], " ".join(words).replace("\\n", "\n"), about)
        elif verb == "pushes":
            rows = [
                f"{_git_url(one)}\n{_hg_url('integration/autoland', one)}\nBug {self.number} - {one} r=peer"
                for one in words
            ]
            self._say(CAST["bot"], "\n".join([f"Pushed by {CAST[who]}:", *rows]), None)
        elif verb == "merges":
            self._say(CAST[who], "\n".join(_hg_url("mozilla-central", one) for one in words), None)
        elif verb == "backs":
            self._back_out(who, words[1:])
        elif verb == "uplifts":
            *names, where = words
            rows = [
                f"{_git_url(one + where)}\n{_hg_url(f'releases/mozilla-{where}', one + where)}"
                for one in names
            ]
            self._say(CAST["bot"], "\n".join(rows), None)
        else:
            raise AssertionError(f"no such words: {line}")

    def _attach(self, name: str, *marks: str) -> None:
        number = attachment_id(name)
        is_revision = name.startswith("D")
        self.attachments[number] = Attachment(
            id=number,
            bug=self.number,
            file_name=f"phabricator-{name}-url.txt" if is_revision else f"fix-{number}.patch",
            content_type="text/x-phabricator-request" if is_revision else "text/plain",
            summary=f"Bug {self.number} - {name} r?peer"
            if is_revision
            else f"The patch with number {number}",
            creator=CAST["dev"],
            is_patch="patch" in marks,
            is_obsolete="obsolete" in marks,
            is_private="private" in marks,
            created=self.now,
        )

    def _set(self, who: str, name: str, word: str) -> None:
        number = attachment_id(name)
        status = word[-1] if word[-1] in "?+-" else ""
        short = word.rstrip("?+-")
        flag_name = short if "-" in short and not short.startswith("comm") else f"approval-mozilla-{short}"
        old = {flag.name: flag for flag in self.attachments[number].flags}
        before = old.pop(flag_name, None)
        if status:
            self.flags += 1
            old[flag_name] = Flag(
                id=before.id if before else self.flags,
                name=flag_name,
                status=status,
                setter=who,
                created=before.created if before else self.now,
                modified=self.now,
            )
        self.attachments[number] = msgspec.structs.replace(
            self.attachments[number], flags=tuple(old.values()), changed=self.now
        )
        self.changes.append(
            Change(
                time=self.now,
                who=who,
                field="flagtypes.name",
                removed=f"{flag_name}{before.status}" if before else "",
                added=f"{flag_name}{status}" if status else "",
                attachment=number,
            )
        )

    def _say(self, who: str, text: str, about: int | None) -> None:
        number = len(self.comments)
        self.comments.append(
            Comment(id=100 + number, number=number, creator=who, time=self.now, text=text, attachment=about)
        )

    def _back_out(self, who: str, names: list[str]) -> None:
        if names == ["everything"]:
            what = f"Backed out 2 changesets (bug {self.number}) for causing failures."
        else:
            hashes = ", ".join(hg(name)[:12] for name in names)
            what = f"Backed out changeset {hashes} (bug {self.number}) for causing failures."
        address = _hg_url("integration/autoland", "backout" + "".join(names))
        self._say(CAST["bot"], f"Backout by {CAST[who]}:\n{address}\n{what}", None)

    def bug(self, **more: Any) -> Bug:
        facts: dict[str, Any] = {
            "summary": "It crashes when it should not",
            "product": "Core",
            "component": "Networking",
            "status": "RESOLVED",
            "creator": Person(name="Stranger", email=CAST["stranger"]),
            "assignee": Person(name="Dev", email=CAST["dev"]),
            "changed": self.now,
            "read_at": self.now,
            "attachments": tuple(self.attachments.values()),
            "comments": tuple(self.comments),
            "history": tuple(self.changes),
        }
        return Bug(id=self.number, **(facts | more))


def _git_url(name: str) -> str:
    return f"https://github.com/mozilla-firefox/firefox/commit/{git(name)}"


def _hg_url(repository: str, name: str) -> str:
    return f"https://hg.mozilla.org/{repository}/rev/{hg(name)[:12]}"


# --- the recorded ones --------------------------------------------------------------------------------


def recorded_bugs(shared: Path) -> Iterator[Bug]:
    """Every recorded bug that has comments, attachments or history, as a client would read it."""
    folder = shared / "data" / "bugzilla"
    with (folder / "bugs-full.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            raw = json.loads(line)
            yield _recorded(raw["id"], raw, raw["comments"], raw["attachments"], raw["history"])
    for place in sorted((folder / "rest" / "bug").iterdir(), key=lambda one: int(one.name)):
        raw = (_part(place, "bug").get("bugs") or [{}])[0]
        comments = _part(place, "comment").get("bugs", {}).get(place.name, {}).get("comments", [])
        attachments = _part(place, "attachment").get("bugs", {}).get(place.name, [])
        history = (_part(place, "history").get("bugs") or [{}])[0].get("history", [])
        yield _recorded(int(place.name), raw, comments, attachments, history)


def comment(text: str, *, number: int = 1, about: int | None = None, **more: Any) -> Comment:
    """A comment of its own."""
    facts: dict[str, Any] = {"id": number, "creator": CAST["dev"], "time": START, "attachment": about}
    return Comment(number=number, text=text, **(facts | more))


def _part(place: Path, name: str) -> dict[str, Any]:
    file = place / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _recorded(number: int, raw: Any, comments: Any, attachments: Any, history: Any) -> Bug:
    return Bug(
        id=number,
        summary=raw.get("summary", ""),
        product=raw.get("product", ""),
        component=raw.get("component", ""),
        status=raw.get("status", ""),
        changed=_time(raw.get("last_change_time")) or START,
        read_at=START,
        attachments=tuple(_attachment(number, one, place) for place, one in enumerate(attachments, 1)),
        comments=tuple(_comment(one, place) for place, one in enumerate(comments)),
        history=tuple(
            Change(
                time=_time(entry["when"]) or START,
                who=entry["who"],
                field=one["field_name"],
                removed=one["removed"],
                added=one["added"],
                attachment=one.get("attachment_id"),
            )
            for entry in history
            for one in entry["changes"]
        ),
    )


def _attachment(number: int, raw: Any, place: int) -> Attachment:
    # Some recordings asked for a few fields only: the id is then the place in the list.
    return Attachment(
        id=raw.get("id", place),
        bug=number,
        file_name=raw.get("file_name") or "",
        content_type=raw.get("content_type") or "",
        summary=raw.get("summary") or "",
        creator=raw.get("creator") or "",
        is_patch=bool(raw.get("is_patch")),
        is_obsolete=bool(raw.get("is_obsolete")),
        flags=tuple(
            Flag(
                id=flag["id"],
                name=flag["name"],
                status=flag["status"],
                setter=flag["setter"],
                requestee=flag.get("requestee"),
                created=_time(flag["creation_date"]),
                modified=_time(flag["modification_date"]),
            )
            for flag in raw.get("flags", [])
        ),
    )


def _comment(raw: Any, place: int) -> Comment:
    return Comment(
        id=raw["id"],
        number=raw["count"] if raw.get("count") is not None else place,
        creator=raw.get("creator") or raw.get("author") or "",
        time=_time(raw.get("time") or raw.get("creation_time")) or START,
        text=raw.get("text") or "",
        is_private=bool(raw.get("is_private")),
        attachment=raw.get("attachment_id"),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
