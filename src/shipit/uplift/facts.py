# SPDX-License-Identifier: MPL-2.0
"""Measured facts about a patch that a form also speaks of: strings, tests, Android, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import msgspec

from shipit.uplift.sizes import FileChange, is_test


class PathRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which paths mean what. strings: endings of files that hold words shown to people.

    android: folders of code that ships on Android only, or a part of a path that says so.
    """

    strings: tuple[str, ...] = (".ftl", ".properties", ".dtd")
    string_files: tuple[str, ...] = ("strings.xml",)
    android: tuple[str, ...] = ("mobile/android/", "mobile/shared/")
    android_words: tuple[str, ...] = ("android",)


RULES = PathRules()


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch touches. added, deleted: lines in all files; test_*: in tests alone.

    strings, tests, android: the paths concerned, in order. has_binary: whether a file is binary.
    """

    files: int = 0
    added: int = 0
    deleted: int = 0
    test_added: int = 0
    test_deleted: int = 0
    strings: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    android: tuple[str, ...] = ()
    has_binary: bool = False

    @property
    def size(self) -> int:
        """Lines added and deleted outside tests."""
        return self.added + self.deleted - self.test_added - self.test_deleted

    @property
    def is_tests_only(self) -> bool:
        """Whether it touches nothing but tests."""
        return self.files > 0 and len(self.tests) == self.files


def measure(files: Iterable[FileChange], rules: PathRules = RULES) -> Measured:
    """The facts of a patch out of its files."""
    those = tuple(files)
    tests = [one for one in those if one.is_test or is_test(one.path)]
    test_paths = {one.path for one in tests}
    return Measured(
        files=len(those),
        added=sum(one.added for one in those),
        deleted=sum(one.deleted for one in those),
        test_added=sum(one.added for one in tests),
        test_deleted=sum(one.deleted for one in tests),
        strings=tuple(
            one.path for one in those if is_string_file(one.path, rules) and one.path not in test_paths
        ),
        tests=tuple(one.path for one in tests),
        android=tuple(one.path for one in those if is_android(one.path, rules)),
        has_binary=any(one.is_binary for one in those),
    )


def is_string_file(path: str, rules: PathRules = RULES) -> bool:
    """Whether a file holds words that localizers translate."""
    name = PurePosixPath(path).name
    return name.endswith(rules.strings) or name in rules.string_files


def is_android(path: str, rules: PathRules = RULES) -> bool:
    """Whether a path is code of the Android products."""
    lower = path.lower()
    if lower.startswith(rules.android):
        return True
    return any(word in part for part in lower.split("/")[:-1] for word in rules.android_words)
