# SPDX-License-Identifier: MPL-2.0
"""Turn a raw diff around, so that what it does is undone."""

from __future__ import annotations

import re

_HUNK = re.compile(rb"^@@ -(\d+(?:,\d+)?) \+(\d+(?:,\d+)?) @@(.*)$", re.DOTALL)
_COUNT = re.compile(rb"(\d+)(?:,(\d+))?")


class Irreversible(Exception):
    """A diff with parts that do not say what was there before (binary, copies)."""


def reverse_diff(diff: bytes) -> bytes:
    """The diff that undoes another one; text only. Raises Irreversible."""
    out: list[bytes] = []
    lines = diff.split(b"\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if hunk := _HUNK.match(line):
            out.append(b"@@ -%s +%s @@%s" % (hunk[2], hunk[1], hunk[3]))
            at = _turn_hunk(lines, at, hunk, out)
        elif line.startswith((b"GIT binary patch", b"copy from ", b"copy to ")):
            raise Irreversible(line.decode("ascii", "replace"))
        elif line.startswith(b"--- ") and at < len(lines) and lines[at].startswith(b"+++ "):
            out += [b"--- " + _side(lines[at][4:], b"a"), b"+++ " + _side(line[4:], b"b")]
            at += 1
        else:
            out.append(_turn_header(line))
    return b"\n".join(_in_order(out))


def _turn_hunk(lines: list[bytes], at: int, hunk: re.Match[bytes], out: list[bytes]) -> int:
    """Swap the signs of a hunk's lines; removed ones go before added ones again."""
    counts = [_COUNT.fullmatch(hunk[side]) for side in (1, 2)]
    old, new = (int(count[2] or 1) if count and count[2] is not None else 1 for count in counts)
    removed: list[bytes] = []
    added: list[bytes] = []
    last: list[bytes] = out
    while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith(b"\\")):
        line = lines[at]
        sign = line[:1]
        if sign == b"-":
            added.append(b"+" + line[1:])
            last = added
            old -= 1
        elif sign == b"+":
            removed.append(b"-" + line[1:])
            last = removed
            new -= 1
        elif sign == b"\\":
            last.append(line)
        else:
            out += removed + added
            removed, added = [], []
            out.append(line)
            last = out
            old, new = old - 1, new - 1
        at += 1
    out += removed + added
    return at


def _side(name: bytes, prefix: bytes) -> bytes:
    """A file's name as the other side's; "/dev/null" stays."""
    for start in (b"a/", b"b/"):
        if name.startswith(start):
            return prefix + b"/" + name[2:]
        if name.startswith(b'"' + start):
            return b'"' + prefix + b"/" + name[3:]
    return name


_TURNED = (
    (b"new file mode ", b"deleted file mode "),
    (b"deleted file mode ", b"new file mode "),
    (b"old mode ", b"new mode "),
    (b"new mode ", b"old mode "),
    (b"rename from ", b"rename to "),
    (b"rename to ", b"rename from "),
)


def _turn_header(line: bytes) -> bytes:
    for old, new in _TURNED:
        if line.startswith(old):
            return new + line[len(old) :]
    if line.startswith(b"index ") and b".." in line:
        names, _, mode = line[len(b"index ") :].partition(b" ")
        one, _, other = names.partition(b"..")
        return b"index " + other + b".." + one + (b" " + mode if mode else b"")
    if line.startswith(b"diff --git a/"):
        return _turned_names(line)
    return line


def _turned_names(line: bytes) -> bytes:
    names = line[len(b"diff --git a/") :]
    half = len(names) // 2
    middle = b" b/"
    # The same name twice can be told even with blanks in it; otherwise the header lines name both.
    if names[:half] == names[half + 2 :] or names.count(middle) != 1:
        return line
    one, _, other = names.partition(middle)
    return b"diff --git a/" + other + b" b/" + one


def _in_order(lines: list[bytes]) -> list[bytes]:
    """Old before new, and from before to, as those who read diffs expect."""
    for place in range(len(lines) - 1):
        first, second = lines[place], lines[place + 1]
        for later, earlier in ((b"new mode ", b"old mode "), (b"rename to ", b"rename from ")):
            if first.startswith(later) and second.startswith(earlier):
                lines[place], lines[place + 1] = second, first
    return lines
