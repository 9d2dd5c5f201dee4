# SPDX-License-Identifier: MPL-2.0
"""A form's answers beside what was measured: agrees, disagrees, or we cannot tell. Pure.

An answer disagrees only where a fact speaks against it: what is merely unproven is "cannot tell". How often
each kind of flag was right on recorded forms is told in docs/board.md; kinds mostly wrong are not here.
"""

from __future__ import annotations

from shipit.uplift.check_types import Check, Subject, Verdict
from shipit.uplift.checks_of_bugs import bugs_named, cause, manual, other_uplifts, tried_before, verified
from shipit.uplift.checks_of_patches import android, risk, strings, tests
from shipit.uplift.types import Form

__all__ = ["Verdict", "bugs_named", "checks", "disagreements"]

_ORDER = list(Verdict)
_RULES = (strings, tests, verified, tried_before, manual, other_uplifts, risk, android, cause)


def checks(form: Form | None, subject: Subject) -> tuple[Check, ...]:
    """Every answer that something can be measured for, disagreements first, else in the form's order.

    A question that the form does not ask is shown with its fact alone ("cannot tell"), where there is one.
    """
    rows = [row for rule in _RULES if (row := rule(form, subject)) is not None]
    return tuple(sorted(rows, key=lambda row: _ORDER.index(row.verdict)))


def disagreements(rows: tuple[Check, ...]) -> int:
    """How many answers a fact speaks against."""
    return sum(row.verdict is Verdict.DISAGREES for row in rows)
