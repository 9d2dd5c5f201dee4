# SPDX-License-Identifier: MPL-2.0
"""Requests per bug, train and patch set; which patches they mean; names that last."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uplift_builders import (
    BUG,
    attachment_id,
    bug,
    commit,
    git,
    hg,
    recorded_bugs,
    revision,
    revisions,
    train,
    trains,
)

from shipit.uplift.requests import requests_of
from shipit.uplift.series import Rules, Wants, stack_of, wants
from shipit.uplift.types import Request, RequestState

BETA = trains("beta")


def names(request: Request) -> list[str]:
    """The series in invented names."""
    known = {git(name): name for name in "ABCDEF"}
    return [known.get(patch.name, patch.name) for patch in request.series]


# --- what to fetch ------------------------------------------------------------------------------------


def test_a_bug_that_never_carried_a_flag_wants_nothing() -> None:
    assert wants(bug("attach D1\nattach 7 patch\ndev pushes A"), BETA) == Wants()


def test_a_bug_wants_its_flagged_revisions_raw_patches_and_unmapped_hashes() -> None:
    story = "attach D1\nattach D2\nattach 7 patch\ndev sets D1 beta?\ndev sets 7 beta?\nsheriff merges A"
    assert wants(bug(story), BETA) == Wants(frozenset({1}), frozenset({hg("A")[:12]}), frozenset({7}))


# --- which patch --------------------------------------------------------------------------------------


def test_the_rebased_revision_that_carries_the_flag_is_the_patch() -> None:
    story = "attach D1\ndev pushes A\nattach D5\ndev sets D5 beta?"
    known = revisions(revision(1, status="published"), revision(5, repository="firefox-beta"))
    (request,) = requests_of(bug(story), BETA, revisions=known, commits=(commit("A", revision=1),))
    assert names(request) == ["D5"]
    assert request.series[0].version == "50" and request.series[0].attachment == attachment_id("D5")


def test_b8_a_stack_comes_in_parent_order_whatever_its_numbers() -> None:
    story = "attach D2\nattach D9\nattach D5\ndev sets D2 beta?\ndev sets D9 beta?\ndev sets D5 beta?"
    known = revisions(revision(9), revision(2, on=(9,)), revision(5, on=(2,)))
    (request,) = requests_of(bug(story), BETA, revisions=known)
    assert names(request) == ["D9", "D2", "D5"]


def test_parents_without_the_flag_come_along_landed_ones_do_not() -> None:
    known = revisions(revision(1, status="published"), revision(2, on=(1,)), revision(3, on=(2,)))
    (request,) = requests_of(bug("attach D3\ndev sets D3 beta?"), BETA, revisions=known)
    assert names(request) == ["D2", "D3"]


def test_abandoned_revisions_are_dropped() -> None:
    known = revisions(revision(1, status="abandoned"), revision(2, on=(1,)))
    story = "attach D1\nattach D2\ndev sets D1 beta?\ndev sets D2 beta?"
    (request,) = requests_of(bug(story), BETA, revisions=known)
    assert names(request) == ["D2"]
    (alone,) = requests_of(bug("attach D1\ndev sets D1 beta?"), BETA, revisions=known)
    assert (alone.series, alone.series_reason) == ((), "D1 is abandoned")
    (landed,) = requests_of(bug("attach D1\ndev sets D1 beta?\ndev pushes A"), BETA, revisions=known)
    assert names(landed) == ["A"]


def test_b4_an_unlanded_patch_is_a_patch() -> None:
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?"), BETA, revisions=revisions(revision(1)))
    assert (names(request), request.series_reason) == (["D1"], None)
    (raw,) = requests_of(bug("attach 7 patch\ndev sets 7 beta?"), BETA)
    assert (names(raw), raw.series[0].source) == (["attachment 7"], "attachment")


def test_b4_nothing_to_try_has_a_reason() -> None:
    (request,) = requests_of(bug("attach 7\ndev sets 7 beta?"), BETA)
    assert request.series == ()
    assert request.series_reason == (
        "no patch yet: attachment 7 holds none and nothing of the bug has landed on main"
    )


def test_what_landed_on_main_is_tried_as_the_commit_it_became() -> None:
    story = "attach D1\nattach D2\ndev pushes A B\ndev sets D1 beta?\ndev sets D2 beta?"
    known = revisions(revision(1, status="published"), revision(2, status="published", on=(1,)))
    facts = (commit("A", revision=1), commit("B", revision=2))
    (request,) = requests_of(bug(story), BETA, revisions=known, commits=facts)
    assert names(request) == ["A", "B"]


def test_a_relanded_revision_is_its_last_commit() -> None:
    story = "attach D1\ndev sets D1 beta?\ndev pushes A\nsheriff backs out A\ndev pushes B"
    facts = (
        commit("A", revision=1),
        commit("X", is_backout=True, backs_out=(git("A"),)),
        commit("B", revision=1),
    )
    (request,) = requests_of(
        bug(story), BETA, revisions=revisions(revision(1, status="published")), commits=facts
    )
    assert names(request) == ["B"]


def test_a_published_revision_that_the_clone_does_not_have_is_tried_as_a_diff() -> None:
    known = revisions(revision(1, status="published"))
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?\ndev pushes A"), BETA, revisions=known)
    assert names(request) == ["D1"]


def test_a_revision_that_is_hidden_from_us_is_named_and_missing() -> None:
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?"), BETA)
    assert names(request) == ["D1"]
    assert request.series_reason == request.series[0].missing == "Phabricator does not show us D1"


def test_the_title_of_a_hidden_revision_stays_hidden_on_a_public_bug() -> None:
    known = revisions(revision(1, is_public=False, title="the secret hole"))
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?"), BETA, revisions=known)
    assert request.series[0].title is None


def test_flags_on_plain_patches_mean_the_landings() -> None:
    (request,) = requests_of(bug("attach 7 patch\ndev sets 7 beta?\ndev pushes A B"), BETA)
    assert names(request) == ["A", "B"]


def test_unmapped_landings_stay_with_their_reason() -> None:
    one = bug("attach 7 patch\ndev sets 7 beta?\nsheriff merges A B")
    (request,) = requests_of(one, BETA, hashes={hg("A")[:12]: git("A"), hg("B")[:12]: None})
    assert names(request) == ["A", hg("B")[:12]]
    assert request.series_reason == f"hg commit {hg('B')[:12]} is not mapped to git"


def test_two_requests_on_plain_patches_find_their_landings_by_title() -> None:
    story = "attach 7 patch\nattach 8 patch\ndev pushes A B"
    story += "\ndev sets 7 beta?\nrelman sets 7 beta+\ndev sets 8 beta?"
    facts = (
        commit("A", f"Bug {BUG} - The patch with number 7 r=peer"),
        commit("B", f"Bug {BUG} - The patch with number 8"),
    )
    found = {one.state: names(one) for one in requests_of(bug(story), BETA, commits=facts)}
    assert found == {"approved": ["A"], "requested": ["B"]}


def test_cycles_and_endless_stacks_end() -> None:
    known = revisions(revision(1, on=(2,)), revision(2, on=(1,)))
    assert sorted(stack_of([1, 2], known)) == [1, 2]
    long = revisions(*(revision(number, on=(number - 1,)) for number in range(2, 1000)), revision(1))
    assert len(stack_of([999], long)) == 200


# --- which request ------------------------------------------------------------------------------------


def test_one_patch_approved_and_another_requested_on_one_train_are_two_requests() -> None:
    story = "attach D1\nattach D2\ndev sets D1 beta?\nrelman sets D1 beta+\ndev sets D2 beta?"
    known = revisions(revision(1), revision(2))
    found = requests_of(bug(story), BETA, revisions=known)
    assert {(one.state, tuple(names(one))) for one in found} == {
        ("approved", ("D1",)),
        ("requested", ("D2",)),
    }
    assert len({one.uid for one in found}) == 2


def test_attachments_of_one_stack_in_one_state_are_one_request() -> None:
    story = "attach D1\nattach D2\nattach D3\ndev sets D1 beta?\ndev sets D2 beta?\ndev sets D3 beta?"
    known = revisions(revision(1), revision(2, on=(1,)), revision(3))
    found = requests_of(bug(story), BETA, revisions=known)
    assert [one.attachments for one in found] == [
        (attachment_id("D1"), attachment_id("D2")),
        (attachment_id("D3"),),
    ]


def test_each_train_has_its_own_request_with_its_own_state() -> None:
    story = "attach D1\ndev sets D1 beta?\ndev sets D1 release?\ndev sets D1 esr140?\nrelman sets D1 release-"
    found = requests_of(
        bug(story), trains("beta", "release", "esr140", "esr115"), revisions=revisions(revision(1))
    )
    assert [(one.train, one.state) for one in found] == [
        ("beta", "requested"), ("release", "rejected"), ("esr140", "requested"),
    ]  # fmt: skip


def test_a_name_lasts_while_diffs_landings_and_states_change() -> None:
    story = "attach D1\nattach D2\ndev sets D1 beta?\ndev sets D2 beta?"
    first = requests_of(bug(story), BETA, revisions=revisions(revision(1), revision(2, on=(1,))))
    newer = requests_of(bug(story), BETA, revisions=revisions(revision(1, diff=99), revision(2, on=(1,))))
    more = story + "\nrelman sets D1 beta+\nrelman sets D2 beta+\ndev pushes A B"
    landed = requests_of(
        bug(more),
        BETA,
        revisions=revisions(revision(1, status="published"), revision(2, status="published", on=(1,))),
        commits=(commit("A", revision=1), commit("B", revision=2)),
    )
    assert len({one.uid for one in (*first, *newer, *landed)}) == 1
    assert first[0].uid.startswith(f"{BUG}-beta-") and len(first[0].uid) == len(f"{BUG}-beta-") + 10
    assert first[0].series != newer[0].series and names(landed[0]) == ["A", "B"]


def test_another_patch_makes_another_name() -> None:
    known = revisions(revision(1), revision(2, on=(1,)))
    (one,) = requests_of(bug("attach D1\ndev sets D1 beta?"), BETA, revisions=known)
    (both,) = requests_of(
        bug("attach D1\nattach D2\ndev sets D1 beta?\ndev sets D2 beta?"), BETA, revisions=known
    )
    assert one.uid != both.uid


def test_a_cleared_flag_is_a_cleared_request() -> None:
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?\ndev sets D1 beta"), BETA)
    assert request.state is RequestState.CLEARED and request.decided_by == "dev@patches.example"


def test_people_and_times_of_several_attachments_are_the_first_and_the_last() -> None:
    story = "attach D1\nattach D2\ndev sets D1 beta?\nstranger sets D2 beta?"
    story += "\nrelman sets D1 beta+\nsheriff sets D2 beta+"
    (request,) = requests_of(bug(story), BETA, revisions=revisions(revision(1), revision(2, on=(1,))))
    assert (request.requested_by, request.decided_by) == ("dev@patches.example", "sheriff@tree.example")
    assert request.requested_at is not None and request.decided_at is not None
    assert request.requested_at < request.decided_at


def test_a_train_without_an_approval_flag_has_no_requests() -> None:
    one = bug("attach D1\ndev sets D1 beta?")
    assert requests_of(one, [train("nightly", approval_flag=None)]) == ()


def test_l14_without_a_comment_the_field_in_phabricator_is_the_form() -> None:
    known = revisions(revision(1, uplift_request='{"User impact if declined": "x"}'))
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?"), BETA, revisions=known)
    assert request.form is not None and request.form.generation == "phabricator"


def test_b12_nothing_about_dates_or_forms_can_drop_a_request() -> None:
    """The original dropped bugs without a release after the request, or with forms it could not read."""
    one = bug("attach D1\ndev sets D1 beta?\ndev says [Approval Request Comment]\\nsee above")
    far = msgspec.structs.replace(one, comments=tuple(reversed(one.comments)), history=())
    (request,) = requests_of(far, BETA)
    assert request.form is not None and not request.form.is_parsed


STATES = st.sampled_from(["?", "+", "-", "??", ""])


@given(
    st.lists(st.tuples(st.booleans(), st.lists(STATES, min_size=2, max_size=2)), max_size=6),
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=6),
    st.sets(st.integers(1, 6)),
)
@settings(max_examples=150)
def test_every_flag_of_every_attachment_is_in_exactly_one_request(
    those: list[tuple[bool, list[str]]], edges: list[tuple[int, int]], hidden: set[int]
) -> None:
    lines, expected = [], Counter[tuple[str, int, str]]()
    words = {"?": "requested", "+": "approved", "-": "rejected"}
    for number, (is_revision, statuses) in enumerate(those, 1):
        name = f"D{number}" if is_revision else str(number)
        lines.append(f"attach {name}" + ("" if is_revision else " patch"))
        for train_name, status in zip(("beta", "esr140"), statuses, strict=True):
            if status == "??":
                lines += [f"dev sets {name} {train_name}?", f"dev sets {name} {train_name}"]
                expected[train_name, attachment_id(name), "cleared"] += 1
            elif status:
                lines.append(f"dev sets {name} {train_name}{status}")
                expected[train_name, attachment_id(name), words[status]] += 1
    known = {
        number: revision(number, on=tuple(parent for child, parent in edges if child == number))
        for number in range(1, 7)
        if number not in hidden
    }
    found = requests_of(bug("\n".join(lines)), trains("beta", "esr140", "esr14"), revisions=known)
    seen = Counter((one.train, attachment, str(one.state)) for one in found for attachment in one.attachments)
    assert seen == expected
    assert len({one.uid for one in found}) == len(found), "no two requests share a name"
    assert all(one.series or one.series_reason for one in found)


# --- recorded -----------------------------------------------------------------------------------------


def test_the_recorded_bugs_have_exactly_these_requests(shared: Path) -> None:
    rules = Rules(kind="hg")
    all_trains = trains("aurora", "beta", "release", "esr10", "esr17", "esr38", "esr45")
    found = [
        request for one in recorded_bugs(shared) for request in requests_of(one, all_trains, rules=rules)
    ]
    assert len(found) == 73
    assert Counter(one.train for one in found) == {
        "aurora": 22, "beta": 27, "release": 20, "esr10": 1, "esr17": 1, "esr38": 1, "esr45": 1,
    }  # fmt: skip
    assert Counter(str(one.state) for one in found) == {"approved": 58, "rejected": 15}
    assert all(one.series for one in found), "each recorded request has patches"
    assert sum(one.form is not None for one in found) == 58
    assert len({one.uid for one in found}) == 73


@pytest.mark.parametrize("bug_id", [1572867])
def test_a_recorded_bug_of_2019_reads_whole(shared: Path, bug_id: int) -> None:
    (one,) = [one for one in recorded_bugs(shared) if one.id == bug_id]
    (request,) = requests_of(one, BETA, rules=Rules(kind="hg", revision_type=""))
    assert request.state is RequestState.APPROVED
    assert (request.requested_by, request.decided_by) == ("jdescottes@mozilla.com", "ryanvm@gmail.com")
    assert names(request) == ["0b09473d4c74"]
    assert request.form is not None and len(request.form.answers) == 9
