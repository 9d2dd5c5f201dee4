# SPDX-License-Identifier: MPL-2.0
"""Routes are read with all problems at once; the original's list imports one to one."""

from __future__ import annotations

from typing import Any

import pytest

from shipit.errors import InvalidInput, NotAuthenticated
from shipit.events.deliveries import read
from shipit.events.originals import all_routes, default_hooks, routes_of
from shipit.events.routes import BadRoutes, exchanges, parse_routes
from shipit.events.signatures import read_github, read_herald, read_target, sign
from shipit.events.sources import parse_sources
from shipit.events.templates import Unfillable, fill
from shipit.events.types import Event, Kind

HOOK = {"kind": "hook", "hook": "project-releng/coverage"}


def problems(*rows: dict[str, Any]) -> str:
    with pytest.raises(BadRoutes) as error:
        parse_routes(rows)
    return "\n".join(error.value.problems)


def test_all_problems_are_told_at_once() -> None:
    told = problems(
        {"name": "Bad Name", "sink": HOOK},
        {"name": "typo", "sink": HOOK, "mach": {}},
        {"name": "deaf", "sink": HOOK},
        {"name": "regex", "sink": HOOK, "match": {"exchange": "e", "where": [{"path": "a", "matches": "("}]}},
        {
            "name": "template",
            "sink": HOOK,
            "match": {"exchange": "e"},
            "payload": {"A": "${b c}", "taskId": "x"},
        },
        {"name": "mail", "sink": {"kind": "mail", "address": "a@b.example"}, "match": {"exchange": "e"}},
        {"name": "twice", "sink": HOOK, "match": {"exchange": "e"}},
        {"name": "twice", "sink": HOOK, "match": {"exchange": "e"}},
    )
    for word in (
        "routes[0]",
        "mach",
        "routes[2].match.exchange",
        "regular expression",
        "payload.A: expected a dotted path",
        "payload.taskId",
        "subject and content",
        "'twice' is given twice",
    ):
        assert word in told


def test_a_route_that_observes_cannot_be_made_to_act() -> None:
    row = {"name": "a", "sink": HOOK, "match": {"exchange": "e"}}
    assert parse_routes([row], observe_only=True)[0].mode == "observe"


def test_the_original_list_becomes_one_route_for_each_hook() -> None:
    routes = all_routes((), default_hooks("production"))
    assert [(route.name, str(route.sink), route.source) for route in routes] == [
        ("code-coverage", "hook:project-releng/services-production-shipit-code-coverage", "pulse"),
        (
            "static-analysis-mozreview",
            "hook:project-releng/services-production-shipit-static-analysis",
            "pulse",
        ),
        (
            "static-analysis-phabricator",
            "hook:project-releng/services-production-shipit-static-analysis",
            "phabricator",
        ),
    ]
    assert exchanges(routes) == {
        "code-coverage": ("exchange/taskcluster-queue/v1/task-group-resolved", ("*.*.gecko-level-3.#",)),
        "static-analysis-mozreview": ("exchange/mozreview/", ("mozreview.commits.published",)),
    }


def test_L30_the_token_of_the_original_list_is_never_shown() -> None:
    hook = {"type": "static-analysis-phabricator", "hookId": "h", "phabricator_token": "api-secret"}
    assert "api-secret" not in str(routes_of([hook]))
    with pytest.raises(BadRoutes) as error:
        routes_of([{**hook, "type": "other", "hookId": 7}])
    assert "api-secret" not in str(error.value)
    assert len(error.value.problems) == 2


def test_sources_are_read_with_all_problems_at_once() -> None:
    (source,) = parse_sources([{"kind": "pushlog", "name": "central", "url": "https://hg.example/central"}])
    assert source.name == "central"
    with pytest.raises(BadRoutes) as error:
        parse_sources([{"kind": "x"}, {"kind": "pushlog", "name": "a"}])
    assert len(error.value.problems) == 2


def test_templates_keep_types_and_refuse_what_is_absent() -> None:
    values = {"a": {"b": [7, "x"]}, "t": True}
    assert fill({"n": "${a.b.0}", "s": "v${a.b.0}-${t}", "l": ["${a.b}"]}, values) == {
        "n": 7,
        "s": "v7-true",
        "l": [[7, "x"]],
    }
    for bad in ("${a.c}", "${a.b.2}", "x${a}"):
        with pytest.raises(Unfillable):
            fill(bad, values)


def test_a_value_with_nul_or_half_a_character_is_made_storable() -> None:
    assert fill("${a}", {"a": "x\0\ud800"}) == "x\N{REPLACEMENT CHARACTER}?"


BODY = (
    b'{"repository":{"full_name":"o/r"},"ref":"refs/heads/main","after":"abc","commits":[{"added":["a.py"]}]}'
)


def test_a_github_webhook_must_be_signed_with_one_of_our_keys() -> None:
    headers = {"x-github-event": "push", "x-github-delivery": "72d3162e-cc78", "x-hub-signature-256": ""}
    for given in ("", "sha256=", "sha256=" + sign(BODY, "wrong"), sign(BODY, "new")):
        with pytest.raises(NotAuthenticated):
            read_github({**headers, "x-hub-signature-256": given}, BODY, ["new", "old"])
    for key in ("new", "old"):
        heard = read_github(
            {**headers, "x-hub-signature-256": "sha256=" + sign(BODY, key)}, BODY, ["new", "old"]
        )
        assert heard.key == "github:72d3162e-cc78"
    event = read(heard)
    assert isinstance(event, Event)
    assert (event.kind, event.values["branch"], event.values["paths"]) == (Kind.GIT_PUSH, "main", ["a.py"])
    with pytest.raises(NotAuthenticated):
        read_github({**headers, "x-hub-signature-256": "sha256=" + sign(BODY, "")}, BODY, [""])


def test_a_herald_webhook_must_be_signed() -> None:
    body = b'{"object":{"type":"DREV","phid":"PHID-DREV-a"},"triggers":[],"transactions":[{"phid":"x"}]}'
    event = read(read_herald({"x-phabricator-webhook-signature": sign(body, "key")}, body, ["key"]))
    assert isinstance(event, Event)
    assert (event.kind, event.subject) == (Kind.REVISION, "PHID-DREV-a")
    with pytest.raises(NotAuthenticated):
        read_herald({}, body, ["key"])


def test_a_build_target_needs_the_password_and_a_target() -> None:
    query = {"target": "PHID-HMBT-icusvlfibcebizyd33op", "diff": "42", "revision": "7", "evil": "x"}
    event = read(read_target(query, "word", ["word"]))
    assert isinstance(event, Event)
    assert (event.kind, event.values["diff_id"]) == (Kind.BUILD_TARGET, 42)
    assert "evil" not in event.payload
    with pytest.raises(NotAuthenticated):
        read_target(query, "", [])
    with pytest.raises(InvalidInput):
        read_target({"target": "../../x"}, "word", ["word"])
