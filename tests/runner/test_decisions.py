# SPDX-License-Identifier: MPL-2.0
"""Decisions written to a fake Bugzilla and Phabricator that answer as the real ones: once, or visibly not."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
import pytest_asyncio

from fixtures_decisions import (
    DECIDES,
    HOUSE,
    HUGO,
    MIRA,
    ROSA,
    SECURITY,
    Desk,
    desked,
)
from fixtures_postgres import Server
from shipit.actions import deciding
from shipit.actions.deciding import Changed, Unreached
from shipit.actions.persons import actor
from shipit.errors import Missing, NotAllowed, Refused
from shipit.runner.decisions import Runner
from shipit.runner.writing import Outside
from shipit.storage import decisions
from shipit.uplift.decision_states import PartState
from shipit.uplift.verdicts import Until, Verdict
from shipit.world.server import Trouble

V, P = Verdict, PartState


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_desk(postgres: Server) -> AsyncIterator[Desk]:
    database = postgres.create_migrated()
    async with desked(database) as made:
        yield made
    postgres.drop(database.url)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(one_desk: Desk) -> Desk:
    """One for all tests here, as each works on bugs of its own."""
    await one_desk.begin()
    return one_desk


async def test_an_approval_reaches_every_attachment_and_is_commented_once(desk: Desk) -> None:
    bug = desk.file("beta", attachments=3)
    await desk.read()
    preview = await desk.preview(V.APPROVE, bug, template="approve")
    assert (preview.label, preview.changes) == ("Approve and write 4 changes", 4)
    assert {write.as_whom for write in preview.parts[0].writes} == {ROSA}
    made = await desk.decide(V.APPROVE, bug, template="approve")
    assert made.state is P.HELD
    done = await desk.settle(made.uid)
    assert (done.state, done.sentence) == (P.DONE, "4 of 4 written, and read again.")
    assert desk.status_of(bug) == ["+", "+", "+"]
    assert desk.said(bug) == ["Approved for 118.0b4."]
    flags = [flag for one in desk.world.bugzilla.bug(bug).attachments for flag in one.flags]
    assert {flag.setter for flag in flags} == {ROSA}
    (decided,) = done.parts[0].requests
    assert (decided.stamp.version, decided.stamp.build, decided.standing) == ("118.0b3", "118.0b4", "current")
    # The bot is asked to read it again, so that every page shows what is.
    assert desk.query("select kind, subject, asked_by from wishes") == [("bug", str(bug), ROSA)]


async def test_on_an_uplift_revision_the_flag_follows_and_is_never_written_by_us(desk: Desk) -> None:
    bug = desk.file("beta", uplift=2)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve")
    desk.world.forget()
    done = await desk.settle(made.uid)
    assert done.state is P.DONE
    first, second = desk.revisions(bug)
    assert (first.status, second.status) == ("accepted", "accepted")
    assert desk.status_of(bug) == ["+", "+"]
    assert desk.world.bugzilla.count("PUT ") == 0
    assert (first.comments, second.comments) == ([], [("rosa", "Approved for 118.0b4.")])
    assert desk.said(bug) == []


async def test_a_rejection_asks_for_changes_and_sets_what_else_was_wanted(desk: Desk) -> None:
    bug = desk.file("beta", uplift=1)
    await desk.read()
    made = await desk.decide(V.REJECT, bug, comment="Too risky.", fields={"status": "wontfix"})
    assert (await desk.settle(made.uid)).state is P.DONE
    assert desk.revisions(bug)[0].status == "needs-revision"
    assert desk.status_of(bug) == ["-"]
    assert desk.world.bugzilla.bug(bug).custom["cf_status_firefox_beta"] == "wontfix"


async def test_asking_sets_needinfo_with_the_question(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    made = await desk.decide(V.ASK, bug, comment="Verified?")
    assert (await desk.settle(made.uid)).state is P.DONE
    assert [flag.text for flag in desk.world.bugzilla.bug(bug).flags] == [f"needinfo?({MIRA})"]
    assert desk.said(bug) == ["Verified?"] and desk.status_of(bug) == ["?"]


async def test_a_quiet_deferral_is_kept_here_alone(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    made = await desk.decide(V.DEFER, bug, until=Until(build="118.0b6"))
    desk.world.forget()
    done = await desk.settle(made.uid)
    assert (done.state, done.sentence) == (P.DONE, "There was nothing to write.")
    assert desk.world.calls()["bugzilla"] == 0


async def test_withdrawing_clears_and_flags_are_set_by_themselves(desk: Desk) -> None:
    first, second = desk.file("beta"), desk.file("beta")
    await desk.read()
    taken = await desk.decide(V.WITHDRAW, first)
    flagged = await desk.decide(V.FLAGS, second, fields={"tracking": "+"}, flags={"qe-verify": "?"})
    assert (await desk.settle(taken.uid)).state is P.DONE
    assert (await desk.settle(flagged.uid)).state is P.DONE
    assert desk.status_of(first) == [""] and desk.status_of(second) == ["?"]
    changed = desk.world.bugzilla.bug(second)
    assert changed.custom["cf_tracking_firefox_beta"] == "+"
    assert [flag.text for flag in changed.flags] == ["qe-verify?"]


# --- something changed ------------------------------------------------------------------------------


async def test_what_changed_since_the_page_was_drawn_is_told_and_nothing_is_written(desk: Desk) -> None:
    bug = desk.file("beta", attachments=2)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve")
    first = desk.world.bugzilla.bug(bug).attachments[0].id
    desk.world.bugzilla.set_flag("approval-mozilla-beta", "-", by=HUGO, attachment=first)
    stopped = await desk.settle(made.uid)
    assert stopped.state is P.CHANGED and stopped.sentence.endswith("Nothing was written.")
    differences = {one.what: one.after for one in stopped.parts[0].differences}
    assert differences[f"approval-mozilla-beta of attachment {first}"].startswith("- ")
    assert desk.status_of(bug) == ["-", "?"] and desk.said(bug) == []
    assert {write.word for write in stopped.parts[0].writes} == {"not sent"}


async def test_a_comment_of_somebody_else_stops_it_too(desk: Desk) -> None:
    bug = desk.file("beta")
    desk.world.bugzilla.state.bugs[bug].changed -= timedelta(minutes=5)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug)
    desk.world.bugzilla.comment(bug, "Please hold, it crashes.", by=MIRA)
    stopped = await desk.settle(made.uid)
    assert (stopped.state, stopped.parts[0].differences[0].who) == (P.CHANGED, MIRA)
    assert stopped.parts[0].requests[0].sentence == "For 118.0b4.", "nothing was approved"


async def test_a_new_diff_of_the_revision_stops_it(desk: Desk) -> None:
    bug = desk.file("beta", uplift=1)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug)
    (revision,) = desk.revisions(bug)
    desk.world.phabricator.update(revision.id, "--- a\n+++ c\n")
    stopped = await desk.settle(made.uid)
    assert stopped.state is P.CHANGED
    assert stopped.parts[0].differences[0].what == f"D{revision.id}"
    assert revision.status == "needs-review"


async def test_of_two_who_decide_at_once_one_is_told_what_the_other_did(desk: Desk) -> None:
    hugo = actor(HUGO, DECIDES)
    await desk.enter_keys(hugo, HUGO, "hugo")
    bug = desk.file("beta", attachments=2)
    desk.world.bugzilla.state.bugs[bug].changed -= timedelta(minutes=5)
    await desk.read()
    first = await desk.decide(V.APPROVE, bug, template="approve")
    second = await desk.decide(V.REJECT, bug, by=hugo, comment="No.")
    one, other = await desk.settle(first.uid), await desk.settle(second.uid)
    assert (one.state, other.state) == (P.DONE, P.CHANGED)
    assert ROSA in {each.who for each in other.parts[0].differences}
    assert desk.status_of(bug) == ["+", "+"] and desk.said(bug, HUGO) == []


async def test_what_the_bot_read_meanwhile_is_told_before_anything_is_stored(desk: Desk) -> None:
    bug = desk.file("beta", attachments=2)
    await desk.read()
    seen = await desk.preview(V.APPROVE, bug)
    first = desk.world.bugzilla.bug(bug).attachments[0].id
    desk.world.bugzilla.change(bug, by=MIRA, cf_status_firefox_beta="fixed")
    desk.world.bugzilla.set_flag("approval-mozilla-beta", "X", by=MIRA, attachment=first)
    desk.world.bugzilla.set_flag("approval-mozilla-beta", "?", by=MIRA, attachment=first)
    await desk.read()
    with pytest.raises(Changed) as told:
        await desk.decide(V.APPROVE, bug, preview=seen)
    assert f"approval-mozilla-beta of attachment {first}" in {one.what for one in told.value.differences}
    assert desk.query("select 1 from decision_parts where bug = %s", bug) == []


# --- trouble on the way -----------------------------------------------------------------------------


async def test_after_a_refusal_it_says_how_far_it_came_and_resumes_without_a_second_comment(
    desk: Desk,
) -> None:
    bug = desk.file("beta", attachments=3)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve")
    second = desk.world.bugzilla.bug(bug).attachments[1]
    managers = desk.world.bugzilla.state.users[ROSA].groups
    held, second_id = set(managers), second.id

    def once(name: str) -> None:
        # Her right to grant is taken away after the first flag.
        if name == "noted" and desk.status_of(bug)[0] == "+":
            managers.discard("release-managers")

    desk.runner = Runner(_at(desk, once))
    stuck = await desk.settle(made.uid)
    assert stuck.state is P.STUCK and stuck.can == ("resume", "drop")
    assert "1 of 4 written" in stuck.sentence and f"attachment {second_id}" in stuck.sentence
    assert "Only a user with the required permissions" in stuck.parts[0].writes[1].answer
    managers |= held
    desk.runner = Runner(desk.outside)
    await desk.act(deciding.resume, made.uid, house=HOUSE)
    done = await desk.settle(made.uid)
    assert done.state is P.DONE
    assert desk.status_of(bug) == ["+", "+", "+"] and desk.said(bug) == ["Approved for 118.0b4."]
    firsts = f"PUT /rest/bug/attachment/{desk.world.bugzilla.bug(bug).attachments[0].id}"
    assert desk.world.bugzilla.count(firsts) == 1


@pytest.mark.parametrize("place", ["attachment", "{bug}"])
@pytest.mark.parametrize("trouble", [Trouble.LATE_ERROR, Trouble.LATE_DROP, Trouble.ERROR, Trouble.DROP])
async def test_a_lost_answer_doubles_no_comment_whether_or_not_it_took_effect(
    desk: Desk, trouble: Trouble, place: str
) -> None:
    bug = desk.file("beta", attachments=2)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve")
    desk.world.bugzilla.fail(trouble, containing=f"PUT /rest/bug/{place.format(bug=bug)}", times=1)
    await desk.turn()
    waiting = await desk.shown(made.uid)
    assert waiting.state is P.WRITING and "tried again at" in waiting.sentence
    assert (await desk.settle(made.uid)).state is P.DONE
    assert desk.status_of(bug) == ["+", "+"] and desk.said(bug) == ["Approved for 118.0b4."]


@pytest.mark.parametrize("trouble", [Trouble.LATE_ERROR, Trouble.LATE_DROP, Trouble.DROP, Trouble.BUSY])
async def test_a_lost_answer_of_phabricator_doubles_no_review(desk: Desk, trouble: Trouble) -> None:
    bug = desk.file("beta", uplift=2)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve")
    desk.world.phabricator.fail(trouble, containing="differential.revision.edit", times=1)
    await desk.turn()
    assert (await desk.shown(made.uid)).state is P.WRITING
    desk.outside.phabricator._door._closed_until = None  # the minute of its penalty has passed
    assert (await desk.settle(made.uid)).state is P.DONE
    kinds = [[done.kind for done in one.done] for one in desk.revisions(bug)]
    assert kinds == [["accept"], ["accept", "comment"]]


async def test_while_a_try_may_still_take_effect_nothing_is_sent_again(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve")
    desk.world.bugzilla.fail(Trouble.DROP, containing=f"PUT /rest/bug/{bug}", times=1)
    await desk.turn()
    desk.query("update decision_parts set due_at = now() where state = 'writing'")
    await desk.turn()
    assert desk.world.bugzilla.count(f"PUT /rest/bug/{bug}") == 1
    assert "looked for first" in (await desk.shown(made.uid)).sentence
    assert (await desk.settle(made.uid)).state is P.DONE


async def test_a_key_that_is_not_taken_is_tried_once_and_another_is_asked_for(desk: Desk) -> None:
    bugs = [desk.file("beta") for _ in range(3)]
    await desk.read()
    made = [await desk.decide(V.APPROVE, bug) for bug in bugs]
    keys = desk.world.bugzilla.state.keys
    for key in [key for key, login in keys.items() if login == ROSA]:
        del keys[key]
    desk.world.forget()
    for one in made:
        stuck = await desk.settle(one.uid)
        assert stuck.state is P.STUCK and "key" in stuck.sentence
    # Bugzilla shuts everybody out after a few wrong keys.
    assert desk.world.calls()["bugzilla"] <= 4
    with pytest.raises(Refused, match="does not take your key"):
        await desk.decide(V.APPROVE, desk.bugs[0])
    await desk.enter_keys(desk.by, ROSA, "rosa")
    await desk.act(deciding.resume, made[0].uid, house=HOUSE)
    assert (await desk.settle(made[0].uid)).state is P.DONE


async def test_bugzilla_that_is_away_is_waited_for(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    made = await desk.decide(V.APPROVE, bug)
    desk.world.bugzilla.fail(Trouble.DROP)
    await desk.turn()
    assert (await desk.shown(made.uid)).state is P.WRITING
    desk.world.heal()
    assert (await desk.settle(made.uid)).state is P.DONE


async def test_what_is_stuck_may_be_let_be(desk: Desk) -> None:
    bug = desk.file("beta", attachments=2)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug)
    desk.world.bugzilla.state.users[ROSA].groups.discard("release-managers")
    assert (await desk.settle(made.uid)).state is P.STUCK
    with pytest.raises(NotAllowed):
        await desk.act(deciding.drop, made.uid, by=actor(HUGO, DECIDES), why="")
    dropped = await desk.act(deciding.drop, made.uid, why="not needed any more")
    assert (dropped.state, dropped.can) == (P.DROPPED, ())
    with pytest.raises(Refused, match="nothing of it is stuck"):
        await desk.act(deciding.resume, made.uid, house=HOUSE)


class Crash(BaseException):
    """The runner dies here, as by kill -9: nobody catches it."""


async def dies_at(desk: Desk, names: list[str]) -> None:
    """Runners that die one after the other, each the first time it comes to its point."""
    for name in names:

        def at(here: str, name: str = name) -> None:
            if here == name:
                raise Crash

        desk.runner = Runner(_at(desk, at))
        with contextlib.suppress(Crash):
            await desk.runner.claim()
        await desk.runner.settle()
        # Its claim ends some time later, and so does the pause before another try.
        desk.query("update decision_parts set claimed_until = null where state = 'writing'")
        desk.hurry()
    desk.runner = Runner(desk.outside)


POINTS = (
    "claimed, not committed",
    "claimed",
    "looked",
    "marked, not committed",
    "marked",
    "sent",
    "noted, not committed",
    "noted",
    "written",
    "read again",
    "finished, not committed",
    "finished",
    "left",
)


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(n, marks=pytest.mark.drill) for n in range(3, 60))]
)
async def test_for_any_order_of_crashes_and_lost_answers_the_comment_appears_once(
    desk: Desk, seed: int
) -> None:
    roll = random.Random(seed)
    flagged, revised = desk.file("beta", attachments=2), desk.file("beta", uplift=1)
    await desk.read()
    made = await desk.decide(V.APPROVE, flagged, revised, template="approve")
    for _ in range(roll.randint(0, 3)):
        trouble = roll.choice([Trouble.LATE_DROP, Trouble.LATE_ERROR, Trouble.DROP, Trouble.ERROR])
        desk.world.bugzilla.fail(trouble, containing=roll.choice(["PUT ", "GET ", "PUT "]), times=1)
        desk.world.phabricator.fail(trouble, containing="revision.edit", times=roll.randint(0, 1))
    await dies_at(desk, roll.choices(POINTS, k=roll.randint(1, 8)))
    assert (await desk.settle(made.uid, turns=30)).state is P.DONE
    assert desk.said(flagged) == ["Approved for 118.0b4."]
    assert desk.status_of(flagged) == ["+", "+"] and desk.status_of(revised) == ["+"]
    assert [done.kind for done in desk.revisions(revised)[0].done] == ["accept", "comment"]


# --- making and taking back -------------------------------------------------------------------------


async def test_a_decision_is_held_and_may_be_taken_back_until_it_is_taken_up(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    held = deciding.House(is_shadow=False, has_phabricator=True)
    made = await desk.decide(V.APPROVE, bug, house=held)
    assert made.can == ("undo",) and timedelta(0) < made.hold_until - made.made_at <= timedelta(seconds=11)
    await desk.turn()
    assert (await desk.shown(made.uid)).state is P.HELD
    undone = await desk.act(deciding.undo, made.uid)
    assert undone.state is P.UNDONE
    assert (await desk.act(deciding.undo, made.uid)).state is P.UNDONE
    desk.query("update decision_parts set due_at = now() where state = 'undone'")
    await desk.turn()
    assert desk.status_of(bug) == ["?"]
    sent = await desk.decide(V.APPROVE, bug)
    await desk.settle(sent.uid)
    with pytest.raises(Refused, match="is being written, or was"):
        await desk.act(deciding.undo, sent.uid)


async def test_the_same_sent_again_is_one_decision_and_another_body_is_refused(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    seen = await desk.preview(V.APPROVE, bug)
    first = await desk.decide(V.APPROVE, bug, uid="chosen-by-the-page", preview=seen)
    again = await desk.decide(V.APPROVE, bug, uid="chosen-by-the-page", preview=seen)
    assert (first.uid, first.made_at) == (again.uid, again.made_at)
    with pytest.raises(Refused, match="another decision"):
        await desk.decide(V.WITHDRAW, bug, uid="chosen-by-the-page")
    await desk.settle(first.uid)
    after = await desk.decide(V.APPROVE, bug, uid="chosen-by-the-page", preview=seen)
    assert after.state is P.DONE and len(desk.query("select 1 from decision_parts where bug = %s", bug)) == 1


async def test_a_batch_decides_what_it_can_and_names_what_it_cannot(desk: Desk) -> None:
    good, bad = desk.file("beta"), desk.file("beta")
    await desk.read()
    decided = await desk.decide(V.APPROVE, bad)
    await desk.settle(decided.uid)
    await desk.read()
    made = await desk.decide(V.APPROVE, good, bad, template="approve")
    assert [part.bug for part in made.parts] == [good]
    assert [(one.field, one.request.split("-")[0]) for one in made.refusals] == [("state", str(bad))]
    with pytest.raises(Unreached, match="approved already"):
        await desk.decide(V.APPROVE, bad)


async def test_in_a_batch_one_bug_that_changed_does_not_hold_up_the_others(desk: Desk) -> None:
    bugs = [desk.file("beta") for _ in range(3)]
    await desk.read()
    made = await desk.decide(V.APPROVE, *bugs, template="approve")
    desk.world.bugzilla.set_flag(
        "approval-mozilla-beta",
        "-",
        by=HUGO,
        attachment=desk.world.bugzilla.bug(bugs[1]).attachments[0].id,
    )
    ended = await desk.settle(made.uid)
    assert [part.state for part in ended.parts] == [P.DONE, P.CHANGED, P.DONE]
    assert ended.sentence.startswith("2 of 3 bugs are done.")


async def test_only_who_may_decide_a_train_decides_on_it(desk: Desk) -> None:
    bug = desk.file("beta", "release")
    await desk.read()
    trainee = actor("theo@people.example", ("project:shipit:user",))
    with pytest.raises(NotAllowed, match="project:shipit:decide/beta"):
        await desk.decide(V.APPROVE, bug, by=trainee)
    beta_only = actor(ROSA, ("project:shipit:decide/beta",))
    preview = await desk.preview(V.APPROVE, bug, by=beta_only)
    assert [one.field for one in preview.refusals] == ["train"]


async def test_a_restricted_bug_is_decided_only_by_who_may_see_it(desk: Desk) -> None:
    bug = desk.file("beta", groups=(SECURITY,))
    await desk.read()
    blind = await desk.preview(V.APPROVE, bug, see_restricted=False)
    assert [one.reason for one in blind.refusals] == ["there is no such request"]
    made = await desk.decide(V.APPROVE, bug, template="approve")
    assert (await desk.settle(made.uid)).state is P.DONE
    async with desk.pool.connection() as connection:
        shown = await deciding.listed(connection, desk.by, see_restricted=False)
        assert bug not in {part.bug for one in shown for part in one.parts}
        with pytest.raises(Missing):
            await deciding.read(connection, made.uid, desk.by, see_restricted=False)


async def test_in_shadow_mode_everything_is_shown_and_nothing_is_stored(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    shadow = deciding.House(is_shadow=True, has_phabricator=True)
    with pytest.raises(Refused, match="shadow mode"):
        await desk.decide(V.APPROVE, bug, house=shadow)
    assert desk.query("select 1 from decision_parts where bug = %s", bug) == []


async def test_without_a_key_the_writes_are_shown_but_not_sent(desk: Desk) -> None:
    bug = desk.file("beta")
    await desk.read()
    newcomer = actor("nova@people.example", DECIDES)
    preview = await desk.preview(V.APPROVE, bug, by=newcomer)
    assert preview.changes == 1 and preview.parts[0].writes[0].as_whom is None
    assert [one.field for one in preview.blockers] == ["keys.bugzilla"]
    with pytest.raises(Refused, match="enter your Bugzilla key"):
        await desk.decide(V.APPROVE, bug, by=newcomer)


async def test_the_audit_tells_everything_and_cannot_be_changed(desk: Desk) -> None:
    bug = desk.file("beta", attachments=2)
    await desk.read()
    made = await desk.decide(V.APPROVE, bug, template="approve", reason="a top crash")
    await desk.settle(made.uid)
    (uid,) = desk.uids(bug)
    async with desk.pool.connection() as connection:
        lines = await decisions.audit(connection, uid)
    assert [line.what for line in lines] == ["approve", "written", "written", "written", "done"]
    assert (lines[0].actor, lines[0].after) == (ROSA, "approval-mozilla-beta +; approval-mozilla-beta +")
    assert lines[0].why == "Approved for 118.0b4.\na top crash"
    assert "approval-mozilla-beta+" in lines[1].answer
    for change in ("update decision_audit set actor = 'x'", "delete from decision_audit"):
        with pytest.raises(Exception, match="only added to"):
            desk.query(change)
    with pytest.raises(Exception, match="only added to"):
        desk.query("truncate decision_audit")


def _at(desk: Desk, at: Callable[[str], None]) -> Outside:
    return dataclasses.replace(desk.outside, at=at)
