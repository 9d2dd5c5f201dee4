# SPDX-License-Identifier: MPL-2.0
"""Check JSON against a small part of JSON Schema, and say every problem at once with its JSON pointer.

Known words: type, properties, required, additionalProperties, items, minItems, maxItems, enum, minimum,
maximum, minLength, maxLength, pattern, anyOf, minProperties, description. Another word is a problem of the
schema itself, so that nobody believes that a rule is kept which is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_WORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "enum"}
    | {"minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf", "minProperties", "description"}
)


class Problem(msgspec.Struct, frozen=True):
    """What is wrong where. pointer: JSON pointer (RFC 6901). expected finishes "expected …"."""

    pointer: str
    expected: str
    got: str = ""

    def __str__(self) -> str:
        shown = f", got {self.got}" if self.got else ""
        return f"{self.pointer or '/'}: expected {self.expected}{shown}"


def pointer(base: str, *parts: object) -> str:
    """`base` with more parts, each escaped."""
    return base + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def shown(value: object) -> str:
    """A value as it may stand in a message: bounded."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def moment(text: str) -> datetime | None:
    """A time with its offset (RFC 3339) in years that every database and clock knows; None when it is not."""
    try:
        when = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return when if when.tzinfo is not None and 1970 <= when.year <= 9000 else None


def is_deeper(value: object, most: int) -> bool:
    """Whether JSON is nested deeper than so many objects and lists: whatever walks it may trust that."""
    layer = [value]
    for _ in range(most + 1):
        layer = [
            inside
            for each in layer
            if isinstance(each, dict | list | tuple)
            for inside in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


def problems_of_schema(schema: object, at: str = "") -> list[Problem]:
    """What is wrong with a schema itself: words we do not know, rules of the wrong type."""
    if not isinstance(schema, Mapping):
        return [Problem(at, "a schema (an object)", shown(schema))]
    found = [
        Problem(pointer(at, word), "a word we check", shown(word)) for word in schema if word not in _WORDS
    ]
    if "type" in schema and not all(name in _TYPES for name in _listed(schema["type"])):
        found.append(Problem(pointer(at, "type"), f"one of {', '.join(_TYPES)}", shown(schema["type"])))
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError):
            found.append(Problem(pointer(at, "pattern"), "a regular expression", shown(schema["pattern"])))
    for name, each in dict(schema.get("properties", {})).items():
        found += problems_of_schema(each, pointer(at, "properties", name))
    for word in ("items", "additionalProperties"):
        if word in schema and not isinstance(schema[word], bool):
            found += problems_of_schema(schema[word], pointer(at, word))
    for place, each in enumerate(schema.get("anyOf", ())):
        found += problems_of_schema(each, pointer(at, "anyOf", place))
    return found


def problems(value: object, schema: Mapping[str, Any], at: str = "") -> list[Problem]:
    """Every problem of a value, in the order of the document."""
    if "type" in schema and not any(_is(value, name) for name in _listed(schema["type"])):
        return [Problem(at, _article(" or ".join(_listed(schema["type"]))), shown(value))]
    if "enum" in schema and value not in schema["enum"]:
        return [Problem(at, f"one of {shown(list(schema['enum']))}", shown(value))]
    found = _bounds(value, schema, at)
    if isinstance(value, dict):
        found += _object(value, schema, at)
    elif isinstance(value, list | tuple) and "items" in schema:
        for place, each in enumerate(value):
            found += problems(each, schema["items"], pointer(at, place))
    if "anyOf" in schema:
        tried = [problems(value, each, at) for each in schema["anyOf"]]
        if all(tried):
            # The problems of the alternative that came nearest say most.
            found += sorted(tried, key=len)[0]
    return found


def _object(value: dict[str, Any], schema: Mapping[str, Any], at: str) -> list[Problem]:
    known = schema.get("properties", {})
    found = [
        Problem(pointer(at, name), "to be given") for name in schema.get("required", ()) if name not in value
    ]
    more = schema.get("additionalProperties", True)
    for name, each in value.items():
        if name in known:
            found += problems(each, known[name], pointer(at, name))
        elif more is False:
            expected = f"no such field (known: {', '.join(sorted(known)) or 'none'})"
            found.append(Problem(pointer(at, name), expected))
        elif isinstance(more, Mapping):
            found += problems(each, more, pointer(at, name))
    return found


def _bounds(value: object, schema: Mapping[str, Any], at: str) -> list[Problem]:
    rules: list[tuple[bool, str]] = []
    if isinstance(value, int | float) and not isinstance(value, bool):
        rules = [
            (value < schema.get("minimum", value), f"at least {schema.get('minimum')}"),
            (value > schema.get("maximum", value), f"at most {schema.get('maximum')}"),
        ]
    elif isinstance(value, str):
        rules = [
            (len(value) < schema.get("minLength", 0), f"at least {schema.get('minLength')} characters"),
            (
                len(value) > schema.get("maxLength", len(value)),
                f"at most {schema.get('maxLength')} characters",
            ),
            (
                "pattern" in schema and _pattern(schema["pattern"]).search(value) is None,
                f"text that matches {schema.get('pattern')}",
            ),
        ]
    elif isinstance(value, list | tuple):
        rules = [
            (len(value) < schema.get("minItems", 0), f"at least {schema.get('minItems')} items"),
            (len(value) > schema.get("maxItems", len(value)), f"at most {schema.get('maxItems')} items"),
        ]
    elif isinstance(value, dict):
        least = schema.get("minProperties", 0)
        rules = [(len(value) < least, f"at least {least} fields")]
    return [Problem(at, expected, shown(value)) for is_broken, expected in rules if is_broken]


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    # In JSON Schema "$" is the end of the text; in Python also the place before a last line break.
    return re.compile(text[:-1] + r"\Z" if text.endswith("$") else text)


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _listed(names: object) -> list[str]:
    return (
        [names]
        if isinstance(names, str)
        else [str(name) for name in names]
        if isinstance(names, list | tuple)
        else []
    )


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
