# SPDX-License-Identifier: MPL-2.0
"""The mail that tells whoever decided that their decision did not get through; plain text."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from shipit.uplift.decision_states import PartState
from shipit.uplift.decision_types import Difference
from shipit.uplift.decision_words import DID, sentence
from shipit.uplift.mail import ADDRESS, SUBJECT_MAX, Mail, one_line
from shipit.uplift.verdicts import Verdict

ALARM = "decision-"
# Whoever looks at the page sees it at once; a mail is for those who went away.
GRACE = timedelta(minutes=2)
# What is older is no news: a runner that was away for long does not send last week's mails.
TOLD_FOR = timedelta(days=2)


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a decision that needs its decider. account: their login in Bugzilla, None without a key.

    fence: which try it was. written, writes: how far it came. request: one it is about, None for a bug alone.
    """

    decision: str
    bug: int
    fence: int
    state: PartState
    message: str
    differences: tuple[Difference, ...]
    finished_at: datetime
    written: int
    writes: int
    is_restricted: bool
    person: str
    account: str | None
    verdict: Verdict
    request: str | None
    train: str


def key_of(one: Untold) -> str:
    """One key for each time that it stopped."""
    return f"{ALARM}{one.decision}.{one.bug}.{one.fence}"


def alarm_mail(one: Untold, *, url: str) -> Mail | None:
    """The mail; None when no address of the decider is known.

    Of a restricted bug it holds the number and the link alone, whoever reads it.
    """
    to = next((each for each in (one.account, one.person) if each and ADDRESS.fullmatch(each)), None)
    if to is None:
        return None
    page = f"{url}/requests/{one.request}" if one.request else f"{url}/me"
    if one.is_restricted:
        subject, told = f"Bug {one.bug}: a decision of yours needs you", ["A decision of yours needs you."]
    else:
        subject = f"Bug {one.bug}: what you decided is not written"
        told = _told(one)
    lines = [*told, "", page, "", f"You get this mail once ({key_of(one)[-12:]}), as whoever decided.", ""]
    return Mail(key=key_of(one), to=(to,), subject=one_line(subject, SUBJECT_MAX), body="\n".join(lines))


def _told(one: Untold) -> list[str]:
    said = sentence(
        one.state,
        one.written,
        one.writes,
        message=one.message,
        differences=one.differences,
        due_at=one.finished_at,
    )
    where = f" for {one.train}" if one.train else ""
    return [f"Bug {one.bug} was {DID[one.verdict]} by you{where}, and that needs you:", one_line(said, 1200)]
