# SPDX-License-Identifier: MPL-2.0
"""From our rows to the original's words; pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from shipit.merge.types import Outcome, PatchResult
from shipit.storage.compat import Analysis, BranchTrial, OpenRequest, WholeBug
from shipit.uplift.types import PatchSource, RequestState
from shipit.web.compat.shapes import (
    OldAnalysis,
    OldBug,
    OldContributor,
    OldPatch,
    OldUplift,
    OldVersion,
    PatchRow,
    Status,
)

ENGINE = "compat/uplift group"
_MARKS = {RequestState.REQUESTED: "?", RequestState.APPROVED: "+", RequestState.REJECTED: "-"}
_ROLES = {"author": "uplift_author", "uplift requester": "uplift_author", "requester": "uplift_author"}
# Only a clean trial is true and only a proven conflict false; all else is not known, and so absent.
_MERGES = {Outcome.CLEAN: True, Outcome.CONFLICT: False}
_STATUSES = {
    Outcome.CLEAN: Status.MERGED,
    Outcome.LANDED: Status.MERGED,
    Outcome.EMPTY: Status.MERGED,
    Outcome.CONFLICT: Status.FAILED,
}
_OUTCOMES = {
    Status.MERGED: Outcome.CLEAN,
    Status.FAILED: Outcome.CONFLICT,
    Status.SKIPPED: Outcome.SKIPPED,
}
_SOURCES = {
    PatchSource.COMMIT: "mercurial",
    PatchSource.REVISION: "phabricator",
    PatchSource.ATTACHMENT: "attachment",
}


def analysis_json(analysis: Analysis, bugs: list[OldBug]) -> OldAnalysis:
    """A train as the original's analysis."""
    return OldAnalysis(
        id=analysis.number,
        name=analysis.name,
        version=analysis.major,
        count=analysis.count,
        parameters=analysis.approval_flag or "",
        bugs=bugs,
    )


def bug_json(bug: WholeBug, *, see_private: bool, see_addresses: bool) -> OldBug:
    """A bug as the original answered it."""
    form = next((each.form for each in bug.requests if each.form is not None), None)
    sizes = _sizes(bug.facts.get("analysis"))
    patches = _patches(bug.requests, sizes)
    return OldBug(
        id=bug.id,
        bugzilla_id=bug.id,
        url=str(bug.facts.get("url") or ""),
        summary=bug.summary,
        keywords=bug.keywords,
        product=bug.product,
        component=bug.component,
        status=bug.status,
        flags_status=_fields(bug.fields, "cf_status_"),
        flags_tracking=_fields(bug.fields, "cf_tracking_"),
        flags_generic={flag.name: flag.status for flag in bug.flags},
        contributors=_contributors(bug, see_private=see_private, see_addresses=see_addresses),
        changes_size=sum(each.changes_size for each in patches.values()),
        uplift=None if form is None else OldUplift(id=form.comment, comment=_html(form.raw)),
        patches=patches,
        landings=_landings(bug.facts.get("landings")),
        versions=_versions(bug.requests),
    )


def patch_rows(trials: list[BranchTrial]) -> list[PatchRow]:
    """Each patch of each trial, oldest first."""
    return [
        PatchRow(
            id=number,
            group=_group(trial.engine),
            revision=patch.revision,
            revision_parent=trial.tip,
            branch=trial.branch,
            status=_STATUSES.get(patch.outcome, Status.SKIPPED),
            message=patch.reason,
            created=trial.tried_at,
        )
        for number, (trial, patch) in enumerate(
            ((trial, patch) for trial in trials for patch in trial.patches), start=1
        )
    ]


def with_patch(
    before: tuple[PatchResult, ...], revision: str, status: Status, message: str | None
) -> list[PatchResult]:
    """The results on a tip with that of one more patch; a patch told again is replaced."""
    new = PatchResult(revision, _OUTCOMES[status], None, (), message)
    if any(each.revision == revision for each in before):
        return [new if each.revision == revision else each for each in before]
    return [*before, new]


def _fields(fields: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in fields.items() if key.startswith(prefix)}


def _contributors(bug: WholeBug, *, see_private: bool, see_addresses: bool) -> list[OldContributor]:
    found = []
    for each in bug.facts.get("contributors") or ():
        noted = bug.people.get(each["email"])
        if noted is None:
            continue
        roles = tuple(dict.fromkeys(_ROLES.get(role, role) for role in each["roles"]))
        found.append(
            OldContributor(
                id=noted.id,
                email=each["email"] if see_addresses else each["email"].partition("@")[0],
                name=noted.name,
                avatar=noted.avatar,
                karma=noted.karma if see_addresses else 0,
                comment_public=noted.comment_public if see_addresses else "",
                roles=roles,
                comment_private=noted.comment_private if see_private else None,
            )
        )
    return found


def _patches(requests: list[OpenRequest], sizes: Mapping[str, dict[str, Any]]) -> dict[str, OldPatch]:
    found: dict[str, OldPatch] = {}
    merges: dict[str, dict[str, bool]] = {}
    for request in requests:
        for result in request.newest or ():
            if result.outcome in _MERGES:
                merges.setdefault(result.revision, {})[request.branch] = _MERGES[result.outcome]
    for patch in (patch for request in requests for patch in request.series):
        size = sizes.get(patch.name, {})
        added, deleted = int(size.get("added", 0)), int(size.get("deleted", 0))
        found[patch.name] = OldPatch(
            source=_SOURCES[patch.source],
            url=patch.url,
            languages=[str(each) for each in size.get("languages", ())],
            changes_add=added,
            changes_del=deleted,
            changes_size=added + deleted,
            merge=merges.get(patch.name, {}),
        )
    return found


def _sizes(analysis: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(analysis, dict):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for patch in analysis.get("patches") or ():
        files = [each for each in patch.get("files") or () if isinstance(each, dict)]
        found[str(patch.get("name"))] = {
            "added": sum(int(each.get("added", 0)) for each in files),
            "deleted": sum(int(each.get("deleted", 0)) for each in files),
            "languages": patch.get("languages") or (),
        }
    told = analysis.get("compat")
    patches = told.get("patches") if isinstance(told, dict) else None
    for name, patch in patches.items() if isinstance(patches, dict) else ():
        if isinstance(patch, dict):
            found[str(name)] = {
                "added": _count(patch, "changes_add"),
                "deleted": _count(patch, "changes_del"),
                "languages": patch.get("languages") or (),
            }
    return found


def _count(patch: Mapping[str, Any], key: str) -> int:
    value = patch.get(key)
    return value if isinstance(value, int) else 0


def _landings(landings: Any) -> dict[str, Any]:
    return {
        str(each["train"]): each.get("at") or each.get("date")
        for each in landings or ()
        if isinstance(each, dict) and each.get("train") is not None
    }


def _versions(requests: list[OpenRequest]) -> dict[str, OldVersion]:
    found: dict[str, OldVersion] = {}
    for request in requests:
        mark = _MARKS.get(request.state)
        if mark is None or request.flag is None:
            continue
        key = f"{request.train} {mark}"
        attachments = [str(each) for each in request.attachments]
        # One entry for each status: deciding one attachment leaves the others where they were.
        if key in found:
            attachments = list(dict.fromkeys([*found[key].attachments, *attachments]))
        found[key] = OldVersion(name=request.flag, attachments=attachments, status=mark)
    return found


def _html(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _group(engine: str) -> int:
    number = engine.removeprefix(ENGINE).strip()
    return int(number) if engine.startswith(ENGINE) and number.isdigit() else 0
