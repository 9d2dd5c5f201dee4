# SPDX-License-Identifier: MPL-2.0
"""Gather the facts that a form's answers are held against. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.merge.types import Outcome
from shipit.uplift.analysis import Failed, PatchFacts
from shipit.uplift.check_types import BACKOUT_SHARE, FEW_BACKOUTS, FileTrouble, Subject
from shipit.uplift.checks import bugs_named
from shipit.uplift.facts import is_test_file, measure
from shipit.uplift.forms import answer_to
from shipit.uplift.landings import standing_on_main
from shipit.uplift.questions import Question
from shipit.uplift.told import Facts, Told
from shipit.uplift.types import PatchRef


def subject_of(told: Told, facts: Facts) -> Subject:
    """The facts that the form's answers are held against."""
    request = told.request
    measured = measured_of(request.series, facts)
    landed, undoing = standing_on_main(request.bug, facts.landings)
    files = [file for one in measured for file in one.files]
    near = [one.tests_near for one in measured]
    recent = [one.recent for one in measured if one.recent is not None]
    trial = told.trials[0] if told.trials else None
    return Subject(
        measured=measure(files) if measured else None,
        lacking=_lacking(request.series, facts, request.series_reason),
        measured_at=min((one.read_at for one in measured), default=None),
        tests_near=None if None in near or not near else max(one for one in near if one is not None),
        recent=max(recent, key=lambda one: one.commits) if recent else None,
        troubled=tuple(
            FileTrouble(path=file.path, commits=file.recent, backouts=file.backouts)
            for file in {file.path: file for file in files}.values()
            if file.recent and file.backouts and not is_test_file(file.path)
            if file.backouts >= FEW_BACKOUTS and file.backouts / file.recent >= BACKOUT_SHARE
        ),
        landed_at=max((one.date for one in landed), default=None),
        is_main_known="landings" in told.bug.facts,
        backed_out_at=tuple(one.date for one in undoing),
        is_verified=_is_verified(told),
        qe_verify=next((flag.status for flag in told.bug.flags if flag.name == "qe-verify"), None),
        needs=told.needs,
        is_conflict=trial is not None and trial.outcome is Outcome.CONFLICT,
        regressed_by=facts.relations.regressed_by,
        others=_others(told),
        bug_read_at=told.bug.read_at,
        trial_at=trial.tried_at if trial is not None and trial.outcome in _PROVEN else None,
        train=told.train.name,
    )


_PROVEN = frozenset((Outcome.CLEAN, Outcome.LANDED, Outcome.EMPTY, Outcome.CONFLICT))


def measured_of(series: Sequence[PatchRef], facts: Facts) -> list[PatchFacts]:
    """The patches of a series whose facts are known."""
    found = (patch_of(patch, facts) for patch in series)
    return [one for one in found if isinstance(one, PatchFacts)]


def patch_of(patch: PatchRef, facts: Facts) -> PatchFacts | Failed | None:
    """What is known of a patch; None when nobody looked."""
    return facts.patches.get(patch.version) or facts.patches.get(patch.name)


def _lacking(series: Sequence[PatchRef], facts: Facts, reason: str | None) -> str | None:
    if not series:
        return reason or "no patch is known"
    for patch in series:
        one = patch_of(patch, facts)
        if patch.missing is not None:
            return f"{patch.name}: {patch.missing}"
        if isinstance(one, Failed):
            return f"{patch.name}: {one.reason}"
        if one is None:
            return f"{patch.name}: {facts.lacking or 'its analysis has not come yet'}"
    return None


def _is_verified(told: Told) -> bool:
    flag = told.train.nightly_flag
    if flag is not None and told.bug.fields.get(flag) == "verified":
        return True
    return told.bug.status == "VERIFIED"


def _others(told: Told) -> dict[int, str]:
    """How the bugs that the form names stand on this train, as far as whoever asks may see."""
    found: dict[int, str] = {}
    for one in told.others:
        if one.bug != told.request.bug and one.train == told.train.name:
            found.setdefault(one.bug, f"{one.state.value} for {one.train}")
    return found


def named_bugs(told: Told) -> tuple[int, ...]:
    """The bugs that the form says are needed as well: to be looked up before the evidence is made."""
    form = told.request.form
    answer = answer_to(form, Question.OTHER_UPLIFTS) if form is not None else None
    return bugs_named(answer.text) if answer is not None else ()
