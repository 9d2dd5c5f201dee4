# SPDX-License-Identifier: MPL-2.0
"""Trials on Mercurial clones where they differ from git's: grafts, hostile clones, damage, dying servers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import pytest

from git_builder import lines, numbered
from hg_builder import commit_hg, new_hg, run_hg
from shipit.errors import InvalidInput, Unavailable
from shipit.merge.series import Request
from shipit.merge.store import Known, Merge
from shipit.merge.types import Commit, Outcome, SeriesResult
from shipit.vcs import hg_merging
from shipit.vcs.hg_store import HgTrials


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a main line and a bookmark "beta" at its beginning; its working copy is elsewhere."""
    told = new_hg(tmp_path / "clone")
    commit_hg(told, "Bug 1 - begin", {"a.txt": numbered(30), "b.txt": numbered(30, l1="b")})
    run_hg(told, "bookmark", "-i", "beta")
    return told


def on(repo: Path, name: str) -> None:
    """Stand on a revision, and let "beta" follow when it is that."""
    run_hg(repo, "update", "-q", "-C", name)


def main_commit(repo: Path, message: str, files: dict[str, bytes | None]) -> str:
    made = commit_hg(repo, message, files)
    return made


def beta_commit(repo: Path, message: str, files: dict[str, bytes | None]) -> str:
    here = run_hg(repo, "log", "-r", ".", "-T", "{node}").decode()
    on(repo, "beta")
    made = commit_hg(repo, message, files)
    run_hg(repo, "bookmark", "-f", "-r", made, "beta")
    run_hg(repo, "bookmark", "--inactive")
    on(repo, here)
    return made


