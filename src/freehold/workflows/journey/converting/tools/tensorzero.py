"""The configuration of TensorZero's gateway, `tensorzero.toml`.

Source of the shape: the configuration reference in tensorzero/tensorzero (`docs/gateway/configuration-reference.mdx`)
and that repository's examples (read 2026-11-29; the project has been archived since).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from freehold.workflows.journey.converting.addresses import (
    VendorAddress,
    address,
    azure_address,
    is_own_engine,
    key_variable,
)
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "TensorZero"
_SCORERS = {"exact_match": "exact", "regex": "regex"}


class FunctionVariant(NamedTuple):
    """One way of a function to be answered."""

    name: str
    asked: ConvertedModel
    weight: Decimal
    source: str


def recognises(document: Any) -> bool:
    """Whether this is such a file."""
    if not isinstance(document, dict):
        return False
    functions, models = document.get("functions"), document.get("models")
    by_function = isinstance(functions, dict) and any(
        isinstance(one, dict) and isinstance(one.get("variants"), dict) for one in functions.values()
    )
    by_model = isinstance(models, dict) and any(
        isinstance(one, dict) and isinstance(one.get("providers"), dict) for one in models.values()
    )
    return by_function or by_model


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """Endpoints, a route for each model and function, the incumbent and candidates. Returns what was not read."""
    root = Source(document)
    models = _models(root.part("models"), parts)
    functions = _functions(root.part("functions"), models, parts)
    name, variants = _leading(functions, incumbent, parts)
    if variants:
        parts.set_incumbent(variants[0].asked, variants[0].source)
    elif models:
        first = parts.one_of(models, incumbent) or next(iter(models))
        parts.set_incumbent(models[first][0], f"models.{first}")
    limits = _limits(root, parts)
    for model, asked in models.items():
        parts.route(f"tensorzero::model_name::{model}", asked, f"models.{model}", limits=limits)
    for function, found in functions.items():
        parts.route(
            f"tensorzero::function_name::{function}",
            [one.asked for one in found],
            f"functions.{function}",
            limits=limits,
        )
    for variant in variants[1:]:
        model = variant.asked.model or variant.name
        parts.candidate(
            model,
            method="as_is",
            source=variant.source,
            endpoint=parts.own_endpoint(variant.asked.address),
            name=variant.name if len({one.asked.model for one in variants}) < len(variants) else None,
        )
    _evaluations(root.part("evaluations"), name, models, parts)
    _elsewhere(root, functions, parts)
    return root.unread()


def _models(listed: Source | None, parts: ConfigParts) -> dict[str, list[ConvertedModel]]:
    found: dict[str, list[ConvertedModel]] = {}
    for name, model in listed.inner() if listed is not None else []:
        vendors = model.part("providers")
        inner = dict(vendors.inner()) if vendors is not None else {}
        order = model.take("routing")
        for key in order if isinstance(order, list) else list(inner):
            if isinstance(key, str) and key in inner and (asked := _vendor(inner[key], parts)) is not None:
                found.setdefault(name, []).append(asked)
    return found


def _vendor(source: Source, parts: ConfigParts) -> ConvertedModel | None:
    kind = source.text("type") or ""
    name = source.text("model_name", "deployment_id", "model_id")
    base = source.text("api_base", "endpoint")
    place: VendorAddress | None
    if kind == "azure":
        place = azure_address(base, name or "", None)
    elif kind.startswith(("aws_", "gcp_")):
        place = None
    else:
        place = address(kind, base)
    if place is None or name is None:
        parts.lacks(source.path, "the file does not say at which address this provider is asked")
        return None
    location = source.take("api_key_location")
    if location == "none" or is_own_engine(kind):
        return ConvertedModel(place, name)
    if isinstance(location, str) and location.startswith(("dynamic::", "path::")):
        parts.assume(f"the key of {source.path} is taken from an environment variable")
        location = None
    env = parts.key(location, key_variable(kind), source.at("api_key_location"))
    return ConvertedModel(place._replace(api_key_env=env), name)


def _shorthand(text: str, parts: ConfigParts) -> ConvertedModel | None:
    """``openai::gpt-4o``, ``openai::responses::gpt-5``."""
    kind, separator, name = text.partition("::")
    place = address(kind) if separator else None
    if place is None:
        return None
    env = None if is_own_engine(kind) else parts.key(None, key_variable(kind), text)
    return ConvertedModel(place._replace(api_key_env=env), name.removeprefix("responses::"))


def _functions(
    listed: Source | None, models: dict[str, list[ConvertedModel]], parts: ConfigParts
) -> dict[str, list[FunctionVariant]]:
    found: dict[str, list[FunctionVariant]] = {}
    for name, function in listed.inner() if listed is not None else []:
        kind = function.text("type")
        if kind == "json":
            parts.task.setdefault("scorer", "json_fields")
            parts.note(function.at("type"), "[task] scorer")
        shares = _shares(function)
        variants = function.part("variants")
        for key, variant in variants.inner() if variants is not None else []:
            model = variant.text("model")
            own = models.get(model or "")
            asked = own[0] if own else _shorthand(model or "", parts)
            way = variant.text("type") or "chat_completion"
            if asked is None or way != "chat_completion":
                parts.lacks(
                    variant.path, "a variant of several requests, or of a model that the file does not list"
                )
                continue
            weight = shares.get(key, variant.number("weight") or Decimal(0))
            found.setdefault(name, []).append(FunctionVariant(key, asked, weight, variant.path))
        if name in found:
            found[name].sort(key=lambda one: -one.weight)
    return found


def _shares(function: Source) -> dict[str, Decimal]:
    """The weights of variants, where `experimentation` says them; a candidate variant of a list counts 1."""
    experiment = function.part("experimentation")
    if experiment is None:
        return {}
    experiment.text("type")
    weights = experiment.part("candidate_variants")
    if weights is not None:
        return {key: weights.number(key) or Decimal(0) for key in weights}
    listed = experiment.take("candidate_variants")
    return {one: Decimal(1) for one in listed if isinstance(one, str)} if isinstance(listed, list) else {}


def _leading(
    functions: dict[str, list[FunctionVariant]], wanted: str | None, parts: ConfigParts
) -> tuple[str | None, list[FunctionVariant]]:
    """The function that moves, and its variants: the one that answers most, first."""
    if not functions:
        return None, []
    name = parts.one_of(functions, wanted) or next(iter(functions))
    if wanted is None and len(functions) > 1:
        parts.assume(f"{name} is the function to move, as the first of the file; --incumbent names another")
    if len(functions[name]) > 1:
        parts.assume("the variant with the largest weight is the incumbent, the others are candidates")
    return name, functions[name]


def _limits(root: Source, parts: ConfigParts) -> dict[str, int]:
    """Rules for everything, by the minute; freehold counts neither hours nor tags."""
    limiting = root.part("rate_limiting")
    found: dict[str, int] = {}
    for rule in limiting.parts("rules") if limiting is not None else []:
        rule.take("always")
        rule.take("priority")
        if rule.take("scope") is not None:
            parts.lacks(
                rule.path,
                "limits are of keys, labels and routes: freehold keys limit NAME requests_per_minute=N",
            )
            for key in rule:
                rule.take(key)
            continue
        for key, name in (
            ("model_inferences_per_minute", "requests_per_minute"),
            ("tokens_per_minute", "tokens_per_minute"),
        ):
            if (limit := rule.whole(key)) is not None:
                found[name] = limit
                parts.assume("a limit of the whole system is put on each route")
    return found


def _evaluations(
    listed: Source | None, function: str | None, models: dict[str, list[ConvertedModel]], parts: ConfigParts
) -> None:
    for _, evaluation in listed.inner() if listed is not None else []:
        evaluation.take("type")
        evaluation.take("description")
        of = evaluation.text("function_name")
        evaluators = evaluation.part("evaluators")
        for _, one in evaluators.inner() if evaluators is not None else []:
            kind = one.text("type") or ""
            if of not in (None, function):
                parts.lacks(one.path, "an evaluation of another function")
            elif kind in _SCORERS:
                parts.task["scorer"] = _SCORERS[kind]
                parts.note(one.path, "[task] scorer")
            elif kind == "llm_judge" and "scorer" not in parts.task:
                _judge(one, models, parts)
            else:
                parts.lacks(one.path, "one scorer decides; freehold settings --keys task")


def _judge(evaluator: Source, models: dict[str, list[ConvertedModel]], parts: ConfigParts) -> None:
    variants = evaluator.part("variants")
    for _, variant in variants.inner() if variants is not None else []:
        model = variant.text("model") or ""
        own = models.get(model)
        asked = own[0] if own else _shorthand(model, parts)
        if asked is not None:
            parts.judge(asked, evaluator.path)
            return
    parts.lacks(evaluator.path, "a judge of a model that the file does not list")


def _elsewhere(root: Source, functions: dict[str, list[FunctionVariant]], parts: ConfigParts) -> None:
    for key, why in (
        ("gateway", "the gateway's settings: freehold settings, and [serve]"),
        ("metrics", "feedback is given by trace: freehold traces, and the gateway's own API"),
        ("tools", "tools are the application's: it sends them with each request"),
        ("clickhouse", "the store is SQLite or PostgreSQL ([store])"),
        ("postgres", "[store] url names a database"),
        ("object_storage", "pictures are kept as hashes"),
    ):
        if root.take(key) is not None:
            parts.lacks(key, why)
    if functions:
        parts.lacks(
            "functions.*.variants.*.*_template",
            "templates are rendered by TensorZero: the application has to send whole messages, as freehold's gateway "
            "changes none",
        )
