# SPDX-License-Identifier: MPL-2.0
"""How many flags on recorded uplift forms were right, by kind: `python -m benchmarks.form_flags DATA`.

DATA holds recorded bugs (`bugzilla/bugs-full.jsonl`, `bugzilla/rest/bug/N/*.json`), recorded forms
(`bugzilla/uplift-request-forms-*.jsonl`) and recorded patches (`hgmo/**/raw-rev/HASH.diff`). `READ` are forms
read in public bug pages, with when their fix came to main. A person read every flag that the rules of
`shipit.uplift.checks` raise beside its bug: `JUDGED` keeps what they found.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from shipit.clients import bugzilla_parts
from shipit.uplift.check_types import Kind, Subject, Verdict
from shipit.uplift.checks import checks
from shipit.uplift.facts import measure
from shipit.uplift.forms import Generation, forms_in
from shipit.uplift.landing_comments import PATTERNS, Where, backout_in
from shipit.uplift.sizes import read_diff
from shipit.uplift.types import Bug, Comment, Form

_REVISION = re.compile(r"/rev/([0-9a-f]{12})")
_ON_MAIN = re.compile(r"/mozilla-central/rev/[0-9a-f]{12}")

# (bug or revision, comment, kind): whether what the flag says was so, and how a person knows.
JUDGED: Mapping[tuple[str, int, Kind], tuple[bool, str]] = {
    ("1390433", 12579144, Kind.NOT_ON_MAIN): (
        False,
        "the bug only gathers what had landed, and was verified, under the numbers of other bugs",
    ),
    ("D273543", 9, Kind.NOT_ON_MAIN): (True, "it was pushed 21 s and merged to main 13 h later"),
    ("1852218", 12, Kind.NOT_ON_MAIN): (True, "it was pushed 5 min later"),
    ("1966612", 14, Kind.HOURS_ON_MAIN): (True, "it was pushed to main 22 min before; no Nightly had it"),
    ("1966612", 14, Kind.QE_STEPS): (True, "steps: N/A"),
    ("1886849", 8, Kind.HOURS_ON_MAIN): (True, "it was pushed to main 30 min before; no Nightly had it"),
    ("1885829", 18, Kind.HOURS_ON_MAIN): (True, "it was merged to main 18 min before; no Nightly had it"),
}


class Seen(msgspec.Struct, frozen=True):
    """A form as read in a public bug page: answers in the form's order, and when main had the fix."""

    name: str
    comment: int
    posted: str
    tests: str
    verified: str
    manual: str
    steps: str
    risk: str
    strings: str
    android: str
    landed: str | None


READ = (
    Seen(
        "D264478",
        16,
        "2025-09-19T19:13:16Z",
        "yes",
        "yes",
        "no",
        "",
        "low",
        "N/A",
        "yes",
        "2025-09-18T19:12:20Z",
    ),
    Seen(
        "D288998",
        15,
        "2026-03-31T15:52:44Z",
        "yes",
        "yes",
        "no",
        "",
        "low",
        "N/A",
        "yes",
        "2026-03-28T20:11:45Z",
    ),
    Seen("D273543", 9, "2025-11-25T07:57:57Z", "yes", "yes", "no", "", "low", "None", "yes", None),
    Seen(
        "1966612",
        14,
        "2025-05-16T17:16:15Z",
        "no",
        "yes",
        "yes",
        "N/A",
        "N/A",
        "none",
        "yes",
        "2025-05-16T16:54:16Z",
    ),
    Seen("1838587", 11, "2023-06-20T09:59:07Z", "Yes", "No", "No", "", "Low", "", "Yes", None),
    Seen(
        "1875795",
        13,
        "2024-01-25T08:00:00Z",
        "Yes",
        "Yes",
        "No",
        "",
        "Low",
        "N/A",
        "Yes",
        "2024-01-24T21:39:42Z",
    ),
    Seen(
        "1886849",
        8,
        "2024-03-21T21:48:51Z",
        "Yes",
        "Yes",
        "No",
        "None",
        "Low",
        "None",
        "Yes",
        "2024-03-21T21:18:06Z",
    ),
    Seen("1852218", 12, "2023-09-11T16:59:42Z", "Yes", "Yes", "No", "", "Low", "", "Yes", None),
    Seen(
        "1884427",
        13,
        "2024-03-26T17:00:57Z",
        "Yes",
        "Yes",
        "No",
        "",
        "Low",
        "None",
        "Yes",
        "2024-03-21T21:27:36Z",
    ),
    Seen(
        "1885829",
        18,
        "2024-03-29T22:15:42Z",
        "Yes",
        "Yes",
        "No",
        "",
        "Medium",
        "",
        "Unknown",
        "2024-03-29T21:56:40Z",
    ),
)


class Case(msgspec.Struct, frozen=True):
    """One form with the facts that its time knew. name: of its bug (or revision). patches: diffs found."""

    name: str
    comment: int
    form: Form
    subject: Subject
    patches: int


def cases(data: Path) -> Iterator[Case]:
    """Every uplift form of the recorded data."""
    read = {(one.name, one.comment) for one in READ}
    diffs = {path.stem[:12]: path for path in sorted((data / "hgmo").glob("**/raw-rev/*.diff"))}
    for bug in recorded_bugs(data):
        for comment in bug.comments:
            for form in forms_in(comment):
                if form.generation not in (Generation.SECURITY, Generation.UNKNOWN):
                    yield _of_bug(bug, comment, form, diffs)
    for path in sorted((data / "bugzilla").glob("uplift-request-forms-*.jsonl")):
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            yield from (case for case in _of_row(row) if (case.name, case.comment) not in read)
    yield from map(_of_seen, READ)