async def attempt(repo: Path, onto: str, *revisions: str) -> SeriesResult:
    async with HgTrials(repo) as trials:
        (result,) = await trials.run([Request(onto, tuple(Commit(revision) for revision in revisions))])
        return result


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha1(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


async def test_nothing_is_written_into_the_clone_and_no_working_copy_is_read(
    repo: Path, tmp_path: Path
) -> None:
    clean = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    clash = main_commit(repo, "Bug 3 - clash", {"b.txt": numbered(30, l1="b", l9="x")})
    beta_commit(repo, "Bug 4 - other", {"b.txt": numbered(30, l1="b", l9="y")})
    run_hg(repo, "update", "-q", "null")
    (repo / "a.txt").write_text("somebody is at work here")
    before = contents(repo)
    assert (await attempt(repo, "beta", clean)).outcome is Outcome.CLEAN
    assert (await attempt(repo, "beta", clash)).outcome is Outcome.CONFLICT
    assert (await attempt(repo, "beta", clash, clean)).outcome is Outcome.CONFLICT
    assert (await attempt(repo, clash, clash)).outcome is Outcome.LANDED
    assert contents(repo) == before
    assert not [path for path in tmp_path.glob("shipit-hg-*")]


async def test_the_tree_of_a_series_is_what_real_grafts_make(repo: Path) -> None:
    one = main_commit(repo, "Bug 2 - 1", {"a.txt": numbered(30, l5="one"), "n.txt": lines("n")})
    two = main_commit(
        repo, "Bug 2 - 2", {"a.txt": numbered(30, l5="two"), "n.txt": None, "m.txt": lines("m")}
    )
    beta_commit(repo, "Bug 4 - other", {"a.txt": numbered(30, l25="other")})
    tip = run_hg(repo, "log", "-r", "beta", "-T", "{node}").decode()
    async with HgTrials(repo) as trials:
        (result,) = await trials.run([Request(tip, (Commit(one), Commit(two)))])
        on(repo, "beta")
        run_hg(repo, "graft", "-q", one, two)
        grafted = run_hg(repo, "log", "-r", ".", "-T", "{node}").decode()
        assert result.outcome is Outcome.CLEAN
        # From the made tree to the real one there is nothing to change.
        known = (await trials.store.look_up({grafted}))[grafted]
        (again,) = await trials.run([Request(grafted, (Commit(two),))])
        assert again.outcome is Outcome.LANDED and getattr(known, "tree", None)
        assert (repo / "a.txt").read_bytes() == numbered(30, l5="two", l25="other")


@pytest.mark.parametrize(
    "words",
    [
        "Backed out changeset {:.12} (bug 2) for failures",
        "Backed out 2 changesets (bug 2) for failures\n\nBacked out changeset {:.12} (bug 2)",
        "Revert Bug 2 - fix",
    ],
)
async def test_a_landing_that_was_backed_out_by_its_hg_hash_is_tried_for_real(repo: Path, words: str) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    main_commit(repo, words.format(fix), {"a.txt": numbered(30)})
    assert (await attempt(repo, "default", fix)).outcome is Outcome.CLEAN


async def test_a_graft_that_stands_on_the_train_is_the_landing_of_its_source(repo: Path) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    on(repo, "beta")
    run_hg(repo, "graft", "-q", fix)
    grafted = run_hg(repo, "log", "-r", ".", "-T", "{node}").decode()
    result = await attempt(repo, grafted, fix)
    assert result.outcome is Outcome.LANDED
    assert grafted[:12] in (result.patches[0].reason or "")


async def test_a_graft_that_was_backed_out_of_the_train_is_tried_for_real(repo: Path) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    on(repo, "beta")
    run_hg(repo, "graft", "-q", fix)
    grafted = run_hg(repo, "log", "-r", ".", "-T", "{node}").decode()
    undone = commit_hg(repo, f"Backed out changeset {grafted[:12]} (bug 2)", {"a.txt": numbered(30)})
    assert (await attempt(repo, undone, fix)).outcome is Outcome.CLEAN


async def test_a_recorded_rename_is_followed_though_the_files_are_hardly_alike(repo: Path) -> None:
    run_hg(repo, "rename", "a.txt", "moved.txt")
    words = {f"l{number}": f"new {number}" for number in range(10, 31)}
    main_commit(repo, "Bug 2 - move", {"moved.txt": numbered(30, **words)})
    fix = main_commit(repo, "Bug 3 - fix", {"moved.txt": numbered(30, **words, l3="fixed")})
    result = await attempt(repo, "beta", fix)
    assert result.outcome is Outcome.CLEAN


async def test_a_file_that_the_train_does_not_have_is_a_conflict_and_never_made_again(repo: Path) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    beta_commit(repo, "Bug 4 - gone", {"a.txt": None})
    result = await attempt(repo, "beta", fix)
    assert [str(conflict.kind) for conflict in result.patches[0].conflicts] == ["modify/delete"]


async def test_configuration_hooks_and_extensions_of_the_clone_are_not_honoured(
    repo: Path, tmp_path: Path
) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
    (repo / ".hg/hgrc").write_text(
        f"[extensions]\nevil = {tmp_path}/evil.py\n[hooks]\npre-serve = touch {ran}\nupdate = touch {ran}\n"
        f"[alias]\nserve = !touch {ran}\n[ui]\nmerge = touch {ran}\n"
    )
    assert (await attempt(repo, "beta", fix)).outcome is Outcome.CLEAN
    assert not ran.exists()


def test_a_folder_that_is_no_mercurial_clone_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Mercurial"):
        HgTrials(tmp_path)


async def test_a_clone_that_cannot_be_opened_says_why(repo: Path) -> None:
    (repo / ".hg/requires").write_text("something-of-the-future\n")
    with pytest.raises(Unavailable, match="something-of-the-future"):
        async with HgTrials(repo):
            pass


@pytest.mark.parametrize("damage", ["missing", "truncated", "garbage"])
async def test_damage_to_one_file_is_the_error_of_its_trials_alone(repo: Path, damage: str) -> None:
    bad = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    good = main_commit(repo, "Bug 3 - fix", {"b.txt": numbered(30, l1="b", l5="fixed")})
    beta_commit(
        repo, "Bug 4 - other", {"a.txt": numbered(30, l25="other"), "b.txt": numbered(30, l1="b", l9="y")}
    )
    file = repo / ".hg/store/data/a.txt.i"
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-30])
    else:
        raw = bytearray(file.read_bytes())
        raw[-40:] = b"x" * 40
        file.write_bytes(raw)
    async with HgTrials(repo) as trials:
        one, other = await trials.run([Request("beta", (Commit(bad),)), Request("beta", (Commit(good),))])
    assert (one.outcome, other.outcome) == (Outcome.ERROR, Outcome.CLEAN)
    assert "a.txt" in (one.patches[0].reason or "") or damage != "missing"
    assert one.patches[0].reason


async def test_a_clone_without_its_manifests_makes_errors_and_no_verdicts(repo: Path) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    (repo / ".hg/store/00manifest.i").unlink()
    assert (await attempt(repo, "beta", fix)).outcome is Outcome.ERROR


