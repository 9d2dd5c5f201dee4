# SPDX-License-Identifier: MPL-2.0
"""What a round hands to its readers: how a repository spells its landings, and who may be behind a nick."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shipit.bot.analysing import addresses_of, people_of
from shipit.bot.lore import rules_for
from shipit.settings import Phabricator, Repository, Settings
from shipit.uplift.landing_comments import PATTERNS
from shipit.uplift.landings import CommitFact
from shipit.uplift.types import Bug, Person

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
SETTINGS = Settings(
    phabricator=Phabricator(url="https://phab.example/"),
    repositories=(
        Repository(name="one", url="/one", landing_urls=("https://code.example/one/+/",)),
        Repository(name="other", url="/other", kind="hg", landing_urls=("https://hg.example/other/rev/",)),
    ),
)


def test_each_repository_is_read_by_its_own_rules() -> None:
    one, other = rules_for(SETTINGS, "one"), rules_for(SETTINGS, "other")
    assert (one.kind, other.kind) == ("git", "hg")
    assert one.revision_url == other.revision_url == "https://phab.example/D{}"
    assert one.patterns[1:] == other.patterns[1:] == PATTERNS
    found = re.search(one.patterns[0].url, "see https://code.example/one/+/0123456789ab for it")
    assert found is not None
    assert found["sha"] == "0123456789ab"
    assert re.search(one.patterns[0].url, "https://codeXexample/one/+/0123456789ab") is None, "dots are dots"
    assert (one.patterns[0].kind, other.patterns[0].kind) == ("git", "hg")


def test_nicks_lead_to_addresses() -> None:
    people = (
        Person(name="Mira Anand [:mira]", email="mira@people.example"),
        Person(name="Jonas (:JFalk, UTC+1)", email="jonas@people.example"),
        Person(name="Ines", email="ines@people.example", nick="ines"),
        Person(name="Nobody [:hidden]"),
    )
    assert addresses_of(people) == {
        "mira": "mira@people.example",
        "jfalk": "jonas@people.example",
        "ines": "ines@people.example",
    }


def test_people_are_the_bugs_own_and_the_commits_authors() -> None:
    bug = Bug(
        id=1,
        summary="s",
        product="p",
        component="c",
        status="NEW",
        creator=Person(name="Mira", email="mira@people.example"),
        assignee=Person(name="hidden"),
        changed=NOW,
        read_at=NOW,
    )
    commits = [
        CommitFact(sha="a" * 40, subject="s", author=author, date=NOW)
        for author in ("Jonas Falk [:jfalk] <jonas@people.example>", "MIRA <Mira@people.example>", "nobody")
    ]
    assert people_of(bug, commits) == (
        Person(name="Mira", email="mira@people.example"),
        Person(name="Jonas Falk [:jfalk]", email="jonas@people.example"),
    )
