# SPDX-License-Identifier: MPL-2.0
"""Pipelines, the steps we serve, signatures, stops, build numbers, and the audit of it all."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0020_pipelines"
down_revision = "0010_event_journal"

PIPELINES = """
create table pipelines (
    uid text primary key,
    given jsonb not null,
    definition jsonb not null,
    digest text not null,
    product text not null default '',
    version text not null default '',
    status text not null default 'in_progress'
        check (status in ('in_progress', 'success', 'failure', 'cancelled')),
    wants_cancel boolean not null default false,
    hold text not null default '',
    hold_by text not null default '',
    parent text,
    created_by text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    finished_at timestamptz,
    due_at timestamptz
);
create index pipelines_due on pipelines (due_at) where due_at is not null;
create index pipelines_alive on pipelines (product) where status = 'in_progress';
comment on table pipelines is 'Pipelines: a definition, and the few facts that are not its steps''.';
comment on column pipelines.given is 'The parameters as they were put, for comparing and showing.';
comment on column pipelines.definition is 'As validated: steps sorted, defaults gone.';
comment on column pipelines.parent is 'The pipeline of which this one is a step.';
comment on column pipelines.due_at is 'When to decide again though nothing is heard.';

create table pipeline_steps (
    pipeline text not null references pipelines on delete cascade,
    uid text not null,
    state text not null default 'blocked' check (state in ('blocked', 'ready', 'in_progress', 'retrying',
        'cancelling', 'success', 'failure', 'timed_out', 'cancelled', 'skipped')),
    attempt integer not null default 0,
    allowed integer not null default 1,
    kind text not null,
    started_at timestamptz,
    finished_at timestamptz,
    deadline timestamptz,
    retry_at timestamptz,
    cause text not null default '',
    note text not null default '',
    by text not null default '',
    is_released boolean not null default false,
    output jsonb not null default '{}',
    primary key (pipeline, uid)
) with (fillfactor = 80);
create index pipeline_steps_done on pipeline_steps (uid, finished_at desc) where state = 'success';
comment on table pipeline_steps is 'Each step of each pipeline; its service''s words are in steps.';
comment on column pipeline_steps.attempt is
    'The try that is going on; with pipeline and uid it is the uid at the service.';

create table pipeline_wakes (
    id bigint generated always as identity primary key,
    pipeline text not null
);
comment on table pipeline_wakes is
    'Pipelines of which something was heard. A row, not a column: who tells holds no lock on the pipeline.';
"""

STEPS = """
create table steps (
    kind text not null,
    uid text not null,
    parameters jsonb not null,
    digest text not null,
    status text not null check (status in ('in_progress', 'success', 'failure', 'cancelled')),
    message text not null default '',
    details jsonb not null default '{}',
    output jsonb not null default '{}',
    memory jsonb not null default '{}',
    pipeline text,
    wants_cancel boolean not null default false,
    created_by text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    finished_at timestamptz,
    due_at timestamptz,
    is_woken boolean not null default false,
    claimed_until timestamptz,
    fence bigint not null default 0,
    primary key (kind, uid)
) with (fillfactor = 80);
create index steps_due on steps (due_at) where due_at is not null;
create index steps_by_update on steps (kind, updated_at, uid);
create index steps_of_group on steps ((memory ->> 'task_group_id')) where kind = 'taskcluster';
comment on table steps is 'The steps we serve, of every kind, for our pipelines and for anybody''s.';
comment on column steps.memory is 'What the kind must remember between two looks; shown to nobody.';
comment on column steps.is_woken is 'Something was heard while a runner worked on it: look again.';
comment on column steps.fence is 'Raised by each claim; who wrote under an older one lost its claim.';
"""

SIGNATURES = """
create table signatures (
    id bigint generated always as identity primary key,
    step text not null,
    person text not null,
    client text not null,
    groups text[] not null default '{}',
    delegated text[] not null default '{}',
    comment text not null default '',
    digest text not null default '',
    signed_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    revoked_why text
);
create unique index signatures_stand_once on signatures (step, person) where revoked_at is null;
comment on table signatures is 'Who signed what when; a signature is revoked, never deleted.';
comment on column signatures.digest is 'Of the content that was signed.';
comment on column signatures.delegated is 'Groups the person was in by delegation only.';

create table delegations (
    id bigint generated always as identity primary key,
    giver text not null,
    taker text not null,
    group_name text not null,
    reason text not null,
    given_at timestamptz not null default now(),
    until timestamptz not null,
    ended_at timestamptz
);
create index delegations_of_taker on delegations (taker);
comment on table delegations is 'A member of a group lets another person sign for it, until when and why.';
"""

STOPS = """
create table stops (
    uid text primary key,
    product text not null default '',
    phase text not null default '',
    reason text not null,
    author text not null,
    since timestamptz not null default now(),
    restart text,
    restarted_at timestamptz
);
comment on table stops is 'What keeps steps from starting. Stopping needs nobody else; going on is signed.';
comment on column stops.restart is 'The signoff step whose success lets it go on.';

create table build_numbers (
    product text not null,
    version text not null,
    last integer not null,
    primary key (product, version)
);
comment on table build_numbers is 'The last build number given out, so that none is given twice.';

create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    subject text not null,
    step text not null default '',
    actor text not null,
    what text not null,
    before text not null default '',
    after text not null default '',
    reason text not null default ''
);
create index audit_of_subject on audit (subject, id);
comment on table audit is 'What was done to pipelines, steps, signoffs and stops, by whom; only added to.';

create function audit_stays() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is only added to';
end
$$;
create trigger audit_stays before update or delete on audit
    for each row execute function audit_stays();
"""

TELLING = """
create function wake_runners() returns trigger language plpgsql set search_path from current as $$
begin
    perform pg_notify(tg_table_schema || '_work', '');
    return null;
end
$$;
create trigger wake_runners after insert on pipeline_wakes
    for each statement execute function wake_runners();
create trigger wake_of_new after insert on steps
    for each row when (new.due_at <= now()) execute function wake_runners();
create trigger wake_of_due after update of due_at on steps
    for each row when (new.due_at <= now() and new.is_woken) execute function wake_runners();

create function tell_pipeline() returns trigger language plpgsql set search_path from current as $$
begin
    if new.pipeline is not null then
        insert into pipeline_wakes (pipeline) values (new.pipeline);
    end if;
    if new.kind = 'signoff' and new.status = 'success'
            and exists (select 1 from stops where restart = new.uid and restarted_at is null) then
        update stops set restarted_at = now() where restart = new.uid and restarted_at is null;
        insert into pipeline_wakes (pipeline) select uid from pipelines where status = 'in_progress';
    end if;
    return null;
end
$$;
create trigger tell_pipeline after update of status on steps
    for each row when (old.status is distinct from new.status) execute function tell_pipeline();

create function tell_parent() returns trigger language plpgsql set search_path from current as $$
begin
    insert into pipeline_wakes (pipeline) values (new.parent);
    return null;
end
$$;
create trigger tell_parent after update of status on pipelines
    for each row when (old.status is distinct from new.status and new.parent is not null)
    execute function tell_parent();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(PIPELINES, STEPS, SIGNATURES, STOPS, TELLING)
