# SPDX-License-Identifier: MPL-2.0
"""Trains, bugs, uplift requests and their trials; rounds of the bot and what keeps them apart; people."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0001_uplift"
down_revision = None

TRAINS = """
create table trains (
    name text primary key,
    position integer not null default 0,
    channel text not null,
    repository text not null,
    branch text not null,
    version text,
    major integer,
    approval_flag text,
    status_flag text,
    tracking_flag text,
    stage text not null default 'unknown' check (stage in (
        'nightly', 'aurora', 'early-beta', 'late-beta', 'rc-week', 'dot-releases', 'esr', 'ended',
        'unknown')),
    next_build jsonb,
    deadlines jsonb not null default '[]',
    owner text,
    source text not null default '',
    read_at timestamptz,
    schedule_unavailable_since timestamptz,
    tip text,
    tip_at timestamptz,
    requests_read_at timestamptz,
    requests_unavailable_since timestamptz,
    requests_unavailable_reason text
);
comment on table trains is 'Release trains as schedule, clone and Bugzilla last told, each with its age.';
comment on column trains.tip is 'Head commit of the branch in the clone, seen at tip_at.';
comment on column trains.requests_read_at is 'When Bugzilla last gave a complete answer for this train.';
"""

BUGS = """
create table bugs (
    id bigint primary key,
    summary text not null,
    product text not null default '',
    component text not null default '',
    status text not null default '',
    resolution text not null default '',
    severity text not null default '',
    priority text not null default '',
    keywords text[] not null default '{}',
    groups text[] not null default '{}',
    -- Private until somebody says otherwise.
    is_restricted boolean not null default true,
    fields jsonb not null default '{}',
    flags jsonb not null default '[]',
    changed timestamptz,
    read_at timestamptz,
    digest text,
    facts jsonb not null default '{}',
    analysis_error text,
    revision_no bigint not null default 1,
    source text not null default '',
    gone_at timestamptz,
    constraint bugs_of_groups_are_restricted check (is_restricted or cardinality(groups) = 0)
);
comment on table bugs is 'Bugs with an uplift request: what Bugzilla said, what the analysis made of it.';
comment on column bugs.digest is 'Of what was read: equal means nothing to analyse again.';
comment on column bugs.revision_no is 'Optimistic locking: a writer names the one it read, and adds one.';
comment on column bugs.gone_at is 'When Bugzilla began to deny us the bug; the row stays.';
"""

REQUESTS = """
create table requests (
    uid text primary key,
    bug bigint not null references bugs,
    train text not null references trains,
    state text not null check (state in ('requested', 'approved', 'rejected', 'cleared')),
    target_major integer,
    attachments bigint[] not null default '{}',
    series jsonb not null default '[]',
    series_digest text,
    series_reason text,
    requested_by text,
    requested_at timestamptz,
    decided_by text,
    decided_at timestamptz,
    form jsonb,
    first_seen timestamptz not null default now(),
    last_seen timestamptz not null default now(),
    closed_at timestamptz,
    history jsonb not null default '[]'
);
create index requests_of_train on requests (train, state);
create index requests_of_bug on requests (bug);
comment on table requests is 'Uplift requests: a bug, a train, a series of patches.';
comment on column requests.target_major is 'Version the train had when asked; differs after a merge day.';
comment on column requests.series_reason is 'Why there is nothing to try yet.';
"""

TRIALS = """
create table trials (
    request text not null references requests on delete cascade,
    train text not null references trains,
    series_digest text not null,
    tip text not null,
    key text not null,
    outcome text not null check (outcome in (
        'clean', 'landed', 'empty', 'conflict', 'skipped', 'missing', 'error')),
    tree text,
    patches jsonb not null default '[]',
    tried_at timestamptz not null default now(),
    took_ms integer,
    engine text not null default '',
    primary key (request, train, tip, series_digest)
);
create index trials_newest on trials (request, train, tried_at desc);
create view newest_trials as
    select distinct on (request, train) * from trials order by request, train, tried_at desc;
comment on table trials is 'What each merge trial said; kept, so that a request shows since when it fails.';
comment on column trials.key is 'Of everything the outcome depends on: equal keys have equal outcomes.';
comment on view newest_trials is 'The last trial of each request on each train.';
"""

WORK = """
create table rounds (
    uid text primary key,
    kind text not null,
    holder text not null,
    started timestamptz not null default now(),
    finished timestamptz,
    counts jsonb not null default '{}',
    errors jsonb not null default '[]',
    plan jsonb not null default '{}'
);
create index rounds_newest on rounds (kind, started desc);
comment on table rounds is 'Rounds of the bot; plan holds what an interrupted one has still to do.';

