# SPDX-License-Identifier: MPL-2.0
"""A pipeline whose uid was used before: its steps have uids of their own."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0110_pipeline_stems"
down_revision = "0100_train_cycles"

STEMS = """
alter table pipelines add column stem text;
comment on column pipelines.stem is
    'What the uids of its steps begin with; null: its own uid. Another where one was removed before it.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(STEMS)
