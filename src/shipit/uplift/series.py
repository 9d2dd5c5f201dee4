# SPDX-License-Identifier: MPL-2.0
"""Which patches a request means, in landing order: flagged revisions, landings, raw attachments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shipit.trains.types import Train
from shipit.uplift.flags import readings
from shipit.uplift.landing_comments import PATTERNS, LandingPattern
from shipit.uplift.landings import Landed, hashes_of
from shipit.uplift.types import Attachment, Bug, PatchRef, PatchSource, Revision

STACK_MAX = 200


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How this installation spells things.

    revision_file: expression for the name of an attachment that stands for a revision, its number as group 1.
    revision_url: address of a revision with "{}" for its number, None when unknown. kind: the clone's kind.
    """

    revision_file: str = r"phabricator-D(\d{1,9})-url\.txt"
    revision_type: str = "text/x-phabricator-request"
    revision_url: str | None = None
    kind: str = "git"
    patterns: tuple[LandingPattern, ...] = PATTERNS


RULES = Rules()


class Wants(msgspec.Struct, frozen=True):
    """What has to be fetched before a bug's requests can be read.

    revisions: numbers of Phabricator revisions (then `missing_parents` of what came back).
    hashes: commit hashes to map to the clone's kind. attachments: raw patches whose data a trial may need.
    """

    revisions: frozenset[int] = frozenset()
    hashes: frozenset[str] = frozenset()
    attachments: frozenset[int] = frozenset()


class Series(msgspec.Struct, frozen=True):
    """Patches in landing order, and why there is nothing, or not everything, to try."""

    patches: tuple[PatchRef, ...]
    reason: str | None = None


def wants(bug: Bug, trains: Iterable[Train], rules: Rules = RULES) -> Wants:
    """What to fetch for a bug: nothing when no train's flag was ever on it."""
    carriers = {
        one.attachment
        for train in trains
        if train.approval_flag
        for one in readings(bug, train.approval_flag)
    }
    if not carriers:
        return Wants()
    carrying = [one for one in bug.attachments if one.id in carriers]
    revisions = {number for one in carrying if (number := revision_number(one, rules)) is not None}
    raw = {one.id for one in carrying if one.is_patch and revision_number(one, rules) is None}
    hashes = hashes_of(bug, rules.patterns, kind=rules.kind)
    return Wants(frozenset(revisions), hashes, frozenset(raw))


def revision_number(attachment: Attachment, rules: Rules = RULES) -> int | None:
    """The revision an attachment stands for, None when it is a patch or anything else."""
    match = re.fullmatch(rules.revision_file, attachment.file_name)
    if match:
        return int(match[1])
    if attachment.content_type != rules.revision_type:
        return None
    # Some recordings give no file name; the summary may still begin with the number.
    named = re.match(r"\s*D(\d{1,9})\b", attachment.summary) or re.match(
        r"phabricator-D(\d{1,9})", attachment.file_name
    )
    return int(named[1]) if named else None


def is_for_train(revision: Revision, train: Train) -> bool:
    """Whether a revision was made for the train's branch rather than for main."""
    if not revision.repository:
        return False
    name = revision.repository.lower()
    spelled = {f"{train.repository}-{train.branch}", f"{train.repository}-{train.name}"}
    return name in {one.lower() for one in spelled} or name.endswith((f"-{train.name}", f"-{train.branch}"))


def stack_of(numbers: Iterable[int], revisions: Mapping[int, Revision]) -> tuple[int, ...]:
    """The revisions and all they are stacked on, parents first; abandoned ones are passed through.

    Parents that have landed (published) are left out unless they are asked for. Cycles end.
    """
    asked = sorted(set(numbers))
    order: list[int] = []
    seen: set[int] = set()
    for number in asked:
        stack: list[tuple[int, bool]] = [(number, False)]
        while stack and len(order) < STACK_MAX:
            current, is_left = stack.pop()
            if is_left:
                order.append(current)
                continue
            if current in seen:
                continue
            seen.add(current)
            known = revisions.get(current)
            is_done = known is not None and known.status == "published" and current not in asked
            if is_done:
                continue
            if known is None or known.status != "abandoned":
                stack.append((current, True))
            if known is not None:
                stack += [(parent, False) for parent in sorted(known.parents, reverse=True)]
    return tuple(order)


