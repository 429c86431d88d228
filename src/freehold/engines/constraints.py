"""What holds a model's answers to a form: fields of a request for a closed set of labels, and what of a JSON schema an
engine's grammar can hold, known before anything is served.

Engines silently skip what they have no grammar for: the answer comes, and does not meet the schema. An empty result
proves nothing (grammars have bugs); the gateway checks each answer as well.

Sources, read 2026-11-25: llama.cpp, grammars/README.md, "known limitations" (Ollama uses the same converter); vLLM,
v1/structured_output/backend_xgrammar.py, whose automatic choice falls back from xgrammar to guidance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from freehold.types.endpoint import ServedModel, ServePlan
from freehold.types.engine import EngineName


def held(model: ServedModel, plan: ServePlan) -> ServedModel:
    """A served model as it is asked: the plan's candidate with the plan's preparation, and with its labels where the
    engine can hold answers to a set. Other names of the plan stay as they are."""
    if model.name != plan.served_name:
        return model
    model = msgspec.structs.replace(model, preparation=plan.preparation)
    fields = label_fields(plan.labels, plan.engine_kind.holds_choices)
    if not fields:
        return model
    return msgspec.structs.replace(model, extra_body={**model.extra_body, **fields}, labels=plan.labels)


def label_fields(labels: Sequence[str], how: str | None) -> dict[str, Any]:
    """The fields that hold an answer to `labels`, by how an engine is told; empty where it cannot be."""
    if not labels or how is None:
        return {}
    if how == "grammar":
        return {"grammar": grammar(labels)}
    return {how: {"choice": list(labels)}}


def grammar(labels: Sequence[str]) -> str:
    """One of the labels and then the end, in llama.cpp's GBNF. Its texts escape as JSON's do."""
    return "root ::= " + " | ".join(
        json.dumps(one, ensure_ascii=False).replace("\x7f", "\\x7F") for one in labels
    )


_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NO_GRAMMAR = frozenset(
    (
        "not",
        "if",
        "then",
        "else",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "patternProperties",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "unevaluatedItems",
    )
)
_LLAMA = _NO_GRAMMAR | {"multipleOf", "minProperties", "maxProperties", "prefixItems", "$anchor"}
_LLAMA_FORMATS = ("date", "time", "date-time", "uuid")
# Where other schemas stand, and where names of the user's own do.
_BY_NAME = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")


def unenforced(schema: Any, engine: EngineName) -> tuple[str, ...]:
    """The places of a schema that an engine skips, as ``$.properties.age: multipleOf``; empty where there are none.

    Remote APIs refuse what they cannot hold themselves, so nothing is said of them.
    """
    judge = _JUDGES.get(engine)
    if judge is None:
        return ()
    return tuple(f"{place}: {what}" for place, part in _parts(schema, "$", 0) for what in judge(part))


def _parts(schema: Any, place: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its place."""
    if not isinstance(schema, dict) or depth > 64:
        return
    yield place, schema
    for key in _BY_NAME:
        if isinstance(inner := schema.get(key), dict):
            for name, part in inner.items():
                yield from _parts(part, f"{place}.{key}.{name}", depth + 1)
    for key in _ONE:
        yield from _parts(schema.get(key), f"{place}.{key}", depth + 1)
    for key in _MANY:
        if isinstance(parts := schema.get(key), list):
            for number, part in enumerate(parts):
                yield from _parts(part, f"{place}.{key}[{number}]", depth + 1)


def _llama(part: dict[str, Any]) -> Iterator[str]:
    yield from sorted(key for key in part if key in _LLAMA and part[key] is not False)
    if part.get("type") == "number":
        yield from (f"{bound} of a number" for bound in _BOUNDS if bound in part)
    if (form := part.get("format")) is not None and form not in _LLAMA_FORMATS:
        yield f"format {form}"
    pattern = part.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$")):
        yield "pattern without ^ and $"
    if "properties" in part and ("anyOf" in part or "oneOf" in part):
        yield "properties next to anyOf"
    if isinstance(ref := part.get("$ref"), str) and not ref.startswith("#"):
        yield f"$ref to {ref[:60]}"


def _vllm(part: dict[str, Any]) -> Iterator[str]:
    yield from sorted(key for key in part if key in _NO_GRAMMAR and part[key] is not False)
    if isinstance(ref := part.get("$ref"), str) and not ref.startswith("#"):
        yield f"$ref to {ref[:60]}"


_JUDGES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "llamacpp": _llama,
    "ollama": _llama,
    "vllm": _vllm,
}
