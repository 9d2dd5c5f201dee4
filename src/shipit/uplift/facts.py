# SPDX-License-Identifier: MPL-2.0
"""Measured facts about a patch that a form also speaks of: strings, tests, Android, sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from shipit.uplift.sizes import FileChange, language
from shipit.uplift.words import is_string_file


class PathRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which paths mean what.

    android, desktop: folders of code that ships in those products only. neutral: folders that ship in none,
    whatever their paths say. android_part: a folder of this name anywhere holds code of Android.
    """

    android: tuple[str, ...] = ("mobile/android/", "mobile/shared/")
    android_part: str = "android"
    desktop: tuple[str, ...] = ("browser/", "widget/windows/", "widget/cocoa/", "widget/gtk/")
    neutral: tuple[str, ...] = ("testing/", "taskcluster/", "third_party/", "python/", "docs/", "build/")


RULES = PathRules()

PROGRAMS = frozenset(
    ("C", "C++", "Java", "Javascript", "Kotlin", "Objective-C", "Python", "Rust", "Swift", "TypeScript")
)
# Folders and file names of test code; "latest", "attestation" and "contest" are none.
TEST_FOLDERS = frozenset(
    (
        *("test", "tests", "testing", "androidtest", "unittests", "unit-tests", "mochitest", "mochitests"),
        *("xpcshell", "gtest", "crashtests", "reftest", "reftests", "jit-test", "marionette"),
        *("web-platform", "wpt"),
    )
)
_TEST_NAME = re.compile(
    r"(?:test|browser|head)_.+\.\w+|.+[_-]tests?\.\w+|(?:\w+[a-z0-9])?Tests?\.\w+|Test[A-Z]\w*\.\w+"
)
_BROWSER_NAME = re.compile(r"(?:browser|head)_.+")
# A test's list of what is to run: part of tests, yet no test by itself.
_MANIFEST = re.compile(
    r"(?:mochitest|chrome|browser|xpcshell|a11y|crashtests?|reftests?|jstests|manifest|instrumentation|wpt)"
    r"[\w.-]*\.(?:ini|toml|list|json)"
)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What patches touch. added, deleted: lines in all files; test_*: in tests alone.

    strings: string files in which words are added or changed; string_removals: those that only lose some.
    tests, manifests, android, desktop: the paths concerned, in order; android and desktop without tests.
    programs: files of program code, which tests could cover.
    """

    files: int = 0
    added: int = 0
    deleted: int = 0
    test_added: int = 0
    test_deleted: int = 0
    strings: tuple[str, ...] = ()
    string_removals: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    android: tuple[str, ...] = ()
    desktop: tuple[str, ...] = ()
    programs: int = 0

    @property
    def size(self) -> int:
        """Lines added and deleted outside tests."""
        return self.added + self.deleted - self.test_added - self.test_deleted

    @property
    def code_files(self) -> int:
        """Files that are no tests."""
        return self.files - len(self.tests) - len(self.manifests)

    @property
    def is_tests_only(self) -> bool:
        """Whether it touches nothing but tests."""
        return self.files > 0 and self.code_files == 0


def measure(files: Iterable[FileChange], rules: PathRules = RULES) -> Measured:
    """The facts of patches out of their files; a file that several of them touch counts once."""
    those = tuple(files)
    paths = list(dict.fromkeys(one.path for one in those))
    tests = [path for path in paths if is_test_file(path)]
    manifests = [path for path in paths if path not in tests and is_manifest(path)]
    apart = {*tests, *manifests}
    words = [one for one in those if is_string_file(one.path) and one.path not in apart]
    changed = list(dict.fromkeys(one.path for one in words if _adds_words(one)))
    losing = dict.fromkeys(one.path for one in words if one.deleted and one.path not in changed)
    return Measured(
        files=len(paths),
        added=sum(one.added for one in those),
        deleted=sum(one.deleted for one in those),
        test_added=sum(one.added for one in those if one.path in apart),
        test_deleted=sum(one.deleted for one in those if one.path in apart),
        strings=tuple(changed),
        string_removals=tuple(losing),
        tests=tuple(tests),
        manifests=tuple(manifests),
        android=tuple(path for path in paths if path not in apart and is_android(path, rules)),
        desktop=tuple(path for path in paths if path not in apart and path.startswith(rules.desktop)),
        programs=sum(path not in apart and language(path) in PROGRAMS for path in paths),
    )


def is_test_file(path: str) -> bool:
    """Whether a path is test code, which ships in no product."""
    if is_manifest(path):
        return False
    *folders, name = path.split("/")
    if any(part.lower() in TEST_FOLDERS for part in folders):
        return True
    match = _TEST_NAME.fullmatch(name)
    # "browser_" begins names of code as well; a test of that name lies in a folder of tests.
    return match is not None and not _BROWSER_NAME.match(name)


def is_manifest(path: str) -> bool:
    """Whether a file only lists which tests run."""
    return _MANIFEST.fullmatch(PurePosixPath(path).name) is not None


def is_android(path: str, rules: PathRules = RULES) -> bool:
    """Whether a path is code that ships on Android alone."""
    lower = path.lower()
    if lower.startswith(rules.android):
        return True
    return not lower.startswith(rules.neutral) and rules.android_part in lower.split("/")[:-1]


def _adds_words(file: FileChange) -> bool:
    # Readings of old did not count words: then any line that was added may be one.
    return bool(file.words) if file.words is not None else file.added > 0
