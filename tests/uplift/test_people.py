# SPDX-License-Identifier: MPL-2.0
"""People: every part they had, each person once; what they did, dated; who is to be told."""

from __future__ import annotations

from uplift_builders import CAST, START, bug, trains

from shipit.uplift.analysis import Contributor, Role
from shipit.uplift.people import Did, Undone, concerned, contributors, deeds
from shipit.uplift.requests import requests_of
from shipit.uplift.types import Person

STORY = "attach D1\ndev sets D1 beta?\nrelman sets D1 beta+\ndev sets D1 release?\nrelman sets D1 release-"


def test_everybody_is_there_once_with_every_role() -> None:
    one = bug(STORY)
    people = contributors(
        one,
        requests_of(one, trains("beta", "release")),
        authors=[Person(name="Dev", email="DEV@patches.example")],
        reviewers=[Person(name="peer")],
        others=[Contributor(Person(name="peer"), (Role.AUTHOR,))],
    )
    assert {one.person.name: one.roles for one in people} == {
        "Stranger": (Role.CREATOR,),
        "Dev": (Role.ASSIGNEE, Role.AUTHOR, Role.REQUESTER),
        "peer": (Role.AUTHOR, Role.REVIEWER),
        CAST["relman"]: (Role.APPROVER,),
    }


def test_a_name_is_learned_from_whoever_knows_it() -> None:
    one = bug(STORY, assignee=None)
    people = contributors(
        one,
        requests_of(one, trains("beta")),
        others=[Contributor(Person(name="Rel Man", email=CAST["relman"]), (Role.REVIEWER,))],
    )
    assert "Rel Man" in {one.person.name for one in people} and CAST["relman"] not in {
        p.person.name for p in people
    }


def test_history_is_dated_and_ordered_and_without_judgement() -> None:
    one = bug(STORY)
    found = deeds(
        requests_of(one, trains("beta", "release")),
        landings={"beta": [("dev", "abc", START)]},
        undone=[Undone(commit="abc", author="dev", at=one.changed)],
    )
    assert [(deed.did, deed.train) for deed in found] == [
        (Did.LANDED, "beta"), (Did.REQUESTED, "beta"), (Did.APPROVED, "beta"),
        (Did.REQUESTED, "release"), (Did.BACKED_OUT, None), (Did.REJECTED, "release"),
    ]  # fmt: skip
    assert [deed.at for deed in found] == sorted(deed.at for deed in found)


def test_those_concerned_are_told_once_and_only_where_there_is_an_address() -> None:
    one = bug(STORY)
    (request, _) = requests_of(one, trains("beta", "release"))
    people = [
        Contributor(Person(name="Dev", email="Dev@patches.example"), (Role.AUTHOR, Role.ASSIGNEE)),
        Contributor(Person(name="peer", email="peer@x.example"), (Role.REVIEWER,)),
        Contributor(Person(name="nobody"), (Role.AUTHOR,)),
    ]
    assert concerned(request, people) == ("dev@patches.example",)
