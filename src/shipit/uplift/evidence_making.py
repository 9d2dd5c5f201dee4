# SPDX-License-Identifier: MPL-2.0
"""Make the evidence of a request out of what is stored around it and `now`. Pure; page and CLI share it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from shipit.merge.types import PatchResult, SeriesResult
from shipit.uplift.analysis import Failed, PatchFacts, Source
from shipit.uplift.checks import checks, disagreements
from shipit.uplift.evidence import (
    Evidence,
    FactShown,
    FormShown,
    OtherRequest,
    PatchShown,
    TrialShown,
)
from shipit.uplift.evidence_parts import conflict_part, interdiff_part, versions_shown
from shipit.uplift.evidence_subject import measured_of, patch_of, subject_of
from shipit.uplift.facts import measure
from shipit.uplift.landings import standing_on_main
from shipit.uplift.standing import Aim, Asked, Standing, standing, tried_of
from shipit.uplift.timeline import timeline
from shipit.uplift.told import Facts, Told, ToldTrial, facts_of
from shipit.uplift.track_record import people_shown
from shipit.uplift.types import PatchRef
from shipit.uplift.wording import Names, count, listed, moment, span

MOST_PATHS = 200
BUGZILLA, CLONE = "bugzilla", "clone"


def evidence(told: Told, *, now: datetime) -> Evidence:
    """Everything that is known about a request."""
    facts = facts_of(told.bug)
    names = Names((one.email, one.name) for one in facts.people)
    request = told.request
    measured = measured_of(request.series, facts)
    rows = checks(request.form, subject_of(told, facts))
    return Evidence(
        uid=request.uid,
        bug=request.bug,
        train=told.train.name,
        summary=told.bug.summary,
        state=request.state,
        is_restricted=told.bug.is_restricted,
        standing=_standing(told, names, now),
        as_of=min((at for at in (told.train.requests_read_at, told.train.tip_at) if at), default=None),
        made_at=now,
        disagreements=disagreements(rows),
        checks=rows,
        form=_form(told, names),
        facts=tuple(_facts(told, facts, measured, now)),
        patches=tuple(_patch(one, facts, told, now) for one in request.series),
        trial=_trial(told),
        conflict=conflict_part(told),
        interdiff=interdiff_part(told),
        versions=versions_shown(told),
        people=people_shown(
            facts.people,
            records=told.records,
            notes=told.notes,
            known=told.known,
            patches=measured,
            names=names,
            now=now,
        ),
        timeline=timeline(told, facts, names),
        others=tuple(
            OtherRequest(
                uid=one.uid, train=one.train, state=one.state, outcome=one.outcome, is_open=one.is_open
            )
            for one in told.others
            if one.bug == request.bug
        ),
        analysis_error=told.bug.analysis_error or facts.lacking,
    )


# --- parts --------------------------------------------------------------------------------------------


def _standing(told: Told, names: Names, now: datetime) -> Standing:
    request, train = told.request, told.train
    asked = Asked(
        state=request.state,
        patches=len(request.series),
        series_digest=request.series_digest or "",
        series_reason=request.series_reason,
        decided_by=names.of(request.decided_by) if request.decided_by else None,
        decided_at=request.decided_at,
        target_major=request.target_major,
    )
    aim = Aim(
        name=train.name,
        tip=train.tip,
        tip_reason=train.tip_reason,
        major=train.major,
        unavailable_since=train.requests_unavailable_since,
        unavailable_reason=train.requests_unavailable_reason,
    )
    tried = None
    if told.trials:
        trial = told.trials[0]
        tried = tried_of(
            SeriesResult(trial.outcome, trial.tree, trial.patches),
            tip=trial.tip,
            series_digest=trial.series_digest,
            tried_at=trial.tried_at,
            needs=told.needs,
        )
    return standing(asked, tried, aim, now=now)


def _form(told: Told, names: Names) -> FormShown | None:
    form = told.request.form
    if form is None:
        return None
    return FormShown(
        author=names.of(form.author) if form.author else None,
        time=form.time,
        generation=form.generation,
        comment=form.comment,
        is_parsed=form.is_parsed,
        raw=form.raw,
    )


def _trial(told: Told) -> TrialShown | None:
    if not told.trials:
        return None
    trial = told.trials[0]
    return TrialShown(
        tip=trial.tip,
        outcome=trial.outcome,
        tried_at=trial.tried_at,
        engine=trial.engine,
        is_current=trial.tip == told.train.tip and trial.series_digest == told.request.series_digest,
    )


def _patch(patch: PatchRef, facts: Facts, told: Told, now: datetime) -> PatchShown:
    one = patch_of(patch, facts)
    result = _result(patch, told.trials[0] if told.trials else None)
    shown = PatchShown(
        name=patch.name,
        version=patch.version,
        title=patch.title,
        url=patch.url,
        lacking=patch.missing or (one.reason if isinstance(one, Failed) else None),
        outcome=result.outcome if result else None,
        reason=result.reason if result else None,
        conflicts=result.conflicts if result else (),
    )
    if not isinstance(one, PatchFacts):
        return shown
    measured = measure(one.files)
    author = one.author.name or one.author.email or ""
    return PatchShown(
        **{
            name: getattr(shown, name)
            for name in ("name", "version", "url", "outcome", "reason", "conflicts")
        },
        title=patch.title or one.title,
        author=(author.partition("@")[0] if "@" in author else author) or None,
        reviewers=one.reviewers,
        landed_at=one.landed_at,
        bake=None if one.landed_at is None else f"on main for {span(now - one.landed_at)}",
        files=measured.files,
        added=measured.added,
        deleted=measured.deleted,
        test_added=measured.test_added,
        test_deleted=measured.test_deleted,
        languages=one.languages,
        components=one.components,
        paths=tuple(file.path for file in one.files[:MOST_PATHS]),
        lacking=shown.lacking,
        source=one.source.value,
        read_at=one.read_at,
    )


def _result(patch: PatchRef, trial: ToldTrial | None) -> PatchResult | None:
    """A patch's part of a trial; a trial of another version of it has none."""
    if trial is None:
        return None
    return next((one for one in trial.patches if one.revision in (patch.name, patch.version)), None)


