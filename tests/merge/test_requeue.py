# SPDX-License-Identifier: MPL-2.0
"""Which trials are run again when a tip moves, and when a trial hangs on its own paths alone."""

from __future__ import annotations

import pytest

from shipit.merge.keys import Change, Entry, Tried, asked, homes, is_local, key_of
from shipit.merge.requeue import Reach, touched

ONE: Entry = ("100644", "1" * 40)
TWO: Entry = ("100644", "2" * 40)
LINK: Entry = ("120000", "3" * 40)
FOLDER: Entry = ("40000", "4" * 40)


def change(path: str, before: Entry | None = ONE, after: Entry | None = TWO) -> Change:
    return Change(path.encode(), before, after)


WAITING = {
    "edits": Reach(frozenset({b"src/a.txt"})),
    "adds": Reach(frozenset({b"lib/new.txt"}), frozenset({b"lib"})),
    "renamed": Reach(frozenset({b"b.txt"}), is_all=True),
}


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ([], set()),
        ([change("other.txt")], {"renamed"}),
        ([change("src/a.txt")], {"renamed", "edits"}),
        ([change("src/a.txt", None)], {"renamed", "edits"}),
        ([change("src", None)], {"renamed", "edits"}),
        ([change("src/a.txt/deep", None)], {"renamed", "edits"}),
        ([change("src/b.txt", ONE, None)], {"renamed"}),
        ([change("lib/b.txt", ONE, None)], {"renamed", "adds"}),
        ([change("lib/deep/b.txt", ONE, None)], {"renamed", "adds"}),
        ([change("lib/b.txt", None)], {"renamed"}),
    ],
)
def test_only_what_a_move_can_touch_is_tried_again(moved: list[Change], expected: set[str]) -> None:
    assert touched(WAITING, moved) == expected


def patch(*changes: Change, folders: set[bytes] = frozenset(), left: set[bytes] = frozenset()) -> Tried:  # type: ignore[assignment]
    return Tried("r", "base", "theirs", changes, frozenset(folders), frozenset(left))


TIP = {b"src": FOLDER, b"src/a.txt": ONE, b"b.txt": TWO}


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([patch(change("src/a.txt"))], True),
        ([patch(change("src/gone.txt"))], False),
        ([patch(change("src"))], False),
        ([patch(change("src/a.txt", ONE, LINK))], False),
        ([patch(change("b.txt", ONE, None))], True),
        ([patch(change("src/new.txt", None), folders={b"src"})], True),
        ([patch(change("b.txt", None))], False),
        ([patch(change("lib/new.txt", None), folders={b"lib"})], False),
        ([patch(change("lib/new.txt", None))], True),
        ([patch(change("b.txt/new.txt", None))], False),
        ([patch(change("src/new.txt", None), change("src/a.txt", ONE, None), left={b"src"})], True),
        ([patch(change("lib/new.txt", None), change("src/a.txt", ONE, None))], False),
        ([patch(change("x.txt", None)), patch(change("x.txt"))], True),
        ([patch(change("src/a.txt")), patch(change("b.txt", ONE, None))], False),
        ([patch(change("odd\nname.txt"))], False),
    ],
)
def test_a_trial_hangs_on_its_own_paths_alone_unless_a_rename_may_matter(
    series: list[Tried], expected: bool
) -> None:
    assert is_local(series, TIP) is expected


def test_a_key_changes_with_what_it_hangs_on_and_with_nothing_else() -> None:
    series = [patch(change("src/a.txt"))]
    key = key_of("git 1", False, series, TIP, "tree")
    assert asked(series) == {b"src", b"src/a.txt"}
    assert homes([patch(change("lib/deep/new.txt", None))]) == {b"lib", b"lib/deep"}
    assert key == key_of("git 1", False, series, {**TIP, b"b.txt": ONE}, "other tree")
    others = [
        key_of("git 2", False, series, TIP, "tree"),
        key_of("git 1", True, series, TIP, "tree"),
        key_of("git 1", False, series, {**TIP, b"src/a.txt": TWO}, "tree"),
        key_of("git 1", False, [Tried("r", "base", "else", series[0].changes)], TIP, "tree"),
    ]
    assert len({key, *others}) == 5
    gone = {b"src": FOLDER}
    assert key_of("git 1", False, series, gone, "tree") != key_of("git 1", False, series, gone, "other")
