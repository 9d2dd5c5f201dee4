# SPDX-License-Identifier: MPL-2.0
"""The listener's journal: every event heard, every effect it has, where each source stands."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0010_event_journal"
down_revision = "0002_histories"

EVENTS = """
create table events (
    id bigint generated always as identity primary key,
    key text not null unique,
    source text not null,
    exchange text not null,
    routing_key text not null default '',
    cc text[] not null default '{}',
    body bytea not null,
    via text[] not null default '{}',
    kind text,
    subject text not null default '',
    told integer not null default 1,
    state text not null check (state in ('stored', 'ignored', 'matched', 'quarantined', 'skipped')),
    reason text,
    looks integer not null default 0,
    look_at timestamptz,
    claimed_until timestamptz,
    received_at timestamptz not null default now(),
    told_at timestamptz not null default now(),
    judged_at timestamptz
);
create index events_to_look_at on events (look_at) where state = 'stored';
create index events_by_time on events (received_at);
create index events_in_quarantine on events (id) where state = 'quarantined';
comment on table events is
    'Deliveries as they came, each stored once under its natural key before it is acknowledged.';
comment on column events.told is 'How often it came: redeliveries, repetitions, and other queues of ours.';
comment on column events.via is 'Queues and polls it came by.';
"""

EFFECTS = """
create table effects (
    id bigint generated always as identity primary key,
    event bigint not null references events on delete cascade,
    route text not null,
    dedup text not null,
    generation integer not null default 0,
    sink text not null,
    payload json not null,
    task_id text not null,
    former_tasks text[] not null default '{}',
    supersede text,
    weight bigint not null default 0,
    state text not null check (state in ('due', 'firing', 'fired', 'done', 'declined', 'observed',
        'superseded', 'quarantined', 'skipped')),
    error_class text,
    error text,
    is_weak boolean not null default false,
    attempts integer not null default 0,
    recreations integer not null default 0,
    created_at timestamptz not null default now(),
    first_try_at timestamptz,
    due_at timestamptz,
    claimed_until timestamptz,
    fired_at timestamptz,
    task_state text,
    task_reason text,
    look_at timestamptz,
    looks integer not null default 0,
    wants_cancel boolean not null default false,
    resolved_at timestamptz,
    reported_at timestamptz,
    unique (route, dedup, generation)
);
create index effects_due on effects (due_at) where state in ('due', 'firing');
create index effects_followed on effects (look_at) where state = 'fired';
create index effects_by_task on effects (task_id);
create index effects_by_event on effects (event);
create index effects_to_supersede on effects (route, supersede) where supersede is not null;
create index effects_to_report on effects (resolved_at) where reported_at is null;
comment on table effects is
    'One row for each thing a route triggers about one subject; its task id is made from both.';
comment on column effects.is_weak is
    'The hook takes no task id: its last fires are looked at before a second try.';
comment on column effects.wants_cancel is 'Superseded while its task ran: the task is to be cancelled.';
"""

SOURCES = """
create table event_sources (
    name text primary key,
    cursor jsonb,
    is_connected boolean not null default false,
    since timestamptz not null default now(),
    last_event_at timestamptz,
    last_ok_at timestamptz,
    error text,
    reconnects bigint not null default 0,
    depth integer,
    alarmed_at timestamptz
);
comment on table event_sources is 'Where each source stands; its cursor moves with the events it brought.';
comment on column event_sources.since is 'When is_connected last changed.';

create table pulse_bindings (
    queue text not null,
    exchange text not null,
    key text not null,
    primary key (queue, exchange, key)
);
comment on table pulse_bindings is
    'What our queues are bound to, as AMQP cannot tell; for taking bindings back.';
"""

TELLING = """
create table listener_mails (
    id bigint generated always as identity primary key,
    key text not null,
    recipient text not null,
    subject text not null,
    content text not null,
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    claimed_until timestamptz,
    attempts integer not null default 0,
    sent_at timestamptz,
    outcome text,
    unique (key, recipient)
);
create index listener_mails_due on listener_mails (due_at) where sent_at is null and outcome is null;
comment on table listener_mails is
    'Reports and alarms, a row for each recipient, so that none waits for another.';

create table listener_memory (
    name text primary key,
    value jsonb not null,
    noted_at timestamptz not null default now()
);
comment on table listener_memory is
    'When the report is due, which routes are in alarm, when we last lived.';

create table build_targets (
    target text primary key,
    event bigint references events on delete set null,
    created_at timestamptz not null default now(),
    verdict text check (verdict in ('pass', 'fail')),
    reason text,
    due_at timestamptz,
    claimed_until timestamptz,
    attempts integer not null default 0,
    sent_at timestamptz,
    error text
);
create index build_targets_to_tell on build_targets (due_at) where verdict is not null and sent_at is null;
comment on table build_targets is
    'Harbormaster targets that wait for us; each is told an end with an exact reason.';
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(EVENTS, EFFECTS, SOURCES, TELLING)