async def test_a_killed_server_is_started_again_and_no_trial_is_lost(repo: Path) -> None:
    fixes = [main_commit(repo, f"Bug {n} - fix", {f"n{n}.txt": lines(str(n))}) for n in range(2, 12)]
    requests = [Request("beta", (Commit(fix),)) for fix in fixes]
    killed: list[int] = []
    results = []
    async with HgTrials(repo, remembers=False) as trials:
        (server,) = trials.servers

        def kill(_: int) -> None:
            if len(killed) < 2 and server.pid is not None and server.pid not in killed:
                killed.append(server.pid)
                os.kill(server.pid, signal.SIGKILL)

        trials.store._merger._progress = kill
        # A quick server may have answered all of a run before it is killed: the next run finds it gone.
        for _ in range(3):
            results += await trials.run(requests)
        assert server.starts == 3
    assert {result.outcome for result in results} == {Outcome.CLEAN}
    assert len(killed) == 2


async def test_trees_of_a_series_outlive_the_server_that_made_them(repo: Path) -> None:
    one = main_commit(repo, "Bug 2 - 1", {"a.txt": numbered(30, l5="one")})
    two = main_commit(repo, "Bug 2 - 2", {"a.txt": numbered(30, l5="two")})
    beta_commit(repo, "Bug 4 - other", {"a.txt": numbered(30, l25="other")})
    async with HgTrials(repo) as trials:
        (server,) = trials.servers
        trials.store._merger._progress = lambda _: os.kill(server.pid or 0, signal.SIGKILL)
        (result,) = await trials.run([Request("beta", (Commit(one), Commit(two)))])
        assert server.starts > 1
    assert result.outcome is Outcome.CLEAN


async def test_a_server_that_hangs_is_ended_with_a_reason_and_the_others_go_on(repo: Path) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    async with HgTrials(repo, patience=1.0, remembers=False) as trials:
        (server,) = trials.servers
        stopped = server.pid or 0
        os.kill(stopped, signal.SIGSTOP)
        (result,) = await trials.run([Request("beta", (Commit(fix),))])
        assert result.outcome is Outcome.ERROR
        assert "no answer" in (result.patches[0].reason or "")
        (result,) = await trials.run([Request("beta", (Commit(fix),))])
        assert result.outcome is Outcome.CLEAN
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, 0)


async def test_no_server_is_left_when_the_trials_end(repo: Path) -> None:
    async with HgTrials(repo, workers=2) as trials:
        await trials.run([Request("beta", (Commit("beta"),))] * 4)
        pids = [server.pid for server in trials.servers if server.pid is not None]
    assert pids
    await asyncio.sleep(0)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_equal_merges_are_done_once_and_all_of_them_when_told_so(repo: Path) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    for remembers, expected in ((True, 1), (False, 6)):
        done: list[int] = []
        async with HgTrials(repo, remembers=remembers, progress=done.append) as trials:
            for _ in range(2):
                await trials.run([Request("beta", (Commit(fix),))] * 3)
        assert sum(done) == expected


async def test_a_clone_that_vanishes_costs_few_servers_however_many_trials_wait(
    repo: Path, tmp_path: Path
) -> None:
    fixes = [main_commit(repo, f"Bug {n} - fix", {f"n{n}.txt": lines(str(n))}) for n in range(2, 14)]
    async with HgTrials(repo) as trials:
        store = trials.store
        known = [one for one in (await store.look_up(fixes)).values() if isinstance(one, Known)]
        repo.rename(tmp_path / "elsewhere")
        (server,) = trials.servers
        os.kill(server.pid or 0, signal.SIGKILL)
        merges = [Merge(one.base or "", known[0].tree, one.tree) for one in known]
        answers = await store.merge(merges)
        assert {bool(answer.reason) for answer in answers} == {True}
        assert server.starts <= 9


async def test_a_server_that_has_grown_too_big_is_replaced_between_batches(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hg_merging, "MOST_MEMORY", 1)
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    async with HgTrials(repo) as trials:
        for _ in range(2):
            (result,) = await trials.run([Request("beta", (Commit(fix),))])
            assert result.outcome is Outcome.CLEAN
        assert trials.servers[0].starts >= 2


async def test_with_results_kept_a_server_that_hangs_costs_its_patience_only(
    repo: Path,
) -> None:
    fix = main_commit(repo, "Bug 2 - fix", {"a.txt": numbered(30, l5="fixed")})
    async with HgTrials(repo, patience=1.0) as trials:
        (server,) = trials.servers
        os.kill(server.pid or 0, signal.SIGSTOP)
        (result,) = await trials.run([Request("beta", (Commit(fix),))])
        assert (result.outcome, server.starts) == (Outcome.CLEAN, 2)
