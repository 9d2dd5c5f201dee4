# SPDX-License-Identifier: MPL-2.0
"""The mails of the listener: the report in the original's shape, the alarm of a streak, the all-clear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

SUBJECT = "Pulse listener tasks"
MAX_CONTENT = 102_400
"""Bytes of Markdown that Taskcluster notify takes."""
_STATES = ("failed", "completed", "exception")
_CUT = "\n\n*… {} more, left out because a mail is bounded*"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to send."""

    subject: str
    content: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved task. about: what it was for, e.g. a revision."""

    hook: str
    task_id: str
    state: str
    about: str = ""


def make_report(ended: Sequence[Ended], *, root_url: str) -> Mail | None:
    """The report of a period, None when there is nothing to say: no task, or all completed.

    A hook whose tasks all completed is left out. Each hook's part is cut by itself when the mail would be too
    large, so that none crowds out another.
    """
    hooks: dict[str, dict[str, list[Ended]]] = {}
    for task in ended:
        hooks.setdefault(task.hook, {state: [] for state in _STATES}).setdefault(task.state, []).append(task)
    telling = {
        hook: states
        for hook, states in hooks.items()
        if len(states["completed"]) < sum(len(tasks) for tasks in states.values())
    }
    if not telling:
        return None
    room = MAX_CONTENT // len(telling) - 2
    parts = [_hook(hook, states, root_url, room) for hook, states in telling.items()]
    return Mail(subject=SUBJECT, content="\n\n".join(parts))


def _hook(hook: str, states: Mapping[str, Sequence[Ended]], root_url: str, room: int) -> str:
    total = sum(len(tasks) for tasks in states.values())
    content = f"# {hook} tasks for the last period\n"
    share = (room - len(content.encode())) // len(states)
    for state, tasks in states.items():
        section = (
            f"\n\n## {state}\n\n{100.0 * len(tasks) / total:.2f}% of all tasks ({len(tasks)}/{total})\n\n"
        )
        content += section + _listed(tasks, root_url, share - len(section.encode()))
    return content


def _listed(tasks: Sequence[Ended], root_url: str, room: int) -> str:
    lines = [_line(task, root_url) for task in tasks]
    size = 0
    for place, line in enumerate(lines):
        size += len(line.encode()) + 1
        if size > room - (len(_CUT) + 8 if place + 1 < len(lines) else 0):
            return "\n".join(lines[:place]) + _CUT.format(len(lines) - place)
    return "\n".join(lines)


def _line(task: Ended, root_url: str) -> str:
    link = f"* [{task.task_id}]({root_url.rstrip('/')}/tasks/{quote(task.task_id, safe='')})"
    return f"{link} {_plain(task.about)}" if task.about else link


def make_alarm(route: str, failures: Sequence[Ended], *, root_url: str) -> Mail:
    """The alarm when the tasks of a route fail one after the other."""
    listed = _listed(failures, root_url, 50_000)
    return Mail(
        subject=f"{route}: {len(failures)} tasks failed in a row",
        content=f"# {route}: {len(failures)} tasks failed in a row\n\n{listed}\n",
    )


def make_all_clear(route: str, *, since: str) -> Mail:
    """The notice that a route works again."""
    return Mail(
        subject=f"{route} works again",
        content=f"A task of **{_plain(route)}** completed; it failed since {since}.\n",
    )


def make_notice(what: str, detail: str) -> Mail:
    """A notice about the listener itself: a dead consumer, a queue too deep, something in quarantine."""
    return Mail(subject=_plain(what)[:200], content=f"# {_plain(what)}\n\n{_plain(detail)[:20_000]}\n")


def _plain(text: str) -> str:
    """Text of others without power over the Markdown around it."""
    return "".join("\\" + letter if letter in "\\`*_[]<>#|" else letter for letter in text.replace("\n", " "))
