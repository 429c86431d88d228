"""JSON schemas that requests carry: whether one is a schema at all, and whether an engine's grammar holds all of it.

One walk in time linear in the schema's length, which its depth is bounded for before (`gateway.proxy.engine_fields`).
Checked are the forms of keywords as JSON Schema 2020-12 and its drafts before define them, and references, which must
lead into the schema itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

_TYPES = frozenset(("null", "boolean", "object", "array", "number", "string", "integer"))
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    *("additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "additionalItems"),
    *("unevaluatedProperties", "unevaluatedItems"),
)
_COUNTS = (
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minContains", "maxContains"),
)
_NUMBERS = ("minimum", "maximum", "multipleOf")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
# What grammars made of a schema pass over: what llama.cpp (grammars/README.md) and xgrammar say they do not have, and
# patterns, which llama.cpp of 2026-10 was seen to pass over.
_NOT_HELD = frozenset(
    (
        *(
            "multipleOf",
            "pattern",
            "uniqueItems",
            "patternProperties",
            "not",
            "if",
            "then",
            "else",
            "contains",
            "minContains",
        ),
        *(
            "maxContains",
            "minProperties",
            "maxProperties",
            "propertyNames",
            "dependentSchemas",
            "dependentRequired",
        ),
        *("dependencies", "unevaluatedProperties", "unevaluatedItems"),
    )
)


class _Place(NamedTuple):
    path: str
    schema: Any


def problem_of(schema: Any) -> str | None:
    """What keeps a value from being a JSON schema, and where; None where nothing does."""
    todo = [_Place("#", schema)]
    while todo:
        place = todo.pop()
        if isinstance(place.schema, bool):
            continue
        if not isinstance(place.schema, dict):
            return f"{place.path} is {_kind(place.schema)}, expected a schema"
        if (wrong := _wrong_keyword(place.schema)) is not None:
            return f"{place.path}: {wrong}"
        target = place.schema.get("$ref")
        if target is not None and not _leads_into(schema, target):
            return f"{place.path}: $ref {str(target)[:100]!r} does not lead into the schema itself"
        for name in (*_NAMED, *_LISTED):
            if (wrong := _wrong_group(place.schema, name)) is not None:
                return f"{place.path}: {wrong}"
        todo += _inner(place)
    return None


def is_held(schema: Any) -> bool:
    """Whether an engine's grammar holds an answer to all that a schema says; otherwise the answer has to be checked."""
    todo = [_Place("#", schema)]
    while todo:
        place = todo.pop()
        if not isinstance(place.schema, dict):
            continue
        if not _NOT_HELD.isdisjoint(place.schema):
            return False
        if place.schema.get("type") != "integer" and any(name in place.schema for name in _BOUNDS):
            return False
        todo += _inner(place)
    return True


def _kind(value: Any) -> str:
    names = {str: "a text", list: "a list", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _wrong_keyword(schema: dict[str, Any]) -> str | None:
    said = schema.get("type")
    for one in said if isinstance(said, list) else [said] if "type" in schema else []:
        if not isinstance(one, str) or one not in _TYPES:
            return f"type {str(one)[:100]!r} is not one of {', '.join(sorted(_TYPES))}"
    required = schema.get("required")
    # A boolean is what drafts before the fourth said.
    if not isinstance(required, list | bool | None) or (
        isinstance(required, list) and not all(isinstance(one, str) for one in required)
    ):
        return "required is not a list of names"
    if "enum" in schema and (not isinstance(schema["enum"], list) or not schema["enum"]):
        return "enum is not a list of values"
    for name in _COUNTS:
        if name in schema and not _is_number(schema[name], least=0):
            return f"{name} is not a count"
    for name in _NUMBERS:
        if name in schema and not _is_number(schema[name]):
            return f"{name} is not a number"
    for name in ("pattern", "$ref", "format"):
        if name in schema and not isinstance(schema[name], str):
            return f"{name} is not a text"
    return None


def _is_number(value: Any, *, least: float | None = None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least is None or value >= least


def _wrong_group(schema: dict[str, Any], name: str) -> str | None:
    if name not in schema:
        return None
    if name in _NAMED:
        return None if isinstance(schema[name], dict) else f"{name} is not an object of schemas"
    return None if isinstance(schema[name], list) and schema[name] else f"{name} is not a list of schemas"


def _inner(place: _Place) -> Iterator[_Place]:
    path, schema = place
    for name in _NAMED:
        group = schema.get(name)
        if isinstance(group, dict):
            yield from (_Place(f"{path}/{name}/{key[:100]}", one) for key, one in group.items())
    for name in (*_LISTED, "items"):
        group = schema.get(name)
        if isinstance(group, list):
            yield from (_Place(f"{path}/{name}/{number}", one) for number, one in enumerate(group))
    for name in (*_SINGLE, "items"):
        if name in schema and not isinstance(schema[name], list):
            yield _Place(f"{path}/{name}", schema[name])


def _leads_into(root: Any, target: Any) -> bool:
    if not isinstance(target, str) or not target.startswith("#"):
        return False
    found = root
    for part in target[1:].split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            # An anchor has a name of its own.
            return False
    return target in ("#", "") or target.startswith("#/")
