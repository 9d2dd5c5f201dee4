# SPDX-License-Identifier: MPL-2.0
"""Whether the bot or the listener has fallen silent, and the words of the alarm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

import msgspec

_ANCHOR = "%Y%m%dT%H%M%S"


class Word(StrEnum):
    """What is told."""

    SILENT = "bot-silent"
    BACK = "bot-back"
    LISTENER_SILENT = "listener-silent"
    LISTENER_BACK = "listener-back"


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signs of life are watched, and the words for it.

    sign: finishes "no … since". then: what follows from the silence, with `{url}`. again: the same for the
    first sign after it.
    """

    silent: Word
    back: Word
    name: str
    sign: str
    then: str
    again: str


BOT = Who(
    silent=Word.SILENT,
    back=Word.BACK,
    name="the uplift bot",
    sign="round of the uplift bot that could read Bugzilla's requests has ended",
    then="What {url} shows is as old as that. Look at the bot's hook and its last tasks.",
    again="A round of the uplift bot ended at",
)
LISTENER = Who(
    silent=Word.LISTENER_SILENT,
    back=Word.LISTENER_BACK,
    name="the listener",
    sign="sign of life of the listener has come",
    then="Nothing is triggered meanwhile; what the broker and the sources keep is read when it is back. "
    "The events page of {url} shows where each source stands.",
    again="A listener was alive at",
)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell once.

    key: of the state it tells of. anchor: when the last round before it ended. after: key of the notice
    without which this one says nothing to anybody.
    """

    word: Word
    anchor: datetime
    key: str
    subject: str
    text: str
    after: str | None = None


def notices(
    ended: tuple[datetime, ...],
    *,
    since: datetime,
    now: datetime,
    stale: timedelta,
    instance: str,
    url: str,
    who: Who = BOT,
) -> tuple[Notice, ...]:
    """What to tell about signs of life that do not come. ended: the newest of them, newest first.

    since: when watching began, which stands in while there never was one. Each notice has a key, so that it
    is told once however often this is asked: an alarm per silence, and one "back" when the silence is over.
    """
    if not ended:
        return (_silent(who, since, now, instance, url),) if now - since > stale else ()
    newest = ended[0]
    if now - newest > stale:
        return (_silent(who, newest, now, instance, url),)
    found = []
    for later, earlier in pairwise(ended):
        if later - earlier > stale:
            found.append(_back(who, earlier, later, instance, url))
            break
    return tuple(found)


def silence_told(key: str) -> datetime | None:
    """The anchor of the silence that a notice of this key told of, None for another key."""
    try:
        return datetime.strptime(key.rpartition("-")[2], _ANCHOR).replace(tzinfo=UTC)
    except ValueError:
        return None


def _silent(who: Who, anchor: datetime, now: datetime, instance: str, url: str) -> Notice:
    hours = (now - anchor).total_seconds() / 3600
    return Notice(
        word=who.silent,
        anchor=anchor,
        key=_key(who.silent, anchor),
        subject=f"Ship It ({instance}): {who.name} is silent",
        text=(
            f"No {who.sign} since {anchor:%Y-%m-%d %H:%M} UTC ({hours:.1f} hours). {who.then.format(url=url)}"
        ),
    )


def _back(who: Who, anchor: datetime, at: datetime, instance: str, url: str) -> Notice:
    return Notice(
        word=who.back,
        anchor=anchor,
        key=_key(who.back, anchor),
        after=_key(who.silent, anchor),
        subject=f"Ship It ({instance}): {who.name} is back",
        text=(
            f"{who.again} {at:%Y-%m-%d %H:%M} UTC, the first since "
            f"{anchor:%Y-%m-%d %H:%M} UTC. {url} is current again."
        ),
    )


def _key(word: Word, anchor: datetime) -> str:
    return f"{word}-{anchor:{_ANCHOR}}"
