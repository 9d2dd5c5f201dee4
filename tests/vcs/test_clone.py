# SPDX-License-Identifier: MPL-2.0
"""Our clone is small, fresh, shared safely, and mended when it breaks."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_builder import Repo, lines, numbered, run_git
from shipit.errors import InvalidInput, Missing, Unavailable
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome
from shipit.vcs.clone import Clone, Progress
from shipit.vcs.git_store import GitTrials


@pytest.fixture
def origin(tmp_path: Path) -> Repo:
    """What is cloned: main, two trains, and much that is nobody's business."""
    told = Repo(tmp_path / "origin")
    told.commit("Bug 1", {"a.txt": numbered(30)})
    for branch in ("beta", "release", "somebody/private"):
        told.branch(branch, "main")
    told.commit("Bug 2", {"a.txt": numbered(30, l5="x")})
    told.commit("wip", {"b.txt": lines("x")}, on="somebody/private")
    run_git(told.path, "tag", "v1", "somebody/private")
    return told


def clone_of(origin: Repo, folder: Path, **options: float) -> Clone:
    return Clone(folder, f"file://{origin.path}", **options)


async def test_a_clone_holds_main_and_the_trains_and_nothing_else(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    updated = await clone.update(["beta", "release"])
    assert updated.moved == {name: (None, origin.id(name)) for name in ("main", "beta", "release")}
    refs = run_git(clone.folder, "for-each-ref", "--format=%(refname)").decode().split()
    assert refs == ["refs/heads/beta", "refs/heads/main", "refs/heads/release"]
    assert run_git(clone.folder, "config", "core.bare").strip() == b"true"
    assert await clone.main_tip() == origin.id("main")
    assert not run_git(clone.folder, "cat-file", "-t", origin.id("somebody/private"), check=False)


async def test_an_update_tells_what_moved_and_a_second_one_nothing(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    before = origin.id("beta")
    now = origin.commit("Bug 3", {"c.txt": lines("c")}, on="beta")
    assert (await clone.update(["beta"])).moved == {"beta": (before, now)}
    assert (await clone.update(["beta"])).moved == {}


async def test_a_rewritten_branch_is_followed(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    origin.branch("beta", "main")
    rewritten = origin.commit("Bug 9", {"z.txt": lines("z")}, on="beta", start="release")
    await clone.update(["beta"])
    assert await clone.tips(["beta", "main"]) == {"beta": rewritten, "main": origin.id("main")}


async def test_a_branch_that_the_remote_lacks_is_named_and_the_others_come(
    origin: Repo, tmp_path: Path
) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    updated = await clone.update(["beta", "esr999"])
    assert updated.absent == ("esr999",)
    assert set(await clone.tips(["main", "beta", "esr999"])) == {"main", "beta"}


async def test_main_is_missing_by_name_where_it_is(origin: Repo, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone.git", f"file://{origin.path}", main="trunk")
    await clone.update(["beta"])
    with pytest.raises(Missing, match="trunk"):
        await clone.main_tip()


async def test_a_remote_that_is_gone_is_unavailable_and_the_clone_stands(
    origin: Repo, tmp_path: Path
) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    origin.path.rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match=r"clone\.git"):
        await clone.update(["beta"])
    assert set(await clone.tips(["main", "beta"])) == {"main", "beta"}


@pytest.mark.parametrize("branch", ["-x", "--upload-pack=x", "a b", "a..b", "", "x.lock", "a:b", "*"])
async def test_a_branch_that_is_no_plain_name_is_refused(origin: Repo, tmp_path: Path, branch: str) -> None:
    with pytest.raises(InvalidInput):
        await clone_of(origin, tmp_path / "clone.git").update([branch])


@pytest.mark.parametrize("url", ["https://me:secret@example.org/x", "-oProxyCommand=x", "ext::sh -c x"])
def test_an_address_with_a_secret_or_a_command_in_it_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Clone(tmp_path / "x", url)
    assert "secret" not in str(refused.value)


@pytest.fixture
def silent_server() -> Iterator[int]:
    """A port that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def running() -> list[str]:
    """The command lines of all processes."""
    return [
        path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists()
    ]


async def test_a_fetch_that_hangs_is_killed_in_time_with_all_its_processes(
    silent_server: int, tmp_path: Path
) -> None:
    clone = Clone(tmp_path / "clone.git", f"git://127.0.0.1:{silent_server}/x", timeout=0.5)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="timed out"):
        await clone.update(["beta"])
    assert time.monotonic() - started < 30
    assert not any(f"127.0.0.1:{silent_server}" in words for words in running())


async def test_what_a_killed_fetch_left_behind_is_swept_away(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update([])
    for left in ("objects/pack/tmp_pack_x", "packed-refs.lock", "refs/heads/beta.lock", "config.lock"):
        (clone.folder / left).write_bytes(b"torn")
    updated = await clone.update(["beta"])
    assert set(updated.moved) == {"beta"}
    assert not list(clone.folder.rglob("*.lock")) + list(clone.folder.rglob("tmp_*"))


async def test_a_first_clone_that_broke_off_goes_on_from_what_it_has(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    run_git(tmp_path, "init", "-q", "--bare", "clone.git")
    packs = clone.folder / "objects" / "pack"
    (packs / "tmp_pack_torn").write_bytes(b"PACK")
    run_git(clone.folder, "fetch", "-q", "--no-tags", str(origin.path), "main:refs/heads/main")
    updated = await clone.update(["beta"])
    assert set(updated.moved) == {"beta"}
    assert not updated.is_renewed


def siblings(folder: Path) -> list[Path]:
    return list(folder.parent.iterdir())


@pytest.mark.parametrize("damage", ["objects", "head", "tip", "config"])
async def test_a_broken_clone_is_cloned_anew_beside_and_put_in_place(
    origin: Repo, tmp_path: Path, damage: str
) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    if damage == "objects":
        shutil.rmtree(clone.folder / "objects")
    elif damage == "head":
        (clone.folder / "HEAD").write_bytes(b"\0\0\0")
    elif damage == "tip":
        (clone.folder / "refs/heads/beta").write_text("1" * 40 + "\n")
    else:
        (clone.folder / "config").write_bytes(b"[core\n\0")
    updated = await clone.update(["beta"])
    assert updated.is_renewed
    assert set(await clone.tips(["main", "beta"])) == {"main", "beta"}
    assert await clone.verify() is None
    assert {path.name for path in siblings(clone.folder)} == {"clone.git", "origin", ".clone.git.lock"}


async def test_damage_deep_inside_is_found_when_asked_and_mended(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    assert await clone.verify() is None
    blob = run_git(clone.folder, "rev-parse", "beta:a.txt").decode().strip()
    (clone.folder / "objects" / blob[:2] / blob[2:]).unlink()
    assert "blob" in (await clone.verify() or "")
    assert (await clone.renew(["beta"])).is_renewed
    assert await clone.verify() is None


async def test_two_bots_on_one_clone_wait_for_each_other(origin: Repo, tmp_path: Path) -> None:
    clones = [clone_of(origin, tmp_path / "clone.git") for _ in range(4)]
    answers = await asyncio.gather(*(clone.update(["beta", "release"]) for clone in clones))
    assert sum(len(answer.moved) for answer in answers) == 3, "one fetched, the others found it done"


async def test_a_bot_does_not_wait_for_ever_for_another(origin: Repo, tmp_path: Path) -> None:
    with (tmp_path / ".clone.git.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="another process"):
            await clone_of(origin, tmp_path / "clone.git", lock_timeout=0.3).update([])


async def test_trials_go_on_while_the_clone_is_updated_and_repacked(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    patch = origin.id("main")
    async with GitTrials(clone.folder) as trials:
        for number in range(3):
            origin.commit(f"Bug 1{number}", {f"n{number}": lines("x")}, on="beta")
            _, results, _ = await asyncio.gather(
                clone.update(["beta"]),
                trials.run([Request("beta", (Commit(patch),))] * 20),
                asyncio.to_thread(run_git, clone.folder, "repack", "-adq"),
            )
            assert {result.outcome for result in results} == {Outcome.CLEAN}


async def test_maintenance_leaves_everything_readable(origin: Repo, tmp_path: Path) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    await clone.maintain()
    assert await clone.verify() is None


@pytest.mark.parametrize("is_maintained", [False, True])
async def test_an_update_leaves_the_half_packs_of_a_running_maintenance_alone(
    origin: Repo, tmp_path: Path, is_maintained: bool
) -> None:
    clone = clone_of(origin, tmp_path / "clone.git")
    await clone.update(["beta"])
    half = tmp_path / "clone.git" / "objects" / "pack" / "tmp_pack_x1"
    half.write_bytes(b"PACK")
    with (tmp_path / ".clone.git.maintained.lock").open("wb") as lock:
        if is_maintained:
            fcntl.flock(lock, fcntl.LOCK_EX)
        await clone.update(["beta"])
        assert half.exists() == is_maintained
    await clone.maintain()


async def test_a_folder_that_cannot_be_used_is_unavailable(origin: Repo, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="cannot be used"):
        await clone_of(origin, tmp_path / "file" / "clone.git").update([])
    with pytest.raises(Unavailable):
        await clone_of(origin, tmp_path / "nothing.git").tips(["main"])


async def test_a_first_clone_says_how_far_it_is_and_an_update_says_nothing(
    origin: Repo, tmp_path: Path
) -> None:
    said: list[str] = []
    clone = Clone(tmp_path / "told.git", f"file://{origin.path}", told=said.append)
    await clone.update(["beta"])
    assert any(words.startswith("cloning told.git: ") and words.endswith("100 %") for words in said)
    count = len(said)
    origin.commit("more", {"more.txt": b"more\n"})
    await clone.update(["beta"])
    assert len(said) == count


def test_progress_in_torn_pieces_is_told_once_a_stage_and_then_now_and_then() -> None:
    said: list[str] = []
    progress = Progress("cloning x", said.append, every=3600.0)
    for piece in (
        b"remote: Counting objects:  50% (1/2)\rremote: Counting",
        b" objects: 100% (2/2), done.\n",
        b"Receiving objects:   1% (1/90)\rReceiving objects:   2% (2/90)\r",
        b"Receiving objects:  70%",
        b" (3/90)\rfatal: not progress 7%\n",
    ):
        progress.hear(piece)
    assert said == [
        "cloning x: counting objects, 50 %",
        "cloning x: counting objects, 100 %",
        "cloning x: receiving objects, 1 %",
    ]
