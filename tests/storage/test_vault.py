# SPDX-License-Identifier: MPL-2.0
"""Keys at rest: sealed by the first secret, opened by all, sealed anew when secrets change."""

from __future__ import annotations

import pytest

from fixtures_postgres import Database
from shipit.errors import InvalidInput
from shipit.storage import keys
from shipit.storage.pool import open_pool
from shipit.storage.vault import Sealed, Unsealable, Vault

OLD, NEW = "an older secret of sixteen", "a newer secret of sixteen"


def test_what_one_secret_seals_another_does_not_open() -> None:
    sealed = Vault([OLD]).seal("bugzilla rosa", "k3y")
    assert "k3y" not in sealed.text and Vault([OLD]).open("bugzilla rosa", sealed) == "k3y"
    with pytest.raises(Unsealable):
        Vault([NEW]).open("bugzilla rosa", sealed)
    assert Vault([NEW, OLD]).open("bugzilla rosa", sealed) == "k3y"


def test_a_ciphertext_opens_only_for_its_owner_and_unchanged() -> None:
    vault = Vault([OLD])
    sealed = vault.seal("bugzilla rosa", "k3y")
    with pytest.raises(Unsealable):
        vault.open("bugzilla mallory", sealed)
    with pytest.raises(Unsealable):
        vault.open("bugzilla rosa", Sealed(sealed.text[:-4] + "AAA=", sealed.secret))
    assert "k3y" not in repr(vault) and OLD not in repr(vault)


@pytest.mark.parametrize("secrets", [[], ["short"], [OLD, ""]])
def test_no_or_short_secrets_are_refused(secrets: list[str]) -> None:
    with pytest.raises(InvalidInput, match="SHIPIT_SECRET_KEY"):
        Vault(secrets)


async def test_rotation_seals_everything_with_the_first_secret(database: Database) -> None:
    async with open_pool(database.url, instance=database.instance) as pool:
        async with pool.connection() as connection:
            for person in ("rosa", "hugo"):
                await keys.put(
                    connection,
                    Vault([OLD]),
                    person,
                    "bugzilla",
                    key=f"key of {person}",
                    account=person,
                    account_id="",
                )
        async with pool.connection() as connection:
            assert await keys.rotate(connection, Vault([NEW, OLD])) == (2, 0)
        async with pool.connection() as connection:
            assert await keys.rotate(connection, Vault([NEW, OLD])) == (0, 0)
            assert await keys.rotate(connection, Vault(["a third secret of more"])) == (0, 2)
            found = await keys.opened(connection, Vault([NEW]), "rosa", "bugzilla")
            assert found is not None and found.key == "key of rosa" and "key of" not in repr(found)
        with database.connect() as raw:
            stored = str(raw.execute("select * from person_keys").fetchall())
        assert "key of" not in stored
