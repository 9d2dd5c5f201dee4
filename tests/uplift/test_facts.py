# SPDX-License-Identifier: MPL-2.0
"""Measured facts about a patch."""

from __future__ import annotations

import pytest

from shipit.uplift.facts import is_android, is_test_file, measure
from shipit.uplift.sizes import FileChange


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dom/base/test/unit/test_a.js", True),
        ("dom/base/test/browser_a.js", True),
        ("app/src/androidTest/java/org/A.kt", True),
        ("app/src/main/java/org/MenuTest.kt", True),
        ("xpcom/TestStrings.cpp", True),
        ("layout/reftests/bugs/1-ref.html", True),
        ("dom/base/test/mochitest.toml", False),
        ("dom/webauthn/attestation.cpp", False),
        ("browser/base/content/browser_a.js", False),
        ("intl/latest.js", False),
        ("app/src/main/java/org/Latest.kt", False),
    ],
)
def test_code_that_tests(path: str, expected: bool) -> None:
    assert is_test_file(path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("mobile/android/geckoview/a.java", True),
        ("widget/android/nsWindow.cpp", True),
        ("hal/android/AndroidHal.cpp", True),
        ("browser/base/content/browser.js", False),
        ("docs/android.md", False),
        ("testing/android/a.py", False),
        ("dom/androidish/a.cpp", False),
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
            FileChange(path="dom/tests/mochitest.toml", added=1),
            FileChange(path="dom/a.cpp", added=1),
        ]
    )
    assert (found.files, found.added, found.deleted, found.size) == (6, 45, 3, 16)
    assert (found.code_files, found.manifests) == (4, ("dom/tests/mochitest.toml",))
    assert found.strings == ("browser/locales/en-US/c.ftl",)
    assert found.tests == ("dom/tests/test_a.html",)
    assert found.android == ("widget/android/b.cpp",)
    assert not found.is_tests_only
    assert found.programs == 2


def test_a_patch_of_tests_alone_says_so() -> None:
    assert measure([FileChange(path="dom/tests/test_a.html", added=1)]).is_tests_only
    assert not measure([]).is_tests_only
