# SPDX-License-Identifier: MPL-2.0
"""A conflict shown for people, on both systems: hunks, numbers, who wrote each side, what cannot be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_builder import ADA, BEN, Repo, lines, numbered
from hg_builder import Converted, need_hg
from shipit.merge.conflict_view import MOST_LINES, ConflictView, FileView, HunkView, SideView, bounded
from shipit.merge.types import Commit, ConflictKind, Patch, RawDiff
from shipit.vcs.blame import read_porcelain, wrote
from shipit.vcs.explaining import conflict_view
from shipit.vcs.opening import commit_diff, trials_for


class Stage:
    """A repository told for git, looked at through one of the systems."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.repo = Repo(folder / "told")
        self.repo.commit(
            "Bug 1 - Begin", {"a.txt": numbered(30), "b.txt": numbered(30, l1="other"), "pic": b"\0base"}
        )
        self.repo.branch("beta", "main")

    async def view(self, *patches: str | Patch, onto: str = "beta") -> ConflictView:
        converted = Converted(self.repo, self.folder / "hg") if self.kind == "hg" else None
        named = [Commit(one) if isinstance(one, str) else one for one in patches]
        if converted is not None:
            named = [Commit(converted.id(one.revision)) if isinstance(one, Commit) else one for one in named]
        folder = converted.path if converted else self.repo.path
        async with trials_for(folder) as trials:
            found = await conflict_view(trials, converted.id(onto) if converted else onto, named)
        return found