def _of_seen(seen: Seen) -> Case:
    text = (
        "### Beta/Release Uplift Approval Request\n"
        f"* **Is this code covered by automated tests?**: {seen.tests}\n"
        f"* **Has the fix been verified in Nightly?**: {seen.verified}\n"
        f"* **Needs manual test from QE?**: {seen.manual}\n"
        f"* **If yes, steps to reproduce**: {seen.steps}\n"
        f"* **Risk to taking this patch**: {seen.risk}\n"
        f"* **String changes made/needed**: {seen.strings}\n"
        f"* **Is Android affected?**: {seen.android}\n"
    )
    posted = datetime.fromisoformat(seen.posted)
    (form,) = forms_in(Comment(id=seen.comment, number=0, creator="", time=posted, text=text))
    landed = datetime.fromisoformat(seen.landed) if seen.landed else None
    subject = Subject(lacking="its patches were not read", landed_at=landed)
    return Case(seen.name, seen.comment, form, subject, 0)


def recorded_bugs(data: Path) -> Iterator[Bug]:
    """Every bug recorded with its comments, whole or in parts."""
    now = datetime.now(UTC)
    seen: set[int] = set()
    whole = data / "bugzilla/bugs-full.jsonl"
    for raw in map(json.loads, whole.read_text("utf-8").splitlines()):
        seen.add(raw["id"])
        yield bugzilla_parts.bug(raw, now)
    for folder in sorted((data / "bugzilla/rest/bug").glob("*/comment.json")):
        rows = json.loads(folder.read_text("utf-8")).get("bugs", {})
        for number, part in rows.items():
            if number.isdigit() and int(number) not in seen:
                seen.add(int(number))
                yield bugzilla_parts.bug(_assembled(folder.parent, int(number), part), now)


def _assembled(folder: Path, number: int, comments: Mapping[str, Any]) -> dict[str, Any]:
    """A bug out of its parts; what was not recorded is empty."""
    bare = {
        "id": number,
        "summary": "",
        "product": "",
        "component": "",
        "status": "",
        "last_change_time": "2016-01-01T00:00:00Z",
    }
    main = folder / "bug.json"
    if main.exists():
        rows = json.loads(main.read_text("utf-8")).get("bugs") or [{}]
        bare |= {key: value for key, value in rows[0].items() if value is not None}
    return bare | {"comments": comments["comments"], "flags": bare.get("flags", [])}


def _of_bug(bug: Bug, comment: Comment, form: Form, diffs: Mapping[str, Path]) -> Case:
    before = [one for one in bug.comments if one.time <= comment.time]
    names = dict.fromkeys(name for one in bug.comments for name in _REVISION.findall(one.text))
    found = [diffs[name] for name in names if name in diffs]
    files = [file for path in found for file in read_diff(path.read_bytes())]
    landed = [one.time for one in before if _ON_MAIN.search(one.text)]
    backouts = [backout_in(one, bug.id, PATTERNS) for one in before]
    undone = [one.at for one in backouts if one is not None and one.where is not Where.TRAIN and one.shas]
    subject = Subject(
        measured=measure(files) if files else None,
        lacking=None if files else "its patches were not recorded",
        landed_at=landed[-1] if landed else None,
        backed_out_at=tuple(undone),
        qe_verify=next((flag.status for flag in bug.flags if flag.name == "qe-verify"), None),
        is_verified=bug.status == "VERIFIED",
        regressed_by=bug.regressed_by,
        train="the train",
    )
    return Case(str(bug.id), comment.id, form, subject, len(found))


def _of_row(row: Mapping[str, Any]) -> Iterator[Case]:
    time = datetime.fromisoformat(row["posted"])
    comment = Comment(id=row["comment"], number=0, creator=row.get("by", ""), time=time, text=row["text"])
    for form in forms_in(comment):
        if form.generation not in (Generation.SECURITY, Generation.UNKNOWN):
            subject = Subject(lacking="its patches were not recorded", is_main_known=False)
            yield Case(str(row.get("revision") or row.get("bug")), comment.id, form, subject, 0)


def report(data: Path) -> str:
    """The figures as Markdown, and every flag that nobody judged."""
    every = list(cases(data))
    rows = [(case, row) for case in every for row in checks(case.form, case.subject)]
    said = Counter(row.label for _, row in rows if row.says and row.verdict is not Verdict.CANT_TELL)
    lines = [
        f"{len(every)} forms, {sum(case.patches > 0 for case in every)} of them with their patches.",
        "",
        "| flag | raised | right | wrong | not judged |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind in Kind:
        judged = Counter(_judged(case, kind) for case, row in rows if row.kind is kind)
        cells = " | ".join(
            str(number) for number in (judged.total(), judged[True], judged[False], judged[None])
        )
        lines.append(f"| {kind.value} | {cells} |")
    confirmed = ", ".join(f"{label} {number}" for label, number in said.most_common())
    lines += ["", f"Answers that a fact agrees or disagrees with: {confirmed}.", ""]
    lines += [
        f"- {case.name} {case.comment}: {row.kind}: says {row.says!r}; {row.measured} {list(row.paths)}"
        for case, row in rows
        if row.kind is not None and _judged(case, row.kind) is None
    ]
    return "\n".join(lines)


def _judged(case: Case, kind: Kind) -> bool | None:
    found = JUDGED.get((case.name, case.comment, kind))
    return None if found is None else found[0]


def run(words: Sequence[str]) -> int:
    """Print the report of the data in the folder that is named."""
    if len(words) != 1 or not (Path(words[0]) / "bugzilla").is_dir():
        print("name the folder of recorded data: python -m benchmarks.form_flags DATA", file=sys.stderr)
        return 2
    print(report(Path(words[0])))
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
