# SPDX-License-Identifier: MPL-2.0
"""Keep each request on the train that carries the version it asks for, across merge days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from shipit.trains.merge_day import carry
from shipit.trains.types import Aim, Carried, Train
from shipit.uplift.report import KnownRequest, Retarget
from shipit.uplift.types import Request


class Aimed(msgspec.Struct, frozen=True):
    """A request on the train it aims at now, the version, and how it came there this time."""

    request: Request
    major: int | None
    retargets: tuple[Retarget, ...] = ()


def moved(known: Iterable[KnownRequest], trains: Sequence[Train], now: datetime) -> dict[str, Carried]:
    """Known open requests that merge day moves (or closes) now, by uid."""
    aims = [_aim(one.request, one.target_major, now) for one in known]
    return {one.uid: one for one in carry(aims, trains, now)}


def aimed(
    requests: Iterable[Request], known: Iterable[KnownRequest], trains: Sequence[Train], now: datetime
) -> tuple[Aimed, ...]:
    """A bug's requests as read from its flags, each on the train it aims at; those that ended are left out.

    A flag names a train, not a version: what is known of a request remembers the version. A request that
    moved gives way to one that was made for the new train itself, so that nobody is asked twice.
    """
    before = {one.request.uid: one for one in known}
    majors = {train.name: train.major for train in trains}
    names = set(majors)
    placed: list[tuple[Request, int | None]] = []
    for request in requests:
        last = before.get(request.uid)
        train = last.request.train if last and last.request.train in names else request.train
        major = last.target_major if last else majors.get(request.train)
        placed.append((msgspec.structs.replace(request, train=train), major))
    moves = {one.uid: one for one in carry([_aim(r, major, now) for r, major in placed], trains, now)}
    found = []
    for request, major in placed:
        move = moves.get(request.uid)
        if move is None:
            found.append(Aimed(request, major))
        elif move.to_train == request.train:
            found.append(Aimed(request, move.major))
        elif move.to_train is not None:
            found.append(
                Aimed(msgspec.structs.replace(request, train=move.to_train), move.major, (_retarget(move),))
            )
    return tuple(one for one in found if not _gives_way(one, found))


def _gives_way(one: Aimed, others: Sequence[Aimed]) -> bool:
    """Whether a request that was carried here meets one that was made here for the same patches."""
    return _is_carried(one.request) and any(
        other is not one
        and not _is_carried(other.request)
        and other.request.train == one.request.train
        and [patch.name for patch in other.request.series] == [patch.name for patch in one.request.series]
        for other in others
    )


def _is_carried(request: Request) -> bool:
    return not request.uid.startswith(f"{request.bug}-{request.train}-")


def _aim(request: Request, major: int | None, now: datetime) -> Aim:
    return Aim(
        uid=request.uid,
        train=request.train,
        target_major=major,
        requested_at=request.requested_at or now,
    )


def _retarget(move: Carried) -> Retarget:
    assert move.to_train is not None
    return Retarget(
        from_train=move.from_train, to_train=move.to_train, major=move.major, at=move.at, reason=move.reason
    )
