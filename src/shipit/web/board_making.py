# SPDX-License-Identifier: MPL-2.0
"""A train's board out of what is stored. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from shipit.storage.board import MOST_ROWS, Given, RequestFacts, Stored, TrainFacts
from shipit.trains.types import Moment, Train
from shipit.uplift import standing
from shipit.uplift.board import (
    detail,
    group_of,
    headings,
    is_milestone,
    moment_label,
    stage_words,
    tags,
    title,
    urgency,
)
from shipit.uplift.board_rows import RowReading
from shipit.uplift.decision_words import DID, StampState, deferral, stamp_state
from shipit.uplift.verdicts import Verdict, build_name
from shipit.web.board_shapes import (
    BoardAnswer,
    BoardCount,
    BoardDecided,
    BoardGroup,
    BoardMoment,
    BoardRow,
    BoardSource,
    BoardStatus,
    BoardTab,
    BoardTrain,
)
from shipit.web.me import name_of
from shipit.web.viewer import Audience


def answer_of(
    stored: Stored, name: str, read: Mapping[str, RowReading], *, audience: Audience, now: datetime
) -> BoardAnswer:
    """The whole answer; pure."""
    trains = {each.name: each for each in stored.trains}
    train = trains[name]
    build = build_name(_train(train))
    mine = [each for each in stored.requests if each.train == name]
    others: dict[int, list[RequestFacts]] = {}
    for each in stored.requests:
        if each.train != name:
            others.setdefault(each.bug, []).append(each)
    rows = (
        _row(each, train, read[each.uid], others.get(each.bug, ()), trains, build=build, now=now)
        for each in mine[:MOST_ROWS]
        if each.uid in read
    )
    return BoardAnswer(
        train=_shown(train, build),
        tabs=tuple(
            BoardTab(name=each.name, title=_title(each), count=_count(each, audience))
            for each in stored.trains
        ),
        count=_count(train, audience),
        as_of=train.requests_read_at,
        sources=_sources(stored),
        groups=tuple(BoardGroup(key=each.key, title=each.title, why=each.why) for each in headings(build)),
        rows=tuple(rows),
        more=len(mine) > MOST_ROWS,
    )


def _row(
    row: RequestFacts,
    train: TrainFacts,
    read: RowReading,
    others: Iterable[RequestFacts],
    trains: Mapping[str, TrainFacts],
    *,
    build: str | None,
    now: datetime,
) -> BoardRow:
    asked, tried, aim = _asked(row, read.decided_by), _tried(row), _aim(train)
    stands = standing.standing(asked, tried, aim, now=now)
    waits = _deferred(row.given, asked, build, train.major, now)
    return BoardRow(
        uid=row.uid,
        bug=row.bug,
        group=group_of(asked, stands, tried, aim, is_owed=read.owed_by is not None, is_deferred=bool(waits)),
        state=row.state,
        rank=urgency(row.keywords, severity=row.severity, tracking=row.tracking),
        summary=row.summary,
        product=row.product,
        component=row.component,
        tags=tags(row.keywords, severity=row.severity, tracking=row.tracking, flags=row.flags),
        is_restricted=row.is_restricted,
        who=read.who,
        requested_at=row.requested_at,
        risk=read.risk,
        form=read.form,
        size=read.size,
        disagrees=read.disagrees,
        says=waits or (f"waits for {read.owed_by}" if read.owed_by else ""),
        here=_status(row, train, now, read.decided_by),
        others={
            each.train: _status(each, trains[each.train], now) for each in others if each.train in trains
        },
        decided=_decided(row.given),
        digest=row.series_digest,
        revision=row.revision,
    )


def _status(
    row: RequestFacts, train: TrainFacts, now: datetime, decided_by: str | None = None
) -> BoardStatus:
    asked, tried, aim = _asked(row, decided_by), _tried(row), _aim(train)
    stands = standing.standing(asked, tried, aim, now=now)
    return BoardStatus(
        request=row.uid,
        key=stands.key,
        word=stands.word,
        colour=stands.colour,
        detail=detail(stands, asked, tried, aim),
        sentence=stands.sentence,
        notes=stands.notes,
        actor=stands.actor,
        at=row.tried_at,
    )


def _deferred(
    given: Given | None, asked: standing.Asked, build: str | None, major: int | None, now: datetime
) -> str | None:
    """What a deferred request waits for; None where it is not deferred, or waits no more."""
    if given is None or given.verdict is not Verdict.DEFER or given.until is None:
        return None
    if stamp_state(given.stamp, series_digest=asked.series_digest, major=major) is not StampState.CURRENT:
        return None
    until = given.until
    waits = deferral(until.build, until.at, until.condition, next_build=build, now=now)
    return f"deferred until {until.words}" if waits.still else None


def _decided(given: Given | None) -> BoardDecided | None:
    if given is None:
        return None
    return BoardDecided(
        verdict=given.verdict,
        word=DID[given.verdict],
        by=(name_of(given.person) or given.person).partition("@")[0],
        at=given.at,
        state=given.state,
    )


def _asked(row: RequestFacts, decided_by: str | None) -> standing.Asked:
    return standing.Asked(
        state=row.state,
        patches=row.patches,
        series_digest=row.series_digest or "",
        series_reason=row.series_reason,
        decided_by=decided_by,
        decided_at=row.decided_at,
        target_major=row.target_major,
    )


def _tried(row: RequestFacts) -> standing.Tried | None:
    if row.outcome is None or row.tip is None or row.tried_at is None:
        return None
    return standing.Tried(
        outcome=row.outcome,
        tip=row.tip,
        series_digest=row.trial_digest or "",
        tried_at=row.tried_at,
        files=row.files,
        reason=row.reason,
        needs=row.needs,
    )


def _aim(train: TrainFacts) -> standing.Aim:
    # That Bugzilla does not answer is said once for the train, not again for each of its requests.
    return standing.Aim(name=train.name, tip=train.tip, tip_reason=train.tip_reason, major=train.major)


def _count(train: TrainFacts, audience: Audience) -> BoardCount:
    was_read = train.requests_read_at is not None
    return BoardCount(
        # None read, while it could not be read, is not none.
        value=train.shown or (0 if was_read and train.requests_unavailable_since is None else None),
        at=train.requests_read_at,
        unavailable_since=train.requests_unavailable_since,
        reason=train.requests_unavailable_reason or (None if was_read else "they were not read yet"),
        restricted=train.hidden if audience.counts_restricted else None,
    )


def _sources(stored: Stored) -> tuple[BoardSource, ...]:
    found = [BoardSource(name="Watching bot", at=stored.last_look, trouble=None)]
    for train in stored.trains:
        since, reason = train.requests_unavailable_since, train.requests_unavailable_reason
        trouble = f"unavailable: {reason or 'no reason given'}" if since else None
        found.append(
            BoardSource(name=f"Requests, {train.name}", at=since or train.requests_read_at, trouble=trouble)
        )
        unread = f"unavailable: {train.tip_reason}" if train.tip_reason else None
        found.append(BoardSource(name=f"Branch, {train.name}", at=train.tip_at, trouble=unread))
    schedules = {train.source: train for train in stored.trains}
    found += [
        BoardSource(
            name="Calendar" if len(schedules) == 1 else f"Calendar, {source}",
            at=train.unavailable_since or train.read_at,
            trouble="unavailable" if train.unavailable_since else None,
        )
        for source, train in schedules.items()
    ]
    return tuple(found)


def _shown(train: TrainFacts, build: str | None) -> BoardTrain:
    return BoardTrain(
        name=train.name,
        title=_title(train),
        channel=train.channel,
        version=train.version,
        major=train.major,
        repository=train.repository,
        branch=train.branch,
        tip=train.tip,
        tip_at=train.tip_at,
        tip_reason=train.tip_reason,
        stage=train.stage.value,
        stage_words=stage_words(train.stage.value),
        build=build,
        next_build=_moment(train.next_build) if train.next_build else None,
        passed=tuple(_moment(each) for each in train.passed),
        moments=tuple(_moment(each) for each in train.deadlines if each not in train.passed),
        owner=train.owner,
        source=train.source,
        read_at=train.read_at,
        unavailable_since=train.unavailable_since,
        note=train.note,
    )


def _moment(moment: Moment) -> BoardMoment:
    return BoardMoment(
        name=moment.name,
        label=moment_label(moment.name),
        at=moment.at,
        is_whole_day=moment.is_whole_day,
        is_milestone=is_milestone(moment.name),
    )


def _title(train: TrainFacts) -> str:
    return title(train.name, train.channel, train.major)


def _train(train: TrainFacts) -> Train:
    return Train(
        name=train.name,
        channel=train.channel,
        repository=train.repository,
        branch=train.branch,
        version=train.version,
        major=train.major,
        stage=train.stage,
        next_build=train.next_build,
    )
