# SPDX-License-Identifier: MPL-2.0
"""Nothing that a clone, its trees or the user configure is ever run or obeyed by a trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_builder import Repo, lines, numbered, run_git
from shipit.merge.series import Request
from shipit.merge.types import Commit, Outcome, RawDiff
from shipit.vcs.git import git
from shipit.vcs.git_store import GitTrials

ATTRIBUTES = lines(
    "* merge=evil filter=evil diff=evil",
    "*.txt merge=evil filter=evil diff=evil text eol=crlf ident",
    "union.txt merge=union",
    "never.txt -merge",
)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """A file that exists once anything evil has run."""
    return tmp_path / "it-ran"


@pytest.fixture
def repo(tmp_path: Path, witness: Path) -> Repo:
    """A clone whose configuration, hooks and attributes would run a program at every turn."""
    told = Repo(tmp_path / "clone")
    files = {name: numbered(30) for name in ("a.txt", "union.txt", "never.txt")}
    told.commit("Bug 1", {".gitattributes": ATTRIBUTES, "folder/.gitattributes": ATTRIBUTES, **files})
    told.branch("beta", "main")
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch '{witness}'\ncat\nexit 0\n")
    evil.chmod(0o755)
    for key in (
        "merge.evil.driver",
        "merge.default",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.command",
        "diff.evil.textconv",
        "diff.external",
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.alternateRefsCommand",
        "gpg.program",
        "credential.helper",
        "pager.log",
        "alias.merge-tree",
        "uploadpack.packObjectsHook",
    ):
        run_git(told.path, "config", key, f"{evil} %O %A %B" if "driver" in key else str(evil))
    run_git(told.path, "config", "core.hooksPath", str(tmp_path / "hooks"))
    run_git(told.path, "config", "merge.renames", "false")
    run_git(told.path, "config", "core.attributesFile", str(tmp_path / "attributes"))
    run_git(told.path, "config", "attr.tree", "main")
    (tmp_path / "attributes").write_bytes(ATTRIBUTES)
    (told.path / "info").mkdir(exist_ok=True)
    (told.path / "info" / "attributes").write_bytes(ATTRIBUTES)
    for hooks in (tmp_path / "hooks", told.path / "hooks"):
        hooks.mkdir(exist_ok=True)
        for hook in ("post-index-change", "reference-transaction", "pre-auto-gc", "applypatch-msg"):
            (hooks / hook).write_text(f"#!/bin/sh\ntouch '{witness}'\n")
            (hooks / hook).chmod(0o755)
    return told


def has_run(witness: Path) -> bool:
    """Whether anything evil ran since the last time we asked."""
    ran = witness.exists()
    witness.unlink(missing_ok=True)
    return ran


async def test_drivers_filters_hooks_and_helpers_of_a_clone_never_run(repo: Repo, witness: Path) -> None:
    base = repo.id("main")
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    repo.commit("Bug 3", {"a.txt": numbered(30, l5="ours")}, on="beta")
    diff = b"--- a/a.txt\n+++ b/a.txt\n@@ -4,3 +4,3 @@\n line 4\n-line 5\n+theirs\n line 6\n"
    run_git(repo.path, "merge-tree", "--write-tree", "beta", "main", check=False)
    assert has_run(witness), "the trap does not work: git alone would have run it"
    async with GitTrials(repo.path) as trials:
        by_commit, by_diff, landed = await trials.run(
            [
                Request("beta", (Commit(patch),)),
                Request("beta", (RawDiff("D1", diff, base),)),
                Request("main", (Commit(patch),)),
            ]
        )
        hunks = await trials.hunks("beta", Commit(patch), "a.txt")
    assert not has_run(witness)
    assert by_commit.outcome is by_diff.outcome is Outcome.CONFLICT
    assert landed.outcome is Outcome.LANDED
    assert len(hunks.hunks) == 1


async def test_merge_attributes_in_the_tree_have_no_say(repo: Repo) -> None:
    """Pinned: union would hide a conflict, -merge would invent one; both are decided by content alone."""
    union = repo.commit("Bug 2", {"union.txt": numbered(30, l5="theirs")})
    never = repo.commit("Bug 3", {"never.txt": numbered(30, l5="theirs")})
    repo.commit(
        "Bug 4", {"union.txt": numbered(30, l5="ours"), "never.txt": numbered(30, l25="o")}, on="beta"
    )
    async with GitTrials(repo.path) as trials:
        both = await trials.run([Request("beta", (Commit(union),)), Request("beta", (Commit(never),))])
    assert [result.outcome for result in both] == [Outcome.CONFLICT, Outcome.CLEAN]


async def test_the_clone_cannot_switch_off_rename_detection(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    repo.commit("Bug 3", {"a.txt": None, "moved.txt": numbered(30)}, on="beta")
    async with GitTrials(repo.path) as trials:
        (result,) = await trials.run([Request("beta", (Commit(patch),))])
    assert result.outcome is Outcome.CLEAN


async def test_the_configuration_of_the_user_is_not_read(
    repo: Repo, tmp_path: Path, witness: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = f"[merge]\n\trenames = false\n[core]\n\tfsmonitor = {tmp_path / 'evil'}\n\tcompression = no\n"
    (home / ".gitconfig").write_text(settings)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "merge.renames")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "false")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(tmp_path / "evil"))
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    repo.commit("Bug 3", {"a.txt": None, "moved.txt": numbered(30)}, on="beta")
    has_run(witness)
    async with GitTrials(repo.path) as trials:
        (result,) = await trials.run([Request("beta", (Commit(patch),))])
    assert result.outcome is Outcome.CLEAN
    assert not has_run(witness)


async def test_an_include_and_a_lying_object_format_in_the_config_are_not_followed(
    repo: Repo, tmp_path: Path
) -> None:
    (tmp_path / "included").write_text("[extensions]\n\tobjectFormat = sha256\n")
    run_git(repo.path, "config", "include.path", str(tmp_path / "included"))
    async with GitTrials(repo.path) as trials:
        assert trials.shadow.hash_name == "sha1"


async def test_replacements_in_the_clone_do_not_change_what_a_commit_is(repo: Repo) -> None:
    patch = repo.commit("Bug 2", {"a.txt": numbered(30, l5="theirs")})
    other = repo.commit("Bug 3", {"b.txt": lines("other")})
    repo.commit("Bug 4", {"a.txt": numbered(30, l5="ours")}, on="beta")
    run_git(repo.path, "replace", patch, other)
    async with GitTrials(repo.path) as trials:
        (result,) = await trials.run([Request("beta", (Commit(patch),))])
    assert result.outcome is Outcome.CONFLICT


async def test_the_door_hands_on_nothing_of_the_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIPIT_BUGZILLA_API_KEY", "secret")
    monkeypatch.setenv("GIT_TRACE", "1")
    answer = await git(tmp_path, "-c", "alias.environment=!env", "environment")
    assert b"secret" not in answer.stdout
    assert b"trace" not in answer.stderr
