# SPDX-License-Identifier: MPL-2.0
"""What is known about a conflict, worded for whoever may see its request."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.merge.advice import SERIES, Prerequisite
from shipit.storage.advice import Advised
from shipit.uplift.needs import Need, State, next_step
from shipit.web.answers import AdviceAnswer, NeedAnswer, WayAnswer


def advice_answer(found: Advised, *, sees_addresses: bool) -> AdviceAnswer:
    """The answer about one search; addresses of authors only for those who may see such."""
    advice = found.advice
    if advice is None:
        reason = found.reason or "nothing could be looked for"
        return AdviceAnswer(
            next_step=f"Ask the author for a patch rebased on {found.train}: {reason}.",
            reason=reason,
            verified=False,
            is_series=False,
            prerequisites=[],
            unverified=[],
            neighbours_only=False,
            keep_both=[],
            in_the_way=[],
            searched_at=found.searched_at,
            took_ms=found.took_ms,
            engine=found.engine,
        )
    return AdviceAnswer(
        next_step=next_step(found.train, advice, found.needs),
        reason=advice.reason,
        verified=advice.verified,
        is_series=len(advice.prerequisites) > SERIES,
        prerequisites=_needed(advice.prerequisites, found.needs, sees_addresses),
        unverified=_needed(advice.unverified, found.seeming, sees_addresses),
        neighbours_only=advice.neighbours_only,
        keep_both=list(advice.keep_both),
        in_the_way=[
            WayAnswer(
                revision=one.revision,
                bug=one.bug,
                subject=one.subject,
                path=one.path,
                author=_author(one.author, sees_addresses),
                how=one.how,
            )
            for one in advice.in_the_way
        ],
        searched_at=found.searched_at,
        took_ms=found.took_ms,
        engine=found.engine,
    )


def _needed(listed: Sequence[Prerequisite], needs: Sequence[Need], sees_addresses: bool) -> list[NeedAnswer]:
    stands = {need.revision: need for need in needs}
    found = []
    for one in listed:
        need = stands.get(one.revision)
        found.append(
            NeedAnswer(
                revision=one.revision,
                bug=one.bug,
                subject=one.subject,
                lines=one.lines,
                files=one.files,
                author=_author(one.author, sees_addresses),
                state=need.state if need is not None else State.UNASKED,
                request=need.request if need is not None else None,
            )
        )
    return found


def _author(author: str, sees_addresses: bool) -> str:
    """Name and address, or the name alone (of one without a name, what stands before the @)."""
    if sees_addresses:
        return author
    name, _, rest = author.partition("<")
    return name.strip() or rest.partition("@")[0]
