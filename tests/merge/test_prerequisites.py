# SPDX-License-Identifier: MPL-2.0
"""What a conflicting uplift misses, on generated histories: each pitfall of such searches by name."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from git_builder import BEN, Repo, lines, numbered, run_git
from shipit.merge.advice import Advice, advise
from shipit.merge.prerequisites import _Searcher
from shipit.merge.types import Outcome, RawDiff
from shipit.vcs.drafts import Drafts
from shipit.vcs.ground import GitGround


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Bug 100", {"a.txt": numbered(40), "b.txt": numbered(40)})
    told.branch("beta", "main")
    return told


async def ask(repo: Repo, *revisions: str, onto: str = "beta") -> Advice:
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, *series = await ground.entries([onto, *revisions])
        return await advise(ground, series, tip)


def named(advice: Advice) -> list[str]:
    return [one.revision for one in advice.prerequisites]


async def test_the_commit_that_wrote_the_changed_line_is_named_alone(repo: Repo) -> None:
    repo.commit("Bug 1 - elsewhere", {"a.txt": numbered(40, l30="far")})
    missing = repo.commit("Bug 2 - here", {"a.txt": numbered(40, l30="far", l5="two")})
    patch = repo.commit("Bug 3 - again here", {"a.txt": numbered(40, l30="far", l5="three")})
    advice = await ask(repo, patch)
    assert (advice.outcome, advice.verified, named(advice)) == (Outcome.CONFLICT, True, [missing])
    assert (advice.prerequisites[0].bug, advice.prerequisites[0].files) == (2, 0)
    assert "merges cleanly with 1 commit (bug 2) tried first" in advice.reason


async def test_a_chain_is_named_in_the_order_of_main(repo: Repo) -> None:
    first = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(40, l5="three")})
    assert named(await ask(repo, patch)) == [first, second]


async def test_a_deletion_on_main_is_found_where_blame_sees_no_line(repo: Repo) -> None:
    left = [f"line {number}" for number in range(1, 41) if number not in (10, 11)]
    gone = repo.commit("Bug 1 - remove two lines", {"a.txt": lines(*left)})
    left[8] = "line 9 changed"
    left[9] = "line 12 changed"
    patch = repo.commit("Bug 2", {"a.txt": lines(*left)})
    assert named(await ask(repo, patch)) == [gone]


async def test_a_revert_whose_original_is_missing_is_empty_not_mended(repo: Repo) -> None:
    repo.commit("Bug 1 - add", {"a.txt": numbered(40, l5="one")})
    repo.commit("Bug 2 - build on it", {"b.txt": numbered(40, l1="x")})
    patch = repo.commit('Revert "Bug 1 - add"', {"a.txt": numbered(40)})
    repo.commit("Bug 9 - own", {"a.txt": numbered(40, l5="own")}, on="beta")
    advice = await ask(repo, patch)
    assert not advice.verified and named(advice) == []
    assert not advice.is_unknown


async def test_what_makes_the_patch_change_nothing_is_no_prerequisite(repo: Repo) -> None:
    repo.commit("Bug 1 - add", {"a.txt": numbered(40, l5="one", l6="one too")})
    patch = repo.commit('Revert "Bug 1 - add"', {"a.txt": numbered(40)})
    repo.commit("Bug 1 - half of it", {"a.txt": numbered(40, l5="one half")}, on="beta")
    advice = await ask(repo, patch)
    assert not advice.verified


async def test_a_commit_landed_under_another_id_by_trailer_is_not_named(repo: Repo) -> None:
    first = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(40, l5="three")})
    said = f"Uplift\n\n(cherry picked from commit {first})"
    repo.commit(said, {"a.txt": numbered(40, l5="one")}, on="beta", author=BEN)
    assert named(await ask(repo, patch)) == [second]


async def test_a_squash_names_several_commits_it_was_picked_from(repo: Repo) -> None:
    first = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two", l6="x")})
    third = repo.commit("Bug 3", {"a.txt": numbered(40, l5="three", l6="x")})
    patch = repo.commit("Bug 4", {"a.txt": numbered(40, l5="four", l6="x")})
    said = f"Squashed\n\n(cherry picked from commits {first} & {second})"
    repo.commit(said, {"a.txt": numbered(40, l5="two", l6="x")}, on="beta", author=BEN)
    assert named(await ask(repo, patch)) == [third]


async def test_an_equal_patch_on_the_train_is_seen_through(repo: Repo) -> None:
    repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(40, l5="three")})
    repo.commit("Another subject", {"a.txt": numbered(40, l5="one")}, on="beta", author=BEN)
    assert named(await ask(repo, patch)) == [second]


async def test_a_renamed_file_is_followed_to_its_old_name(repo: Repo) -> None:
    missing = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    moved = repo.commit("Bug 2 - move", {"a.txt": None, "c.txt": numbered(40, l5="one")})
    patch = repo.commit("Bug 3", {"c.txt": numbered(40, l5="three")})
    advice = await ask(repo, patch)
    assert advice.verified and named(advice) in ([missing], [missing, moved])


async def test_a_file_that_the_train_never_had_comes_from_who_added_it(repo: Repo) -> None:
    added = repo.commit("Bug 1 - new file", {"new.txt": numbered(20)})
    patch = repo.commit("Bug 2", {"new.txt": numbered(20, l3="three")})
    advice = await ask(repo, patch)
    assert named(advice) == [added]
    assert advice.prerequisites[0].lines == 20


async def test_neighbouring_lines_are_called_neighbours_with_a_proposal(repo: Repo) -> None:
    patch = repo.commit("Bug 1", {"a.txt": numbered(40, l5="main")})
    repo.commit("Bug 2 - own", {"a.txt": numbered(40, l6="train")}, on="beta")
    advice = await ask(repo, patch)
    assert (advice.neighbours_only, advice.verified) == (True, False)
    assert "+main" in advice.keep_both[0].diff and "+train" not in advice.keep_both[0].diff
    assert [one.subject for one in advice.in_the_way] == ["Bug 2 - own"]


async def test_the_commit_of_the_train_that_owns_the_lines_is_in_the_way(repo: Repo) -> None:
    patch = repo.commit("Bug 1", {"a.txt": numbered(40, l5="main")})
    own = repo.commit("Bug 7 - own", {"a.txt": numbered(40, l5="train")}, on="beta", author=BEN)
    repo.commit("Bug 8 - far", {"a.txt": numbered(40, l5="train", l30="far")}, on="beta")
    advice = await ask(repo, patch)
    assert [(one.revision, one.bug, one.path) for one in advice.in_the_way] == [(own, 7, "a.txt")]
    assert "the train's own commit" in advice.reason and not advice.is_unknown


async def test_an_uplift_adapted_by_hand_is_pointed_to(repo: Repo) -> None:
    first = repo.commit("Bug 1 - feature", {"a.txt": numbered(40, l5="one")})
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    said = f"Bug 1 - feature\n\n(cherry picked from commit {first})"
    own = repo.commit(said, {"a.txt": numbered(40, l5="one, adapted")}, on="beta")
    advice = await ask(repo, patch)
    assert [one.revision for one in advice.in_the_way] == [own]
    assert "adapted by hand earlier" in advice.reason and first[:12] in advice.reason


async def test_what_came_by_a_merge_is_said_to_have_arrived_with_it(repo: Repo) -> None:
    repo.commit("Import", {"c.txt": numbered(20)}, on="other", start="")
    merge = repo.commit("Merge other", {"sub/c.txt": numbered(20)}, start="main", also=["other"])
    patch = repo.commit("Bug 2", {"sub/c.txt": numbered(20, l4="x")})
    advice = await ask(repo, patch)
    assert not advice.verified
    assert [one.revision for one in advice.in_the_way] == [merge]
    assert "arrived with merge" in advice.reason


async def test_a_set_that_needs_a_preference_for_the_train_is_named_and_not_verified(repo: Repo) -> None:
    # the prerequisite itself meets the train's own commit, in a line that the series does not touch
    missing = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one", l20="main's")})
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two", l20="main's")})
    own = repo.commit("Bug 9 - own", {"a.txt": numbered(40, l20="train's")}, on="beta")
    advice = await ask(repo, patch)
    assert (advice.verified, named(advice)) == (False, [])
    assert [one.revision for one in advice.unverified] == [missing]
    assert advice.preferring == (missing,)
    assert [one.revision for one in advice.in_the_way] == [own]
    assert "not verified" in advice.reason


async def test_the_series_itself_never_prefers_the_train(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    repo.commit("Bug 9 - own", {"a.txt": numbered(40, l5="train's")}, on="beta")
    advice = await ask(repo, patch)
    assert (advice.outcome, advice.preferring, advice.unverified) == (Outcome.CONFLICT, (), ())


async def test_the_pull_request_in_a_subject_hides_no_twin(repo: Repo) -> None:
    landed = repo.commit("Bug 1 - Add it (#1234)", {"a.txt": numbered(40, l5="one")}, authored=1_700_000_000)
    second = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(40, l5="three")})
    # uplifted by hand: another patch, the same author, time and subject but for the pull request
    own = {"a.txt": numbered(40, l5="one"), "also.txt": b"x\n"}
    repo.commit("Bug 1 - Add it (#77)", own, on="beta", authored=1_700_000_000)
    advice = await ask(repo, patch)
    assert named(advice) == [second] and landed not in named(advice)


async def test_more_than_thirty_members_are_too_much(repo: Repo) -> None:
    for number in range(2, 36):
        repo.commit(f"Bug {number}", {"a.txt": numbered(40, l5=f"by {number}")})
    patch = repo.commit("Bug 99", {"a.txt": numbered(40, l5="last")})
    advice = await ask(repo, patch)
    assert not advice.verified and "uplift is probably not wise" in advice.reason
    assert advice.merges <= 60


async def test_a_prerequisite_that_an_import_brought_is_said_to_have_arrived_with_its_merge(
    repo: Repo,
) -> None:
    # the imported repository began with a file of the product's own name
    begin = repo.commit(
        "Begin elsewhere", {"a.txt": numbered(5), "sub.txt": numbered(20)}, on="other", start=""
    )
    other = repo.commit("Bug 7", {"sub.txt": numbered(20, l4="w"), "a.txt": numbered(5)}, on="other")
    tree = {"a.txt": numbered(40), "sub.txt": numbered(20, l4="w")}
    merge = repo.commit("Merge other", tree, start="main", also=["other"])
    patch = repo.commit("Bug 8", {"sub.txt": numbered(20, l4="x")})
    advice = await ask(repo, patch)
    assert not (advice.verified or advice.is_unknown) and {begin, other} & {
        one.revision for one in advice.unverified
    }
    assert [one.revision for one in advice.in_the_way] == [merge]
    assert "arrived with merge" in advice.reason


async def test_what_is_on_the_train_is_landed_and_not_searched(repo: Repo) -> None:
    patch = repo.commit("Bug 1", {"a.txt": numbered(40, l5="x")})
    advice = await ask(repo, patch, onto="main")
    assert (advice.outcome, advice.merges) == (Outcome.LANDED, 0)


async def test_a_superfluous_suspect_is_dropped(repo: Repo) -> None:
    one = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one"), "b.txt": numbered(40, l9="x")})
    repo.commit("Bug 2 - only b", {"b.txt": numbered(40, l9="x", l25="y")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(40, l5="two")})
    advice = await ask(repo, patch)
    assert named(advice) == [one]
    assert advice.prerequisites[0].files == 1


async def test_what_is_needed_only_for_each_other_goes_together(repo: Repo) -> None:
    # line 20 was blamed only because it neighbours; both its writers go, though neither goes alone
    repo.commit("Bug 1", {"b.txt": numbered(40, l20="one")})
    repo.commit("Bug 2", {"b.txt": numbered(40, l20="two")})
    missing = repo.commit("Bug 3", {"a.txt": numbered(40, l5="three")})
    patch = repo.commit("Bug 4", {"a.txt": numbered(40, l5="four")})
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, series, *wide = await ground.entries(["beta", patch, "main~3", "main~2", missing])
        searcher = _Searcher(ground, [series], tip, 60, 30)
        members = {entry.position for entry in wide}
        least, run = await searcher._least(members, await searcher._try(members))
    assert least == {wide[-1].position} and run.stop is None


async def test_a_raw_diff_is_searched_as_if_it_were_on_main(repo: Repo) -> None:
    missing = repo.commit("Bug 1 - here", {"a.txt": numbered(40, l5="two")})
    side = repo.commit("Bug 2", {"a.txt": numbered(40, l5="three")}, on="side", start="main")
    diff = run_git(repo.path, "diff", f"{side}^", side)
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, main = await ground.entries(["beta", "main"])
        for base in (repo.id("main"), None, "f" * 40):
            drafts = Drafts(ground, main)
            entries = await drafts.entries([RawDiff("D7", diff, base)], tip=tip, bug=2)
            advice = await advise(drafts.ground, entries, tip)
            assert (advice.verified, named(advice)) == (True, [missing])


async def test_an_interrupted_search_leaves_the_next_one_right(repo: Repo) -> None:
    missing = repo.commit("Bug 1 - here", {"a.txt": numbered(40, l5="two")})
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l5="three")})
    other = repo.commit("Bug 3", {"b.txt": numbered(40, l5="three")})
    async with GitGround(repo.path, index=None, scratch=repo.path.parent / "scratch") as ground:
        tip, one, two = await ground.entries(["beta", patch, other])
        for seconds in (0.0, 0.001, 0.003, 0.006, 0.01):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await advise(ground, [two], tip)
            assert named(await advise(ground, [one], tip)) == [missing]


async def test_a_series_is_searched_as_a_whole(repo: Repo) -> None:
    missing = repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    part1 = repo.commit("Bug 2 part 1", {"b.txt": numbered(40, l5="b")})
    part2 = repo.commit("Bug 2 part 2", {"a.txt": numbered(40, l5="two"), "b.txt": numbered(40, l5="c")})
    assert named(await ask(repo, part2, part1)) == [missing]


async def test_no_answer_promises_that_anything_works(repo: Repo) -> None:
    repo.commit("Bug 1", {"a.txt": numbered(40, l5="one")})
    patch = repo.commit("Bug 2", {"a.txt": numbered(40, l5="two")})
    assert "works" not in (await ask(repo, patch)).reason
