# SPDX-License-Identifier: MPL-2.0
"""SQL, migrations, embedded PostgreSQL: the one door to the database."""
