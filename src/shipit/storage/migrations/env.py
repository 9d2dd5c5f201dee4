# SPDX-License-Identifier: MPL-2.0
"""What Alembic runs: the migrations, on the connection and in the transaction that migrate.py hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
