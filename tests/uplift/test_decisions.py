# SPDX-License-Identifier: MPL-2.0
"""What each verdict writes where, what it does not, and the requests it cannot reach."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shipit.trains.types import Moment, Stage, Train
from shipit.uplift.decision_checks import (
    Accounts,
    Deeds,
    Fresh,
    differences,
    is_there,
    stands,
    strict_differences,
)
from shipit.uplift.decision_types import (
    BugFacts,
    Decider,
    Facts,
    Given,
    Part,
    Plan,
    RequestFacts,
    Stamp,
    System,
)
from shipit.uplift.decision_words import StampState, deferral, label, stamp_state
from shipit.uplift.decisions import plan, stamp_of
from shipit.uplift.places import difference
from shipit.uplift.types import Attachment, Bug, Change, Comment, Flag, Place, RequestState, Revision
from shipit.uplift.verdicts import TEMPLATES, Until, Verdict, Wanted, build_name, filled

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROSA = "rosa@people.example"
MIRA = "mira@people.example"
V = Verdict


def make_train(name: str = "beta", **more: Any) -> Train:
    facts: dict[str, Any] = {
        "channel": "esr" if name.startswith("esr") else name,
        "repository": "firefox",
        "branch": name,
        "version": "118.0b3",
        "major": 118,
        "approval_flag": f"approval-mozilla-{name}",
        "status_flag": f"cf_status_firefox_{name}",
        "tracking_flag": f"cf_tracking_firefox_{name}",
        "stage": Stage.EARLY_BETA,
        "next_build": Moment("beta_4", NOW + timedelta(days=1)),
    }
    return Train(name=name, **(facts | more))


def on_flag(attachment: int, status: str = "?", **more: Any) -> Place:
    flag = attachment * 10 if status else None
    return Place(attachment=attachment, flag=flag, status=status, setter=MIRA, **more)


def on_revision(number: int, status: str = "needs-review", **more: Any) -> Place:
    facts = {"phid": f"PHID-DREV-{number}", "author": "mira", "diff": number * 2, "is_uplift": True}
    return on_flag(number + 1000, revision=number, revision_status=status, **(facts | more))


def make_request(uid: str = "1-beta-a", **more: Any) -> RequestFacts:
    facts: dict[str, Any] = {
        "bug": 1,
        "train": "beta",
        "state": RequestState.REQUESTED,
        "target_major": 118,
        "series_digest": "d1",
        "patches": (("D7", "14"),),
        "places": (on_flag(51),),
        "requested_by": MIRA,
        "outcome": "clean",
    }
    return RequestFacts(uid=uid, **(facts | more))


def make_facts(*requests: RequestFacts, **more: Any) -> Facts:
    rows = requests or (make_request(),)
    fields = {"cf_status_firefox_beta": "affected", "cf_tracking_firefox_beta": "---"}
    bugs = {
        one.bug: BugFacts(id=one.bug, changed=NOW - timedelta(hours=1), read_at=NOW, fields=fields)
        for one in rows
    }
    facts: dict[str, Any] = {
        "requests": {one.uid: one for one in rows},
        "bugs": bugs,
        "trains": {name: make_train(name) for name in ("beta", "release", "esr140")},
        "decider": Decider(person=ROSA, bugzilla=ROSA, phabricator="rosa"),
    }
    return Facts(**(facts | more))


def decided(verdict: Verdict, facts: Facts | None = None, **more: Any) -> Plan:
    facts = facts or make_facts()
    words = {V.REJECT: "Too risky.", V.ASK: "Verified?"}.get(verdict, "")
    wanted: dict[str, Any] = {"requests": tuple(facts.requests), "comment": words}
    return plan(Wanted(verdict=verdict, **(wanted | more)), facts, NOW)


def only(made: Plan) -> Part:
    assert not made.refusals, made.refusals
    (part,) = made.parts
    return part


def why(made: Plan) -> tuple[str, str]:
    assert not made.parts
    (refusal,) = made.refusals
    return refusal.field, refusal.reason


# --- where it is written ------------------------------------------------------------------------------


def test_an_approval_sets_each_attachments_flag_by_its_id_and_then_comments_once() -> None:
    request = make_request(places=(on_flag(52), on_flag(51), on_flag(53)))
    part = only(decided(V.APPROVE, make_facts(request), template="approve"))
    assert [write.object for write in part.writes] == [
        "attachment 52",
        "attachment 51",
        "attachment 53",
        "bug 1",
    ]
    assert [write.body for write in part.writes[:2]] == [
        {"flags": [{"id": 520, "status": "+"}]},
        {"flags": [{"id": 510, "status": "+"}]},
    ]
    assert part.writes[-1].body == {"comment": {"body": "Approved for 118.0b4."}}
    assert [(row.field, row.before, row.after) for row in part.writes[0].rows] == [
        ("approval-mozilla-beta", "?", "+")
    ]
    (kept,) = part.not_written
    assert (kept.field, kept.why) == ("cf_status_firefox_beta", "stays affected until it lands")


def test_where_an_uplift_revision_exists_the_decision_is_made_there_and_never_on_the_flag_too() -> None:
    request = make_request(places=(on_revision(7), on_revision(8)))
    part = only(decided(V.APPROVE, make_facts(request), template="approve"))
    assert [write.object for write in part.writes] == ["D7", "D8"]
    assert {write.system for write in part.writes} == {System.PHABRICATOR}
    assert part.writes[0].body == {"transactions": [{"type": "accept", "value": True}]}
    assert part.writes[1].body["transactions"][1] == {"type": "comment", "value": "Approved for 118.0b4."}
    flags = [each for each in part.not_written if each.field == "approval-mozilla-beta"]
    assert [each.why for each in flags] == ["follows the revision by itself"] * 2


def test_a_rejection_asks_for_changes_on_the_revision_and_may_say_wontfix_on_the_bug() -> None:
    request = make_request(places=(on_revision(7),))
    part = only(decided(V.REJECT, make_facts(request), fields={"status": "wontfix"}))
    revision, bug = part.writes
    assert revision.body["transactions"][0]["type"] == "reject"
    assert revision.comment == "Too risky."
    assert bug.body == {"cf_status_firefox_beta": "wontfix"}


def test_a_revision_of_main_is_no_place_to_decide_an_uplift() -> None:
    request = make_request(places=(on_revision(7, is_uplift=False),))
    part = only(decided(V.APPROVE, make_facts(request)))
    assert [write.object for write in part.writes] == ["attachment 1007"]


def test_what_phabricator_hides_cannot_be_decided_since_nobody_can_tell_where() -> None:
    request = make_request(places=(on_flag(51, revision=7),))
    field, reason = why(decided(V.APPROVE, make_facts(request)))
    assert field == "places" and "D7" in reason
    part = only(decided(V.APPROVE, make_facts(request, has_phabricator=False)))
    assert [write.object for write in part.writes] == ["attachment 51"]


def test_a_flag_on_the_bug_itself_is_written_with_the_bug() -> None:
    request = make_request(places=(Place(attachment=None, flag=9, status="?"),))
    part = only(decided(V.APPROVE, make_facts(request), template="approve"))
    (write,) = part.writes
    assert write.body == {
        "comment": {"body": "Approved for 118.0b4."},
        "flags": [{"id": 9, "status": "+"}],
    }


def test_a_deferral_changes_no_flag_and_may_write_nothing_at_all() -> None:
    made = decided(V.DEFER, until=Until(build="118.0b5"))
    part = only(made)
    assert part.writes == () and [each.why for each in part.not_written] == ["stays ?"]
    assert made.changes == 0
    spoken = only(decided(V.DEFER, until=Until(condition="verified by QA"), comment="We wait for QA."))
    assert [write.body for write in spoken.writes] == [{"comment": {"body": "We wait for QA."}}]


def test_asking_sets_needinfo_for_whoever_requested_it_and_leaves_the_flag() -> None:
    part = only(decided(V.ASK))
    (write,) = part.writes
    assert write.body == {
        "comment": {"body": "Verified?"},
        "flags": [{"name": "needinfo", "status": "?", "requestee": MIRA, "new": True}],
    }
    asked = BugFacts(
        id=1,
        changed=NOW,
        read_at=NOW,
        flags=(Flag(id=3, name="needinfo", status="?", setter=ROSA, requestee=MIRA),),
    )
    again = only(decided(V.ASK, make_facts(bugs={1: asked})))
    assert again.writes[0].body == {"comment": {"body": "Verified?"}}
    assert any(each.why == f"{MIRA} is asked already" for each in again.not_written)


def test_withdrawing_clears_the_flag_but_a_revision_only_by_its_author() -> None:
    part = only(decided(V.WITHDRAW))
    assert part.writes[0].body == {"flags": [{"id": 510, "status": "X"}]}
    revision = make_request(places=(on_revision(7),))
    assert why(decided(V.WITHDRAW, make_facts(revision)))[0] == "verdict"
    mine = make_request(places=(on_revision(7, author="rosa"),))
    taken = only(decided(V.WITHDRAW, make_facts(mine)))
    assert taken.writes[0].body["transactions"][0]["type"] == "plan-changes"


def test_one_bug_on_two_trains_gets_every_flag_first_and_one_comment_for_both() -> None:
    both = make_facts(
        make_request("1-beta-a"), make_request("1-release-a", train="release", places=(on_flag(61),))
    )
    part = only(decided(V.APPROVE, both, comment="Approved for {train}."))
    assert [write.object for write in part.writes] == ["attachment 51", "attachment 61", "bug 1"]
    assert part.writes[-1].comment == "Approved for beta.\nApproved for release."
    same = only(decided(V.APPROVE, both, comment="Approved."))
    assert same.writes[-1].comment == "Approved."


def test_generic_flags_are_set_by_the_id_they_have() -> None:
    flags = (Flag(id=4, name="qe-verify", status="?", setter=MIRA),)
    bugs = {1: BugFacts(id=1, changed=NOW, read_at=NOW, flags=flags)}
    part = only(decided(V.FLAGS, make_facts(bugs=bugs), flags={"qe-verify": "+", "in-testsuite": "?"}))
    assert part.writes[0].body["flags"] == [
        {"id": 4, "status": "+"},
        {"name": "in-testsuite", "status": "?"},
    ]
    assert part.seen.facts["qe-verify on the bug"] == "?"


# --- what cannot be decided ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "more", "field"),
    [
        (V.REJECT, {"comment": " "}, "comment"),
        (V.ASK, {"comment": ""}, "comment"),
        (V.DEFER, {}, "until"),
        (V.DEFER, {"until": Until(at=NOW)}, "until.at"),
        (V.APPROVE, {"until": Until(build="118.0b5")}, "until"),
        (V.APPROVE, {"template": "nonsense"}, "template"),
        (V.FLAGS, {}, "fields"),
        (V.FLAGS, {"fields": {"priority": "P1"}}, "fields.priority"),
        (V.FLAGS, {"fields": {"cf_status_firefox99": "fixed"}}, "fields.cf_status_firefox99"),
        (V.FLAGS, {"fields": {"status": "repaired"}}, "fields.cf_status_firefox_beta"),
        (V.FLAGS, {"flags": {"approval-mozilla-beta": "+"}}, "flags.approval-mozilla-beta"),
        (V.FLAGS, {"flags": {"needinfo": "?"}}, "flags.needinfo"),
        (V.FLAGS, {"flags": {"qe-verify": "X"}}, "flags.qe-verify"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(verdict: Verdict, more: dict[str, Any], field: str) -> None:
    assert why(decided(verdict, **more))[0] == field


def test_a_batch_tells_each_request_it_does_not_reach_and_decides_the_others() -> None:
    decider = Decider(person=ROSA, bugzilla=ROSA, trains=frozenset({"beta"}))
    rows = [
        make_request("1-beta-a"),
        make_request("2-release-a", bug=2, train="release"),
        make_request("3-beta-a", bug=3, is_closed=True),
        make_request("4-beta-a", bug=4, places=()),
    ]
    made = plan(
        Wanted(verdict=V.APPROVE, requests=(*(one.uid for one in rows), "unknown")),
        make_facts(*rows, decider=decider),
        NOW,
    )
    assert [part.bug for part in made.parts] == [1]
    assert {one.request: one.field for one in made.refusals} == {
        "2-release-a": "train",
        "3-beta-a": "state",
        "4-beta-a": "places",
        "unknown": "requests",
    }


def test_who_asks_does_not_approve_save_a_patch_of_tests_only() -> None:
    own = make_request(requested_by=ROSA)
    assert why(decided(V.APPROVE, make_facts(own)))[0] == "person"
    assert only(decided(V.REJECT, make_facts(own)))
    assert only(decided(V.APPROVE, make_facts(make_request(requested_by=ROSA, is_tests_only=True))))


def test_a_placeholder_that_is_not_known_is_refused_rather_than_written() -> None:
    trains = {"beta": make_train(next_build=None)}
    field, reason = why(decided(V.APPROVE, make_facts(trains=trains), template="approve"))
    assert field == "comment" and "{build}" in reason


# --- versions and patches -----------------------------------------------------------------------------


def test_a_decision_is_not_made_twice_unless_version_or_patches_changed() -> None:
    train = make_train()
    given = Given(
        uid="x",
        verdict=V.APPROVE,
        person=ROSA,
        at=NOW,
        stamp=Stamp(train="beta", major=118, patch_digest="d1"),
    )
    approved = make_request(state=RequestState.APPROVED, places=(on_flag(51, "+"),), given=given)
    assert why(decided(V.APPROVE, make_facts(approved)))[0] == "state"
    # An older cycle's flag is stale: it is decided anew, though the flag has nothing to change.
    stale = make_request(state=RequestState.APPROVED, places=(on_flag(51, "+"),), target_major=117)
    part = only(decided(V.APPROVE, make_facts(stale), template="approve"))
    assert [write.object for write in part.writes] == ["bug 1"]
    assert part.not_written[0].why == "is + already"
    other = make_request(
        state=RequestState.APPROVED, places=(on_flag(51, "+"),), given=given, series_digest="d2"
    )
    assert only(decided(V.APPROVE, make_facts(other))).stamps["1-beta-a"].patch_digest == "d2"
    stamp = stamp_of(approved, train)
    assert (stamp.build, stamp.version, stamp.patches) == ("118.0b4", "118.0b3", (("D7", "14"),))
    assert stamp_state(stamp, series_digest="d1", major=118) is StampState.CURRENT
    assert stamp_state(stamp, series_digest="d2", major=118) is StampState.NEW_PATCHES
    assert stamp_state(stamp, series_digest="d1", major=119) is StampState.OTHER_VERSION


@pytest.mark.parametrize(
    ("name", "channel", "version", "moment", "said"),
    [
        ("beta", "beta", "118.0b3", "beta_4", "118.0b4"),
        ("release", "release", "117.0.1", "planned_dot_release", "117.0.2"),
        ("release", "release", "117.0", "planned_dot_release", "117.0.1"),
        ("release", "release", "118.0", "rc_gtb", "118.0"),
        ("esr140", "esr", "140.5.0esr", "release", "140.6.0esr"),
        ("release", "release", None, "planned_dot_release", "the next dot release"),
        ("beta", "beta", "118.0b3", "118.0b9 (by hand)", "118.0b9 (by hand)"),
        ("beta", "beta", "118.0b3", None, None),
    ],
)
def test_the_next_build_has_the_name_people_give_it(
    name: str, channel: str, version: str | None, moment: str | None, said: str | None
) -> None:
    major = int(version.split(".")[0]) if version else 117
    build = Moment(moment, NOW) if moment else None
    train = make_train(name, channel=channel, version=version, major=major, next_build=build)
    assert build_name(train) == said


def test_every_template_is_filled_on_a_train_whose_next_build_is_known() -> None:
    for template in TEMPLATES:
        assert "{" not in filled(template.text, make_train(), 1)
    assert len({template.key for template in TEMPLATES}) == len(TEMPLATES)


def test_when_revision_and_flag_differ_both_are_told() -> None:
    place = on_revision(7, "accepted")
    assert difference(place) == "D7 is accepted, but the flag on attachment 1007 is asked."
    assert difference(on_flag(51)) is None
    part = only(decided(V.REJECT, make_facts(make_request(places=(place,)))))
    assert part.notes == (difference(place),)


def test_a_button_says_how_much_it_writes() -> None:
    assert label(V.APPROVE, 1, 4) == "Approve and write 4 changes"
    assert label(V.REJECT, 2, 1) == "Reject 2 requests and write 1 change"
    assert label(V.DEFER, 1, 0) == "Defer, and write nothing"
    assert label(V.FLAGS, 0, 3, bugs=2) == "Set flags of 2 bugs and write 3 changes"
    assert label(V.ASK, 1, 2, bugs=1) == "Ask about 1 request and 1 bug and write 2 changes"
    assert label(V.FLAGS, 0, 0) == "Set flags"


def test_a_deferral_ends_with_its_time_or_its_build_but_a_condition_waits_for_a_person() -> None:
    assert deferral("118.0b5", None, "", next_build="118.0b4", now=NOW).still
    assert not deferral("118.0b5", None, "", next_build="118.0b5", now=NOW).still
    assert not deferral("", NOW, "", next_build=None, now=NOW).still
    assert (
        deferral("", None, "verified", next_build=None, now=NOW).sentence == "It is deferred until verified."
    )


# --- whether it is still so, and whether it is there --------------------------------------------------


def make_bug(**more: Any) -> Bug:
    flags = (Flag(id=510, name="approval-mozilla-beta", status="?", setter=MIRA),)
    one = Attachment(
        id=51, bug=1, file_name="p", content_type="text/plain", summary="", creator=MIRA, flags=flags
    )
    facts: dict[str, Any] = {
        "id": 1,
        "summary": "",
        "product": "",
        "component": "",
        "status": "NEW",
        "changed": NOW - timedelta(hours=1),
        "read_at": NOW,
        "fields": {"cf_status_firefox_beta": "affected"},
        "attachments": (one,),
    }
    return Bug(**(facts | more))


ACCOUNTS = Accounts(bugzilla=ROSA, phabricator="rosa", phid="PHID-USER-rosa")


def test_nothing_differs_in_a_bug_that_did_not_change() -> None:
    part = only(decided(V.APPROVE, fields={"status": "wontfix"}))
    assert differences(part, Fresh(bug=make_bug()), ACCOUNTS) == ()


def test_what_is_written_to_may_not_have_changed_whoever_changed_it() -> None:
    part = only(decided(V.APPROVE, fields={"status": "wontfix"}))
    flags = (Flag(id=510, name="approval-mozilla-beta", status="-", setter=ROSA),)
    one = Attachment(
        id=51, bug=1, file_name="p", content_type="text/plain", summary="", creator=MIRA, flags=flags
    )
    bug = make_bug(attachments=(one,), fields={"cf_status_firefox_beta": "fixed"})
    found = {each.what: (each.before, each.after) for each in differences(part, Fresh(bug=bug), ACCOUNTS)}
    assert found == {
        "approval-mozilla-beta of attachment 51": ("? (flag 510)", "- (flag 510)"),
        "cf_status_firefox_beta": ("affected", "fixed"),
    }


def test_what_others_said_since_is_told_but_not_what_the_decider_did_or_who_reads_along() -> None:
    part = only(decided(V.APPROVE))
    later = NOW - timedelta(minutes=5)
    bug = make_bug(
        changed=later,
        comments=(
            Comment(id=5, number=3, creator=MIRA, time=later, text="Please wait."),
            Comment(id=6, number=4, creator=ROSA, time=later, text="Looking."),
        ),
        history=(
            Change(time=later, who=MIRA, field="cc", removed="", added="x@y.example"),
            Change(time=later, who=MIRA, field="severity", removed="S3", added="S1"),
        ),
    )
    found = [(each.what, each.who) for each in differences(part, Fresh(bug=bug), ACCOUNTS)]
    assert found == [("severity", MIRA), ("comment", MIRA)]


def test_a_new_diff_of_the_revision_is_a_difference() -> None:
    part = only(decided(V.APPROVE, make_facts(make_request(places=(on_revision(7),)))))
    flags = (Flag(id=10070, name="approval-mozilla-beta", status="?", setter=MIRA),)
    one = Attachment(
        id=1007, bug=1, file_name="p", content_type="text/plain", summary="", creator=MIRA, flags=flags
    )
    revision = Revision(id=7, phid="PHID-DREV-7", title="", status="needs-review", diff=15)
    fresh = Fresh(bug=make_bug(attachments=(one,)), revisions={7: revision})
    (found,) = differences(part, fresh, ACCOUNTS)
    assert (found.what, found.before, found.after) == ("D7", "needs-review, diff 14", "needs-review, diff 15")
    assert strict_differences(part, fresh, part.writes) == ()


def test_our_comment_is_found_by_author_words_and_age_and_no_other_is_taken_for_it() -> None:
    part = only(decided(V.APPROVE, comment="Approved.\n"))
    write = part.writes[-1]

    def said(**more: Any) -> Fresh:
        facts: dict[str, Any] = {"id": 9, "number": 1, "creator": ROSA, "time": NOW, "text": "Approved."}
        return Fresh(bug=make_bug(comments=(Comment(**(facts | more)),)))

    assert is_there(write, said(), ACCOUNTS, mark=8)
    assert is_there(write, said(text="Approved.  \r\n", creator=ROSA.upper()), ACCOUNTS, mark=8)
    assert not is_there(write, said(), ACCOUNTS, mark=9)
    assert not is_there(write, said(creator=MIRA), ACCOUNTS, mark=8)
    assert not is_there(write, said(text="Approved, too."), ACCOUNTS, mark=8)


def test_an_accept_is_found_by_our_own_transaction_that_is_younger_than_the_first_try() -> None:
    part = only(decided(V.APPROVE, make_facts(make_request(places=(on_revision(7),)))))
    (write,) = part.writes
    mine = Fresh(bug=make_bug(), deeds={7: Deeds(newest=12, mine=((12, "accept"), (3, "comment")))})
    assert is_there(write, mine, ACCOUNTS, mark=11)
    assert not is_there(write, mine, ACCOUNTS, mark=12)
    commented = Fresh(bug=make_bug(), deeds={7: Deeds(newest=12, mine=((12, "comment"),))})
    assert not is_there(write, commented, ACCOUNTS, mark=0)


def test_flags_are_there_when_they_stand() -> None:
    part = only(decided(V.ASK))
    (write,) = part.writes
    asked = (Flag(id=3, name="needinfo", status="?", setter=ROSA, requestee=MIRA),)
    assert stands(write, Fresh(bug=make_bug(flags=asked)))
    assert not stands(write, Fresh(bug=make_bug()))
    cleared = only(decided(V.WITHDRAW)).writes[0]
    assert not stands(cleared, Fresh(bug=make_bug()))
