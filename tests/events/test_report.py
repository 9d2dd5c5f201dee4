# SPDX-License-Identifier: MPL-2.0
"""The report keeps the original's shape, and is never too large to be sent."""

from __future__ import annotations

from shipit.events.report import MAX_CONTENT, Ended, make_alarm, make_report

ROOT = "https://tc.example"


def ended(hook: str, state: str, *ids: str) -> list[Ended]:
    return [Ended(hook=hook, task_id=task, state=state) for task in ids]


def test_the_report_has_the_original_shape() -> None:
    mail = make_report(
        [*ended("coverage", "failed", "A"), *ended("coverage", "completed", "B", "C")], root_url=ROOT
    )
    assert mail is not None
    assert mail.subject == "Pulse listener tasks"
    assert mail.content == (
        "# coverage tasks for the last period\n"
        "\n\n## failed\n\n33.33% of all tasks (1/3)\n\n* [A](https://tc.example/tasks/A)"
        "\n\n## completed\n\n66.67% of all tasks (2/3)\n\n"
        "* [B](https://tc.example/tasks/B)\n* [C](https://tc.example/tasks/C)"
        "\n\n## exception\n\n0.00% of all tasks (0/3)\n\n"
    ).replace("\n\n\n## failed", "\n\n\n## failed")


def test_it_is_silent_when_all_completed_or_nothing_ran() -> None:
    assert make_report([], root_url=ROOT) is None
    assert make_report(ended("coverage", "completed", "A", "B"), root_url=ROOT) is None


def test_a_hook_whose_tasks_all_completed_is_left_out() -> None:
    mail = make_report([*ended("good", "completed", "A"), *ended("bad", "exception", "B")], root_url=ROOT)
    assert mail is not None
    assert "good" not in mail.content


def test_L24_too_many_failures_are_cut_by_section_and_counted() -> None:
    many = [f"task{number:018}" for number in range(20_000)]
    mail = make_report([*ended("loud", "failed", *many), *ended("quiet", "failed", "Q")], root_url=ROOT)
    assert mail is not None
    assert len(mail.content.encode()) <= MAX_CONTENT
    assert "* [Q](" in mail.content, "no section crowds out another"
    assert "more, left out" in mail.content
    assert "(20000/20000)" in mail.content


def test_L26_a_line_says_what_the_task_was_for_and_links_where_it_runs() -> None:
    about = Ended(hook="h", task_id="T", state="failed", about="D1 by `me` <script>")
    mail = make_report([about], root_url=ROOT)
    assert mail is not None
    assert "* [T](https://tc.example/tasks/T) D1 by \\`me\\` \\<script\\>" in mail.content


def test_an_alarm_lists_the_failures() -> None:
    mail = make_alarm("coverage", ended("coverage", "failed", "A", "B"), root_url=ROOT)
    assert mail.subject == "coverage: 2 tasks failed in a row"
    assert "tasks/B" in mail.content
