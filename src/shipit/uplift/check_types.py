# SPDX-License-Identifier: MPL-2.0
"""The nouns of a check: an answer of a form, the facts it is held against, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from shipit.uplift.analysis import Churn
from shipit.uplift.facts import Measured
from shipit.uplift.questions import Question

MANY_FILES = 40
MANY_LINES = 1000
# Two backouts of one file can be chance in a file that everybody touches; a fifth of its commits is not.
FEW_BACKOUTS = 2
BACKOUT_SHARE = 0.2
# Building a Nightly and updating to it takes longer; two are made a day.
ONE_NIGHTLY = timedelta(hours=4)
MOST_PATHS = 20


class Verdict(StrEnum):
    """What a fact says of an answer."""

    DISAGREES = "disagrees"
    CANT_TELL = "cannot tell"
    AGREES = "agrees"


class Kind(StrEnum):
    """Kinds of flags: what exactly speaks against the answer."""

    STRINGS = "says no string changes, words change"
    TESTS_NONE = "says covered, no test anywhere near"
    TESTS_CLAIMED = "says it adds tests, touches none"
    ANDROID = "says Android is not affected, changes Android's code"
    DESKTOP = "says Android is affected, changes code of desktop alone"
    SIZE = "says low risk, is large"
    BACKED_OUT = "says low risk, was backed out before"
    BACKOUTS = "says low risk, files that are often backed out"
    NOT_ON_MAIN = "says verified or landed, is not on main"
    HOURS_ON_MAIN = "says verified, was hours on main"
    QE_STEPS = "asks QE to test, gives no steps"
    QE_FLAG = "its QE answer and qe-verify differ"
    PREREQUISITE = "says no other uplifts, lacks one"
    CAUSE = "names another cause than the bug"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One row: an answer and what was measured of it.

    question: canonical key; label: the question in few words. says: the answer as written (cut), None where
    the form has none. value: its typed reading. measured: sentence. kind: which flag, None unless it
    disagrees. source, at: who measured, when. paths: files the sentence is about, at most MOST_PATHS.
    """

    question: Question
    label: str
    says: str | None
    value: str | None = None
    measured: str
    verdict: Verdict
    kind: Kind | None = None
    source: str
    at: datetime | None = None
    paths: tuple[str, ...] = ()


class FileTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """A touched file whose recent commits back something out."""

    path: str
    commits: int
    backouts: int


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one request that its form speaks of.

    measured: of its patches, None while no patch is known. lacking: why some patch could not be measured.
    measured_at: when. tests_near: test files beside the code, None when not measured. recent: churn of the
    files in the last releases. troubled: the files often backed out. landed_at: when what stands on main
    landed; None with is_main_known: nothing stands there. backed_out_at: the bug's own backouts on main,
    oldest first. is_verified: Bugzilla says verified (the bug or nightly's flag). qe_verify: the flag's
    status, None when not set. needs: bugs proved to be missing. regressed_by: as Bugzilla says. others: bugs
    named as needed -> how they stand on this train. bug_read_at: when Bugzilla was read. trial_at: when the
    newest trial was made.
    """

    measured: Measured | None = None
    lacking: str | None = None
    measured_at: datetime | None = None
    tests_near: int | None = None
    recent: Churn | None = None
    troubled: tuple[FileTrouble, ...] = ()
    landed_at: datetime | None = None
    is_main_known: bool = True
    backed_out_at: tuple[datetime, ...] = ()
    is_verified: bool = False
    qe_verify: str | None = None
    needs: tuple[int, ...] = ()
    is_conflict: bool = False
    regressed_by: tuple[int, ...] = ()
    others: Mapping[int, str] = {}
    bug_read_at: datetime | None = None
    trial_at: datetime | None = None
    train: str = ""
