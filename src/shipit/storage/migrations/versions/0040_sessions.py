# SPDX-License-Identifier: MPL-2.0
"""Sessions of people who log in through Taskcluster."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0040_sessions"
down_revision = "0030_event_live"

SESSIONS = """
create table sessions (
    secret_hash bytea primary key,
    client_id text not null,
    person text not null,
    scopes text[] not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    checked_at timestamptz not null,
    claimed_at timestamptz,
    expires_at timestamptz not null
);
create index sessions_ending on sessions (expires_at);
comment on table sessions is 'Who is logged in, and with which scopes; nothing in it lets anybody log in.';
comment on column sessions.secret_hash is 'SHA-256 of the secret in the cookie.';
comment on column sessions.client_id is 'Taskcluster client made by the login; its scopes are read again.';
comment on column sessions.person is 'Identity of the login provider: the same at each login.';
comment on column sessions.checked_at is 'When Taskcluster last said which scopes there are.';
comment on column sessions.expires_at is 'Never later than that of the Taskcluster client.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(SESSIONS)
