# SPDX-License-Identifier: MPL-2.0
"""The words of bugs and requests, so that one search finds them on every train."""

from __future__ import annotations

from shipit.storage.migrations import execute

revision = "0130_search"
down_revision = "0120_decided_bugs"

# Letters and digits alone make words, of a path its parts: what people type is split the same way.
# Of an address only what stands before its @, which everybody may see.
WORDS = """
create function words_in(text) returns text language sql immutable parallel safe as $$
    select regexp_replace(
        regexp_replace(left(coalesce($1, ''), 60000), '@[^[:space:]]+', ' ', 'g'), '[^[:alnum:]]+', ' ', 'g')
$$;

alter table bugs add column words tsvector not null default '';
alter table requests add column words tsvector not null default '';
comment on column bugs.words is
    'A: number, summary, component, keywords; B: people; D: files its patches touch.';
comment on column requests.words is 'B: who asks; C: form, and names of the patches.';

create function note_bug_words() returns trigger language plpgsql set search_path from current as $$
declare
    itself text := concat_ws(' ', new.id, new.summary, new.product, new.component, new.severity,
        array_to_string(new.keywords, ' '));
    people text := (select string_agg(concat_ws(' ', c->>'name', c->>'email'), ' ')
        from jsonb_path_query(new.facts, '$.contributors[*]') c);
    files text := (select string_agg(distinct p #>> '{}', ' ')
        from jsonb_path_query(new.facts, '$.analysis.patches[*].files[*].path') p);
begin
    new.words := setweight(to_tsvector('simple', words_in(itself)), 'A')
        || setweight(to_tsvector('simple', words_in(people)), 'B')
        || setweight(to_tsvector('simple', words_in(files)), 'D');
    return new;
end
$$;
create trigger note_words
    before insert or update of summary, product, component, severity, keywords, facts on bugs
    for each row execute function note_bug_words();

create function note_request_words() returns trigger language plpgsql set search_path from current as $$
declare
    patches text := (select string_agg(concat_ws(' ', p->>'name', p->>'title'), ' ')
        from jsonb_path_query(new.series, '$[*]') p);
begin
    new.words := setweight(to_tsvector('simple', words_in(new.requested_by)), 'B')
        || setweight(to_tsvector('simple', words_in(concat_ws(' ', new.form->>'raw', patches))), 'C');
    return new;
end
$$;
create trigger note_words before insert or update of requested_by, form, series on requests
    for each row execute function note_request_words();
"""

KNOWN = """
update bugs set facts = facts;
update requests set series = series;
"""


def upgrade() -> None:
    """Forward only: the way back is a restored backup."""
    execute(WORDS, KNOWN)
