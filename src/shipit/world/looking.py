# SPDX-License-Identifier: MPL-2.0
"""Pages for people in the fake services, so that links of Ship It lead somewhere; what all may see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from shipit.world.phabricator import FakePhabricator
    from shipit.world.task_groups import FakeTaskGroups


def task_pages(fake: FakeTaskGroups) -> list[web.RouteDef]:
    """The pages of a task and of a task group, at the addresses of the real ones."""

    async def task(request: web.Request) -> web.Response:
        name = request.match_info["task"]
        if name in fake.tasks:
            fired = next((each for each in fake.fired if each.task == name), None)
            sent = {"hook": f"{fired.group}/{fired.hook}", **fired.payload} if fired else {}
            reason = {"reason": fake.reasons[name]} if name in fake.reasons else {}
            return page(f"Task {name}", {"state": fake.tasks[name], **reason, **sent})
        for group, rows in fake.groups.items():
            for row in rows:
                if row["status"]["taskId"] == name:
                    return page(f"Task {name}", {"group": group, **row["status"], **row["task"]})
        return missing("a task")

    async def group(request: web.Request) -> web.Response:
        name = request.match_info["group"]
        rows = fake.groups.get(name)
        if rows is None:
            return missing("a task group")
        told = {
            row["status"]["taskId"]: f"{row['task']['metadata'].get('name', '')}: {row['status']['state']}"
            for row in rows
        }
        return page(f"Task group {name}", told)

    return [web.get("/tasks/groups/{group}", group), web.get("/tasks/{task}", task)]


def review_pages(fake: FakePhabricator) -> list[web.RouteDef]:
    """The pages of a revision and of a diff, of those that everybody may see."""

    async def revision(request: web.Request) -> web.Response:
        found = fake.revisions.get(int(request.match_info["number"]))
        if found is None or found.view != "public":
            return missing("a revision that all may see")
        diffs = ", ".join(str(each.id) for each in found.diffs)
        facts = {"status": found.status, "bug": found.bug, "diffs": diffs}
        return page(f"D{found.id}: {found.title}", facts, found.diffs[-1].text if found.diffs else "")

    async def diff(request: web.Request) -> web.Response:
        found = fake.diffs.get(int(request.match_info["number"]))
        holder = next((one for one in fake.revisions.values() if found and one.phid == found.revision), None)
        if found is None or holder is None or holder.view != "public":
            return missing("a diff that all may see")
        return page(f"Diff {found.id} of D{holder.id}: {holder.title}", {"base": found.base}, found.text)

    number = "{number:[0-9]{1,18}}"
    return [web.get(f"/D{number}", revision), web.get(f"/differential/diff/{number}/", diff)]


def page(title: str, facts: Mapping[str, Any], text: str = "") -> web.Response:
    """A page of facts, and of a text."""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(_spelled(value))}</td></tr>" for name, value in facts.items()
    )
    return web.Response(
        text='<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<title>{escape(title)}</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>body{font:16px system-ui;max-width:60rem;margin:3rem auto;padding:0 1rem}"
        "th{text-align:left;vertical-align:top;padding-right:1rem}pre{overflow:auto}</style></head><body>"
        f"<p>This service is a fake; its data is invented.</p><h1>{escape(title)}</h1>"
        f"<table>{rows}</table><pre>{escape(text)}</pre></body></html>",
        content_type="text/html",
    )


def missing(what: str) -> web.Response:
    """Why there is nothing to look at."""
    response = page(f"There is no {what.removeprefix('a ')} here", {})
    response.set_status(404)
    return response


def _spelled(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1, default=str)
