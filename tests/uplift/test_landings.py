# SPDX-License-Identifier: MPL-2.0
"""Which commits of a bug stand on main: comments, backouts, relandings, two version controls, the clone."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uplift_builders import BUG, bug, comment, commit, git, hg, recorded_bugs

from shipit.uplift.hashes import Hashes, is_same
from shipit.uplift.landing_comments import LandingPattern, Where, backout_in, landings_in
from shipit.uplift.landings import hashes_of, landed_on_main, standing_on_main


def standing(story: str, *commits: object, **more: object) -> list[str]:
    """Names of the invented commits that stand."""
    names = {git(name): name for name in "ABCDEFGH"} | {hg(name)[:12]: f"hg {name}" for name in "ABCDEFGH"}
    return [names.get(one.sha, one.sha) for one in landed_on_main(bug(story), commits, **more)]  # type: ignore[arg-type]


# --- out of comments alone ----------------------------------------------------------------------------


def test_a_landing_in_git_and_hg_is_one_commit() -> None:
    assert standing("dev pushes A B\nsheriff merges A B") == ["A", "B"]


def test_a_landing_on_a_train_is_none_on_main() -> None:
    assert standing("dev pushes A\nrelman uplifts A beta") == ["A"]
    (one,) = landings_in(bug("relman uplifts A esr140").comments[1])
    assert (one.where, one.twin) == (Where.TRAIN, hg("Aesr140")[:12])


def test_what_was_backed_out_is_gone() -> None:
    assert standing("dev pushes A B\nsheriff backs out A") == ["B"]
    assert standing("dev pushes A B\nsheriff backs out everything") == []


def test_the_last_relanding_is_kept() -> None:
    assert standing("dev pushes A B\nsheriff backs out everything\ndev pushes C D\nsheriff merges C D") == [
        "C",
        "D",
    ]
    assert standing("dev pushes A\nsheriff backs out A\ndev pushes B\nsheriff backs out B\ndev pushes C") == [
        "C"
    ]


def test_a_follow_up_stands_beside_what_it_follows() -> None:
    assert standing("dev pushes A\nsheriff merges A\ndev pushes B") == ["A", "B"]


def test_a_backout_on_a_train_leaves_main_alone() -> None:
    address = "https://hg.mozilla.org/releases/mozilla-beta/rev/0123456789ab"
    assert standing(f"dev pushes A\nsheriff says Backed out from beta for failures:\\n{address}") == ["A"]
    assert standing("dev pushes A\nsheriff says Backed out from beta for failures.") == ["A"]


def test_a_backout_of_another_bug_can_be_the_fix() -> None:
    address = f"https://hg.mozilla.org/integration/autoland/rev/{hg('A')[:12]}"
    undone = f"Backed out changeset 0123456789ab (bug 7654321) for causing bug {BUG}."
    story = f"bot says Backout by s@t.example:\\n{address}\\n{undone}"
    assert standing(story) == ["hg A"]


def test_words_without_an_address_still_report_a_backout() -> None:
    assert standing("dev pushes A\nsheriff says Backed out for failing tests") == []
    assert standing("dev pushes A\nsheriff says Reverted this because it was causing failures.") == []
    assert standing("dev pushes A\nstranger says Backed out of curiosity, I looked at this.") == ["A"]
    assert standing("dev pushes A\ndev says I will back out the patches in the morning.") == ["A"]


def test_a_quoted_or_mentioned_commit_is_no_landing() -> None:
    address = "https://hg.mozilla.org/mozilla-central/rev/0123456789ab"
    assert standing(f"stranger says > {address}") == []
    assert standing(f"stranger says Regression window\\nWorks: {address}") == []
    assert (
        standing(f"stranger says It seems that {address} introduced this when the parser was rewritten") == []
    )
    assert standing("stranger says https://hg.mozilla.org/try/rev/0123456789ab") == []
    assert standing(f"stranger says https://searchfox.org/mozilla-central/rev/{'0' * 40}/a/b.cpp#12") == []


def test_the_description_and_private_comments_report_nothing() -> None:
    address = "https://hg.mozilla.org/mozilla-central/rev/0123456789ab"
    assert landed_on_main(bug(comments=(comment(address, number=0),))) == ()
    assert landed_on_main(bug(comments=(comment(address, is_private=True),))) == ()
    assert len(landed_on_main(bug(comments=(comment(address),)))) == 1


def test_l12_other_hosts_are_read_by_configured_patterns() -> None:
    pattern = LandingPattern(
        url=r"https://git\.example/(?P<repository>\w+)/\+/(?P<sha>[0-9a-f]{40})", kind="git", main=("trunk",)
    )
    one = bug(
        f"dev says https://git.example/trunk/+/{git('A')}\ndev says https://git.example/stable/+/{git('B')}"
    )
    assert [found.sha for found in landed_on_main(one, patterns=(pattern,))] == [git("A")]


# --- mapping ------------------------------------------------------------------------------------------


def test_the_map_is_asked_only_for_what_nobody_paired() -> None:
    story = f"dev pushes A\nsheriff merges A\nsheriff says https://hg.mozilla.org/mozilla-central/rev/{hg('B')[:12]}"
    assert hashes_of(bug(story)) == {hg("B")[:12]}
    assert hashes_of(bug("relman uplifts A beta")) == frozenset()
    assert hashes_of(bug(story), kind="hg") == frozenset(), "a pair answers for both kinds"


def test_mapped_unmapped_and_unasked_hashes() -> None:
    story = "sheriff merges A B C"
    a, b, c = landed_on_main(bug(story), hashes={hg("A")[:12]: git("A"), hg("B")[:12]: None})
    assert (a.sha, a.missing) == (git("A"), None)
    assert (b.sha, b.missing) == (hg("B")[:12], f"hg commit {hg('B')[:12]} is not mapped to git")
    assert (c.sha, c.missing) == (hg("C")[:12], f"hg commit {hg('C')[:12]} is not mapped to git yet")


def test_a_clone_in_hg_needs_no_map() -> None:
    assert standing("dev pushes A\nsheriff merges A B", kind="hg") == ["hg A", "hg B"]


def test_the_recorded_maps_have_the_shape_we_ask_for(shared: Path) -> None:
    folder = shared / "data/hgmo/vcs-map/hg_git_map"
    files = sorted(folder.iterdir())
    assert len(files) == 11
    for file in files:
        git_hash, hg_hash = file.read_text().split()
        story = f"sheriff says https://hg.mozilla.org/mozilla-central/rev/{hg_hash[:12]}"
        (one,) = landed_on_main(bug(story), hashes={hg_hash[:12]: git_hash})
        assert (file.stem, one.sha, one.missing) == (hg_hash, git_hash, None)


# --- with a clone -------------------------------------------------------------------------------------


def test_both_sources_together_double_nothing_and_the_clone_orders() -> None:
    facts = (commit("B"), commit("A"))
    found = landed_on_main(bug("dev pushes A B\nsheriff merges A B"), facts)
    assert [one.sha for one in found] == [git("B"), git("A")]
    assert all(one.is_known and one.url for one in found)


def test_the_clone_knows_commits_that_no_comment_reports() -> None:
    assert standing("", commit("A"), commit("B")) == ["A", "B"]


def test_shortened_hashes_name_the_same_commit() -> None:
    story = f"dev says https://github.com/mozilla-firefox/firefox/commit/{git('A')[:9]}"
    assert standing(story, commit("A")) == ["A"]
    assert is_same(git("A"), git("A")[:7].upper()) and not is_same(git("A"), git("A")[:6])


def test_hashes_that_begin_alike_by_malice_cost_no_time() -> None:
    alike = Hashes(f"{0:033x}{number:07x}" for number in range(50_000))
    assert alike.find(f"{0:033x}{49_999:07x}") == f"{0:033x}{49_999:07x}"
    assert alike.find("1234567") is None


def test_the_clone_says_what_was_backed_out() -> None:
    undo = commit("X", 'Revert "Bug 1900001 - A" for failures', is_backout=True, backs_out=(git("A")[:12],))
    assert standing("dev pushes A B", commit("A"), commit("B"), undo) == ["B"]
    blunt = commit("X", f"Backed out 2 changesets (bug {BUG}) for failures", is_backout=True)
    assert standing("dev pushes A B", commit("A"), commit("B"), blunt) == []
    assert standing("dev pushes A C", commit("A"), blunt, commit("C")) == ["C"]


def test_undoing_a_backout_lands_again_with_the_commit_that_holds_it() -> None:
    undo = commit("X", "Revert A", is_backout=True, backs_out=(git("A"),))
    redo = commit("H", f'Revert "Revert A" bug {BUG}', is_backout=True, backs_out=(git("X"),))
    assert standing("", commit("A"), undo, redo) == ["H"]


def test_a_backout_that_only_mentions_the_bug_leaves_it_alone() -> None:
    other = commit(
        "X", f"Backed out 2 changesets (bug 1800000) for failing what bug {BUG} tests", is_backout=True
    )
    assert standing("dev pushes A", commit("A"), other) == ["A"]
    assert standing("", other) == [git("X")], "unless it is all the bug has: then it is the fix"


def test_a_backout_that_the_clone_does_not_have_yet_is_believed() -> None:
    assert standing("dev pushes A B\nsheriff backs out A", commit("A"), commit("B")) == ["B"]
    assert standing("dev pushes A B\nsheriff backs out everything", commit("A"), commit("B")) == []
    undo = commit("X", f"Backed out changeset (bug {BUG})", is_backout=True, backs_out=(git("A"),))
    assert standing("dev pushes A B\nsheriff backs out everything", commit("A"), commit("B"), undo) == ["B"]


def test_a_silent_map_does_not_double_what_the_clone_knows() -> None:
    assert standing("sheriff merges A B", commit("A"), commit("B")) == ["A", "B"]
    assert standing("sheriff merges A B", commit("A")) == ["A", "hg B"], "a clone that lags lacks the newest"
    assert standing("dev pushes A\nsheriff merges A B", commit("A")) == ["A", "hg B"]


def test_a_fix_that_backs_out_another_bug_stands() -> None:
    fix = commit(
        "A", f"Bug {BUG} - Back out bug 1800000 r=peer", is_backout=True, backs_out=("0123456789ab",)
    )
    assert standing("dev pushes A", fix) == ["A"]


def test_what_the_clone_has_elsewhere_than_on_main_is_no_landing() -> None:
    assert standing("dev pushes A B", commit("A"), commit("B", on_main=False)) == ["A"]


def test_a_commit_of_another_bug_that_a_comment_names_is_no_landing() -> None:
    other = commit("B", "Bug 1800000 - something else")
    assert standing("dev pushes A B", commit("A"), other) == ["A"]


# --- recorded and hostile -----------------------------------------------------------------------------


def test_the_recorded_bugs_have_exactly_these_landings(shared: Path) -> None:
    """Read by hand from the recorded comments: relandings, backouts in sentences, partial backouts, fixes."""
    bugs = list(recorded_bugs(shared))
    found = {one.id: [landed.sha for landed in landed_on_main(one, kind="hg")] for one in bugs}
    by_hand = {
        1572867: ["0b09473d4c74"],  # landed, backed out by hash, landed again
        965392: ["96644f389a58"],  # "We're backing this out"
        679509: ["38f53f45bbf4"],  # "Backout: …", landed again
        683280: ["756d9bfae05d"],  # twice "Backed out in …" within a sentence
        1220307: ["933b5260480f", "c17c6b68112c", "6126c53203f8"],  # three landings of three
        1271794: ["154b951082e3"],
        772679: ["8364cb62506e", "b2127fc9bd2b", "1ee6a1ae6cfc", "970496fa31dd", "6efd09dda9e1"],
        647570: ["8641afbd20e6"],  # "landed as …, but was backed out"
        733614: ["aeaa00b5cab5", "00244ceddd42"],  # the fix is a backout
        1114040: ["88b7a10c092e", "ad5847eb2543"],  # "Re-landed"
        909494: ["c0e80bbe50fb", "b6412dc95e7f"],
        1390433: ["3d38ebe3179e"],
    }
    assert {number: found[number] for number in by_hand} == by_hand
    assert sum(len(those) for those in found.values()) == 76
    assert sum(bool(those) for those in found.values()) == 48


WORDS = st.sampled_from(
    [
        "Backed out changeset ", hg("A")[:12], "\n", "\n\n", f" (bug {BUG}) ", "> ", " for ", "Revert ",
        "bug 1",
        f"https://hg.mozilla.org/mozilla-central/rev/{hg('A')[:12]}", "https://hg.mozilla.org/", "\ud800",
        f"https://github.com/mozilla-firefox/firefox/commit/{git('A')}", "Pushed by x@y.example:",
        "the backout", "Re-landed",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(WORDS, st.text(max_size=12)), max_size=25).map("".join))
def test_no_text_makes_the_reader_raise_or_invent_a_commit(text: str) -> None:
    one = bug(comments=(comment(text), comment(text, number=2)))
    for found in landed_on_main(one, hashes={hg("A")[:12]: git("A")}):
        assert found.sha in text or found.sha == git("A")
    hashes_of(one)


@given(st.lists(st.sampled_from("ABCDE"), unique=True, min_size=1), st.data())
def test_whatever_the_order_nothing_stands_twice_and_nothing_backed_out_stands(
    names: list[str], data: st.DataObject
) -> None:
    undone = data.draw(st.sets(st.sampled_from(names)))
    facts = [commit(name) for name in names]
    facts += [commit(f"X{name}", is_backout=True, backs_out=(git(name),)) for name in sorted(undone)]
    story = f"dev pushes {' '.join(names)}\nsheriff merges {' '.join(names)}"
    assert standing(story, *facts) == [name for name in names if name not in undone]


@pytest.mark.parametrize(
    "text",
    ["https://hg.mozilla.org/" * 40_000, "Backed out changeset " * 50_000, "backed out\n" * 90_000,
     "https://hg.mozilla.org/mozilla-central/rev/0123456789ab\n" * 18_000, "Backed out " + "a" * 1_000_000],
)  # fmt: skip
def test_a_megabyte_of_malice_takes_linear_time(text: str) -> None:
    started = time.process_time()
    one = comment(text)
    landings_in(one)
    backout_in(one, BUG)
    assert time.process_time() - started < 5


def test_many_different_hashes_do_not_blow_up() -> None:
    text = "\n".join(f"https://hg.mozilla.org/mozilla-central/rev/{number:012x}" for number in range(1500))
    one = bug(comments=tuple(comment(text, number=number) for number in range(1, 40)))
    started = time.process_time()
    assert len(landed_on_main(one)) == 200
    assert time.process_time() - started < 10
    assert msgspec.structs.replace(one, comments=()).comments == ()


def test_the_clone_alone_tells_what_stands_and_which_backouts_undid_it() -> None:
    one, undo, again = commit("A"), commit("B", is_backout=True, backs_out=(git("A"),)), commit("C")
    kept, undoing = standing_on_main(BUG, (one, undo, again))
    assert [fact.sha for fact in kept] == [git("C")]
    assert [fact.sha for fact in undoing] == [git("B")]


def test_a_backout_that_is_the_bugs_own_change_undoes_nothing_of_it() -> None:
    words = f"Bug {BUG} - Back out bug 7, which broke it."
    fix = commit("A", is_backout=True, backs_out=("0123456789ab",), subject=words)
    assert standing_on_main(BUG, (fix,)) == ((fix,), ())