def of_revisions(
    carried: Mapping[int, int | None],
    revisions: Mapping[int, Revision],
    *,
    bug: Bug,
    train: Train,
    landed: Sequence[Landed],
    is_only_set: bool,
    rules: Rules = RULES,
) -> Series:
    """The series of flagged revisions. carried: revision number → attachment that carries the flag.

    A revision that has landed on main and was not rebased for the train is tried as the commit it became.
    """
    alive = [
        number for number in carried if (one := revisions.get(number)) is None or one.status != "abandoned"
    ]
    if not alive:
        names = ", ".join(f"D{number}" for number in sorted(carried))
        if landed:
            return of_landings(landed)
        return Series((), f"{names} {'is' if len(carried) == 1 else 'are'} abandoned")
    known = [revisions[number] for number in alive if number in revisions]
    if len(known) == len(alive) and all(
        one.status == "published" and not is_for_train(one, train) for one in known
    ):
        became = _became(known, landed, is_only_set=is_only_set)
        if became:
            return of_landings(became)
    patches = tuple(
        _of_revision(number, revisions.get(number), carried.get(number), bug, rules)
        for number in stack_of(alive, revisions)
    )
    return Series(patches, _reason(patches))


def of_landings(landed: Sequence[Landed]) -> Series:
    """The series of commits that stand on main, in the clone's order."""
    patches = tuple(
        PatchRef(
            source=PatchSource.COMMIT,
            name=one.sha,
            version=one.sha,
            url=one.url,
            title=one.subject,
            missing=one.missing,
        )
        for one in landed
    )
    return Series(patches, _reason(patches))


def of_attachments(
    attachments: Sequence[Attachment], landed: Sequence[Landed], *, is_only_set: bool
) -> Series:
    """The series of flagged attachments that are no revisions: what landed, else the patches themselves."""
    mine = landed if is_only_set else [one for one in landed if _is_titled(one, attachments)]
    if mine:
        return of_landings(mine)
    raw = [one for one in sorted(attachments, key=lambda one: one.id) if one.is_patch]
    if raw:
        return Series(tuple(_of_attachment(one) for one in raw))
    if landed:
        series = of_landings(landed)
        return Series(series.patches, "nobody says which of the bug's landings this request means")
    if not attachments:
        return Series((), "the flag is on the bug itself and nothing of it has landed on main")
    names = ", ".join(f"attachment {one.id}" for one in attachments)
    return Series((), f"no patch yet: {names} holds none and nothing of the bug has landed on main")


def _became(known: Sequence[Revision], landed: Sequence[Landed], *, is_only_set: bool) -> list[Landed]:
    in_clone = [one for one in landed if one.is_known]
    numbers = {one.id for one in known}
    named = [one for one in in_clone if one.revision in numbers]
    if {one.revision for one in named} == numbers:
        return named
    if named or any(one.revision is not None for one in in_clone):
        return []
    return in_clone if is_only_set else []


def _of_revision(
    number: int, revision: Revision | None, attachment: int | None, bug: Bug, rules: Rules
) -> PatchRef:
    url = rules.revision_url.format(number) if rules.revision_url else None
    if revision is None:
        return PatchRef(
            source=PatchSource.REVISION,
            name=f"D{number}",
            version="unknown",
            url=url,
            attachment=attachment,
            missing=f"Phabricator does not show us D{number}",
        )
    is_shown = revision.is_public or bug.is_restricted
    return PatchRef(
        source=PatchSource.REVISION,
        name=f"D{number}",
        version="none" if revision.diff is None else str(revision.diff),
        base=revision.base,
        url=url,
        title=revision.title if is_shown else None,
        attachment=attachment,
        missing=f"D{number} has no diff yet" if revision.diff is None else None,
    )


def _of_attachment(attachment: Attachment) -> PatchRef:
    return PatchRef(
        source=PatchSource.ATTACHMENT,
        name=f"attachment {attachment.id}",
        version=str(attachment.id),
        title=attachment.summary or None,
        attachment=attachment.id,
    )


def _reason(patches: Sequence[PatchRef]) -> str | None:
    missing = [one.missing for one in patches if one.missing]
    if not missing:
        return None
    return "; ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")


def _is_titled(landed: Landed, attachments: Sequence[Attachment]) -> bool:
    subject = _title(landed.subject or "")
    titles = [_title(one.summary) for one in attachments]
    return any(len(title) >= 12 and (title in subject or subject == title) for title in titles)


def _title(text: str) -> str:
    plain = re.sub(r"\bbug\s{0,3}\d{1,9}\b|\b(?:r|a|sr|ui-r)[=?!]\S{1,200}", " ", text[:500].lower())
    return " ".join(re.sub(r"\W+", " ", plain).split())
