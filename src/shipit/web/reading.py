# SPDX-License-Identifier: MPL-2.0
"""Parse at the door: bodies, queries and path parts become frozen types here, or are refused here."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request

from shipit.errors import InvalidInput
from shipit.web.problems import UnsupportedMedia, WrongShape

_T = TypeVar("_T")
# An escaped NUL whose backslash is not itself escaped. PostgreSQL's text has no NUL, and one in a comment
# must not keep a bug from being stored.
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_MOST_BUG = 2**53 - 1


async def body(request: Request[Any, Any, Any], kind: type[_T]) -> _T:
    """The JSON body as `kind`; raises UnsupportedMedia (415), InvalidInput (400), WrongShape (422)."""
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia(f"expected application/json, got {media[:60] or 'no Content-Type'}")
    raw = await request.body()
    if b"\\u0000" in raw:
        raw = _NUL.sub(rb"\1\\ufffd", raw)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise WrongShape("body", expected=_without_place(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("body", expected=f"JSON ({str(error)[:120]})") from error


def query(request: Request[Any, Any, Any], kind: type[_T]) -> _T:
    """The query as `kind`; raises InvalidInput, also for a parameter given twice or unknown.

    A parameter without a value ("?status=&limit=10") is one that is not given.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidInput(f"query.{name[:60]}", expected="to be given once")
        if "\x00" in value:
            raise InvalidInput(f"query.{name[:60]}", expected="text without NUL")
        given[name] = value
    names = {each.encode_name for each in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    given = {name: value for name, value in given.items() if value or name not in names}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput("query", expected=_without_place(error)) from error


def number(text: str, field: str) -> int:
    """A positive number out of a path."""
    if not re.fullmatch("[0-9]{1,16}", text) or not 0 < int(text) <= _MOST_BUG:
        raise InvalidInput(field, expected="a positive number", got=text)
    return int(text)


def name(text: str, field: str) -> str:
    """A short name or uid out of a path."""
    if not 0 < len(text) <= 300 or not text.isprintable():
        raise InvalidInput(field, expected="a printable name of at most 300 characters", got=text)
    return text


def if_match(request: Request[Any, Any, Any]) -> int | None:
    """The revision the caller saw last, None when they do not say; raises InvalidInput.

    Our entity tags begin with the revision: "7-…" is seven.
    """
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    found = re.fullmatch(r'(?:W/)?"?([0-9]{1,18})(?:-[0-9A-Za-z]*)?"?', given.strip())
    if found is None:
        raise InvalidInput("If-Match", expected='an entity tag of ours such as "7"', got=given)
    return int(found[1])


def _without_place(error: msgspec.ValidationError) -> str:
    # "Expected `int`, got `str` - at `$.bugs[0].bug`" reads well as it is; only its length is bounded.
    return str(error)[:300]
