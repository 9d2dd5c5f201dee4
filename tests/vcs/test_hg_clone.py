# SPDX-License-Identifier: MPL-2.0
"""Our Mercurial clone: bookmarks and named branches, no working copy, mended when it breaks."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_builder import numbered
from hg_builder import commit_hg, new_hg, run_hg
from shipit.errors import InvalidInput, Missing, Unavailable
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome
from shipit.vcs.hg_clone import HgClone
from shipit.vcs.hg_store import HgTrials


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """In the manner of mozilla-unified: bookmarks for the trains, besides one named branch."""
    repo = new_hg(tmp_path / "origin")
    commit_hg(repo, "Bug 1 - begin", {"a.txt": numbered(30)})
    run_hg(repo, "bookmark", "-i", "beta")
    run_hg(repo, "branch", "-q", "RELEASE_52")
    commit_hg(repo, "Bug 2 - old release", {"b.txt": numbered(3)})
    run_hg(repo, "update", "-q", "0")
    commit_hg(repo, "Bug 3 - fix", {"a.txt": numbered(30, l5="fixed")})
    run_hg(repo, "bookmark", "-i", "central")
    commit_hg(repo, "wip", {"a.txt": numbered(30, l5="nobody's business")})
    return repo


def node(repo: Path, name: str) -> str:
    return run_hg(repo, "log", "-r", name, "-T", "{node}").decode()


def clone_of(origin: Path, folder: Path, **options: float) -> HgClone:
    return HgClone(folder, str(origin), main="central", **options)


async def test_a_clone_holds_bookmarks_and_branches_asked_for_and_no_files(
    origin: Path, tmp_path: Path
) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    updated = await clone.update(["beta", "RELEASE_52", "esr9"])
    names = ("central", "beta", "RELEASE_52")
    assert updated.moved == {name: (None, node(origin, name)) for name in names}
    assert updated.absent == ("esr9",)
    assert await clone.tips(names) == {name: node(origin, name) for name in names}
    assert await clone.main_tip() == node(origin, "central")
    assert [path.name for path in clone.folder.iterdir()] == [".hg"]
    assert int(run_hg(clone.folder, "log", "-T", "x").count(b"x")) == 3


async def test_an_update_tells_what_moved_and_a_second_one_nothing(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    assert (await clone.update(["beta"])).moved == {}
    before = node(origin, "beta")
    run_hg(origin, "bookmark", "-f", "-r", "central", "beta")
    assert (await clone.update(["beta"])).moved == {"beta": (before, node(origin, "central"))}


async def test_a_rewritten_bookmark_is_followed(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    run_hg(origin, "bookmark", "-f", "-r", "RELEASE_52", "central")
    assert "central" in (await clone.update(["beta"])).moved
    assert await clone.main_tip() == node(origin, "RELEASE_52")


async def test_trials_know_the_names_of_the_clones_tips(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta", "RELEASE_52"])
    async with HgTrials(clone.folder) as trials:
        results = await trials.run(
            [Request(onto, (Commit("central"),)) for onto in ("beta", "RELEASE_52", "central")]
        )
        assert [result.outcome for result in results] == [Outcome.CLEAN, Outcome.CLEAN, Outcome.LANDED]
        commit_hg(origin, "Bug 4", {"c.txt": numbered(3)})
        run_hg(origin, "bookmark", "-f", "-r", ".", "beta")
        await clone.update(["beta"])
        (after,) = await trials.run([Request("beta", (Commit("central"),))])
        assert after.outcome is Outcome.LANDED


async def test_every_worker_sees_what_an_update_brought(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    async with HgTrials(clone.folder, workers=2) as trials:
        await trials.run([Request(name, (Commit("central"),)) for name in ("beta", "central")] * 2)
        run_hg(origin, "update", "-q", "-C", "central")
        made = [commit_hg(origin, f"Bug {n}", {f"n{n}.txt": numbered(3)}) for n in range(5, 9)]
        run_hg(origin, "bookmark", "-f", "-r", made[-1], "central")
        await clone.update(["beta"])
        results = await trials.run([Request("beta", (Commit(commit),)) for commit in made])
    assert {result.outcome for result in results} == {Outcome.CLEAN}


async def test_main_is_missing_by_name_where_it_is(origin: Path, tmp_path: Path) -> None:
    clone = HgClone(tmp_path / "clone", str(origin), main="nowhere")
    await clone.update(["beta"])
    with pytest.raises(Missing, match="nowhere"):
        await clone.main_tip()


async def test_a_remote_that_is_gone_is_unavailable_and_the_clone_stands(
    origin: Path, tmp_path: Path
) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    tip = node(origin, "beta")
    origin.rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="not found"):
        await clone.update(["beta"])
    assert await clone.tips(["beta"]) == {"beta": tip}


@pytest.mark.parametrize("url", ["-R", "https://me:secret@example.org/x", "bundle:x", "ext::sh -c id"])
def test_an_address_with_a_secret_or_a_command_in_it_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput):
        HgClone(tmp_path / "clone", url)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/repo"


@pytest.mark.drill
async def test_a_pull_that_hangs_is_killed_in_time(silent: str, tmp_path: Path) -> None:
    clone = HgClone(tmp_path / "clone", silent, timeout=2.0)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="timed out"):
        await clone.update(["beta"])
    assert time.monotonic() - started < 30


async def test_what_a_killed_pull_left_behind_is_undone(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update([])
    store = clone.folder / ".hg/store"
    (store / "journal").write_bytes(b"00changelog.i\0%d\n" % (store / "00changelog.i").stat().st_size)
    for name in ("journal.backupfiles", "journal.phaseroots"):
        (store / name).write_bytes(b"2\n" if "backup" in name else b"")
    assert "beta" in (await clone.update(["beta"])).moved
    assert not (store / "journal").exists()


@pytest.mark.drill
@pytest.mark.parametrize("damage", ["changelog", "manifest", "tips", "requirement"])
async def test_a_broken_clone_is_cloned_anew_and_put_in_place(
    origin: Path, tmp_path: Path, damage: str
) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    hg = clone.folder / ".hg"
    if damage == "changelog":
        (hg / "store/00changelog.i").write_bytes(b"\0\1\0\1" + b"x" * 50)
    elif damage == "manifest":
        (hg / "store/00manifest.i").unlink()
    elif damage == "tips":
        (hg / "shipit-tips").write_text("{")
    else:
        (hg / "requires").write_text("something-of-the-future\n")
    updated = await clone.update(["beta"])
    assert updated.is_renewed
    assert await clone.verify() is None
    assert await clone.main_tip() == node(origin, "central")


@pytest.mark.drill
async def test_a_broken_clone_whose_remote_is_gone_stays_and_says_both(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    (clone.folder / ".hg/shipit-tips").write_text("{")
    shutil.rmtree(origin)
    with pytest.raises(Unavailable, match=r"broken.*cannot be cloned anew"):
        await clone.update(["beta"])
    assert (clone.folder / ".hg").is_dir()


@pytest.mark.drill
async def test_damage_deep_inside_is_found_when_asked(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update(["beta"])
    assert await clone.verify() is None
    (clone.folder / ".hg/store/data/a.txt.i").unlink()
    assert "a.txt" in (await clone.verify() or "")
    await clone.renew(["beta"])
    assert await clone.verify() is None


async def test_two_bots_on_one_clone_wait_for_each_other(origin: Path, tmp_path: Path) -> None:
    one, other = (clone_of(origin, tmp_path / "clone") for _ in range(2))
    first, second = await asyncio.gather(one.update(["beta"]), other.update(["beta"]))
    assert sorted([len(first.moved), len(second.moved)]) == [0, 2]


async def test_hooks_of_the_clone_are_not_run_by_an_update(origin: Path, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone")
    await clone.update([])
    ran = tmp_path / "ran"
    (clone.folder / ".hg/hgrc").write_text(
        f"[hooks]\npretxnchangegroup.x = touch {ran}\nincoming.x = touch {ran}\n[extensions]\nx = {ran}.py\n"
    )
    (tmp_path / "ran.py").write_text(f"open({str(ran)!r}, 'w')")
    await clone.update(["beta", "RELEASE_52"])
    assert not ran.exists()
    assert json.loads((clone.folder / ".hg/shipit-tips").read_text()).keys() == {
        "beta",
        "central",
        "RELEASE_52",
    }