create table leases (
    name text primary key,
    holder text not null,
    fence bigint not null default 1,
    expires timestamptz not null
);
comment on table leases is 'Who may do what only one may; fence grows with each holder: late writers show.';

create table wishes (
    uid text primary key,
    kind text not null,
    subject text not null,
    asked_by text,
    asked_at timestamptz not null default now(),
    done_at timestamptz,
    result jsonb
);
create unique index wishes_open on wishes (kind, subject) where done_at is null;
comment on table wishes is 'What a page asked a worker to do; one open wish for one thing, however many ask.';

create table mails (
    key text primary key,
    recipients text[] not null default '{}',
    subject text not null,
    claimed_at timestamptz not null default now(),
    sent_at timestamptz,
    outcome text
);
comment on table mails is 'Mails by what they are about; a key is claimed before sending: none twice.';
"""

PEOPLE = """
create table people (
    id bigint generated by default as identity primary key,
    email text not null unique,
    name text not null default '',
    nick text,
    avatar text,
    karma integer not null default 0,
    comment_public text not null default '',
    comment_private text not null default '',
    noted_by text,
    noted_at timestamptz,
    expires_at timestamptz
);
comment on table people is 'Contributors, and what release managers noted about them until expires_at.';
"""

CHANGES = """
create table changes (
    name text not null,
    amount bigint not null
);
create index changes_of on changes (name) include (amount);
comment on table changes is
    'How often each train (or anything at all, named *) changed: a row per change, added up by version_of. '
    'Writers only add rows, so they pass each other; and a sum grows with every commit that becomes visible, '
    'in whatever order they commit, so it tells any two states apart where a sequence would not.';
-- Everything begins at the clock: a restored database never repeats a version that a browser has seen.
insert into changes values ('', (extract(epoch from clock_timestamp()) * 1000000)::bigint);

create function version_of(wanted text) returns bigint
language sql stable set search_path from current as $$
    select sum(amount)::bigint from changes where name in ('', wanted)
$$;

-- Replace what can be had by its sums; rows that somebody else folds just now are left to them.
create function fold_changes() returns void
language sql set search_path from current as $$
    with taken as (
        delete from changes where ctid = any (array(
            select ctid from changes where name <> '' for update skip locked))
        returning name, amount
    )
    insert into changes select name, sum(amount) from taken group by name
$$;

create function note_change(place text, kind text, trains text[], ids text[]) returns void
language plpgsql set search_path from current as $$
declare
    told text := json_build_object('table', kind, 'trains', trains, 'ids', ids);
begin
    insert into changes select unnest(array_append(trains, '*')), 1;
    if random() < 0.01 and current_setting('transaction_isolation') = 'read committed' then
        perform fold_changes();
    end if;
    -- A notification holds less than 8000 bytes. Without ids it says: many.
    if cardinality(ids) > 50 or octet_length(told) > 7000 then
        told := json_build_object('table', kind, 'trains', trains, 'ids', null);
    end if;
    perform pg_notify(place || '_live', told);
end
$$;
"""

# Rows written again as they were are no change.
NOTED = """
create function note_{table}() returns trigger language plpgsql set search_path from current as $$
declare
    trains text[];
    ids text[];
begin
    if tg_op = 'INSERT' then
        select array_agg(distinct {train}) filter (where {train} is not null), array_agg(distinct {id}::text)
        into trains, ids from after as touched {join};
    elsif tg_op = 'DELETE' then
        select array_agg(distinct {train}) filter (where {train} is not null), array_agg(distinct {id}::text)
        into trains, ids from before as touched {join};
    else
        select array_agg(distinct {train}) filter (where {train} is not null), array_agg(distinct {id}::text)
        into trains, ids from (
            (table after except table before) union all (table before except table after)
        ) as touched {join};
    end if;
    if ids is not null then
        perform note_change(tg_table_schema, tg_table_name, coalesce(trains, '{{}}'), ids);
    end if;
    return null;
end
$$;
create trigger note_insert after insert on {table}
    referencing new table as after for each statement execute function note_{table}();
create trigger note_update after update on {table}
    referencing old table as before new table as after for each statement execute function note_{table}();
create trigger note_delete after delete on {table}
    referencing old table as before for each statement execute function note_{table}();
"""

TRIGGERS = (
    NOTED.format(table="trains", train="touched.name", id="touched.name", join=""),
    NOTED.format(
        table="bugs",
        train="requests.train",
        id="touched.id",
        join="left join requests on requests.bug = touched.id",
    ),
    NOTED.format(table="requests", train="touched.train", id="touched.uid", join=""),
    NOTED.format(table="trials", train="touched.train", id="touched.request", join=""),
)


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(TRAINS, BUGS, REQUESTS, TRIALS, WORK, PEOPLE, CHANGES, *TRIGGERS)
