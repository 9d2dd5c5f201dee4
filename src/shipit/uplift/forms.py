# SPDX-License-Identifier: MPL-2.0
"""Read uplift forms of all generations out of comments into typed answers; what cannot be read stays raw.

Generations: unmarked labels (to 2013), bracketed labels (2013 to 2018), Bugzilla's markdown form (2018 to
2026), the bridge's comment and the field in Phabricator. Linear in the text; no text makes it raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from shipit.uplift.questions import SECURITY, Question, known_wording, question_of, value_of
from shipit.uplift.types import Answer, Comment, Form, Revision


class Generation(StrEnum):
    """Which kind of form it is. SECURITY asks whether a fix may land at all: it is no uplift request."""

    PLAIN = "plain"
    BRACKETS = "brackets"
    MARKDOWN = "markdown"
    BRIDGE = "bridge"
    PHABRICATOR = "phabricator"
    COMM = "comm"
    SECURITY = "security"
    UNKNOWN = "unknown"


MAX_FORMS = 20
MAX_ANSWERS = 100
_LABEL_MAX = 200
_HEADING_MAX = 160

_HEADING = re.compile(
    r"(?P<before>[\w ./+&-]{0,60}?) ?(?:uplift )?approval request(?: comment)?"
    r"(?: for (?P<after>[\w ./,-]{1,60}))?"
)
# On a line without marks only these may stand before "approval request": people write sentences, too.
_BARE_BEFORE = re.compile(
    r"(?:security|sec|beta|release|aurora|esr ?\d{0,4}|mozilla|firefox|comm|thunderbird|[ ./+&-]){0,8}"
)
_BOLD = re.compile(r"[ \t]{0,8}[*+•-][ \t]{1,4}\*\*([^*\n]{1,200}?)\*\*[ \t]{0,4}:?(.*)", re.DOTALL)
_BRACKET = re.compile(r"[ \t]{0,8}\[([^\[\]\n]{2,200})\][ \t]{0,4}(:?)(.*)", re.DOTALL)
_COLON = re.compile(r":(?!\{)")
_ABOUT = re.compile(r"(?:Comment on|Created) attachment (\d{1,10})\b")


class _Label(msgspec.Struct):
    question: Question
    words: str
    rest: str
    mark: str


def forms_in(comment: Comment) -> tuple[Form, ...]:
    """Every form in a comment, in its order; empty when nothing in it looks like one.

    The raw texts of the forms, put together, are the comment's text.
    """
    texts = _sections(comment.text)
    return tuple(_read(text, comment) for text in texts)


def form_of_revision(revision: Revision) -> Form | None:
    """The form in Phabricator's uplift.request field, None when the field is empty."""
    raw = revision.uplift_request
    if raw is None or not raw.strip():
        return None
    answers = _answers_of_field(raw)
    return Form(
        comment=None,
        author=revision.author,
        time=revision.changed,
        generation=Generation.PHABRICATOR,
        train_hint=None,
        answers=answers,
        raw=raw,
        is_parsed=_is_understood(answers),
    )


def about_attachment(comment: Comment) -> int | None:
    """The attachment a comment is about: as Bugzilla says, else as its first line says."""
    if comment.attachment is not None:
        return comment.attachment
    match = _ABOUT.match(comment.text)
    return int(match.group(1)) if match else None


def answer_to(form: Form, question: Question) -> Answer | None:
    """The first answer to a question, None when the form has none."""
    return next((answer for answer in form.answers if answer.question == question), None)


def risk_of(form: Form) -> str | None:
    """The risk the form admits: "low", "medium", "high", or None when it names none."""
    level = answer_to(form, Question.RISK_LEVEL)
    if level and level.value:
        return level.value
    risky = answer_to(form, Question.IS_RISKY)
    if risky is None:
        return None
    return "low" if risky.value == "no" else risky.value if risky.value in ("low", "medium", "high") else None


# --- where forms are ----------------------------------------------------------------------------------


def _sections(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if _heading(line) is not None][:MAX_FORMS]
    if not starts and sum(_BOLD.match(line[:_LABEL_MAX]) is not None for line in lines) >= 2:
        starts = [number for number, line in enumerate(lines) if _is_reworded_heading(line)][:1]
    if not starts:
        # The heading is what changed when forms changed before: three known questions make a form, too.
        known = {label.question for line in lines if (label := _label(line)) and label.question != "other"}
        return [text] if len(known) >= 3 else []
    starts[0] = 0
    ends = [*starts[1:], len(lines)]
    return ["".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def _heading(line: str) -> tuple[str, str | None] | None:
    """(what stands before "approval request", what stands after "for"), None when it is no heading."""
    line = line.strip()
    if len(line) > _HEADING_MAX or "pproval" not in line.lower() or line.startswith(">"):
        return None
    is_marked = line[0] in "#["
    core = " ".join(line.strip("#*_[]: \t").lower().split())
    match = _HEADING.fullmatch(core)
    if match is None:
        return None
    before = match["before"].strip()
    if not is_marked and not _BARE_BEFORE.fullmatch(before):
        return None
    return before.removesuffix(" uplift").removesuffix("uplift").strip(), match["after"]


def _is_reworded_heading(line: str) -> bool:
    return len(line) <= _HEADING_MAX and line.startswith("#") and "uplift" in line.lower()


# --- what a form says ---------------------------------------------------------------------------------


def _read(text: str, comment: Comment) -> Form:
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if _heading(line)), None)
    if start is None:
        start = next((number for number, line in enumerate(lines) if _is_reworded_heading(line)), None)
    before, after = ("", None) if start is None else _heading(lines[start]) or ("", None)
    answers, marks = _answers_of_lines(lines[start + 1 :] if start is not None else lines)
    return Form(
        comment=comment.id,
        author=comment.creator,
        time=comment.time,
        generation=_generation(lines[start] if start is not None else "", before, answers, marks),
        train_hint=_hint(before, after),
        answers=answers,
        raw=text,
        is_parsed=_is_understood(answers),
    )


