# SPDX-License-Identifier: MPL-2.0
"""What the comments of a bug say about commits: landings, and what was backed out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from shipit.uplift.types import Bug, Comment


class Where(StrEnum):
    """What a landing's address says about its place. UNKNOWN: a repository that holds all branches."""

    MAIN = "main"
    TRAIN = "train"
    UNKNOWN = "unknown"


class LandingPattern(msgspec.Struct, frozen=True, kw_only=True):
    """How the address of a commit looks. url: expression with a group `sha` and, maybe, `repository`.

    kind: "git" or "hg". main: repositories whose commits are (or will be) on main; is_whole: whether one
    repository holds every branch, so that the address does not say where the commit is.
    """

    url: str
    kind: str
    main: tuple[str, ...] = ()
    is_whole: bool = False


PATTERNS = (
    LandingPattern(
        url=r"https?://hg\.mozilla\.org/(?P<repository>[\w./-]{1,80})/rev/(?P<sha>[0-9a-f]{7,40})",
        kind="hg",
        main=(
            "mozilla-central",
            "integration/autoland",
            "integration/mozilla-inbound",
            "integration/fx-team",
            "integration/b2g-inbound",
            "mozilla-unified",
            "comm-central",
        ),
    ),
    LandingPattern(
        url=r"https?://github\.com/(?P<repository>mozilla-firefox/firefox|mozilla/gecko-dev|mozilla/firefox"
        r"|thunderbird/thunderbird-desktop)/commit/(?P<sha>[0-9a-f]{7,40})",
        kind="git",
        is_whole=True,
    ),
)

MAX_ADDRESSES = 200
_LINE_MAX = 4000
_WORDS_BESIDE = 48

# Repositories which a pattern reaches but which say nothing about this product's branches.
_OTHER_REPOSITORIES = re.compile(r"^try(?:-|$)|^(?:projects|users|build|l10n)\b")
_LANDS = re.compile(
    r"\b(?:(?:re-?)?land(?:ed|ing)?|push(?:ed)?|check(?:ed)?[ -]?in|merged?)\b", re.IGNORECASE
)
_MENTIONS = re.compile(
    r"\b(?:regress\w*|caused?|since|works|fails|broken|good|bad|bisect\w*|on top of|introduced)\b",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"regression[ -](?:window|range)|mozregression|last good|first bad|pushloghtml\?fromchange", re.IGNORECASE
)

_BACKOUT = re.compile(
    r"[\s\-*\[(]{0,8}(?:this )?(?P<verb>back(?:ed|ing|s)?[ -]?out|revert(?:s|ed)?)\b(?P<rest>[^\n]{0,2000})",
    re.IGNORECASE,
)
# Where a sentence with an address in it tells of a backout, though it does not begin with one.
_ASIDE = re.compile(
    r"\b(?:was|were|been|be|got)\s(?:\w{1,12}\s)?backed[ -]out\b"
    r"|\bbacking\s(?:this|it|that|them|these)\s(?:\w{1,12}\s)?out\b"
    r"|\bthe backout\b|[.!?]\s{1,3}backed out\b",
    re.IGNORECASE,
)
_PART = re.compile(r"\bparts?\s{0,2}\d", re.IGNORECASE)
_AGAIN = re.compile(r"\bre-?land(?:ed|ing|s)?\b", re.IGNORECASE)
_REASON = re.compile(
    r"(?:(?:this|it|that|them|these)\s{1,3})?(?:for|because|due to|as|in|at|per|because of)\b", re.IGNORECASE
)
_ON_TRAIN = re.compile(
    r"\b(?:from|on|of|in)\s{1,3}(?:the )?(?:mozilla-)?(?:aurora|beta|release|esr\s?-?\d*|f[fx] ?\d+)\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\b[0-9a-f]{12,40}\b")
