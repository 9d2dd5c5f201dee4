# SPDX-License-Identifier: MPL-2.0
"""Mail: who is concerned learns what failed, once; a restricted bug's mail says nothing but its number."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from uplift_builders import BUG, bug, revision, revisions, trains

from shipit.merge.types import Conflict, ConflictKind, Outcome
from shipit.uplift.mail import Mail, Place, conflict_mail, mail_key, since_of
from shipit.uplift.requests import requests_of

PLACE = Place(
    train="beta",
    tip="a" * 40,
    bug_url=f"https://bugs.example/{BUG}",
    page_url=f"https://shipit.example/bugs/{BUG}",
)
CONFLICTS = (Conflict("dom/base/nsNode.cpp", ConflictKind.CONTENT),)


def mail(
    conflicts: tuple[Conflict, ...] = CONFLICTS, title: str = "Bug 1900001 - Fix it", **more: Any
) -> Mail:
    one = bug("attach D1\ndev sets D1 beta?", **more)
    (request,) = requests_of(one, trains("beta"), revisions=revisions(revision(1, title=title)))
    found = conflict_mail(one, request, conflicts, place=PLACE, to=("dev@patches.example",), key="k")
    assert found is not None
    return found


def test_the_mail_names_bug_train_patches_and_files() -> None:
    found = mail()
    assert found.subject == "Bug 1900001: conflict with beta - It crashes when it should not"
    assert found.body == (
        "The uplift request of bug 1900001 for beta does not merge.\n"
        "\n"
        "  It crashes when it should not\n"
        "\n"
        "Tip of beta: aaaaaaaaaaaa\n"
        "Patches, in landing order:\n"
        "  D1 Bug 1900001 - Fix it\n"
        "Conflicts:\n"
        "  dom/base/nsNode.cpp (content)\n"
        "\n"
        "Please attach a rebased patch, or ask for what it builds on first.\n"
        "https://bugs.example/1900001\n"
        "https://shipit.example/bugs/1900001\n"
        "\n"
        "You get this mail once for this state (k), as somebody concerned.\n"
    )


@given(st.text(min_size=4, max_size=40), st.text(min_size=4, max_size=40), st.text(min_size=4, max_size=40))
def test_b14_the_mail_of_a_restricted_bug_leaks_nothing(summary: str, title: str, path: str) -> None:
    """The original sent the commit message of a security bug."""
    conflict = Conflict(path, ConflictKind.MODIFY_DELETE)
    secret = mail((conflict,), title, summary=summary, groups=("core-security",), product="Secret product")
    plain = mail((), "", summary="", groups=("core-security",))
    assert (secret.subject, secret.body) == (plain.subject, plain.body)
    assert secret.subject == "Bug 1900001: an uplift request needs you"
    assert secret.body.splitlines()[2:4] == [PLACE.bug_url, PLACE.page_url]


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_b14_strangers_text_stays_on_its_line(summary: str, title: str, path: str) -> None:
    found = mail((Conflict(path, ConflictKind.CONTENT),), title, summary=summary)
    assert len(found.subject) <= 120 and not re.search(r"[\x00-\x1f\x7f\u2028\u202e]", found.subject)
    assert len(found.body.split("\n")) == len(mail().body.split("\n"))


def test_a_long_list_is_cut_and_counted() -> None:
    many = tuple(Conflict(f"f{number}.cpp", ConflictKind.CONTENT) for number in range(50))
    assert "  and 30 more" in mail(many).body.split("\n")


def test_nobody_to_tell_is_no_mail() -> None:
    one = bug("attach D1\ndev sets D1 beta?")
    (request,) = requests_of(one, trains("beta"))
    for to in ((), ("not an address",), ("a@b.example\nBcc: c@d.example",)):
        assert conflict_mail(one, request, CONFLICTS, place=PLACE, to=to, key="k") is None


def test_b14_trials_that_found_nothing_out_do_not_make_a_conflict_news_again() -> None:
    """Conflict, error, conflict: one mail. Conflict, clean, conflict: two."""
    assert since_of(None, "tip 1") == since_of(Outcome.ERROR, "tip 3") == since_of(Outcome.MISSING, "tip 4")
    assert since_of(Outcome.CLEAN, "tip 5") != since_of(Outcome.CLEAN, "tip 6")


def test_b14_one_key_per_failure() -> None:
    (request,) = requests_of(bug("attach D1\ndev sets D1 beta?"), trains("beta"))
    key = mail_key(request, "digest", "tip")
    assert key == mail_key(msgspec.structs.replace(request, state="approved"), "digest", "tip")
    assert len({key, mail_key(request, "other", "tip"), mail_key(request, "digest", "later")}) == 3
