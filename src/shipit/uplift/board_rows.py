# SPDX-License-Identifier: MPL-2.0
"""What a row of the board says of a request's form and patches; costly to read, so kept by revision. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

import msgspec

from shipit.merge.types import Outcome
from shipit.uplift.analysis import Size
from shipit.uplift.checks import Verdict, checks
from shipit.uplift.evidence_subject import measured_of, subject_of
from shipit.uplift.forms import risk_of
from shipit.uplift.told import Facts, Told, ToldTrial, facts_of
from shipit.uplift.types import Form
from shipit.uplift.wording import Names


class RowSize(msgspec.Struct, frozen=True, kw_only=True):
    """How big the patches are. tests: changed lines in tests. is_whole: every patch was measured."""

    files: int
    added: int
    deleted: int
    tests: int
    is_whole: bool


class FormState(StrEnum):
    """Whether there is a form, and whether it could be read."""

    READ = "read"
    UNREAD = "unread"
    NONE = "none"


class RowPerson(msgspec.Struct, frozen=True):
    """Whom the request is about. role: "author", "assignee" or "requester"."""

    name: str
    role: str


class RowReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the form and the patches say.

    risk: "low", "medium", "high"; None where the form names none. size: None while no patch was measured.
    disagrees: what facts speak against, in few words each. owed_by: who owes an answer that was
    asked for since the request. decided_by: the name of whoever set the flag.
    """

    risk: str | None
    form: FormState
    size: RowSize | None
    who: RowPerson | None
    disagrees: tuple[str, ...]
    owed_by: str | None
    decided_by: str | None = None


def read_row(
    told: Told, *, needs: tuple[int, ...], trial: ToldTrial | None, decided_by: str | None
) -> RowReading:
    """The reading. needs, trial: of the newest trial, as they are now."""
    facts = facts_of(told.bug)
    request = told.request
    names = Names((one.email, one.name) for one in facts.people)
    measured = measured_of(request.series, facts)
    whole = Size.of(file for one in measured for file in one.files)
    tests = Size.of(file for one in measured for file in one.files if file.is_test)
    now = msgspec.structs.replace(told, needs=needs, trials=(trial,) if trial else ())
    rows = checks(request.form, subject_of(now, facts))
    asked_at = request.requested_at
    owed = next(
        (one for one in facts.needinfos if one.is_open and (asked_at is None or one.asked_at >= asked_at)),
        None,
    )
    return RowReading(
        risk=risk_of(request.form) if request.form is not None else None,
        form=_form(request.form),
        size=RowSize(
            files=whole.files,
            added=whole.added,
            deleted=whole.deleted,
            tests=tests.added + tests.deleted,
            is_whole=len(measured) == len(request.series),
        )
        if measured
        else None,
        who=_who(facts, names, request.requested_by),
        disagrees=tuple(
            row.kind.value for row in rows if row.verdict is Verdict.DISAGREES and row.kind is not None
        ),
        owed_by=(_called(names.of(owed.requestee)) if owed.requestee else "anybody") if owed else None,
        decided_by=names.of(decided_by) if decided_by else None,
    )


def _form(form: Form | None) -> FormState:
    if form is None:
        return FormState.NONE
    return FormState.READ if form.is_parsed else FormState.UNREAD


def _who(facts: Facts, names: Names, requested_by: str | None) -> RowPerson | None:
    for role in ("author", "assignee"):
        person = next((one for one in facts.people if role in one.roles), None)
        if person is not None:
            return RowPerson(_called(names.of(person.email)), role)
    return RowPerson(_called(names.of(requested_by)), "requester") if requested_by else None


def _called(name: str) -> str:
    """A name without the nick that people put behind it: "Mira Anand [:mira]"."""
    return re.sub(r"\s*[\[(]:.{0,60}[\])].{0,60}$", "", name) or name


def newest_trial(
    outcome: Outcome | None, tip: str | None, digest: str | None, at: datetime | None
) -> ToldTrial | None:
    """The newest trial as the checks want it."""
    if outcome is None or tip is None or at is None:
        return None
    return ToldTrial(tip=tip, series_digest=digest or "", outcome=outcome, tried_at=at)
