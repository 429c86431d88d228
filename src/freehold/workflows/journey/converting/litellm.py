"""The configuration of LiteLLM's proxy, `config.yaml`.

Source of the shape: docs.litellm.ai/docs/proxy/configs and /config_settings (read 2026-11-29) and the example files of
BerriAI/litellm, folder `litellm/proxy/example_config_yaml`.
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
    vendor_of,
)
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.reading import Source, as_number

_CHAT = (None, "chat", "completion", "responses", "embedding")
_CLOUDS = {
    "bedrock": 'write [[endpoints]] with preset = "bedrock" (or "bedrock-mantle"), the region\'s base_url, and '
    'credentials = "aws", or api_key_env for a Bedrock API key',
    "vertex_ai": 'write [[endpoints]] with preset = "vertex", the base_url of your project and location, and '
    'credentials = "google"',
    "sagemaker": "freehold asks OpenAI-, Anthropic- and Ollama-compatible APIs only",
}
_ELSEWHERE = {
    "general_settings": "keys are made by commands: freehold keys add NAME; [store] names a database",
    "environment_variables": "set them where freehold runs",
    "guardrails": "freehold checks answers by schema and redacts what it captures; nothing else of guardrails",
    "mcp_servers": "the gateway passes tools through and serves none",
}


class Deployment(NamedTuple):
    """One entry of `model_list` that freehold can ask."""

    group: str
    asked: ConvertedModel
    requests_per_minute: int | None
    tokens_per_minute: int | None
    first_byte_ms: Decimal | None
    source: str


def recognises(document: Any) -> bool:
    """Whether this is such a file."""
    listed = document.get("model_list") if isinstance(document, dict) else None
    return isinstance(listed, list) and any(
        isinstance(one, dict) and isinstance(one.get("litellm_params"), dict) for one in listed
    )


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """Endpoints, routes and the incumbent. Returns what was not read."""
    root = Source(document)
    groups: dict[str, list[Deployment]] = {}
    for entry in root.parts("model_list"):
        made = _deployment(entry, parts)
        if made is not None:
            groups.setdefault(made.group, []).append(made)
    settings = [
        one for one in (root.part("litellm_settings"), root.part("router_settings")) if one is not None
    ]
    fallbacks = _fallbacks(settings)
    for name in dict.fromkeys(one for others in fallbacks.values() for one in others):
        if name not in groups:
            parts.lacks("fallbacks", f"{name} is not among the models that were converted")
    _set_incumbent(groups, parts, incumbent)
    for group, deployments in groups.items():
        _route(group, deployments, groups, fallbacks, parts)
    _aliases(settings, groups, fallbacks, parts)
    _strategies(settings, groups, parts)
    for key, why in _ELSEWHERE.items():
        if key in root:
            root.take(key)
            parts.lacks(key, why)
    if "general_settings" in document:
        parts.commands.append(
            "freehold keys add NAME   # a key for each application, in place of virtual keys"
        )
    return root.unread()


def _deployment(entry: Source, parts: ConfigParts) -> Deployment | None:
    group = entry.text("model_name")
    params = entry.part("litellm_params")
    if group is None or params is None or params.text("model") is None:
        parts.lacks(entry.path, "an entry without model_name, or without model in its litellm_params")
        return None
    info = entry.part("model_info")
    mode = info.text("mode") if info is not None else None
    if mode not in _CHAT:
        parts.lacks(entry.path, f"models of the mode {mode} are passed on to the incumbent, without a route")
        return None
    model = params.text("model") or ""
    vendor = params.text("custom_llm_provider") or _vendor(model, params)
    name = model.removeprefix(f"{vendor}/")
    if group not in ("*", "openai/*") and "*" in group:
        parts.lacks(entry.path, "routes are for a model's whole name, or for * (any)")
        return None
    place = _address(vendor, name, params)
    if place is None:
        why = _CLOUDS.get(vendor.partition("_")[0], _CLOUDS.get(vendor))
        parts.lacks(entry.path, why or "the file does not say at which address this provider is asked")
        return None
    costs = [source.number("input_cost_per_token") for source in (params, info) if source is not None]
    paid = [source.number("output_cost_per_token") for source in (params, info) if source is not None]
    prompt, completion = (next((one for one in found if one is not None), None) for found in (costs, paid))
    if prompt is not None and completion is not None and prompt >= 0 and completion >= 0:
        place = place._replace(price=(str(prompt * 1_000_000), str(completion * 1_000_000)))
    env = None if _is_keyless(vendor, params) else key_variable(vendor)
    place = place._replace(api_key_env=parts.key(params.take("api_key"), env, params.at("api_key")))
    if "temperature" in params or "max_tokens" in params:
        parts.assume(
            "settings of requests (temperature, max_tokens …) are the application's: freehold adds none"
        )
    return Deployment(
        group="*" if group == "openai/*" else group,
        asked=ConvertedModel(place, None if name == "*" else name),
        requests_per_minute=params.whole("rpm") or entry.whole("rpm"),
        tokens_per_minute=params.whole("tpm") or entry.whole("tpm"),
        first_byte_ms=_milliseconds(params.number("stream_timeout")),
        source=entry.path,
    )


def _is_keyless(vendor: str, params: Source) -> bool:
    return is_own_engine(vendor) or (params.peek("api_base") is not None and params.peek("api_key") is None)


def _milliseconds(seconds: Decimal | None) -> Decimal | None:
    return seconds * 1000 if seconds is not None and Decimal("0.001") <= seconds <= 3600 else None


def _vendor(model: str, params: Source) -> str:
    """The provider that LiteLLM takes: what stands before the first slash, else whose the name is."""
    prefix, slash, _ = model.partition("/")
    if slash and (
        vendor_of(prefix) or is_own_engine(prefix) or prefix in _CLOUDS or params.peek("api_base") is None
    ):
        return prefix
    return "anthropic" if model.startswith("claude") else "openai"


def _address(vendor: str, name: str, params: Source) -> VendorAddress | None:
    base = params.text("api_base", "base_url")
    if base is not None and base.startswith("os.environ/"):
        return None
    if vendor_of(vendor) == "azure":
        return azure_address(base, name, params.text("api_version"))
    if vendor in _CLOUDS:
        return None
    return address(vendor, base)


def _fallbacks(settings: list[Source]) -> dict[str, list[str]]:
    """Which groups follow which; under `*` those of every group."""
    found: dict[str, list[str]] = {}
    for source in settings:
        for listed in source.parts("fallbacks"):
            for group in listed:
                others = listed.take(group)
                if isinstance(others, list):
                    found.setdefault(group, []).extend(one for one in others if isinstance(one, str))
        default = source.take("default_fallbacks")
        if isinstance(default, list):
            found.setdefault("*", []).extend(one for one in default if isinstance(one, str))
    return found


def _set_incumbent(groups: dict[str, list[Deployment]], parts: ConfigParts, wanted: str | None) -> None:
    named = [group for group, found in groups.items() if found[0].asked.model is not None]
    if wanted is not None and wanted not in groups and "*" in groups:
        any_model = groups["*"][0]
        parts.set_incumbent(any_model.asked._replace(model=wanted), any_model.source)
        return
    group = parts.one_of(groups, wanted) or next(iter(named), None)
    if group is None:
        return
    if wanted is None and len(named) > 1:
        parts.assume(f"{group} is the model to leave, as the first of the list; --incumbent names another")
    first = groups[group][0]
    parts.set_incumbent(first.asked, first.source)


def _route(
    group: str,
    deployments: list[Deployment],
    groups: dict[str, list[Deployment]],
    fallbacks: dict[str, list[str]],
    parts: ConfigParts,
) -> None:
    after = [*fallbacks.get(group, []), *(one for one in fallbacks.get("*", []) if one != group)]
    others = [one.asked for name in after for one in groups.get(name, [])]
    where = ", ".join(one.source for one in deployments)
    if any(one.first_byte_ms not in (None, deployments[0].first_byte_ms) for one in deployments):
        parts.lacks(where, "a stream_timeout for each deployment: a route waits as long for each of them")
    limits: dict[str, int] = {}
    for name, values in (
        ("requests_per_minute", [one.requests_per_minute for one in deployments]),
        ("tokens_per_minute", [one.tokens_per_minute for one in deployments]),
    ):
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            limits[name] = sum(known)
        elif known:
            parts.lacks(where, f"{name} of some of its deployments: a route's limits are for all of them")
    if limits and len(deployments) > 1:
        parts.assume("the limits of a group's deployments are added up to the route's")
    parts.route(
        group,
        [*(one.asked for one in deployments), *others],
        where,
        first_byte_ms=deployments[0].first_byte_ms,
        limits=limits,
    )


def _aliases(
    settings: list[Source],
    groups: dict[str, list[Deployment]],
    fallbacks: dict[str, list[str]],
    parts: ConfigParts,
) -> None:
    for source in settings:
        listed = source.part("model_group_alias")
        for alias in listed or ():
            assert listed is not None
            meant = listed.take(alias)
            group = meant.get("model") if isinstance(meant, dict) else meant
            if isinstance(group, str) and group in groups and alias not in groups:
                parts.route(alias, [one.asked for one in groups[group]], listed.at(alias))
            else:
                parts.lacks(listed.at(alias), "an alias of a model that the file does not list")


def _strategies(settings: list[Source], groups: dict[str, list[Deployment]], parts: ConfigParts) -> None:
    for source in settings:
        if source.take("routing_strategy") is not None:
            parts.lacks(source.at("routing_strategy"), "see what was assumed of several deployments")
        if (budget := source.take("max_budget")) is not None and as_number(budget) is not None:
            source.take("budget_duration")
            parts.lacks(
                source.at("max_budget"), "budgets are of keys and their labels, or of one route's [limits]"
            )
            parts.commands.append(f"freehold keys limit --label LABEL usd_per_month={as_number(budget)}")
        for key in ("context_window_fallbacks", "content_policy_fallbacks"):
            if source.take(key) is not None:
                parts.lacks(
                    source.at(key), "a prompt that is too long is sent where it fits, by context_tokens"
                )
    if any(len(found) > 1 for found in groups.values()):
        parts.assume(
            "of several deployments of a model the first answers and the others take over when it cannot be reached: "
            "traffic is not spread over them"
        )
