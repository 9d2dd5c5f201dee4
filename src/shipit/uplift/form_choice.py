# SPDX-License-Identifier: MPL-2.0
"""Which form belongs to which request: by the train it names, the attachment it is about, its age."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from shipit.trains.types import Train
from shipit.uplift.forms import Generation, about_attachment, answer_to, forms_in
from shipit.uplift.questions import Question
from shipit.uplift.types import Bug, Form

# Headings and flags spell the product in different words.
_FAMILY = {"firefox": "mozilla", "mozilla": "mozilla", "comm": "comm", "thunderbird": "comm"}
_SEPARATORS = re.compile(r"[/,&+]| and ")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class FoundForm(msgspec.Struct, frozen=True):
    """A form and the attachment its comment is about (None: it names none)."""

    form: Form
    attachment: int | None


def uplift_forms(bug: Bug) -> tuple[FoundForm, ...]:
    """Every uplift form in the bug's public comments, oldest first; forms that ask to land are none."""
    return tuple(
        FoundForm(form, about_attachment(comment))
        for comment in bug.comments
        if not comment.is_private
        for form in forms_in(comment)
        if form.generation != Generation.SECURITY
    )


def hint_fits(hint: str | None, train: Train) -> int:
    """How well a heading's words name the train: 0 another one, 1 none, 2 its kind, 3 itself.

    A version that is not the train's now names none: trains move on, their requests stay.
    """
    if hint is None:
        return 1
    return max((_word_fits(word.strip(), train) for word in _SEPARATORS.split(hint.lower())), default=0)


def choose(
    found: Iterable[FoundForm],
    train: Train,
    *,
    attachments: Sequence[int],
    others: frozenset[int] = frozenset(),
    until: datetime | None = None,
) -> tuple[Form | None, tuple[Form, ...]]:
    """(the form of a request, older ones newest first) out of a bug's forms.

    attachments: the request's own. others: attachments of the train's other requests, whose forms are not for
    this one. until: when the request was decided; a form written later is not what was decided on.
    """
    ranked = []
    for number, one in enumerate(found):
        named = _fits(one.form, train)
        if named == 0 or one.attachment in others:
            continue
        if one.attachment is None:
            about = 1
        elif one.attachment in attachments:
            about = 2 if others else 1
        else:
            about = 0
        time = one.form.time or _BEGINNING
        is_late = until is not None and time > until
        ranked.append(((not is_late, min(named, 2), about, time, number), one.form))
    ranked.sort(key=lambda row: row[0], reverse=True)
    if not ranked:
        return None, ()
    current = ranked[0][1]
    older = sorted(ranked[1:], key=lambda row: row[0][3:], reverse=True)
    return current, tuple(form for _, form in older)


def _fits(form: Form, train: Train) -> float:
    named = hint_fits(form.train_hint, train)
    if form.train_hint is None and answer_to(form, Question.CASE) is not None:
        # It names no train but states the case for ESR: for other trains only if there is no better one.
        return 2 if train.channel.lower() == "esr" else 0.5
    return named


def _word_fits(word: str, train: Train) -> int:
    if not word:
        return 0
    if word.isdecimal():
        return 3 if int(word[:6]) == train.major else 1
    family, _, name = word.rpartition("-")
    theirs = (train.approval_flag or "").split("-")
    if family and len(theirs) > 2 and _FAMILY.get(family, family) != _FAMILY.get(theirs[1], theirs[1]):
        return 0
    if train.name.lower() in (word, name) or theirs[-1] == name:
        return 3
    return 2 if train.channel.lower() in (word, name) else 0
