# SPDX-License-Identifier: MPL-2.0
"""Real recorded bugs through a whole round: every request that their flags hold, and no other."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from fixtures_bot import Scene, rule
from shipit.bot.rounds import run_round
from shipit.world.bugzilla_state import NOBODY, Attachment, Bug, Change, Comment, Flag, State

STATES = {"?": "requested", "+": "approved", "-": "rejected"}
TRAINS = ("beta", "release", "aurora", "esr45")


def when(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def remember(state: State, row: dict[str, Any]) -> None:
    """Let the fake Bugzilla remember a bug as the real one told it."""
    made = Bug(
        id=row["id"],
        creator=row["creator"],
        created=when(row["creation_time"]),
        changed=when(row["last_change_time"]),
        values={
            name: row.get(name) or ""
            for name in ("summary", "resolution", "priority", "severity", "whiteboard", "type", "product")
        }
        | {"component": row["component"]},
        custom={},
        assignee=row["assigned_to"],
        status=row["status"],
    )
    made.lists["keywords"] = list(row["keywords"])
    for one in row.get("attachments") or []:
        kept = Attachment(
            id=one["id"],
            bug=row["id"],
            creator=one.get("creator", NOBODY),
            file_name=one.get("file_name") or "",
            summary=one.get("summary") or "",
            content_type=one["content_type"],
            data=b"",
            created=when(one["creation_time"]),
            changed=when(one["creation_time"]),
            is_patch=bool(one["is_patch"]),
            is_obsolete=bool(one.get("is_obsolete")),
        )
        for flag in one.get("flags") or []:
            kind = state.flag_types.get(flag["name"])
            if kind is not None:
                dates = when(flag["creation_date"]), when(flag["modification_date"])
                kept.flags.append(Flag(flag["id"], kind, flag["status"], flag["setter"], None, *dates))
        made.attachments.append(kept)
        state.attachments[kept.id] = kept
    for place, one in enumerate(row["comments"]):
        made.comments.append(
            Comment(
                one["id"],
                place,
                one.get("author", NOBODY),
                when(one["creation_time"]),
                one["text"],
                one["text"],
                attachment=one.get("attachment_id"),
            )
        )
    for entry in row["history"]:
        made.history += [
            Change(
                when(entry["when"]),
                entry["who"],
                change["field_name"],
                change["removed"],
                change["added"],
                change.get("attachment_id"),
            )
            for change in entry["changes"]
        ]
    state.bugs[made.id] = made


async def test_recorded_bugs_give_exactly_the_requests_of_their_flags(scene: Scene, shared: Path) -> None:
    bugzilla = scene.world.bugzilla
    for train in TRAINS:
        if f"approval-mozilla-{train}" not in bugzilla.state.flag_types:
            bugzilla.add_approval(train)
    lines = (shared / "data/bugzilla/bugs-full.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    logins = {row["creator"] for row in rows} | {row["assigned_to"] for row in rows}
    logins |= {comment.get("author", NOBODY) for row in rows for comment in row["comments"]}
    logins |= {one.get("creator", NOBODY) for row in rows for one in row.get("attachments") or []}
    logins |= {
        f["setter"] for row in rows for one in row.get("attachments") or [] for f in one.get("flags") or []
    }
    logins |= {entry["who"] for row in rows for entry in row["history"]}
    for login in sorted(logins - bugzilla.state.users.keys()):
        bugzilla.add_user(login, login)
    for row in rows:
        remember(bugzilla.state, row)
    expected = {
        (row["id"], flag["name"].removeprefix("approval-mozilla-"), STATES[flag["status"]])
        for row in rows
        for one in row.get("attachments") or []
        if not one.get("is_obsolete")
        for flag in one.get("flags") or []
        if flag["name"].removeprefix("approval-mozilla-") in TRAINS
    }
    assert len(expected) == 9, "what the recordings hold"

    byhand = {"beta": "48.0b3", "release": "47.0", "aurora": "49.0a2", "esr45": "45.2.0esr"}
    rules = tuple(
        msgspec.structs.replace(rule(name), version=version, channel=None) for name, version in byhand.items()
    )
    wide = msgspec.structs.replace(scene.settings.bugzilla, decided_days=36_500)
    async with scene.another_bot(trains=rules, bugzilla=wide) as doors:
        result = await run_round(doors)
        again = await run_round(doors)
    found = scene.rows("select bug, train, state from requests where closed_at is null")
    assert set(found) == expected
    assert Counter(train for _, train, _ in found) == Counter(train for _, train, _ in expected)
    assert result.requests == len(found)
    assert not [one for one in result.errors if "understood" in one.reason]
    assert (again.requests, again.skipped_unchanged) == (result.requests, result.bugs)
