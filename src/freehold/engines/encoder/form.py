"""Whether an answer fits what a request says about its form (``response_format``).

An encoder's answer is what it was trained to be; a form cannot change it. So a request is answered where the answer
fits the form, and refused where it does not: an application is never given an answer that it did not ask for.

Covered: the keywords of `_COVERED`, and properties that are not named.
Not covered: all others (patterns, formats, bounds of numbers), which are left to what checks answers (the gateway
does); a schema that takes more than `MOST_STEPS` comparisons is refused.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from freehold.late import jsonschema
from freehold.types.encoder import EncoderManifest

MOST_STEPS = 20_000
_COVERED = (
    "$ref", "allOf", "anyOf", "const", "enum", "items", "maxItems", "maxLength", "minItems", "minLength", "oneOf",
    "properties", "required", "type",
)  # fmt: skip


def misfit(form: dict[str, Any], answer: str, manifest: EncoderManifest) -> str | None:
    """Why an answer does not fit a response format; None where it does."""
    kind = form.get("type")
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        return f"response_format must be text, json_object or json_schema, not {str(kind)[:40]}"
    what = {"label": "a label", "labels": "a JSON list of labels", "json": "a JSON object"}[manifest.answer]
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if kind == "json_object":
        fits = isinstance(value, dict)
        return None if fits else f"this encoder answers with {what}, not with a JSON object"
    described = form.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if not isinstance(schema, dict):
        return "response_format has no schema"
    if manifest.answer == "label" and value is None:
        return f"this encoder answers with {what}, not with JSON"
    return _unmet(value, schema)


def _unmet(value: Any, schema: dict[str, Any]) -> str | None:
    """Why a value does not meet a schema; None where it does."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    steps = itertools.count()

    def counted(check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        def run(*given: Any) -> Iterator[Any]:
            if next(steps) > MOST_STEPS:
                raise ValueError("too many comparisons")
            yield from check(*given) or ()

        return run

    checks = {name: counted(jsonschema.Draft202012Validator.VALIDATORS[name]) for name in _COVERED}
    known = jsonschema.validators.create(
        meta_schema=jsonschema.Draft202012Validator.META_SCHEMA,
        validators={**checks, "additionalProperties": counted(_further)},
        type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER,
    )
    try:
        # The empty registry: a schema that points to an address must not be fetched.
        error = next(known(schema, registry=Registry()).iter_errors(value), None)
    except (
        RecursionError,
        TypeError,
        ValueError,
        LookupError,
        Unresolvable,
        jsonschema.exceptions.UnknownType,
    ):
        return "the schema cannot be read"
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


def _further(validator: Any, other: Any, value: Any, schema: dict[str, Any]) -> Iterator[Any]:
    """Properties that are not named; the library's own also runs the client's patterns over them."""
    names = schema.get("properties", {})
    for name, one in value.items() if isinstance(value, dict) else ():
        if name not in names and other is False:
            yield jsonschema.ValidationError("it may not be there", path=(name,))
        elif name not in names:
            yield from validator.descend(one, other, path=name)
