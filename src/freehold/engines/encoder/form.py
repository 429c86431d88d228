"""Whether an answer fits what a request says about its form (``response_format``).

An encoder's answer is what it was trained to be; a form cannot change it. So a request is answered where the answer
fits the form, and refused where it does not: an application is never given an answer that it did not ask for.

Covered: type, enum, const, properties, required, additionalProperties, items, anyOf, oneOf, allOf, limits of length,
references within the schema.
Not covered: patterns and formats, which are left to what checks answers (the gateway does); a schema that takes more
than `MOST_STEPS` comparisons is refused.
"""

from __future__ import annotations

import json
from typing import Any

from freehold.types.encoder import EncoderManifest

MOST_STEPS = 20_000
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfit(form: dict[str, Any], answer: str, manifest: EncoderManifest) -> str | None:
    """Why an answer does not fit a response format; None where it does."""
    kind = form.get("type")
    if kind == "text":
        return None
    if kind not in ("json_object", "json_schema"):
        return f"response_format must be text, json_object or json_schema, not {str(kind)[:40]}"
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if kind == "json_object":
        if isinstance(value, dict):
            return None
        return f"this encoder answers with {_ANSWERS[manifest.answer]}, not with a JSON object"
    schema = (
        (form.get("json_schema") or {}).get("schema") if isinstance(form.get("json_schema"), dict) else None
    )
    if not isinstance(schema, dict):
        return "response_format has no schema"
    if manifest.answer == "label" and value is None:
        return f"this encoder answers with {_ANSWERS['label']}, not with JSON"
    check = _Check(schema)
    try:
        why = check.why(value, schema, "$")
    except (RecursionError, TypeError, ValueError, LookupError):
        why = "the schema cannot be read"
    return why


_ANSWERS = {"label": "a label", "labels": "a JSON list of labels", "json": "a JSON object"}


class _Check:
    """One comparison of an answer with a schema."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._steps = 0

    def why(self, value: Any, schema: Any, place: str) -> str | None:
        """Why `value` does not meet `schema`; None where it does."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise ValueError("too many comparisons")
        if schema is True or schema == {}:
            return None
        if not isinstance(schema, dict):
            return f"{place} may not be there"
        if isinstance(reference := schema.get("$ref"), str) and (
            reason := self.why(value, self._resolved(reference), place)
        ):
            return reason
        if "type" in schema and not _is_of(value, schema["type"]):
            return f"{place} is {_short(value)}, the schema asks for {schema['type']}"
        if "const" in schema and not _same(value, schema["const"]):
            return f"{place} is {_short(value)}, the schema asks for {_short(schema['const'])}"
        if isinstance(choices := schema.get("enum"), list) and not any(_same(value, one) for one in choices):
            return f"{place} is {_short(value)}, which is not in the schema's enum"
        return self._combined(value, schema, place) or self._inner(value, schema, place)

    def _combined(self, value: Any, schema: dict[str, Any], place: str) -> str | None:
        for part in schema.get("allOf") or ():
            if reason := self.why(value, part, place):
                return reason
        for name in ("anyOf", "oneOf"):
            parts = schema.get(name)
            if not parts:
                continue
            fitting = sum(self.why(value, part, place) is None for part in parts)
            if fitting == 0 or (name == "oneOf" and fitting > 1):
                return f"{place} is {_short(value)}, which meets {fitting} parts of the schema's {name}"
        return None

    def _inner(self, value: Any, schema: dict[str, Any], place: str) -> str | None:
        if isinstance(value, dict):
            known = schema.get("properties") or {}
            for name in schema.get("required") or ():
                if name not in value:
                    return f"{place} has no {name}, which the schema requires"
            for name, one in value.items():
                other = schema.get("additionalProperties", True)
                if reason := self.why(one, known.get(name, other), f"{place}.{name}"):
                    return reason
        if isinstance(value, list):
            for number, one in enumerate(value):
                if reason := self.why(one, schema.get("items", True), f"{place}[{number}]"):
                    return reason
        if isinstance(value, str | list):
            low, high = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
            if not schema.get(low, 0) <= len(value) <= schema.get(high, len(value)):
                return f"{place} has the length {len(value)}, which the schema does not allow"
        return None

    def _resolved(self, reference: str) -> Any:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                found = found[part.replace("~1", "/").replace("~0", "~")] if isinstance(found, dict) else None
        if not reference.startswith("#") or found is None:
            raise ValueError(f"{reference} is not within the schema")
        return found


def _is_of(value: Any, kinds: Any) -> bool:
    names = kinds if isinstance(kinds, list) else [kinds]
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES.get(name, ())) for name in names)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