def _answers_of_lines(lines: list[str]) -> tuple[tuple[Answer, ...], set[str]]:
    answers: list[Answer] = []
    marks: set[str] = set()
    label: _Label | None = None
    body: list[str] = []
    for line in lines:
        found = _label(line) if len(answers) < MAX_ANSWERS else None
        if found is None:
            body.append(line)
            continue
        answers += _finished(label, body)
        marks.add(found.mark)
        label, body = found, [found.rest]
    return tuple(answers + _finished(label, body, is_last=True)), marks


def _finished(label: _Label | None, body: list[str], *, is_last: bool = False) -> list[Answer]:
    if label is None:
        note = "\n".join(body).strip()
        return [Answer(question=Question.NOTE, label="", text=note)] if note else []
    note = ""
    if is_last and body[0].strip():
        # Answered on its own line: what follows an empty line is no longer the answer.
        gap = next((number for number, line in enumerate(body) if not line.strip()), len(body))
        body, note = body[:gap], "\n".join(body[gap:]).strip()
    text = "\n".join(line.rstrip() for line in body).strip()
    answers = [
        Answer(question=label.question, label=label.words, text=text, value=value_of(label.question, text))
    ]
    if note:
        answers.append(Answer(question=Question.NOTE, label="", text=note))
    return answers


def _label(line: str) -> _Label | None:
    if line.lstrip().startswith(">"):
        return None
    head, tail = line[: 2 * _LABEL_MAX], line[2 * _LABEL_MAX :]
    bold = _BOLD.match(head)
    if bold:
        name = bold[1].strip().rstrip(":").strip()
        return _Label(question_of(name), name, bold[2] + tail, "bold") if name else None
    bracket = _BRACKET.match(head)
    if bracket:
        question = question_of(bracket[1])
        # "[geckoview] fix it" in an answer is no label; "[Some new question]: no" is.
        if question is not Question.OTHER or bracket[2]:
            return _Label(question, bracket[1].strip(), bracket[3] + tail, "bracket")
        return None
    return _plain_label(head, tail)


def _plain_label(head: str, tail: str) -> _Label | None:
    colon = _COLON.search(head)
    name = head[: colon.start()] if colon else head.rstrip()
    if not colon and not name.endswith("?"):
        return None
    question = known_wording(name)
    if question is None:
        return None
    return _Label(question, name.strip(), head[colon.end() :] + tail if colon else "", "plain")


def _generation(heading: str, before: str, answers: tuple[Answer, ...], marks: set[str]) -> Generation:
    asked = {answer.question for answer in answers}
    labels = " ".join(answer.label.lower() for answer in answers[:MAX_ANSWERS])
    if before.startswith("sec") or (asked & SECURITY and not asked & {"user_impact", "risk_level"}):
        return Generation.SECURITY
    if before.startswith(("comm", "thunderbird")) or "verified in daily" in labels or "migrations" in labels:
        return Generation.COMM
    if not _is_understood(answers):
        return Generation.UNKNOWN
    if "bold" in marks:
        stripped = heading.strip()
        is_bridge = "-" in before or (stripped.startswith("# ") and not before)
        return Generation.BRIDGE if is_bridge else Generation.MARKDOWN
    return Generation.BRACKETS if "bracket" in marks else Generation.PLAIN


def _hint(before: str, after: str | None) -> str | None:
    named = (after or before).strip(" .,:")
    return None if named in ("", "security", "sec") else named


def _is_understood(answers: Iterable[Answer]) -> bool:
    return any(answer.question not in (Question.OTHER, Question.NOTE) for answer in answers)


# --- the field in Phabricator -------------------------------------------------------------------------


def _answers_of_field(raw: str) -> tuple[Answer, ...]:
    said = _decoded(raw)
    if isinstance(said, str):
        # Some clients encode the object twice.
        said = _decoded(said)
    if not isinstance(said, dict):
        return ()
    answers = []
    for label, value in list(said.items())[:MAX_ANSWERS]:
        question = question_of(str(label))
        text = _text_of(value)
        answers.append(
            Answer(
                question=question, label=str(label)[:_LABEL_MAX], text=text, value=value_of(question, text)
            )
        )
    return tuple(answers)


def _decoded(raw: str) -> object:
    try:
        decoded: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return decoded


def _text_of(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.strip()
    return msgspec.json.encode(value).decode()
