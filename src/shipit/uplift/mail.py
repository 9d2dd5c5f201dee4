# SPDX-License-Identifier: MPL-2.0
"""The words of the mail that tells people that their request newly fails to merge; plain text, no secret."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import msgspec

from shipit.merge.types import Conflict, Outcome
from shipit.uplift.types import Bug, Request

CONFLICT = "conflict-"
FILES_SHOWN = 20
SUBJECT_MAX = 120
_TO_DO = "Please attach a rebased patch, or ask for what it builds on first."
ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,190}")


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to be sent. key: the state it tells of; whoever claims a key first sends it, nobody twice."""

    key: str
    to: tuple[str, ...]
    subject: str
    body: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look. train: its name. tip: the commit the trial started on. bug_url, page_url: addresses."""

    train: str
    tip: str
    bug_url: str
    page_url: str


def with_step(mail: Mail, step: str) -> Mail:
    """The mail with what to do next in the place of the general words; one without those stays as it is."""
    return msgspec.structs.replace(mail, body=mail.body.replace(_TO_DO, one_line(step, 600)))


def mail_key(request: Request, series_digest: str, since: str) -> str:
    """One key per failure: the request, its patches, and what `since_of` says about its beginning."""
    said = f"{request.uid}\n{series_digest}\n{since}"
    return f"{CONFLICT}{request.uid}.{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def request_of_key(key: str) -> str | None:
    """The uid of the request that a mail's key is about; None when it is about something else."""
    return key.removeprefix(CONFLICT).rpartition(".")[0] if key.startswith(CONFLICT) else None


def since_of(before: Outcome | None, tip: str) -> str:
    """What tells one failure of the same patches from the next: the tip, if they merged before.

    After a trial that found nothing out nobody knows whether the conflict is new, so it is told at most once.
    """
    return tip if before in (Outcome.CLEAN, Outcome.EMPTY, Outcome.LANDED) else ""


def conflict_mail(
    bug: Bug,
    request: Request,
    conflicts: Sequence[Conflict],
    *,
    place: Place,
    to: Sequence[str],
    key: str,
) -> Mail | None:
    """The mail about a new conflict, None when nobody is to be told.

    Of a restricted bug it holds the number and the links, nothing else: not the train's files, nor the
    patches, nor the summary.
    """
    recipients = tuple(dict.fromkeys(one for one in to if ADDRESS.fullmatch(one)))
    if not recipients:
        return None
    if bug.is_restricted:
        subject = f"Bug {bug.id}: an uplift request needs you"
        lines = [f"An uplift request of bug {bug.id} needs you.", "", place.bug_url, place.page_url]
    else:
        subject = f"Bug {bug.id}: conflict with {place.train} - {bug.summary}"
        lines = _public_lines(bug, request, conflicts, place)
    # Mail services drop a text they just sent to the same address: another state is another text.
    lines += ["", f"You get this mail once for this state ({key[-8:]}), as somebody concerned.", ""]
    return Mail(key=key, to=recipients, subject=one_line(subject, SUBJECT_MAX), body="\n".join(lines))


def _public_lines(bug: Bug, request: Request, conflicts: Sequence[Conflict], place: Place) -> list[str]:
    lines = [
        f"The uplift request of bug {bug.id} for {place.train} does not merge.",
        "",
        f"  {one_line(bug.summary, 200)}",
        "",
        f"Tip of {place.train}: {place.tip[:12]}",
        "Patches, in landing order:",
    ]
    for patch in request.series[:FILES_SHOWN]:
        title = f" {one_line(patch.title, 120)}" if patch.title else ""
        lines.append(f"  {one_line(patch.name, 60)}{title}")
    lines += _more(len(request.series))
    lines += ["Conflicts:"]
    lines += [f"  {one_line(one.path, 300)} ({one.kind})" for one in conflicts[:FILES_SHOWN]]
    lines += _more(len(conflicts))
    lines += [
        "",
        _TO_DO,
        place.bug_url,
        place.page_url,
    ]
    return lines


def _more(count: int) -> list[str]:
    return [f"  and {count - FILES_SHOWN} more"] if count > FILES_SHOWN else []


def one_line(text: str, limit: int) -> str:
    """Text of strangers on one line: no control or direction characters, bounded."""
    plain = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 4 * limit])
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
