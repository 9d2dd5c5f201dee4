# SPDX-License-Identifier: MPL-2.0
"""The steps that the schema took; each is plain SQL, run as it is written."""

from __future__ import annotations

import psycopg
from alembic import op


def execute(*scripts: str) -> None:
    """Run scripts of one or more statements in the migration's transaction, without placeholders."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for script in scripts:
        driver.execute(script.encode())
