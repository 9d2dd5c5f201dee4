# SPDX-License-Identifier: MPL-2.0
"""Which files hold words, and which changed lines are words that localizers must see."""

from __future__ import annotations

import pytest

from shipit.uplift.sizes import read_diff
from shipit.uplift.words import is_string_file, is_translation, words_changed


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("browser/locales/en-US/browser/menu.ftl", (True, False)),
        ("toolkit/locales/en-US/chrome/a.properties", (True, False)),
        ("app/src/main/res/values/strings.xml", (True, False)),
        ("app/src/main/res/values-fr/strings.xml", (False, True)),
        ("app/src/main/res/values-b+sr+Latn/strings.xml", (False, True)),
        ("l10n/fr/browser/menu.ftl", (False, True)),
        ("browser/locales-preview/new.ftl", (False, False)),
        ("app/src/main/res/values/static_strings.xml", (False, False)),
        ("gradle/wrapper/gradle-wrapper.properties", (False, False)),
        ("mobile/android/gradle.properties", (False, False)),
        ("dom/xml/test/entities.dtd", (False, False)),
        ("third_party/x/locales/en-US/a.ftl", (False, False)),
    ],
)
def test_files_with_words(path: str, expected: tuple[bool, bool]) -> None:
    assert (is_string_file(path), is_translation(path)) == expected


@pytest.mark.parametrize(
    ("path", "added", "deleted", "expected"),
    [
        ("locales/en-US/a.ftl", ["menu-open = Open", "# a comment", ""], [], 1),
        ("locales/en-US/a.ftl", ["menu-open = Open"], ["menu-open = Open"], 0),
        ("locales/en-US/a.ftl", [], ["menu-open = Open"], 0),
        ("locales/en-US/a.properties", ["open=Open", "# note", "! note"], [], 1),
        ("locales/en-US/a.dtd", ['<!ENTITY open "Open">', "<!-- note -->"], [], 1),
        ("res/values/strings.xml", ['  <string name="a">A</string>', "  <!-- note: -->"], [], 1),
        (
            "res/values/strings.xml",
            ['<string name="a" moz:removedIn="120" tools:ignore="UnusedResources">A</string>'],
            ['<string name="a">A</string>'],
            0,
        ),
        ("res/values/strings.xml", ['<string name="b" translatable="false">B</string>'], [], 0),
        ("a.cpp", ["x = 1"], [], 0),
    ],
)
def test_lines_of_words(path: str, added: list[str], deleted: list[str], expected: int) -> None:
    assert words_changed(path, [one.encode() for one in added], [one.encode() for one in deleted]) == expected


def test_a_diff_is_read_with_its_words() -> None:
    diff = b"""diff --git a/locales/en-US/a.ftl b/locales/en-US/a.ftl
--- a/locales/en-US/a.ftl
+++ b/locales/en-US/a.ftl
@@ -1,2 +1,3 @@
 # old
-one = One
+one = The one
+# two
diff --git a/b.cpp b/b.cpp
--- a/b.cpp
+++ b/b.cpp
@@ -1 +1 @@
-one
+two
"""
    assert [(file.path, file.added, file.words) for file in read_diff(diff)] == [
        ("locales/en-US/a.ftl", 2, 1),
        ("b.cpp", 1, None),
    ]
