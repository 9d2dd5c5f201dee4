# SPDX-License-Identifier: MPL-2.0
"""Whether things are still as the decider saw them, and whether a write is there already; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from shipit.uplift.decision_edits import UNSET, spelled_flags
from shipit.uplift.decision_types import Difference, Kind, Part, Seen, Write
from shipit.uplift.places import place_now
from shipit.uplift.types import Bug, Place, Revision

# Who reads along changes nothing that a decision is about.
QUIET_FIELDS = frozenset({"cc"})
NOWHERE = "gone"
# What an action is called once it is done.
DEEDS = {
    "accept": frozenset({"accept"}),
    "reject": frozenset({"reject", "request-changes"}),
    "plan-changes": frozenset({"plan-changes"}),
}


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """As whom a decision is written: login in Bugzilla, user name and PHID in Phabricator."""

    bugzilla: str | None = None
    phabricator: str | None = None
    phid: str | None = None


class Deeds(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a revision. newest: id of the last transaction. mine: the decider's, as (id, type)."""

    newest: int = 0
    mine: tuple[tuple[int, str], ...] = ()


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A reading made now. revisions: by number, None where Phabricator could not be asked. deeds: of those
    that are written to."""

    bug: Bug
    revisions: Mapping[int, Revision] | None = {}
    deeds: Mapping[int, Deeds] = {}


def seen_of(
    changed: datetime | None,
    places: Iterable[tuple[str, Place]],
    fields: Mapping[str, str],
    flags: Mapping[str, str],
) -> Seen:
    """What matters of a bug to a decision. places: with the flag's name. flags: of the bug, as spelled."""
    facts: dict[str, str] = {}
    for flag, place in places:
        facts |= _of_place(flag, place)
    facts |= dict(fields)
    facts |= {f"{name} on the bug": said for name, said in flags.items()}
    return Seen(changed=changed, facts=facts)


def seen_now(part: Part, fresh: Fresh) -> Seen:
    """The same things as `part.seen` as they are in a fresh reading."""
    bug = fresh.bug
    facts: dict[str, str] = {}
    for flag, place in part.places:
        now = _of_place(flag, place_now(place, flag, bug, fresh.revisions or {}))
        if fresh.revisions is None:
            now |= {name: part.seen.facts[name] for name in now if name == f"D{place.revision}"}
        facts |= now
    for name in part.seen.facts.keys() - facts.keys():
        if name.endswith(" on the bug"):
            wanted = name.removesuffix(" on the bug")
            facts[name] = spelled_flags([flag for flag in bug.flags if flag.name == wanted])
        elif name.startswith("cf_"):
            facts[name] = bug.fields.get(name, NOWHERE)
        else:
            facts[name] = NOWHERE
    return Seen(changed=bug.changed, facts=facts)


def differences(part: Part, fresh: Fresh, accounts: Accounts) -> tuple[Difference, ...]:
    """What is not as the decider saw it: what is written to, and what somebody else did to the bug since.

    What the decider did themselves since is known to them, unless it touches what is written.
    """
    now = seen_now(part, fresh)
    found = [
        Difference(name, before, now.facts.get(name, NOWHERE))
        for name, before in part.seen.facts.items()
        if now.facts.get(name, NOWHERE) != before
    ]
    return tuple(found) + tuple(_done_by_others(part, fresh.bug, accounts))


def strict_differences(part: Part, fresh: Fresh, done: Sequence[Write]) -> tuple[Difference, ...]:
    """As `differences`, of what is still to be written only: for a decision that stopped halfway."""
    settled = {name for write in done for name in _touched(write, part)}
    now = seen_now(part, fresh)
    return tuple(
        Difference(name, before, now.facts.get(name, NOWHERE))
        for name, before in part.seen.facts.items()
        if name not in settled and now.facts.get(name, NOWHERE) != before
    )


def is_there(write: Write, fresh: Fresh, accounts: Accounts, *, mark: int) -> bool:
    """Whether a write that may have gone out took effect. mark: as `mark_of` it was before the first try."""
    if write.kind is Kind.REVISION:
        return _is_on_revision(write, fresh, mark)
    if write.comment is not None:
        return find_comment(fresh.bug, write.comment, by=accounts.bugzilla, after=mark) is not None
    return stands(write, fresh)


