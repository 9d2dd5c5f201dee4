# SPDX-License-Identifier: MPL-2.0
"""Policies: distinct persons to slots; the original's defects; agreement with brute force."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipit.errors import InvalidInput
from shipit.signoff.policy import Signer, eligible, helps, judge, policy_problems, read, sentence

GROUPS = ("releng", "relman", "qa")
PEOPLE = ("a@x", "b@x", "c@x", "d@x", "e@x")


def signer(person: str, *groups: str) -> Signer:
    return Signer(person, frozenset(groups))


def test_s2_one_person_who_signs_twice_counts_once() -> None:
    policy = read([{"releng": 2}])
    ann = signer("a@x", "releng")
    assert not judge(policy, [ann, ann]).is_met
    assert not helps(policy, [ann], ann)
    assert judge(policy, [ann, signer("b@x", "releng")]).is_met


def test_s3_two_of_one_group_meet_the_second_list_without_harm() -> None:
    policy = read([{"releng": 1, "relman": 1}, {"releng": 2}])
    two = [signer("a@x", "releng"), signer("b@x", "releng")]
    assert judge(policy, two).is_met
    assert judge(policy, [*two, signer("c@x", "releng")]).is_met


def test_s4_a_person_fills_one_slot_only_their_own_or_their_groups() -> None:
    policy = read([{"releng": 1, "a@x": 1}])
    assert not judge(policy, [signer("a@x", "releng")]).is_met
    assert judge(policy, [signer("a@x", "releng"), signer("b@x", "releng")]).is_met
    assert judge(policy, [signer("b@x", "releng"), signer("a@x")]).is_met, "a named person needs no group"


@pytest.mark.parametrize(
    "policy",
    [
        [],
        [{}],
        [{"releng": 0}],
        [{"releng": -1}],
        [{"releng": True}],
        {},
        None,
        [{"": 1}],
        [{"a@x": 2}],
        ["releng"],
    ],
)
def test_s5_a_policy_that_nobody_or_everybody_meets_is_refused(policy: object) -> None:
    assert policy_problems(policy)
    with pytest.raises(InvalidInput):
        read(policy)


def test_who_fits_two_slots_takes_the_one_that_leaves_most_met() -> None:
    policy = read([{"relman": 1, "releng": 1}])
    both, one = signer("a@x", "relman", "releng"), signer("b@x", "relman")
    assert judge(policy, [both, one]).is_met and judge(policy, [one, both]).is_met


def test_an_unsatisfiable_policy_says_why() -> None:
    assert "has 1" in policy_problems([{"releng": 2}], {"releng": ["a@x"]})[0].got
    same = policy_problems([{"releng": 1, "relman": 1}], {"releng": ["a@x"], "relman": ["a@x"]})
    assert "twice" in same[0].got
    excluded = policy_problems([{"releng": 1}], {"releng": ["a@x"]}, excluded=frozenset({"a@x"}))
    assert excluded
    assert not policy_problems([{"releng": 1, "unknown": 9}], {"releng": ["a@x"]})


def test_the_sentence_counts_what_is_missing() -> None:
    policy = read([{"releng": 2, "boss@x": 1}, {"relman": 2}])
    assert sentence(policy, [signer("a@x", "relman")]) == (
        "must still be signed by 1 of relman, or by 2 of releng and boss@x"
    )


POLICIES = st.lists(
    st.dictionaries(st.sampled_from((*GROUPS, *PEOPLE)), st.integers(1, 2), min_size=1, max_size=3).map(
        lambda wanted: {name: 1 if "@" in name else count for name, count in wanted.items()}
    ),
    min_size=1,
    max_size=3,
)
SIGNERS = st.dictionaries(st.sampled_from(PEOPLE), st.frozensets(st.sampled_from(GROUPS)), max_size=5).map(
    lambda found: [Signer(person, groups) for person, groups in found.items()]
)


def most_filled(slots: list[str], people: list[Signer]) -> int:
    """How many slots the best assignment fills, by trying all."""
    if not slots:
        return 0
    rest = most_filled(slots[1:], people)
    for place, one in enumerate(people):
        if one.fits(slots[0]):
            rest = max(rest, 1 + most_filled(slots[1:], people[:place] + people[place + 1 :]))
    return rest


@settings(max_examples=200, deadline=None)
@given(POLICIES, SIGNERS)
def test_matching_agrees_with_brute_force(policy: list[dict[str, int]], people: list[Signer]) -> None:
    verdict = judge(read(policy), people)
    for wanted, lacking in zip(policy, verdict.missing, strict=True):
        assert sum(wanted.values()) - len(lacking) == most_filled(
            [name for name, count in wanted.items() for _ in range(count)], people
        )
    assert verdict.is_met == any(not lacking for lacking in verdict.missing)


@settings(max_examples=100, deadline=None)
@given(POLICIES, SIGNERS, SIGNERS)
def test_another_signature_never_undoes_a_met_policy(
    policy: list[dict[str, int]], people: list[Signer], more: list[Signer]
) -> None:
    if judge(read(policy), people).is_met:
        assert judge(read(policy), [*people, *more]).is_met


@pytest.mark.parametrize("boss", ["boss@example.com", "demo/rosa", "mozilla-auth0/ad|Mozilla-LDAP|boss"])
def test_a_slot_for_a_person_is_filled_by_that_person_alone(boss: str) -> None:
    policy = read([{boss: 1}])
    of_all_groups = Signer("eve@example.com", frozenset({boss, "releng"}))
    assert not eligible(policy, of_all_groups)
    assert not judge(policy, [of_all_groups]).is_met
    assert judge(policy, [Signer(boss)]).is_met
    assert policy_problems([{boss: 2}])[0].expected == "1, since a person signs once"
