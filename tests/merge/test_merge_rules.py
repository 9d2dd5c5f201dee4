# SPDX-License-Identifier: MPL-2.0
"""The rules of trials without any repository: outcomes, order, kinds, twins and backouts, comparison."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import InvalidInput
from shipit.merge.backtest import Graft, Row, compare, read_rows, report
from shipit.merge.conflicts import Message, Side, by_real_path, conflicts
from shipit.merge.series import in_order, settle
from shipit.merge.standing import Backout, Landing, backed_out_by, bugs_of, is_backout, is_twin
from shipit.merge.types import Commit, Conflict, ConflictKind, Outcome, PatchResult, SeriesResult

ORDER = (
    Outcome.ERROR,
    Outcome.CONFLICT,
    Outcome.MISSING,
    Outcome.CLEAN,
    Outcome.EMPTY,
    Outcome.LANDED,
)


@given(st.lists(st.sampled_from(ORDER), min_size=1, max_size=5))
def test_the_series_outcome_is_the_first_of_the_contracts_list_that_any_patch_has(
    outcomes: list[Outcome],
) -> None:
    result = settle([PatchResult("x", outcome) for outcome in outcomes], "tree")
    assert result.outcome is next(outcome for outcome in ORDER if outcome in outcomes)
    assert (result.tree == "tree") is (result.outcome in ORDER[3:])


def test_every_outcome_has_its_place_in_the_rule() -> None:
    assert set(Outcome) - set(ORDER) == {Outcome.SKIPPED}


@given(st.permutations(range(5)), st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_ancestors_come_first_and_the_unrelated_stay_as_given(
    given_order: list[int], edges: set[tuple[int, int]]
) -> None:
    below = {(str(min(edge)), str(max(edge))) for edge in edges if edge[0] != edge[1]}
    for middle, low, high in itertools.product("01234", repeat=3):
        if (low, middle) in below and (middle, high) in below:
            below.add((low, high))
    ids = [str(number) for number in given_order]
    order = [ids[place] for place in in_order([Commit(name) for name in ids], ids, below)]
    assert sorted(order) == sorted(ids)
    for low, high in below:
        assert order.index(low) < order.index(high)
    if not below:
        assert order == ids


@pytest.mark.parametrize(
    ("stages", "said", "kind"),
    [
        ("123", "CONFLICT (contents)", ConflictKind.CONTENT),
        ("23", "CONFLICT (contents)", ConflictKind.ADD_ADD),
        ("12", "CONFLICT (modify/delete)", ConflictKind.MODIFY_DELETE),
        ("123", "CONFLICT (binary)", ConflictKind.BINARY),
        ("1", "CONFLICT (rename/delete)", ConflictKind.RENAME),
        ("2", "CONFLICT (distinct modes)", ConflictKind.MODE),
        ("2", "CONFLICT (file/directory)", ConflictKind.OTHER),
        ("123", "CONFLICT (submodule not initialized)", ConflictKind.SUBMODULE),
        ("13", "", ConflictKind.MODIFY_DELETE),
        ("23", "", ConflictKind.ADD_ADD),
        ("3", "", ConflictKind.RENAME),
    ],
)
def test_kinds_are_read_from_what_the_merge_says(stages: str, said: str, kind: ConflictKind) -> None:
    sides = {b"a": [Side(int(stage), "100644", stage * 40) for stage in stages]}
    assert conflicts(sides, [Message((b"a",), said)] if said else []) == (Conflict("a", kind),)


def test_a_mode_that_differs_where_content_does_not_is_a_conflict_of_modes() -> None:
    sides = {b"a": [Side(1, "100644", "1"), Side(2, "100755", "1"), Side(3, "120000", "1")]}
    assert conflicts(sides, [])[0].kind is ConflictKind.MODE


def apart(kind: str, *paths: bytes) -> Message:
    return Message(paths, f"CONFLICT ({kind})")


MADE_UP = b"a~" + b"0123456789" * 4


@pytest.mark.parametrize("name", [MADE_UP, MADE_UP + b"_0", MADE_UP + b"0123456789abcdef01234567"])
@pytest.mark.parametrize("kind", ["distinct modes", "distinct types", "file/directory"])
def test_a_name_that_git_makes_up_is_the_path_of_the_trees(name: bytes, kind: str) -> None:
    sides = {b"a": [Side(3, "120000", "3")], name: [Side(1, "100644", "1"), Side(2, "100755", "2")]}
    real, said = by_real_path(sides, [apart(kind, b"a", name), apart("modify/delete", name)])
    assert real == {b"a": [Side(1, "100644", "1"), Side(2, "100755", "2"), Side(3, "120000", "3")]}
    assert {path for message in said for path in message.paths} == {b"a"}
    assert [conflict.path for conflict in conflicts(real, said)] == ["a"]


@pytest.mark.parametrize(
    "message",
    [
        apart("rename/rename", b"a", MADE_UP),
        apart("contents", MADE_UP),
        apart("file/directory", MADE_UP, b"b"),
        apart("distinct types", b"a", b"a~train"),
    ],
)
def test_a_file_that_is_really_called_like_a_made_up_one_keeps_its_name(message: Message) -> None:
    sides = {message.paths[0]: [Side(2, "100644", "2"), Side(3, "100644", "3")]}
    assert by_real_path(sides, [message]) == (sides, (message,))


@pytest.mark.parametrize("kind", ["file location", "directory rename suggested"])
def test_a_file_in_a_folder_that_was_moved_conflicts_where_it_is_now_alone(kind: str) -> None:
    sides = {b"new/a": [Side(3, "100644", "3")]}
    said = apart(kind, b"new/a", b"old/a")
    assert conflicts(sides, [said]) == (Conflict("new/a", ConflictKind.RENAME),)


def test_what_merged_by_itself_is_no_conflict() -> None:
    assert conflicts({}, [Message((b"a",), "Auto-merging", "Auto-merging a")]) == ()


ONE = Landing("1" * 40, "Ada <a@x>", 1, "Bug 100 - one r=ben")


def later(number: int, message: str) -> Landing:
    return Landing(str(number) * 40, "Ben <b@x>", 10 + number, message)


@pytest.mark.parametrize(
    "message",
    [
        f'Revert "Bug 100 - one r=ben" for failures\n\nThis reverts commit {"1" * 40}.',
        f"Backed out changeset {'1' * 12} (bug 100) for failures",
        f"Backed out 2 changesets (bug 100, bug 7) for failures\n\nBacked out changeset {'8' * 12} (bug 7)\n"
        f"Backed out changeset {'1' * 12} (bug 100)",
        f"Revert stuff\n\nThis reverts commits {'8' * 40} and {'1' * 40}.",
        'Revert "Bug 100 - one r=ben,carl" for failures',
        f"back out commit {'1' * 10}",
    ],
)
def test_a_backout_that_names_a_commit_is_read(message: str) -> None:
    assert backed_out_by(ONE, [later(2, message), ONE]) == Backout(certain="2" * 40)


def test_a_backout_by_bug_is_possible_only() -> None:
    found = backed_out_by(ONE, [later(2, f"Backed out changeset {'e' * 12} (bug 100) for failures")])
    assert found == Backout(possible=("2" * 40,))


@pytest.mark.parametrize(
    "message",
    [
        "Bug 101 - revert to the old icons",
        f"Backed out changeset {'e' * 12} (bug 99)",
        'Revert "Bug 100 - two"',
        f"Bug 100 - fix what commit {'1' * 40} broke",
    ],
)
def test_what_undoes_something_else_is_not_our_backout(message: str) -> None:
    assert backed_out_by(ONE, [later(2, message)]) == Backout()


def test_a_backout_before_the_landing_and_an_undone_backout_do_not_count() -> None:
    backout = later(2, f"Revert x\n\nThis reverts commit {'1' * 40}.")
    undone = later(3, f"Revert the revert\n\nThis reverts commit {'2' * 40}.")
    again = later(4, f"Revert it for good\n\nThis reverts commit {'3' * 40}.")
    assert backed_out_by(ONE, [ONE, backout]) == Backout()
    assert backed_out_by(ONE, [undone, backout, ONE]) == Backout()
    assert backed_out_by(ONE, [again, undone, backout, ONE]) == Backout(certain="2" * 40)


def test_twins_are_told_by_trailer_or_author_and_time_and_subject() -> None:
    picked = later(2, f"Other words\n\n(cherry picked from commit {'1' * 40})")
    moved = Landing("3" * 40, ONE.author, ONE.authored, "Bug 100 - one r=ben, a=pascalc")
    assert is_twin(ONE, picked)
    assert is_twin(ONE, moved)
    assert not is_twin(ONE, Landing("4" * 40, ONE.author, 2, ONE.message))
    assert not is_twin(ONE, Landing("4" * 40, ONE.author, ONE.authored, "Bug 100 - two"))


def test_bugs_and_backouts_are_told_from_words() -> None:
    assert bugs_of("Bug 1234567 - x (bug 99999, bugs #123)") == {1234567, 99999, 123}
    assert is_backout(later(2, "Backed out 3 changesets (bug 1)"))
    assert not is_backout(later(2, "Bug 1 - back out of the dialog with Escape"))


TREE = "t" * 40


def row(result: str, tree: str | None = None, *paths: str) -> Row:
    return Row("o/n", "beta", "p", "s", Graft(result, tree, paths))


def outcome(kind: Outcome, tree: str | None = None, *paths: str) -> SeriesResult:
    found = tuple(Conflict(path, ConflictKind.CONTENT) for path in paths)
    return SeriesResult(kind, tree, (PatchResult("s", kind, tree, found),))


@pytest.mark.parametrize("kind", [Outcome.CLEAN, Outcome.EMPTY, Outcome.LANDED])
def test_a_recorded_clean_agrees_with_what_merged_to_the_same_tree(kind: Outcome) -> None:
    assert compare(row("clean", TREE), outcome(kind, TREE)) is None
    other = compare(row("clean", TREE), outcome(kind, "o" * 40))
    assert other is not None
    assert "another tree" in other.reason


def test_a_recorded_conflict_agrees_with_a_conflict_in_the_same_paths() -> None:
    assert compare(row("conflict", None, "b", "a"), outcome(Outcome.CONFLICT, None, "a", "b")) is None
    fewer = compare(row("conflict", None, "a", "b"), outcome(Outcome.CONFLICT, None, "a", "c"))
    assert fewer is not None
    assert "['b']" in fewer.reason
    assert "['c']" in fewer.reason


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        (row("clean", TREE), outcome(Outcome.CONFLICT, None, "a")),
        (row("conflict", None, "a"), outcome(Outcome.CLEAN, TREE)),
        (row("clean", TREE), outcome(Outcome.ERROR)),
        (row("conflict", None, "a"), outcome(Outcome.MISSING)),
    ],
)
def test_any_other_answer_disagrees_and_says_what_it_was(recorded: Row, found: SeriesResult) -> None:
    answer = compare(recorded, found)
    assert answer is not None
    assert (answer.expected, answer.got) == (recorded.graft and recorded.graft.result, found.outcome.value)


def test_a_report_counts_what_agrees_and_takes_percentiles() -> None:
    rows = [row("clean", TREE)] * 20
    results = [outcome(Outcome.CLEAN, TREE)] * 19 + [outcome(Outcome.CLEAN, "x")]
    made = report(rows, results, skipped=[], seconds=2.0, each=[n / 1000 for n in range(1, 21)], workers=1)
    assert (made.total, made.agree, len(made.disagree)) == (20, 19, 1)
    assert (made.trials_per_second, made.p50_ms, made.p95_ms) == (10.0, 10.0, 19.0)
    assert report([], [], skipped=[], seconds=0.0, each=[], workers=1).trials_per_second == 0.0


def test_rows_need_only_the_few_fields_and_a_bad_line_is_named() -> None:
    good = b'{"repository":"a/b","branch":"x","parent":"p","source_commit":null,"extra":1}'
    assert read_rows([good, b"", good])[0].graft is None
    with pytest.raises(InvalidInput, match="line 2"):
        read_rows([good, b'{"repository":1}'])