@pytest.fixture(params=["git", "hg"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    if request.param == "hg":
        need_hg()
    return Stage(request.param, tmp_path)


@pytest.fixture
def git_stage(tmp_path: Path) -> Stage:
    return Stage("git", tmp_path)


def only(view: ConflictView) -> FileView:
    (file,) = view.files
    return file


def subjects(view: ConflictView) -> set[str]:
    return {one.subject for one in view.commits.values()}


async def test_both_sides_are_numbered_and_say_who_wrote_them(stage: Stage) -> None:
    stage.repo.commit("Bug 2 - Before it", {"a.txt": numbered(30, l10="expected")}, author=BEN)
    patch = stage.repo.commit("Bug 3 - The patch", {"a.txt": numbered(30, l10="theirs")})
    stage.repo.commit(
        "Bug 4 - On beta", {"a.txt": numbered(30, l2="new\nlines", l10="ours")}, on="beta", author=ADA
    )
    view = await stage.view(patch)
    file = only(view)
    assert (file.path, file.kind, file.sentence) == (
        "a.txt",
        ConflictKind.CONTENT,
        "Both sides changed the same lines.",
    )
    (hunk,) = file.hunks
    assert (hunk.before[-1], hunk.after[0]) == ("line 9", "line 11")
    assert (hunk.ours.first, hunk.ours.lines) == (11, ("ours",))
    assert (hunk.base.first, hunk.base.lines) == (10, ("expected",))
    assert (hunk.theirs.first, hunk.theirs.lines) == (10, ("theirs",))
    (ours,), (base,) = hunk.ours.blame, hunk.base.blame
    mine, expected = view.commits[ours.commit], view.commits[base.commit]
    assert (mine.subject, mine.bug, mine.author) == ("Bug 4 - On beta", 4, "Ada")
    assert (expected.subject, expected.bug, expected.author) == ("Bug 2 - Before it", 2, "Ben")
    assert (file.ours_last, file.base_last) == (ours.commit, base.commit)
    assert not file.notes


async def test_a_removed_file_names_what_it_can(stage: Stage) -> None:
    patch = stage.repo.commit("Bug 3 - The patch", {"a.txt": numbered(30, l10="theirs")})
    stage.repo.commit("Bug 4 - Remove it", {"a.txt": None}, on="beta")
    view = await stage.view(patch)
    file = only(view)
    assert file.kind is ConflictKind.MODIFY_DELETE
    assert file.sentence == "The train has removed this file; the patch changes it."
    (hunk,) = file.hunks
    assert hunk.ours.is_absent and not hunk.theirs.is_absent
    assert subjects(view) >= {"Bug 1 - Begin"}
    if stage.kind == "git":
        assert view.commits[file.ours_last or ""].subject == "Bug 4 - Remove it"


async def test_binary_content_is_said_to_be_binary(stage: Stage) -> None:
    patch = stage.repo.commit("Bug 3", {"pic": b"\0theirs"})
    stage.repo.commit("Bug 4", {"pic": b"\0ours"}, on="beta")
    file = only(await stage.view(patch))
    assert file.kind is ConflictKind.BINARY
    assert not file.hunks
    assert file.notes[0].startswith("Binary")


async def test_text_that_is_not_utf8_is_shown_escaped(stage: Stage) -> None:
    old = stage.repo.commit("Bug 2", {"latin.txt": b"caf\xe9\n" + numbered(5)})
    stage.repo.branch("late", old)
    patch = stage.repo.commit("Bug 3", {"latin.txt": b"caf\xe9 theirs\n" + numbered(5)})
    stage.repo.commit("Bug 4", {"latin.txt": b"caf\xe9 ours\n" + numbered(5)}, on="late")
    (hunk,) = only(await stage.view(patch, onto="late")).hunks
    assert hunk.ours.lines == ("caf\\xe9 ours",)


async def test_line_ends_that_nobody_sees_are_told(stage: Stage) -> None:
    old = stage.repo.commit("Bug 2", {"dos.txt": lines("one", "two", "three")})
    stage.repo.branch("late", old)
    patch = stage.repo.commit("Bug 3", {"dos.txt": lines("one", "2", "three")})
    stage.repo.commit("Bug 4", {"dos.txt": lines("one", "two", "three", end="\r\n")}, on="late")
    file = only(await stage.view(patch, onto="late"))
    assert "Lines end with CR LF in the train, elsewhere with LF." in file.notes
    assert file.hunks[0].ours.lines == ("one", "two", "three")


async def test_a_series_names_the_patch_and_what_was_merged_before_it(stage: Stage) -> None:
    first = stage.repo.commit("Bug 2 - First", {"a.txt": numbered(30, l20="first")})
    second = stage.repo.commit("Bug 2 - Second", {"a.txt": numbered(30, l10="theirs", l20="first")})
    stage.repo.commit("Bug 4 - On beta", {"a.txt": numbered(30, l10="ours")}, on="beta")
    view = await stage.view(first, second)
    assert view.patch is not None and view.patch != first
    file = only(view)
    if stage.kind == "git":
        assert file.hunks[0].ours.blame
        assert "Bug 4 - On beta" in subjects(view)
        assert view.commits[file.ours_last or ""].subject == "Earlier patches of the series"
    else:
        assert file.notes == ("The train: earlier patches of the series changed it.",)
    assert file.hunks[0].base.blame


async def test_what_does_not_conflict_says_so(stage: Stage) -> None:
    patch = stage.repo.commit("Bug 3", {"a.txt": numbered(30, l10="theirs")})
    view = await stage.view(patch)
    assert view.files == ()
    assert (view.reason or "").startswith("It does not conflict there now (clean")


async def test_many_long_hunks_are_cut_and_said_to_be(stage: Stage) -> None:
    long = {f"l{number}": f"theirs {number}" for number in range(1, 31)}
    patch = stage.repo.commit("Bug 3", {"a.txt": numbered(30, **long) + b"more\n" * 100})
    stage.repo.commit("Bug 4", {"a.txt": numbered(30, **{k: "ours" + "x" * 500 for k in long})}, on="beta")
    (hunk,) = only(await stage.view(patch)).hunks
    assert len(hunk.theirs.lines) == MOST_LINES
    assert hunk.theirs.more == 70
    assert len(hunk.ours.lines[0]) == 301


def test_all_hunks_together_are_bounded() -> None:
    side = SideView(first=1, lines=("x" * 300,) * 60)
    hunk = HunkView(base=side, ours=side, theirs=side)
    file = FileView(path="a", kind=ConflictKind.CONTENT, sentence="s", hunks=(hunk,) * 3, more=1)
    found = bounded([file, file])
    assert [(len(one.hunks), one.more) for one in found] == [(3, 1), (0, 4)]


async def test_a_diff_without_a_base_has_no_blame_of_it(git_stage: Stage) -> None:
    repo = git_stage.repo
    base = repo.commit("Bug 2", {"a.txt": numbered(30, l10="expected")})
    patch = repo.commit("Bug 3", {"a.txt": numbered(30, l10="theirs")})
    repo.commit("Bug 4", {"a.txt": numbered(30, l10="ours")}, on="beta")
    diff = repo.diff(base, patch)
    known = only(await git_stage.view(RawDiff("D1", diff, base)))
    assert known.hunks[0].base.blame and not known.notes
    unknown = only(await git_stage.view(RawDiff("D1", diff, None)))
    assert unknown.hunks[0].ours.blame
    assert unknown.notes == ("Below the patch: nobody recorded what the patch was made on.",)


async def test_a_file_that_the_train_moved_is_blamed_where_it_was(git_stage: Stage) -> None:
    repo = git_stage.repo
    patch = repo.commit("Bug 3", {"a.txt": numbered(30, l10="theirs")})
    repo.commit("Bug 4", {"a.txt": None, "moved.txt": numbered(30, l10="ours")}, on="beta")
    view = await git_stage.view(patch)
    file = next(one for one in view.files if one.hunks)
    (hunk,) = file.hunks
    assert [view.commits[one.commit].bug for one in hunk.ours.blame] == [4]
    assert [view.commits[one.commit].bug for one in hunk.base.blame] == [1]


async def test_a_commits_diff_is_the_same_of_both_systems(stage: Stage) -> None:
    patch = stage.repo.commit("Bug 3", {"a.txt": numbered(30, l10="theirs")})
    folder, name = stage.repo.path, patch
    if stage.kind == "hg":
        converted = Converted(stage.repo, stage.folder / "hg")
        folder, name = converted.path, converted.id(patch)
    diff = await commit_diff(folder, name)
    assert isinstance(diff, bytes)
    assert b"\n-line 10\n+theirs\n" in diff
    absent = await commit_diff(folder, "f" * 40)
    assert isinstance(absent, str)
    assert absent.startswith("ffffffffffff is not in this clone")


def test_porcelain_is_read_whatever_the_lines_say() -> None:
    one, other = "1" * 40, "2" * 40
    output = (
        f"{one} 1 7 2\nauthor Ada\ncommitter-time 60\nsummary Bug 12 - a\nfilename a\n\t{other} 1 1\n"
        f"{one} 2 8\n\tauthor Ben\n{other} 3 9 1\nauthor Ben <x>\ncommitter-time 120\nsummary b\n\t\n"
    )
    spans, commits = read_porcelain(output.encode())
    assert [(span.first, span.last, span.commit[0]) for span in spans] == [(7, 8, "1"), (9, 9, "2")]
    assert (commits[one].bug, commits[other].bug) == (12, None)


def test_a_commit_names_nobodys_address() -> None:
    assert wrote("1", "Ada <ada@example.org>", "1", "s").author == "Ada"
    assert wrote("1", "<ada@example.org>", "1", "s").author == "ada"
    assert wrote("1", "ada@example.org", "1", "s").author == "ada"
