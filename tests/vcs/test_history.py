# SPDX-License-Identifier: MPL-2.0
"""History and patch facts, on repositories told here with known counts, and on recorded file logs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from libmozdata.HGFileInfo import HGFileInfo

from shipit.errors import CommandFailed
from shipit.uplift.analysis import Failed, PatchFacts, Source
from shipit.uplift.types import PatchSource, Person
from shipit.vcs.commits import is_backout, reviewers_of
from shipit.vcs.components import read_rules
from shipit.vcs.facts import facts_of_diff, read_patches
from shipit.vcs.history import History

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ADA, BEN = "ada@example.org", "ben@example.org"


def git(repo: Path, *words: str | Path, stdin: bytes | None = None) -> str:
    clean = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": "/",
    }
    done = subprocess.run(
        ["git", "-C", repo, *words], input=stdin, capture_output=True, check=True, env=clean
    )
    return done.stdout.decode("utf-8", "replace").strip()


class Story:
    """A bare repository told commit by commit; each commit lands one day after the one before."""

    def __init__(self, folder: Path) -> None:
        self.repo, self.at = folder, START
        folder.mkdir(parents=True)
        git(folder, "init", "-q", "--bare", "-b", "main", ".")

    def commit(
        self,
        who: str,
        message: str,
        files: dict[bytes, bytes | None],
        *,
        branch: str = "main",
        merge: str | None = None,
        moved: dict[bytes, bytes] | None = None,
    ) -> str:
        """files: path to content, None deletes. moved: old path to new."""
        when = int(self.at.timestamp())
        self.at += DAY
        said = message.encode()
        lines = [f"commit refs/heads/{branch}\n".encode(), f"author {who} <{who}> {when} +0000\n".encode()]
        lines += [
            f"committer Lander <l@example.org> {when} +0000\n".encode(),
            b"data %d\n%b\n" % (len(said), said),
        ]
        tip = subprocess.run(
            ["git", "-C", self.repo, "rev-parse", "-q", "--verify", branch], capture_output=True
        )
        if tip.returncode == 0:
            lines.append(b"from " + tip.stdout.strip() + b"\n")
        if merge:
            lines.append(f"merge {merge}\n".encode())
        lines += [b"R %b %b\n" % (_quoted(old), _quoted(new)) for old, new in (moved or {}).items()]
        for path, content in files.items():
            if content is None:
                lines.append(b"D %b\n" % _quoted(path))
            else:
                lines.append(b"M 100644 inline %b\ndata %d\n%b\n" % (_quoted(path), len(content), content))
        git(self.repo, "fast-import", "--quiet", "--force", stdin=b"".join(lines) + b"\ndone\n")
        return git(self.repo, "rev-parse", branch)


def _quoted(path: bytes) -> bytes:
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


@pytest.fixture
def story(tmp_path: Path, need) -> Story:
    need("git")
    return Story(tmp_path / "main.git")


def lines(count: int, word: str = "line") -> bytes:
    return b"".join(f"{word} {number}\n".encode() for number in range(count))


async def told(story: Story, **options: int) -> History:
    history = History(story.repo, **options)
    await history.follow(git(story.repo, "rev-parse", "main"))
    return history


async def only(history: History, revision: str, **options) -> PatchFacts:
    facts = (await read_patches(history, [revision], now=NOW, **options))[revision]
    assert isinstance(facts, PatchFacts), facts
    return facts


async def test_churn_and_familiarity_are_counted_exactly(story: Story) -> None:
    story.commit(ADA, "Bug 1 - begin r=ben", {b"a.cpp": lines(10), b"b.cpp": lines(5)})
    story.commit(BEN, "Bug 2 - a only r=ada", {b"a.cpp": lines(11)})
    story.commit(ADA, "Bug 3 - both r=ben,cyd", {b"a.cpp": lines(12), b"b.cpp": lines(6)})
    story.commit(BEN, 'Revert "Bug 3 - both" for bustage', {b"a.cpp": lines(11), b"b.cpp": lines(5)})
    story.commit(BEN, "Bug 4 - elsewhere r=ben", {b"c.cpp": lines(3)})
    patch = story.commit(ADA, "Bug 5 - the patch r=ben", {b"a.cpp": lines(14), b"b.cpp": lines(9)})
    story.commit(BEN, "Bug 6 - later r=ben", {b"a.cpp": lines(15)})
    history = await told(story)

    facts = await only(history, patch, recent_since=START + 2 * DAY, addresses={"ben": BEN})

    overall, recent = facts.overall, facts.recent
    assert recent is not None
    assert (overall.commits, recent.commits) == (4, 2)
    assert (overall.by_author, recent.by_author) == (2, 1)
    assert (overall.by_reviewers, recent.by_reviewers) == (2, 1)
    assert (overall.reviewed_by_reviewers, recent.reviewed_by_reviewers) == (2, 1)
    assert (overall.backouts, recent.backouts) == (1, 1)
    assert overall.last == recent.last == START + 3 * DAY
    assert overall.is_complete and recent.is_complete
    assert [(f.path, f.earlier, f.recent) for f in facts.files] == [("a.cpp", 4, 2), ("b.cpp", 3, 2)]
    assert facts.landed_at == START + 5 * DAY
    assert facts.reviewers == ("ben",)


async def test_a_commit_that_touches_two_files_is_counted_once(story: Story) -> None:
    story.commit(ADA, "one", {b"a": b"1", b"b": b"1"})
    patch = story.commit(ADA, "two", {b"a": b"2", b"b": b"2"})
    facts = await only(await told(story), patch)
    assert facts.overall.commits == 1
    assert sum(f.earlier or 0 for f in facts.files) == 2


async def test_sizes_languages_and_tests_are_told_apart(story: Story) -> None:
    story.commit(
        ADA, "begin", {b"dom/x.cpp": lines(40), b"dom/test/test_x.js": lines(3), b"gone.rs": lines(4)}
    )
    patch = story.commit(
        BEN,
        "Bug 7 - work",
        {
            b"dom/x.cpp": lines(41).replace(b"line 20\n", b"changed\n"),
            b"dom/test/test_x.js": lines(5),
            b"gone.rs": None,
            b"app/Main.kt": lines(2, "fun"),
            b"icon.png": b"\x89PNG\0\0\0",
        },
    )
    facts = await only(await told(story), patch)
    source, tests = facts.size(tests=False), facts.size(tests=True)
    assert (source.added, source.deleted) == (4, 5)
    assert (tests.added, tests.deleted, tests.files) == (2, 0, 1)
    assert facts.languages == ("C++", "Javascript", "Kotlin", "Rust")
    assert facts.directories == ("", "app", "dom", "dom/test")
    assert [f.path for f in facts.files if f.is_binary] == ["icon.png"]
    # Two hunks of 1+1 and 1 changed lines, each with up to eight lines of context around it.
    assert next(f.lines for f in facts.files if f.path == "dom/x.cpp") == (8 + 2 + 8) + (8 + 1)


async def test_a_moved_file_keeps_the_history_of_its_old_path(story: Story) -> None:
    story.commit(ADA, "begin", {b"old.c": lines(30)})
    story.commit(BEN, "work", {b"old.c": lines(31)})
    patch = story.commit(ADA, "move", {}, moved={b"old.c": b"new.c"})
    facts = await only(await told(story), patch)
    assert [(f.path, f.old_path, f.added, f.deleted) for f in facts.files] == [("new.c", "old.c", 0, 0)]
    assert facts.overall.commits == 2


async def test_the_index_goes_on_where_it_ended_and_equals_a_fresh_one(story: Story) -> None:
    story.commit(ADA, "one", {b"a": b"1"})
    history = History(story.repo)
    assert await history.follow(git(story.repo, "rev-parse", "main")) == 1
    story.commit(BEN, "two", {b"a": b"2", b"b": b"1"})
    tip = story.commit(ADA, "three", {b"b": b"2"})
    assert await history.follow(tip) == 2
    assert await history.follow(tip) == 0
    fresh = await told(story)
    for path in ("a", "b"):
        assert history.churn([path], before=NOW) == fresh.churn([path], before=NOW)
    assert len(history) == len(fresh) == 3


async def test_a_rewritten_branch_is_read_anew(story: Story) -> None:
    first = story.commit(ADA, "one", {b"a": b"1"})
    story.commit(ADA, "two", {b"a": b"2"})
    history = await told(story)
    git(story.repo, "update-ref", "refs/heads/main", first)
    tip = story.commit(BEN, "other two", {b"a": b"3"})
    assert await history.follow(tip) == 2
    assert history.churn(["a"], before=NOW, authors=[BEN]).by_author == 1
    assert len(history) == 2


async def test_an_index_that_does_not_reach_back_says_so(story: Story) -> None:
    for number in range(6):
        story.commit(ADA, f"commit {number}", {b"a": str(number).encode()})
    history = await told(story, most_commits=3)
    everything = history.churn(["a"], before=NOW)
    assert (everything.commits, everything.is_complete) == (3, False)
    assert history.churn(["a"], before=NOW, since=START + 3 * DAY).is_complete
    assert not history.churn(["a"], before=NOW, since=START + 2 * DAY).is_complete


async def test_a_shallow_clone_is_not_taken_for_the_whole_history(story: Story, tmp_path: Path) -> None:
    for number in range(4):
        story.commit(ADA, f"commit {number}", {b"a": str(number).encode()})
    git(tmp_path, "clone", "-q", "--bare", "--depth=2", f"file://{story.repo}", "shallow.git")
    history = History(tmp_path / "shallow.git")
    await history.follow(git(story.repo, "rev-parse", "main"))
    assert not history.churn(["a"], before=NOW).is_complete


async def test_a_kept_index_is_taken_up_by_the_next_process(story: Story, tmp_path: Path) -> None:
    kept = tmp_path / "history"
    story.commit(ADA, "one r=ben", {b"a": b"1", b"latin-\xe9": b"1"})
    first = story.commit(BEN, 'Revert "one"', {b"a": b"2"})
    assert await History(story.repo, kept=kept).follow(first) == 2
    tip = story.commit(ADA, "three", {b"a": b"3", b"b": b"1"})
    again = History(story.repo, kept=kept)
    assert await again.follow(tip) == 1
    fresh = await told(story)
    for path in ("a", "b", "latin-\\xe9"):
        asked = {"before": NOW, "authors": [ADA], "reviewers": ["ben"], "since": START}
        assert again.churn([path], **asked) == fresh.churn([path], **asked)
    assert again.position(first) == fresh.position(first) == 1


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
async def test_a_damaged_index_is_made_anew(story: Story, tmp_path: Path, damage: bytes | None) -> None:
    kept = tmp_path / "history"
    tip = story.commit(ADA, "one", {b"a": b"1"})
    await History(story.repo, kept=kept).follow(tip)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"?" if damage is None else damage)
    assert await History(story.repo, kept=kept).follow(tip) == 1
    assert kept.read_bytes() == whole


async def test_an_index_of_another_repository_is_not_believed(story: Story, tmp_path: Path) -> None:
    kept = tmp_path / "history"
    other = Story(tmp_path / "other.git")
    await History(other.repo, kept=kept).follow(other.commit(BEN, "other", {b"a": b"x"}))
    tip = story.commit(ADA, "one", {b"a": b"1"})
    history = History(story.repo, kept=kept)
    assert await history.follow(tip) == 1
    assert history.churn(["a"], before=NOW, authors=[BEN]).by_author == 0


async def test_where_the_index_cannot_be_kept_the_work_goes_on(story: Story, tmp_path: Path) -> None:
    tip = story.commit(ADA, "one", {b"a": b"1"})
    history = History(story.repo, kept=tmp_path / "no such folder" / "history")
    assert await history.follow(tip) == 1


async def test_a_reading_that_is_cancelled_leaves_no_half_index(story: Story) -> None:
    for number in range(5):
        tip = story.commit(ADA, f"commit {number}", {b"a": str(number).encode()})
    history = History(story.repo)
    for delay in (0.0, 0.002, 0.006, 0.012):
        reading = asyncio.create_task(history.follow(tip))
        await asyncio.sleep(delay)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert len(history) in (0, 5)
    await history.follow(tip)
    assert history.churn(["a"], before=NOW).commits == 5


async def test_merge_commits_are_not_counted_twice_but_have_facts(story: Story) -> None:
    story.commit(ADA, "begin", {b"a": b"1"})
    git(story.repo, "branch", "side", "main")
    side = story.commit(BEN, "on the side", {b"a": b"2"}, branch="side")
    story.commit(ADA, "on main", {b"b": b"1"})
    merge = story.commit(ADA, "merge", {b"a": b"2"}, merge=side)
    history = await told(story)
    assert history.churn(["a"], before=NOW).commits == 2
    facts = await only(history, merge)
    assert [f.path for f in facts.files] == ["a"]
    assert len(facts.parents) == 2


async def test_names_of_any_bytes_are_the_same_in_index_and_facts(story: Story) -> None:
    names = ['with "quotes"', "tab\there", "line\nbreak", "ünïcode", "back\\slash", " b/x", "b/a b/c"]
    raw = [name.encode() for name in names] + [b"latin-\xe9"]
    story.commit(ADA, "begin", {name: b"1\n" for name in raw})
    patch = story.commit(BEN, "work", {name: b"2\n" for name in raw})
    facts = await only(await told(story), patch)
    assert {f.path for f in facts.files} == {*names, "latin-\\xe9"}
    assert [(f.earlier, f.added, f.deleted) for f in facts.files] == [(1, 1, 1)] * len(raw)


async def test_text_that_pretends_to_be_the_next_commit_is_not_believed(story: Story) -> None:
    story.commit(ADA, "begin", {b"other": b"1\n", b"victim": b"1\n"})
    victim = story.commit(BEN, "victim", {b"victim": b"2\n"})
    text = f"commit {victim}\n\ndiff --git a/lie b/lie\n--- a/lie\n+++ b/lie\n@@ -1 +1 @@\n-x\n+y\n".encode()
    liar = story.commit(ADA, "liar", {b"other": text})
    found = await read_patches(await told(story), [liar, victim], now=NOW)
    assert isinstance(found[liar], PatchFacts) and isinstance(found[victim], PatchFacts)
    assert [f.path for f in found[liar].files] == ["other"]
    assert (found[liar].size().added, found[liar].size().deleted) == (8, 1)
    assert [f.path for f in found[victim].files] == ["victim"]


async def test_what_cannot_be_read_hides_nothing_else(story: Story) -> None:
    story.commit(ADA, "begin", {b"a": b"1\n"})
    good = story.commit(ADA, "good", {b"a": b"2\n"})
    bad = story.commit(BEN, "bad", {b"b": lines(50, "lost")})
    blob = git(story.repo, "rev-parse", f"{bad}:b")
    _unpacked(story.repo)
    (story.repo / "objects" / blob[:2] / blob[2:]).unlink()
    found = await read_patches(await told(story), [good, bad, "f" * 40, "--upload-pack=x"], now=NOW)
    assert isinstance(found[good], PatchFacts)
    reasons = {name: facts.reason for name, facts in found.items() if isinstance(facts, Failed)}
    assert set(reasons) == {bad, "f" * 40, "--upload-pack=x"}
    assert blob in reasons[bad]
    assert reasons["f" * 40] == "the clone has no such commit"


def _unpacked(repo: Path) -> None:
    """Every object as a loose file, so that a test can lose one."""
    for pack in (repo / "objects" / "pack").glob("*.pack"):
        content = pack.read_bytes()
        for file in pack.parent.glob(pack.stem + ".*"):
            file.unlink()
        git(repo, "unpack-objects", "-q", stdin=content)


async def test_a_tip_that_the_clone_lacks_stops_the_index_and_says_so(story: Story) -> None:
    story.commit(ADA, "begin", {b"a": b"1\n"})
    history = await told(story)
    with pytest.raises(CommandFailed, match="no commit"):
        await history.follow("e" * 40)
    assert len(history) == 1


async def test_an_author_that_git_cannot_read_is_no_surprise(story: Story) -> None:
    story.commit(ADA, "begin", {b"a": b"1\n"})
    tree = git(story.repo, "rev-parse", "main^{tree}")
    raw = f"tree {tree}\nauthor nobody\ncommitter <> 99999999999999999 +0000\n\nodd\n".encode()
    odd = git(story.repo, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=raw)
    git(story.repo, "update-ref", "refs/heads/main", odd)
    facts = await only(await told(story), odd)
    assert facts.title == "odd"
    assert facts.authored_at.year == 1970
    assert [f.path for f in facts.files] == ["a"]


async def test_forty_patches_take_five_processes(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need
) -> None:
    patches = [story.commit(ADA, f"commit {n}", {b"a": str(n).encode()}) for n in range(40)]
    history = await told(story)
    log = tmp_path / "calls"
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho call >> {log}\nexec {need("git")} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    found = await read_patches(history, patches, now=NOW)
    assert len([f for f in found.values() if isinstance(f, PatchFacts)]) == 40
    assert 1 <= len(log.read_text().split()) <= 5


async def test_two_who_follow_at_once_count_nothing_twice(story: Story) -> None:
    for number in range(5):
        tip = story.commit(ADA, f"commit {number}", {b"a": str(number).encode()})
    history = History(story.repo)
    counts = await asyncio.gather(history.follow(tip), history.follow(tip))
    assert sorted(counts) == [0, 5]
    assert history.churn(["a"], before=NOW).commits == 5


async def test_a_patch_that_has_not_landed_has_facts_of_its_diff(story: Story) -> None:
    story.commit(BEN, "begin r=ada", {b"a.js": lines(4)})
    story.commit(ADA, "more", {b"a.js": lines(5)})
    diff = b"diff --git a/a.js b/a.js\n--- a/a.js\n+++ b/a.js\n@@ -1,2 +1,3 @@\n line 0\n+new\n line 1\n"
    facts = facts_of_diff(
        await told(story),
        "D123",
        diff,
        kind=PatchSource.REVISION,
        author=Person(name="Ben", email=BEN),
        message="Bug 9 - later r=ada",
        authored_at=START + 3 * DAY,
        now=NOW,
    )
    assert isinstance(facts, PatchFacts)
    assert (facts.overall.commits, facts.overall.by_author, facts.overall.reviewed_by_reviewers) == (2, 1, 1)
    assert facts.landed_at is None
    assert facts.source is Source.PHABRICATOR
    assert (facts.size().added, facts.size().lines) == (1, 3)


async def test_a_patch_landed_elsewhere_sees_what_main_had_by_then(story: Story) -> None:
    story.commit(ADA, "one", {b"a": b"1"})
    git(story.repo, "branch", "beta", "main")
    uplifted = story.commit(ADA, "uplift a=ben", {b"a": b"2"}, branch="beta")
    story.commit(ADA, "main goes on", {b"a": b"3"})
    facts = await only(await told(story), uplifted)
    assert facts.overall.commits == 1
    assert facts.landed_at is None


async def test_components_come_from_the_nearest_moz_build_that_has_a_rule(story: Story) -> None:
    root = b'with Files("**"):\n    BUG_COMPONENT = ("Core", "General")\n'
    dom = (
        b'with Files("**"):\n    BUG_COMPONENT = ("Core", "DOM")\n'
        b'with Files("media/**/*.cpp", "*.idl"):\n    BUG_COMPONENT = ("Core", "Audio")\n'
    )
    story.commit(ADA, "build", {b"moz.build": root, b"dom/moz.build": dom, b"js/moz.build": b"oops ("})
    patch = story.commit(
        ADA,
        "work",
        {b"dom/media/deep/x.cpp": b"1", b"dom/a.js": b"1", b"js/b.js": b"1", b"dom/media/y.txt": b"1"},
    )
    facts = await only(await told(story), patch)
    assert facts.components == ("Core :: Audio", "Core :: DOM", "Core :: General")


def test_a_moz_build_is_read_and_never_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    text = f'open({str(trap)!r}, "w")\nwith Files("**"):\n    BUG_COMPONENT = ("Core", "DOM")\n'
    assert [rule.component for rule in read_rules(text.encode())] == ["Core :: DOM"]
    assert not trap.exists()
    assert read_rules(b"(" * 50_000) == read_rules(b"\0") == ()


@pytest.mark.parametrize(
    ("message", "nicks"),
    [
        ("Bug 1 - x r=ada,Ben", ("ada", "ben")),
        ("Bug 1 - x r=ada, r=ben a=cyd", ("ada", "ben")),
        ("Bug 1 - x. r?#dom-reviewers,ada!", ("#dom-reviewers", "ada")),
        ("Bug 1 - x r=me", ()),
        ("Bug 1 - for=ever and https://x.org/?r=1", ()),
        ("Bug 1 - x r=ada.", ("ada",)),
    ],
)
def test_reviewers_are_read_from_messages(message: str, nicks: tuple[str, ...]) -> None:
    assert reviewers_of(message) == nicks


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ('Revert "Bug 1 - x" for bustage', True),
        ("Backed out changeset abcdefabcdef (bug 1)", True),
        ("Bug 12 - Backout of x", True),
        ("Back out 3 changesets (bug 1)", True),
        ("Revert to the old look of the toolbar", False),
        ("Bug 1 - Stop backing out quietly", False),
        ("bug 1" + " " * 100_000, False),
    ],
)
def test_backouts_say_so_themselves(message: str, answer: bool) -> None:
    assert is_backout(message) is answer


async def test_counts_agree_with_libmozdata_on_recorded_file_logs(shared: Path, tmp_path: Path, need) -> None:
    need("git")
    logs = sorted((shared / "data/hgmo/mozilla-central/json-filelog").glob("*.json"))
    assert logs
    checked = 0
    for number, log in enumerate(logs):
        entries = json.loads(log.read_text())["entries"]
        history = await _retold(entries, tmp_path / f"{number}.git")
        theirs = _libmozdata_file_info(entries)
        times = sorted(entry["date"][0] for entry in entries)
        for cut in (times[len(times) // 2], times[-1], times[-1] + 1):
            for author in {e["user"].partition("<")[2].rstrip(">") for e in entries if "<" in e["user"]}:
                since = cut - 3 * 42 * 86400
                for floor in (None, since):
                    said = theirs.get("file", utc_ts_from=floor, utc_ts_to=cut - 1, authors=[author])[
                        "patches"
                    ]
                    every = theirs.get("file", utc_ts_from=floor, utc_ts_to=cut - 1)["patches"]
                    ours = history.churn(
                        ["file"],
                        before=datetime.fromtimestamp(cut, UTC),
                        since=None if floor is None else datetime.fromtimestamp(floor, UTC),
                        authors=[author],
                    )
                    assert (ours.commits, ours.by_author) == (len(every), len(said))
                    checked += 1
    assert checked > 500


async def _retold(entries: list[dict], folder: Path) -> History:
    """A repository in which each recorded change of the file is a commit of the same author and time."""
    story = Story(folder)
    stream = b""
    for number, entry in enumerate(sorted(entries, key=lambda e: e["date"][0]), 1):
        name, _, email = entry["user"].partition("<")
        email = email.rstrip(">") or entry["user"]
        who = f"{name.strip() or 'x'} <{email}> {int(entry['date'][0])} +0000".encode()
        said = entry["desc"].encode()
        content = str(number).encode()
        stream += b"commit refs/heads/main\nmark :%d\nauthor %b\ncommitter %b\n" % (number, who, who)
        stream += b"data %d\n%b\n" % (len(said), said)
        stream += b"M 100644 inline file\ndata %d\n%b\n" % (len(content), content)
    git(folder, "fast-import", "--quiet", stdin=stream + b"done\n")
    return await told(story)


def _libmozdata_file_info(entries: list[dict]) -> HGFileInfo:
    """libmozdata's reader of a file log, given the recorded log instead of a connection."""
    info = HGFileInfo.__new__(HGFileInfo)
    info.date_type = "date"
    info.results = []
    info.data = {"file": [dict(entry) for entry in entries]}
    info.bug_pattern = re.compile(r"[Bb]ug ([0-9]+)")
    info.rev_pattern = re.compile(r"r=(\w+)")
    return info


async def test_tests_are_found_beside_the_code_in_mirrors_and_by_name(story: Story) -> None:
    text = lines(3)
    files = {
        b"dom/base/test/test_a.html": text,
        b"app/src/test/java/org/menu/ItemTest.kt": text,
        b"tools/tests/test_parse_args.py": text,
        b"far/away/SearchEngineTests.cpp": text,
        b"dom/base/test/mochitest.toml": text,
    }
    story.commit(ADA, "Bug 1 - tests r=ben", files)
    history = await told(story)
    for path, count in (
        ("dom/base/a.cpp", 1),
        ("dom/base/test/test_b.html", 0),
        ("dom/media/a.cpp", 0),
        ("app/src/main/java/org/menu/Other.kt", 1),
        ("app/src/main/java/org/other/Other.kt", 0),
        ("tools/other.py", 1),
        ("lib/parse_args.py", 1),
        ("browser/SearchEngine.cpp", 1),
        ("lib/a.html", 0),
    ):
        assert history.tests_near([path]) == count, path
    story.commit(ADA, "Bug 2 - more r=ben", {b"dom/media/test/test_m.html": text})
    await history.follow(git(story.repo, "rev-parse", "main"))
    assert history.tests_near(["dom/media/a.cpp"]) == 1