def mark_of(write: Write, fresh: Fresh) -> int:
    """What tells ours from what was there before: the id of the newest comment or transaction; ids rise."""
    if write.kind is Kind.REVISION:
        return fresh.deeds.get(write.id, Deeds()).newest
    return max((comment.id for comment in fresh.bug.comments), default=0)


def stands(write: Write, fresh: Fresh) -> bool:
    """Whether what a write sets on bug or attachment is so now, whoever set it."""
    bug = fresh.bug
    if write.kind is Kind.REVISION:
        return True
    if write.kind is Kind.ATTACHMENT:
        found = next((one for one in bug.attachments if one.id == write.id), None)
        return found is not None and all(_flag_stands(flag, found.flags) for flag in write.body["flags"])
    fields = {name: value for name, value in write.body.items() if name.startswith("cf_")}
    return all(bug.fields.get(name) == value for name, value in fields.items()) and all(
        _flag_stands(flag, bug.flags) for flag in write.body.get("flags", ())
    )


def find_comment(bug: Bug, text: str, *, by: str | None, after: int) -> int | None:
    """The id of our comment among those younger than `after`, None when it is not there."""
    for comment in bug.comments:
        is_ours = comment.id > after and (comment.creator or "").lower() == (by or "").lower()
        if is_ours and _plain(comment.text) == _plain(text):
            return comment.id
    return None


def _of_place(flag: str, place: Place) -> dict[str, str]:
    where = "the bug" if place.attachment is None else f"attachment {place.attachment}"
    facts: dict[str, str] = {}
    if place.flag is not None:
        facts[f"{flag} of {where}"] = f"{place.status} (flag {place.flag})"
    else:
        facts[f"{flag} of {where}"] = UNSET
    if place.revision is not None and place.is_uplift:
        diff = f", diff {place.diff}" if place.diff is not None else ""
        facts[f"D{place.revision}"] = f"{place.revision_status or NOWHERE}{diff}"
    return facts


def _touched(write: Write, part: Part) -> set[str]:
    """The names of the facts that a write changes; a revision's change moves its flag as well."""
    if write.kind is Kind.BUG:
        names = {name for name in write.body if name.startswith("cf_")}
        return names | {name for name in part.seen.facts if name.endswith((" on the bug", " of the bug"))}
    if write.kind is Kind.ATTACHMENT:
        return {name for name in part.seen.facts if name.endswith(f" of attachment {write.id}")}
    mirrors = {place.attachment for _, place in part.places if place.revision == write.id}
    return {f"D{write.id}"} | {
        name for one in mirrors for name in part.seen.facts if name.endswith(f" of attachment {one}")
    }


def _done_by_others(part: Part, bug: Bug, accounts: Accounts) -> Iterable[Difference]:
    since = part.seen.changed
    if since is None or bug.changed <= since:
        return
    mine = (accounts.bugzilla or "").lower()
    for change in bug.history:
        if change.time > since and change.who.lower() != mine and change.field not in QUIET_FIELDS:
            yield Difference(change.field, change.removed, change.added, change.who)
    for comment in bug.comments:
        if comment.time > since and comment.creator.lower() != mine:
            yield Difference("comment", "", f"comment {comment.number}", comment.creator)


def _is_on_revision(write: Write, fresh: Fresh, mark: int) -> bool:
    types = DEEDS[write.body["transactions"][0]["type"]]
    mine = fresh.deeds.get(write.id, Deeds()).mine
    return any(number > mark and kind in types for number, kind in mine)


def _flag_stands(wanted: Mapping[str, object], flags: Sequence[object]) -> bool:
    held = [
        flag
        for flag in flags
        if getattr(flag, "id", None) == wanted.get("id") or getattr(flag, "name", None) == wanted.get("name")
    ]
    if wanted["status"] == "X":
        return not held
    whom = wanted.get("requestee")
    return any(
        getattr(flag, "status", None) == wanted["status"]
        and (whom is None or getattr(flag, "requestee", None) == whom)
        for flag in held
    )


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).strip()
