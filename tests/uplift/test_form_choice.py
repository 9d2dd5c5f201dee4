# SPDX-License-Identifier: MPL-2.0
"""Which form belongs to which request."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from uplift_builders import START, attachment_id, bug, train, trains

from shipit.uplift.form_choice import choose, hint_fits, uplift_forms
from shipit.uplift.requests import requests_of

IMPACT = "\\n- **User impact if declined**: "


@pytest.mark.parametrize(
    ("hint", "name", "fit"),
    [
        (None, "beta", 1),
        ("beta/release", "beta", 3),
        ("beta/release", "release", 3),
        ("beta/release", "esr140", 0),
        ("firefox-beta", "beta", 3),
        ("firefox-beta", "release", 0),
        ("firefox-beta", "comm-beta", 0),
        ("comm-beta", "comm-beta", 3),
        ("comm-beta", "beta", 0),
        ("esr", "esr140", 2),
        ("firefox-esr140", "esr140", 3),
        ("firefox-esr14", "esr140", 0),
        ("esr115, esr128", "esr128", 3),
        ("147", "beta", 3),
        ("46", "beta", 1),
    ],
)
def test_a_heading_fits_a_train(hint: str | None, name: str, fit: int) -> None:
    assert hint_fits(hint, train(name, major=147)) == fit


def test_b11_each_train_gets_its_own_form_not_the_first() -> None:
    one = bug(
        f"""
        attach D1
        dev sets D1 release?
        dev says ### firefox-release Uplift Approval Request{IMPACT}on release
        dev sets D1 beta?
        dev says ### firefox-beta Uplift Approval Request{IMPACT}on beta
        """
    )
    said = {
        request.train: request.form.answers[0].text
        for request in requests_of(one, trains("beta", "release"))
        if request.form
    }
    assert said == {"beta": "on beta", "release": "on release"}


def test_the_newest_form_wins_and_older_ones_stay() -> None:
    heading = "### firefox-beta Uplift Approval Request"
    one = bug(
        f"""
        attach D1
        dev sets D1 beta?
        dev says {heading}{IMPACT}a
        dev says {heading}{IMPACT}b
        bot says {heading}{IMPACT}c
        """
    )
    (request,) = requests_of(one, trains("beta"))
    assert request.form is not None and request.form.answers[0].text == "c"
    assert [form.answers[0].text for form in request.older_forms] == ["b", "a"]


def test_two_requests_on_one_train_each_have_the_form_of_their_attachment() -> None:
    heading = "### Beta/Release Uplift Approval Request"
    one = bug(
        f"""
        attach D1
        attach D2
        dev sets D1 beta?
        on D1 dev says {heading}{IMPACT}first
        relman sets D1 beta+
        dev sets D2 beta?
        on D2 dev says {heading}{IMPACT}second
        """
    )
    from_state = {request.state: request.form for request in requests_of(one, trains("beta"))}
    assert from_state["approved"] is not None and from_state["approved"].answers[0].text == "first"
    assert from_state["requested"] is not None and from_state["requested"].answers[0].text == "second"


def test_a_form_written_after_the_decision_is_not_what_was_decided_on() -> None:
    heading = "### firefox-beta Uplift Approval Request"
    one = bug(
        f"""
        attach D1
        dev sets D1 beta?
        dev says {heading}{IMPACT}a
        relman sets D1 beta+
        dev says {heading}{IMPACT}later
        """
    )
    (request,) = requests_of(one, trains("beta"))
    assert request.form is not None and request.form.answers[0].text == "a"
    assert [form.answers[0].text for form in request.older_forms] == ["later"]


def test_forms_in_private_comments_and_requests_to_land_are_no_ones() -> None:
    one = bug("dev says ### Security Approval Request\\n* **Is the patch ready to land?**: yes")
    assert uplift_forms(one) == ()
    shown = bug(f"attach D1\ndev sets D1 beta?\ndev says ### firefox-beta Uplift Approval Request{IMPACT}x")
    hidden = bug(comments=tuple(msgspec.structs.replace(one, is_private=True) for one in shown.comments))
    assert len(uplift_forms(shown)) == 1 and uplift_forms(hidden) == ()


def test_a_form_about_an_attachment_that_was_replaced_still_speaks() -> None:
    one = bug(
        f"""
        attach D1
        on D1 dev says ### firefox-beta Uplift Approval Request{IMPACT}x
        attach D2
        dev sets D2 beta?
        """
    )
    (request,) = requests_of(one, trains("beta"))
    assert request.form is not None
    form, older = choose(
        uplift_forms(one), train("beta"), attachments=(attachment_id("D2"),), until=START - timedelta(1)
    )
    assert form is not None and older == ()
