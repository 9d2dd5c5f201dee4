# SPDX-License-Identifier: MPL-2.0
"""From the original bot's words to our report; pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shipit.errors import InvalidInput
from shipit.storage.compat import Analysis
from shipit.uplift.report import BugReport, Contributor, RequestReport
from shipit.uplift.round_plan import series_digest
from shipit.uplift.types import Flag, Form, PatchRef, PatchSource, Request, RequestState
from shipit.web.compat.shapes import (
    BugBody,
)
from shipit.web.problems import WrongShape

_STATES = {"?": RequestState.REQUESTED, "+": RequestState.APPROVED, "-": RequestState.REJECTED}


def bug_report(
    body: BugBody, analyses: Mapping[int, Analysis], uids: Mapping[str, str], *, now: datetime
) -> BugReport:
    """What the original bot sent, as our report. uids: train → uid of the request that is open there already.

    Raises WrongShape.
    """
    said, bug = body.payload.analysis, body.payload.bug
    unknown = [number for number in body.analysis if number not in analyses]
    if unknown:
        raise WrongShape("analysis", expected="ids of GET /analysis", got=unknown)
    comment = said.get("uplift_comment")
    if not isinstance(comment, dict):
        raise WrongShape("payload.analysis.uplift_comment", expected="the comment that asks for the uplift")
    try:
        return BugReport(
            bug=body.bugzilla_id,
            summary=_text(bug, "summary"),
            product=_text(bug, "product"),
            component=_text(bug, "component"),
            status=_text(bug, "status"),
            resolution=_text(bug, "resolution"),
            severity=_text(bug, "severity"),
            priority=_text(bug, "priority"),
            keywords=_texts(bug.get("keywords")),
            groups=_texts(bug.get("groups")),
            is_restricted=bool(bug.get("groups")),
            fields={key: str(value) for key, value in bug.items() if key.startswith("cf_")},
            flags=tuple(_flag(each) for each in bug.get("flags") or () if isinstance(each, dict)),
            url=body.payload.url,
            changed=_when(bug.get("last_change_time")) or now,
            read_at=now,
            source="compat/uplift",
            digest=body.payload_hash or hashlib.sha256(msgspec.json.encode(body.payload)).hexdigest(),
            contributors=_people(body.payload.users),
            landings=_told_landings(said.get("landings")),
            analysis={"compat": said},
            requests=_requests(body, analyses, uids, comment),
        )
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise WrongShape("payload", expected=f"what the uplift bot sends ({str(error)[:120]})") from error


def _requests(
    body: BugBody, analyses: Mapping[int, Analysis], uids: Mapping[str, str], comment: Mapping[str, Any]
) -> tuple[RequestReport, ...]:
    flags = {each.approval_flag: each for number, each in analyses.items() if number in body.analysis}
    series = _series(body.payload.analysis.get("patches"))
    author = comment.get("author")
    form = Form(
        comment=comment["id"] if isinstance(comment.get("id"), int) else None,
        author=author if isinstance(author, str) else None,
        time=_when(comment.get("time")),
        generation="compat",
        train_hint=None,
        answers=(),
        raw=str(comment.get("text") or comment.get("html") or ""),
        is_parsed=False,
    )
    found: dict[str, RequestReport] = {}
    for version in body.payload.versions.values():
        train = flags.get(version.get("name"))
        state = _STATES.get(str(version.get("status")))
        if train is None or state is None:
            continue
        uid = uids.get(train.name, f"{body.bugzilla_id}-{train.name}-compat")
        request = Request(
            uid=uid,
            bug=body.bugzilla_id,
            train=train.name,
            state=state,
            attachments=tuple(int(each) for each in version.get("attachments") or ()),
            series=series,
            series_reason=None if series else "the old bot named no patch",
            form=form,
        )
        # The same flag may be there as "?" and as "+" on two attachments: what is still asked counts.
        if uid not in found or state is RequestState.REQUESTED:
            found[uid] = RequestReport(
                request=request, target_major=train.major, series_digest=series_digest(request)
            )
    return tuple(found.values())


def _series(patches: Any) -> tuple[PatchRef, ...]:
    if not isinstance(patches, dict):
        return ()
    return tuple(
        PatchRef(
            source=PatchSource.COMMIT if patch.get("source") == "mercurial" else PatchSource.ATTACHMENT,
            name=str(name),
            version=str(name),
            url=patch.get("url") if isinstance(patch.get("url"), str) else None,
        )
        for name, patch in patches.items()
        if isinstance(patch, dict)
    )


def _people(users: Mapping[str, Any]) -> tuple[Contributor, ...]:
    roles: dict[str, tuple[str, list[str]]] = {}
    for role, given in users.items():
        for each in given if isinstance(given, list) else [given]:
            if isinstance(each, dict) and isinstance(each.get("email"), str):
                name = str(each.get("real_name") or each.get("name") or "")
                roles.setdefault(each["email"], (name, []))[1].append(role.removesuffix("s"))
    return tuple(Contributor(email=email, name=name, roles=tuple(of)) for email, (name, of) in roles.items())


def _flag(flag: Mapping[str, Any]) -> Flag:
    return Flag(
        id=int(flag.get("id") or 0),
        name=str(flag.get("name")),
        status=str(flag.get("status")),
        setter=str(flag.get("setter") or ""),
    )


def _told_landings(landings: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(landings, dict):
        return ()
    return tuple({"train": str(channel), "at": at, "commits": []} for channel, at in landings.items())


def _text(bug: Mapping[str, Any], key: str) -> str:
    value = bug.get(key)
    return value if isinstance(value, str) else ""


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in values) if isinstance(values, list) else ()


def _when(value: Any) -> datetime | None:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[T ]", value):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidInput("time", expected="an ISO 8601 time", got=value) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
