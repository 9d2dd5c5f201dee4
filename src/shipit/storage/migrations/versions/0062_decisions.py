# SPDX-License-Identifier: MPL-2.0
"""Decisions with their writes, the keys they are written with, and the audit of both."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0062_decisions"
down_revision = "0060_event_traces"

PLACES = """
alter table requests add column places jsonb not null default '[]';
comment on column requests.places is 'Flags and revisions where it is asked, and decisions are written.';
"""

KEYS = """
create table person_keys (
    person text not null,
    system text not null check (system in ('bugzilla', 'phabricator')),
    account text not null,
    account_id text not null default '',
    sealed text not null,
    sealed_with text not null,
    entered_at timestamptz not null default now(),
    refused_at timestamptz,
    refused_why text not null default '',
    primary key (person, system)
);
comment on table person_keys is 'Keys that people gave us to write as themselves, encrypted.';
comment on column person_keys.sealed_with is 'Fingerprint of the secret that encrypted it, for rotation.';
comment on column person_keys.refused_at is 'Since when the service does not take it; it is not tried again.';

create table key_tries (
    at timestamptz not null default now(),
    system text not null
);
comment on table key_tries is 'Keys tried lately: a service closes its doors after a few wrong ones.';
"""

DECISIONS = """
create table decisions (
    uid text primary key,
    verdict text not null check (verdict in ('approve', 'reject', 'defer', 'ask', 'withdraw', 'flags')),
    person text not null,
    client text not null,
    wanted jsonb not null,
    digest text not null,
    refusals jsonb not null default '[]',
    made_at timestamptz not null default now(),
    hold_until timestamptz not null
);
create index decisions_newest on decisions (made_at desc);
comment on table decisions is 'What a person decided about some requests. uid: chosen by whoever sent it.';
comment on column decisions.digest is 'Of all that was sent: the same uid with another body is refused.';

create table decision_requests (
    decision text not null references decisions,
    request text not null references requests,
    bug bigint not null references bugs,
    train text not null,
    stamp jsonb not null,
    primary key (decision, request)
);
create index decision_requests_of on decision_requests (request);
comment on table decision_requests is 'What it is about: train, version, build and patches as they were.';

create table decision_parts (
    id bigint generated always as identity unique,
    decision text not null references decisions,
    bug bigint not null references bugs,
    state text not null default 'held' check (state in
        ('held', 'writing', 'done', 'changed', 'stuck', 'undone', 'dropped')),
    plan jsonb not null,
    message text not null default '',
    differences jsonb not null default '[]',
    due_at timestamptz not null,
    first_try_at timestamptz,
    claimed_until timestamptz,
    fence bigint not null default 0,
    resumed integer not null default 0,
    finished_at timestamptz,
    primary key (decision, bug)
);
-- Nobody writes to a bug while somebody else does.
create unique index decision_parts_one_writer on decision_parts (bug) where state = 'writing';
create index decision_parts_due on decision_parts (due_at) where state in ('held', 'writing');
comment on table decision_parts is 'What a decision does to one bug; claimed by a runner under a fence.';

create table decision_writes (
    decision text not null,
    bug bigint not null,
    position integer not null,
    state text not null default 'waits' check (state in ('waits', 'sending', 'done', 'failed', 'unsent')),
    write jsonb not null,
    attempts integer not null default 0,
    mark bigint,
    sent_at timestamptz,
    done_at timestamptz,
    answer text not null default '',
    primary key (decision, bug, position),
    foreign key (decision, bug) references decision_parts
);
comment on table decision_writes is 'The outbox: one call outside each, in the order in which they go out.';
comment on column decision_writes.mark is
    'Newest comment or transaction before it was first sent: what is younger may be ours.';
"""

AUDIT = """
create table decision_audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    decision text not null default '',
    bug bigint,
    requests text[] not null default '{}',
    actor text not null,
    what text not null,
    object text not null default '',
    before text not null default '',
    after text not null default '',
    why text not null default '',
    answer text not null default ''
);
create index decision_audit_of_request on decision_audit using gin (requests);
create index decision_audit_of_decision on decision_audit (decision, id);
comment on table decision_audit is 'Who decided what when, and what the services answered; only added to.';

create function decision_audit_stays() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is only added to';
end
$$;
create trigger decision_audit_stays before update or delete on decision_audit
    for each row execute function decision_audit_stays();
create trigger decision_audit_stays_whole before truncate on decision_audit
    for each statement execute function decision_audit_stays();
"""

TELLING = """
create function tell_decision() returns trigger language plpgsql set search_path from current as $$
begin
    perform note_change(tg_table_schema, 'decisions',
        coalesce((select array_agg(distinct train) from decision_requests
            where decision = new.decision and bug = new.bug), '{}'),
        coalesce((select array_agg(request) from decision_requests
            where decision = new.decision and bug = new.bug), '{}'));
    return null;
end
$$;
create trigger tell_new after insert on decision_parts for each row execute function tell_decision();
create trigger tell_moved after update of state, message on decision_parts for each row
    when ((old.state, old.message) is distinct from (new.state, new.message))
    execute function tell_decision();
create trigger tell_moved after update of state, answer on decision_writes for each row
    when ((old.state, old.answer) is distinct from (new.state, new.answer))
    execute function tell_decision();

create trigger wake_runners after insert on decision_parts
    for each statement execute function wake_runners();
create trigger wake_of_due after update of due_at on decision_parts
    for each row when (new.due_at <= now() and new.claimed_until is null) execute function wake_runners();
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(PLACES, KEYS, DECISIONS, AUDIT, TELLING)
