# SPDX-License-Identifier: MPL-2.0
"""One person is one person, whichever of their clients and logins they use."""

from __future__ import annotations

import pytest

from shipit.actions.persons import Known, actor, person_of

RYAN = "mozilla-auth0/ad|Mozilla-LDAP|ryan"
KNOWN = Known(
    frozenset({"mozilla-auth0", "github"}),
    {"project/releng/ryan-laptop": RYAN, "github/123|ryan": RYAN},
)


@pytest.mark.parametrize(
    ("client", "person"),
    [
        ("mozilla-auth0/ad|Mozilla-LDAP|ryan/shipit-a1b2c3", "mozilla-auth0/ad|Mozilla-LDAP|ryan"),
        ("github/123|ryan/whatever-they/chose", "github/123|ryan"),
        ("test/test", "test/test"),
    ],
)
def test_a_login_has_one_name_whatever_its_clients_are_called(client: str, person: str) -> None:
    assert person_of(client) == person


@pytest.mark.parametrize(
    ("client", "scopes"),
    [
        (f"{RYAN}/shipit-a1b2c3", ()),
        (f"{RYAN}/laptop", ()),
        (RYAN, ()),
        ("project/anything", (f"assume:login-identity:{RYAN}",)),
        ("project/releng/ryan-laptop", ()),
        ("github/123|ryan/phone", ()),
        # A scope that a person was lent makes them nobody else.
        (f"{RYAN}/laptop", ("assume:login-identity:mozilla-auth0/ad|Mozilla-LDAP|ann",)),
    ],
)
def test_every_credential_of_a_person_is_that_person(client: str, scopes: tuple[str, ...]) -> None:
    found = actor(client, scopes, KNOWN)
    assert (found.person, found.is_person, found.client) == (RYAN, True, client)


@pytest.mark.parametrize(
    ("client", "scopes"),
    [
        ("project/shipit/monitor", ()),
        # Whoever makes a client below another prefix may call it as they like.
        ("project/mozilla-auth0/ad|Mozilla-LDAP|ryan", ()),
        ("root", ("*",)),
        ("root", ("assume:login-identity:*",)),
        ("both", ("assume:login-identity:a/1", "assume:login-identity:a/2")),
    ],
)
def test_a_machine_stands_for_itself(client: str, scopes: tuple[str, ...]) -> None:
    found = actor(client, scopes, KNOWN)
    assert (found.person, found.is_person) == (client, False)
