# SPDX-License-Identifier: MPL-2.0
"""The invented people of the demo, who may log in to it, and what each may do."""

from __future__ import annotations

from shipit.world.taskcluster import FakeTaskcluster
from shipit.world.taskcluster_login import Person

LOGIN_CLIENT = "shipit-demo"
LOGIN_SCOPES = ("project:shipit:*",)

MANAGER = Person(
    "demo/rosa",
    "Rosa, release manager: decides on every train, sees security bugs",
    (
        "project:shipit:user",
        "project:shipit:decide/*",
        "project:shipit:restricted",
        "project:shipit:sign/relman",
    ),
)
TRAINEE = Person(
    "demo/theo",
    "Theo, learning the job: sees security bugs, decides nothing",
    ("project:shipit:user", "project:shipit:restricted"),
)
OBSERVER = Person("demo/olga", "Olga, observer: reads what is not restricted", ("project:shipit:user",))
ENGINEER = Person(
    "demo/enzo",
    "Enzo, release engineer: runs pipelines, signs, replays events",
    (
        "project:shipit:user",
        "project:shipit:pipeline/*",
        "project:shipit:sign/*",
        "project:shipit:events/replay",
    ),
)
ADMIN = Person(
    "demo/ada",
    "Ada, administrator: notes about contributors, locks and stops",
    ("project:shipit:user", "project:shipit:admin"),
)
STRANGER = Person("demo/sid", "Sid, who has no right here at all", ())
PEOPLE = (MANAGER, TRAINEE, OBSERVER, ENGINEER, ADMIN, STRANGER)


def settle(taskcluster: FakeTaskcluster, *, backend_url: str) -> None:
    """Let the people log in to the web service at this URL."""
    for person in PEOPLE:
        taskcluster.logins.add_person(person.identity, person.words, person.scopes)
    callback = f"{backend_url}/login/callback"
    taskcluster.logins.register(LOGIN_CLIENT, (callback,), LOGIN_SCOPES)
