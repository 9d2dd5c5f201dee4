# SPDX-License-Identifier: MPL-2.0
"""Recorded deliveries and task groups as files hold them, read for `shipit events simulate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from shipit.errors import InvalidInput
from shipit.events.deliveries import DIFFS, part
from shipit.events.groups import tasks_of
from shipit.events.types import Delivery, Facts, GroupTask


def deliveries_of(document: Any, where: str) -> Iterator[Delivery]:
    """The deliveries of a file: one `{exchange, routingKey, properties, payload}`, a list or a table of them.

    Dumps that lack the wrapper name exchange and key in `_meta`; `routes` may stand for routingKey. An answer
    of differential.diff.search is a list of diffs. Raises InvalidInput.
    """
    if isinstance(document, list):
        for place, item in enumerate(document):
            yield from deliveries_of(item, f"{where}[{place}]")
        return
    if not isinstance(document, dict):
        raise InvalidInput(where, expected="a delivery or a list of deliveries", got=document)
    answer = part(document, "response").get("body", document)
    if isinstance(answer, dict) and isinstance(rows := part(answer, "result").get("data"), list):
        yield from (diff_delivery(row) for row in rows if isinstance(row, dict) and row.get("type") == "DIFF")
        return
    meta = part(document, "_meta") or part(part(document, "payload"), "_meta")
    exchange = document.get("exchange", meta.get("exchange"))
    if isinstance(exchange, str):
        yield _delivery(document, exchange, meta)
    elif document and all(isinstance(item, dict) and "exchange" in item for item in document.values()):
        yield from (_delivery(item, str(item["exchange"]), {}) for item in document.values())
    else:
        raise InvalidInput(where, expected="exchange, routingKey and payload")


def _delivery(item: dict[str, Any], exchange: str, meta: Mapping[str, Any]) -> Delivery:
    key = item.get("routingKey", item.get("routing_key", item.get("routes", meta.get("routing_key"))))
    cc = part(part(item, "properties"), "headers").get("CC", item.get("cc"))
    body = item["payload"] if "payload" in item and "exchange" in item else item
    return Delivery(
        source="pulse",
        exchange=exchange,
        routing_key=key if isinstance(key, str) else "",
        cc=tuple(word for word in cc if isinstance(word, str)) if isinstance(cc, list) else (),
        redelivered=item.get("redelivered") is True,
        body=body.encode() if isinstance(body, str) else msgspec.json.encode(body),
        via="file",
    )


def diff_delivery(row: Mapping[str, Any], *, via: str = "poll") -> Delivery:
    """The delivery a row of differential.diff.search makes."""
    return Delivery(
        source="phabricator",
        exchange=DIFFS,
        routing_key=str(part(dict(row), "fields").get("repositoryPHID") or "none"),
        body=msgspec.json.encode(row),
        via=via,
        key=f"phabricator:diff:{row.get('id')}",
    )


def facts_of(documents: Iterable[tuple[str, Any]]) -> Facts:
    """The task groups among (name, document) pairs: answers of listTaskGroup, their pages joined by group."""
    pages: dict[str, list[dict[str, Any]]] = {}
    for _, document in documents:
        if not isinstance(document, dict):
            continue
        page = part(document, "response").get("body", document)
        if isinstance(page, dict) and isinstance(page.get("tasks"), list):
            first = page["tasks"][0] if page["tasks"] else {}
            status = part(first, "status") if isinstance(first, dict) else {}
            group = page.get("taskGroupId", status.get("taskGroupId"))
            if isinstance(group, str):
                pages.setdefault(group, []).append(page)
    groups: dict[str, tuple[GroupTask, ...] | None] = {
        group: tasks_of(found) for group, found in pages.items()
    }
    return Facts(groups=groups)
