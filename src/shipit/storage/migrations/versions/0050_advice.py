# SPDX-License-Identifier: MPL-2.0
"""What searches for prerequisites found, and the landing plans of trains; open pages hear of both."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0050_advice"
down_revision = "0040_sessions"

ADVICE = """
create table advice (
    request text primary key references requests on delete cascade,
    train text not null references trains,
    tip text not null,
    series_digest text not null,
    key text not null,
    needs bigint[] not null default '{}',
    is_verified boolean not null default false,
    content jsonb,
    reason text,
    searched_at timestamptz not null,
    took_ms integer,
    engine text not null default ''
);
comment on table advice is 'What the last search for the prerequisites of a conflicting request found.';
comment on column advice.key is 'Equal keys find the same: what was searched is not searched again.';
comment on column advice.needs is 'Bugs of the verified prerequisites, for badges.';
comment on column advice.reason is 'Why nothing could be looked for; content is then null.';
"""

PLANS = """
create table plans (
    train text not null references trains,
    scope text not null check (scope in ('approved', 'pending')),
    sees_restricted boolean not null,
    key text not null,
    tip text,
    made_at timestamptz not null,
    requests text[] not null default '{}',
    content jsonb not null,
    primary key (train, scope, sees_restricted)
);
comment on table plans is
    'In which order the uplifts of a train land, simulated, with and without restricted.';
comment on column plans.key is 'Of everything a plan depends on: equal keys have equal plans.';
comment on column plans.requests is 'Every request that the plan names.';
"""

# Rows written again as they were are no change. A plan's id says who may hear of it.
LIVE = """
create function note_advice() returns trigger language plpgsql set search_path from current as $$
begin
    perform note_change(tg_table_schema, tg_table_name, array[new.train], array[new.request]);
    return null;
end
$$;
create trigger note_new after insert on advice for each row execute function note_advice();
create trigger note_changed after update on advice for each row
    when (old.key is distinct from new.key or old.content is distinct from new.content
        or old.reason is distinct from new.reason)
    execute function note_advice();
create function note_plan() returns trigger language plpgsql set search_path from current as $$
begin
    perform note_change(tg_table_schema, tg_table_name, array[new.train],
        array[new.train || '/' || new.scope || case when new.sees_restricted then '/restricted' else '' end]);
    return null;
end
$$;
create trigger note_new after insert on plans for each row execute function note_plan();
create trigger note_changed after update on plans for each row
    when (old.content is distinct from new.content or old.tip is distinct from new.tip)
    execute function note_plan();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(ADVICE, PLANS, LIVE)