def _facts(told: Told, facts: Facts, measured: Sequence[PatchFacts], now: datetime) -> Iterable[FactShown]:
    read = told.bug.read_at
    landed, undone = standing_on_main(told.request.bug, facts.landings)
    if landed:
        at = max(one.date for one in landed)
        again = " again" if undone and undone[0].date < at else ""
        yield FactShown(
            key="bake",
            label="On main",
            sentence=f"On main{again} for {span(now - at)}, since {moment(at)}.",
            source=CLONE,
            at=read,
        )
    elif "landings" in told.bug.facts:
        yield FactShown(
            key="bake", label="On main", sentence="Nothing of it stands on main.", source=CLONE, at=read
        )
    if undone:
        said = (
            f"Backed out on main {count(len(undone), 'time')}: {listed(moment(one.date) for one in undone)}."
        )
        yield FactShown(key="backouts", label="Backouts", sentence=said, source=CLONE, at=read)
    for key, label, bugs, words in (
        ("regressions", "Regressions", facts.relations.regressions, "known to be caused by it"),
        ("depends_on", "Depends on", facts.relations.depends_on, "that it depends on"),
        ("regressed_by", "Caused by", facts.relations.regressed_by, "that caused it"),
    ):
        if bugs:
            sentence = f"{count(len(bugs), 'bug')} {words}: {listed(str(one) for one in bugs)}."
            yield FactShown(key=key, label=label, sentence=sentence, source=BUGZILLA, at=read, bugs=bugs)
    if told.request.series and not facts.relations.regressions:
        yield FactShown(
            key="regressions",
            label="Regressions",
            sentence="Bugzilla names no regression of it.",
            source=BUGZILLA,
            at=read,
        )
    if facts.modules:
        said = f"{listed(facts.modules[:8])}."
        yield FactShown(key="modules", label="Modules", sentence=said, source=Source.MOZDATA.value, at=read)
    yield from _churn(measured)


def _churn(measured: Sequence[PatchFacts]) -> Iterable[FactShown]:
    if not measured:
        return
    busiest = max(measured, key=lambda one: one.overall.commits)
    churn = busiest.overall
    least = "" if churn.is_complete else "at least "
    said = f"{least}{count(churn.commits, 'earlier commit')} touched these files"
    said += f", the last {moment(churn.last)}" if churn.last else ""
    said += f"; {churn.backouts} of them back something out." if churn.commits else "."
    yield FactShown(
        key="churn",
        label="History of the files",
        sentence=said[:1].upper() + said[1:],
        source=CLONE,
        at=busiest.read_at,
    )
    parts = tuple(dict.fromkeys(name for one in measured for name in (one.components or one.directories)))
    if parts:
        yield FactShown(
            key="components",
            label="Touches",
            sentence=f"{listed(parts[:8])}.",
            source=CLONE,
            at=busiest.read_at,
        )
