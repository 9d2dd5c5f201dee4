# SPDX-License-Identifier: MPL-2.0
"""Objects written by us are those git would write; trees edited by us are those git's index gives."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from git_builder import Repo, run_git
from shipit.vcs.packs import object_id, write_pack
from shipit.vcs.shadow import Shadow
from shipit.vcs.trees import NoFolder, read_folders, write_tree

CONTENT = st.binary(max_size=300) | st.sampled_from([b"", b"x" * 20, b"y" * 5000, bytes(70_000)])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An object store to write into."""
    folder = tmp_path_factory.mktemp("store")
    run_git(folder, "init", "-q", "--bare", ".")
    return folder


@given(st.lists(CONTENT, min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_a_pack_is_whole_for_git_and_holds_every_object(store: Path, contents: list[bytes]) -> None:
    packs = store / "objects" / "pack"
    for left in packs.iterdir():
        left.unlink()
    ids = write_pack(packs, [("blob", content) for content in contents])
    assert ids == [object_id("blob", content) for content in contents]
    (index,) = packs.glob("*.idx")
    listed = run_git(store, "verify-pack", "-v", str(index)).decode()
    assert {line.split()[0] for line in listed.splitlines() if " blob " in line} == set(ids)
    answer = run_git(store, "cat-file", "--batch", stdin="\n".join(ids).encode())
    assert answer == b"".join(
        f"{name} blob {len(content)}\n".encode() + content + b"\n"
        for name, content in zip(ids, contents, strict=True)
    )


def test_no_objects_make_no_pack(store: Path) -> None:
    before = sorted((store / "objects" / "pack").iterdir())
    assert write_pack(store / "objects" / "pack", []) == []
    assert sorted((store / "objects" / "pack").iterdir()) == before


NAMES = st.sampled_from([b"a", b"a-b", b"a.b", b"a0", b"b", b"\xe9", b"z z"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)


def is_tree(paths: set[bytes]) -> bool:
    """Whether no path is a folder of another."""
    return not any(other.startswith(path + b"/") for path in paths for other in paths)


_numbers = itertools.count()


@given(
    st.dictionaries(PATHS, st.sampled_from([b"1", b"2"]), max_size=6).filter(lambda d: is_tree(set(d))),
    st.dictionaries(PATHS, st.sampled_from([b"1", b"3", None]), min_size=1, max_size=4),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_edited_tree_is_the_one_git_makes_of_the_same_files(
    tmp_path: Path, before: dict[bytes, bytes], changes: dict[bytes, bytes | None]
) -> None:
    repo = Repo(tmp_path / f"r{next(_numbers)}")
    start = repo.commit("before", dict(before))
    after = {**before, **changes}
    wanted = {path: content for path, content in after.items() if content is not None}
    async with Shadow(repo.path) as shadow:
        folders = await read_folders(shadow, repo.tree(start), list(changes))
        ids = dict(
            zip(
                (b"1", b"3"),
                write_pack(shadow.objects / "pack", [("blob", b"1"), ("blob", b"3")]),
                strict=True,
            )
        )
        entries = {path: None if one is None else ("100644", ids[one]) for path, one in changes.items()}
        try:
            made = write_tree(shadow, folders, entries)
        except NoFolder:
            assert not is_tree(set(wanted))
            return
        listed = (await shadow.git("ls-tree", "-r", "-z", "--full-tree", made)).stdout
    found = {record.split(b"\t", 1)[1] for record in listed.split(b"\0") if record}
    assert found == set(wanted)
    if wanted:
        assert made == repo.tree(repo.commit("after", dict(wanted), on="fresh", start=""))
