# SPDX-License-Identifier: MPL-2.0
"""Measured facts about a patch."""

from __future__ import annotations

import pytest

from shipit.uplift.facts import is_android, is_string_file, measure
from shipit.uplift.sizes import FileChange


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("browser/locales/en-US/browser/menu.ftl", True),
        ("toolkit/locales/en-US/a.properties", True),
        ("browser/locales/en-US/b.dtd", True),
        ("mobile/android/fenix/app/src/main/res/values/strings.xml", True),
        ("browser/base/content/ftl.js", False),
        ("a.ftl/b.cpp", False),
    ],
)
def test_files_with_words_for_people(path: str, expected: bool) -> None:
    assert is_string_file(path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("mobile/android/geckoview/a.java", True),
        ("widget/android/nsWindow.cpp", True),
        ("hal/android/AndroidHal.cpp", True),
        ("browser/base/content/browser.js", False),
        ("docs/android.md", False),
    ],
)
def test_code_of_the_android_products(path: str, expected: bool) -> None:
    assert is_android(path) is expected


def test_a_patch_is_measured_once_per_file() -> None:
    found = measure(
        [
            FileChange(path="dom/a.cpp", added=10, deleted=2),
            FileChange(path="dom/tests/test_a.html", added=30, deleted=1),
            FileChange(path="widget/android/b.cpp", added=1),
            FileChange(path="browser/locales/en-US/c.ftl", added=2),
            FileChange(path="d.png", is_binary=True),
        ]
    )
    assert (found.files, found.added, found.deleted, found.size) == (5, 43, 3, 15)
    assert found.strings == ("browser/locales/en-US/c.ftl",)
    assert found.tests == ("dom/tests/test_a.html",)
    assert found.android == ("widget/android/b.cpp",)
    assert found.has_binary and not found.is_tests_only


def test_a_patch_of_tests_alone_says_so() -> None:
    assert measure([FileChange(path="dom/tests/test_a.html", added=1)]).is_tests_only
    assert not measure([]).is_tests_only
