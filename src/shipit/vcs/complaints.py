# SPDX-License-Identifier: MPL-2.0
"""Say in one bounded line of plain words why git or Mercurial does not apply a diff."""

from __future__ import annotations

import re

EMPTY = "the patch is empty"
NO_DIFF = "what was attached is not a diff"

LONGEST = 300
# Of a diff that fails in many places the first few say enough.
MOST_NAMED = 3
MOST_READ = 200

_PREFIX = re.compile(r"^(?:error|fatal|warning|abort): ")
# Lines that only repeat what another says, or speak of files that nobody will find.
_IDLE = re.compile(
    r"\d+ out of \d+ hunks? |(?:using|while|checking|hint:|context:)\b|.*: patch does not apply$",
    re.IGNORECASE,
)
_PLAIN = (
    (re.compile(r"patch failed: (.+):(\d+)$"), r"\1 differs at line \2"),
    (re.compile(r"(.+): does not (?:exist in|match) index$"), r"\1 does not exist there"),
    (re.compile(r"(.+): already exists in index$"), r"\1 exists there already"),
    (re.compile(r"(?i)unable to find '(.+)' for patching$"), r"\1 does not exist there"),
    (
        re.compile(r"(?:cannot create|file) (.+?):? (?:destination )?already exists$"),
        r"\1 exists there already",
    ),
)
_PATCHED = re.compile(r"patching file (.+)$")
_HUNK = re.compile(r"(?i)hunk #\d+ failed at (\d+)")


def in_words(said: str) -> str:
    """One line of at most 300 characters of what a tool said on stderr (untrusted: it quotes the diff)."""
    found: list[str] = []
    file = "the file"
    for line in said.splitlines()[:MOST_READ]:
        plain = _PREFIX.sub("", _printable(line))
        if patched := _PATCHED.match(plain):
            file = patched[1]
        elif hunk := _HUNK.match(plain):
            # Mercurial counts lines from 0.
            found.append(f"{file} differs at line {int(hunk[1]) + 1}")
        elif plain and not _IDLE.match(plain):
            found.append(_plain(plain))
    named = list(dict.fromkeys(found)) or [_printable(said) or "no reason was given"]
    line = "; ".join(named[:MOST_NAMED])
    line += f"; and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _plain(line: str) -> str:
    for pattern, words in _PLAIN:
        if pattern.match(line):
            return pattern.sub(words, line)
    return line


def _printable(said: str) -> str:
    return "".join(char if char.isprintable() else " " for char in said).strip()
