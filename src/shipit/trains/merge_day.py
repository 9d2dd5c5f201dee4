# SPDX-License-Identifier: MPL-2.0
"""Merge day: versions move from train to train, and open requests move with the version they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from shipit.trains.schedule import LADDER
from shipit.trains.types import Aim, Carried, Stage, Train


def carry(requests: Iterable[Aim], trains: Iterable[Train], now: datetime) -> tuple[Carried, ...]:
    """The open requests that move (or close) now; those not named stay as they are. Asking again changes
    nothing.

    A request stays while its train carries its version or less (a schedule may lag). Once the train has moved
    on, the request follows its version down the ladder, as far as the release train; where the version is on
    no train any more it aims at what the last train carries. It closes only when its train has ended.
    Trains whose facts are old (`unavailable_since`) move nothing.
    """
    now_on = _by_name(trains)
    found = []
    for request in requests:
        own = now_on.get(request.train)
        if own is None:
            continue
        moved = _move(request, own, now_on, now)
        if moved is not None:
            found.append(moved)
    return tuple(found)


def _move(request: Aim, own: Train, trains: Mapping[str, Train], now: datetime) -> Carried | None:
    target = request.target_major
    if own.stage is Stage.ENDED:
        reason = f"{own.name} has ended" + (f": {own.note}" if own.note else "")
        return _carried(request, None, target, now, reason)
    if own.unavailable_since is not None or own.major is None:
        return None
    if target is None:
        return _carried(request, own, own.major, now, f"{own.name} carries {own.major}")
    if own.major <= target:
        return None
    heir = _heir(own, target, trains.values())
    if heir is None:
        return _carried(request, own, own.major, now, f"{target} is over; {own.name} now carries {own.major}")
    if heir.major is None or heir.unavailable_since is not None or heir.major < target:
        return None
    reason = f"{own.name} moved on to {own.major}; {target} is now on {heir.name}"
    if heir.major > target:
        reason = f"{own.name} moved on to {own.major} and {target} is over; {heir.name} carries {heir.major}"
    return _carried(request, heir, heir.major, now, reason)


def _carried(request: Aim, to: Train | None, major: int | None, now: datetime, reason: str) -> Carried:
    return Carried(
        uid=request.uid,
        from_train=request.train,
        to_train=None if to is None else to.name,
        major=major,
        at=now,
        reason=reason,
    )


def _heir(own: Train, major: int, trains: Iterable[Train]) -> Train | None:
    """The train after `own` that carries `major`, else the last train after it; None when there is none
    after it.

    Trains of the same repository come first, so that two products with a ladder each do not mix.
    """
    after = [train for train in trains if train.name != own.name and _is_after(own, train)]
    after = [train for train in after if train.repository == own.repository] or after
    if not after:
        return None
    exact = [train for train in after if train.major == major]
    return exact[0] if exact else max(after, key=lambda train: LADDER.index(train.channel))


def _is_after(own: Train, train: Train) -> bool:
    if train.stage is Stage.ENDED or own.channel not in LADDER or train.channel not in LADDER:
        return False
    return LADDER.index(train.channel) > LADDER.index(own.channel)


def _by_name(trains: Iterable[Train]) -> dict[str, Train]:
    return {train.name: train for train in trains}