_CHANGESETS = re.compile(r"\b(?:changesets?|csets?|commits?|revisions?)\b", re.IGNORECASE)
_BUG = re.compile(r"\bbugs?\s{0,3}#?(\d{1,9})", re.IGNORECASE)
_BEFORE_REASON = re.compile(
    r"(?:(?:this|it|that|them|these)\s{1,3})?(?:for|because|due to|to fix|to see|since)\b", re.IGNORECASE
)
_URL = re.compile(r"https?://\S{1,500}")


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that a comment says has landed. twin: the same one in the other version control, as given."""

    sha: str
    kind: str
    repository: str
    where: Where
    url: str
    at: datetime
    comment: int
    twin: str | None = None


class Backout(msgspec.Struct, frozen=True, kw_only=True):
    """A comment that says that something was backed out.

    named: hashes it names; none: all that landed before. shas: the commits which undo.
    is_partial: it speaks of parts without naming them.
    """

    named: tuple[str, ...]
    shas: tuple[str, ...]
    where: Where
    at: datetime
    comment: int
    is_partial: bool = False


def readable(bug: Bug) -> Iterator[Comment]:
    """The comments that everybody who sees the bug may see, without the description."""
    return (comment for comment in bug.comments if not comment.is_private and comment.number != 0)


def landings_in(comment: Comment, patterns: Sequence[LandingPattern] = PATTERNS) -> tuple[Landing, ...]:
    """Every commit a comment reports (not those it quotes or merely mentions), in its order, without doubles.

    Where addresses in git and in hg follow each other in equal number they are the same commits, paired.
    """
    if _WINDOW.search(comment.text):
        return ()
    rows: list[list[Landing]] = [[]]
    count = 0
    for line in _lines(comment):
        if count > MAX_ADDRESSES:
            break
        found = _addresses(line, comment, patterns)
        if found and _is_report(line, found):
            rows[-1] += found
            count += len(found)
        elif line.strip():
            rows.append([])
    unique: dict[str, Landing] = {}
    for row in rows:
        for landing in _paired(row):
            unique.setdefault(landing.sha, landing)
    return tuple(unique.values())[:MAX_ADDRESSES]


def backout_in(comment: Comment, bug: int, patterns: Sequence[LandingPattern] = PATTERNS) -> Backout | None:
    """What a comment says was backed out of this bug, None when it says nothing of the kind.

    "Backed out changeset … (bug N)" about another bug is no backout of this one: it may be its fix.
    """
    lines = _lines(comment)
    said = [match for line in lines if (match := _BACKOUT.match(line))]
    aside = [line for line in lines if _ASIDE.search(line)]
    if not said and not aside:
        return None
    addresses = landings_in(comment, patterns)
    rests = [match["rest"] for match in said] + [
        line[match.end() :] for line in aside if (match := _ASIDE.search(line))
    ]
    named = tuple(dict.fromkeys([sha for rest in rests for sha in _named_in(rest)]))
    named += tuple(one.sha for one in addresses for line in aside if one.url in line and _tells_both(line))
    if not addresses and not named and not any(map(_is_done, said)):
        return None
    bugs = {number for rest in rests for number in undone_bugs(rest)}
    if bugs and bug not in bugs:
        return None
    wheres = {one.where for one in addresses}
    on_train = wheres == {Where.TRAIN} if wheres - {Where.UNKNOWN} else any(map(_ON_TRAIN.search, rests))
    return Backout(
        named=named,
        shas=tuple(one.sha for one in addresses if one.sha not in named),
        where=Where.TRAIN if on_train else Where.MAIN,
        at=comment.time,
        comment=comment.number,
        is_partial=not named and any(map(_PART.search, [*aside, *(match[0] for match in said)])),
    )


def lands_again(comment: Comment) -> bool:
    """Whether a comment says that it reports a relanding."""
    return any(_AGAIN.search(line) for line in _lines(comment))


def undone_bugs(text: str) -> frozenset[int]:
    """The bugs whose change is undone, by a backout's own words (what follows "for" is the reason)."""
    plain = _BEFORE_REASON.split(text[:_LINE_MAX], maxsplit=1)[0]
    return frozenset(int(number) for number in _BUG.findall(plain))


def backout_words(subject: str) -> str | None:
    """What follows "Backed out" or "Revert" at the start of a subject, None when it is no backout."""
    match = _BACKOUT.match(subject[:_LINE_MAX])
    return match["rest"] if match else None


def _lines(comment: Comment) -> list[str]:
    return [line[:_LINE_MAX] for line in comment.text.splitlines() if not line.lstrip().startswith(">")]


def _addresses(line: str, comment: Comment, patterns: Sequence[LandingPattern]) -> list[Landing]:
    found = []
    for pattern in patterns:
        for match in re.finditer(pattern.url, line):
            repository = match.groupdict().get("repository") or ""
            if _OTHER_REPOSITORIES.search(repository):
                continue
            is_main = repository in pattern.main
            landing = Landing(
                sha=match["sha"],
                kind=pattern.kind,
                repository=repository,
                where=Where.UNKNOWN if pattern.is_whole else Where.MAIN if is_main else Where.TRAIN,
                url=match[0],
                at=comment.time,
                comment=comment.number,
            )
            found.append((match.start(), landing))
    return [landing for _, landing in sorted(found, key=lambda one: one[0])]


def _is_report(line: str, found: list[Landing]) -> bool:
    beside = line
    for landing in found:
        beside = beside.replace(landing.url, " ")
    beside = beside.strip()
    if _BACKOUT.match(line) or _ASIDE.search(line):
        return True
    if _MENTIONS.search(beside):
        return False
    return len(beside) <= _WORDS_BESIDE or _LANDS.search(beside) is not None


def _paired(row: list[Landing]) -> list[Landing]:
    git = [one for one in row if one.kind == "git"]
    hg = [one for one in row if one.kind == "hg"]
    if not git or len(git) != len(hg):
        return row
    # The address in hg also says where the commit is, which one in git cannot.
    return [
        msgspec.structs.replace(mine, twin=theirs.sha, where=theirs.where)
        for mine, theirs in zip(git, hg, strict=True)
    ]


def _tells_both(line: str) -> bool:
    """Whether a line says "landed as …, but was backed out": what it names stands no more."""
    match = _ASIDE.search(line)
    return match is not None and _LANDS.search(line, 0, match.start()) is not None


def _is_done(match: re.Match[str]) -> bool:
    """Whether words without any address or hash still report a backout ("Backed out for test failures")."""
    verb = match["verb"].lower()
    return verb.startswith(("backed", "reverted")) and _REASON.match(match["rest"].lstrip(" ,:")) is not None


def _named_in(rest: str) -> list[str]:
    plain = _URL.sub(" ", rest)
    return _NAMED.findall(plain) if _CHANGESETS.search(plain) else []
