# SPDX-License-Identifier: MPL-2.0
"""What main knows of bugs: their commits in order, and what undid them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from git_builder import FIRST, Repo, lines
from shipit.errors import CommandFailed
from shipit.vcs.landings import commits_of_bugs

BEGINNING = datetime.fromtimestamp(FIRST, UTC)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    told = Repo(tmp_path / "clone")
    told.commit("Start", {"a": lines("a")})
    return told


async def test_commits_of_each_bug_come_oldest_first_with_their_facts(repo: Repo) -> None:
    one = repo.commit(
        "Bug 1234567 - one r=ben\n\nDifferential Revision: https://phabricator.example.org/D98765",
        {"a": lines("1")},
    )
    two = repo.commit("bug 1234567: two", {"a": lines("2")})
    other = repo.commit("Bug 12345678 - another number", {"a": lines("3")})
    repo.commit("No bug - see\n\nthe words of bug 1234567 in a body", {"a": lines("4")})
    found = await commits_of_bugs(repo.path, "main", [1234567, 12345678, 999], since=BEGINNING)
    assert [fact.sha for fact in found[1234567]] == [one, two]
    assert [fact.sha for fact in found[12345678]] == [other]
    assert found[999] == ()
    first = found[1234567][0]
    assert (first.subject, first.revision) == ("Bug 1234567 - one r=ben", 98765)
    assert first.author == "Ada <ada@example.org>"
    assert first.date == datetime.fromtimestamp(FIRST + 120, UTC)


async def test_a_backout_names_what_it_undoes_by_hash_or_by_quoting(repo: Repo) -> None:
    one = repo.commit("Bug 10000 - one", {"a": lines("1")})
    two = repo.commit("Bug 10000 - two", {"b": lines("2")})
    undone = repo.revert(one)
    quoted = repo.commit('Revert "Bug 10000 - two" for failures', {"b": None})
    facts = (await commits_of_bugs(repo.path, "main", [10000], since=BEGINNING))[10000]
    assert [(fact.sha, fact.is_backout, fact.backs_out) for fact in facts] == [
        (one, False, ()),
        (two, False, ()),
        (undone, True, (one,)),
        (quoted, True, (two,)),
    ]


async def test_a_backout_that_names_hashes_of_another_system_undoes_all_before_it(repo: Repo) -> None:
    repo.commit("Bug 10000 - one", {"a": lines("1")})
    repo.commit(
        "Backed out 2 changesets (bug 10000, bug 20000)\n\nBacked out changeset 0123456789ab", {"a": None}
    )
    found = await commits_of_bugs(repo.path, "main", [10000, 20000], since=BEGINNING)
    assert (found[10000][-1].is_backout, found[10000][-1].backs_out) == (True, ())
    assert [fact.is_backout for fact in found[20000]] == [True]


async def test_reading_stops_where_it_is_told_to(repo: Repo) -> None:
    low = repo.commit("Bug 10000 - old", {"a": lines("1")})
    new = repo.commit("Bug 10000 - new", {"a": lines("2")})
    found = await commits_of_bugs(repo.path, "main", [10000], until=low)
    assert [fact.sha for fact in found[10000]] == [new]


async def test_hundreds_of_bugs_are_asked_for_at_once(repo: Repo) -> None:
    shas = {
        number: repo.commit(f"Bug {number} - x", {"a": lines(str(number))}) for number in (1000000, 1000999)
    }
    found = await commits_of_bugs(repo.path, "main", range(1000000, 1001000), since=BEGINNING)
    assert len(found) == 1000
    assert {bug: facts[0].sha for bug, facts in found.items() if facts} == shas


@pytest.mark.parametrize("branch", ["nosuch", "--all", "-x"])
async def test_a_branch_that_is_not_there_is_a_failure_and_no_empty_answer(repo: Repo, branch: str) -> None:
    with pytest.raises(CommandFailed):
        await commits_of_bugs(repo.path, branch, [1])
