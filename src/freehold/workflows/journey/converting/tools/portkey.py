"""A gateway config of Portkey: the JSON object of the header `x-portkey-config`.

Source of the shape: the schema of Portkey-AI/gateway (`src/middlewares/requestValidator/schema/config.ts`) and
docs.portkey.ai, "Gateway Config Object" (read 2026-11-29). Keys may be written in camel case.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from freehold.workflows.journey.converting.addresses import (
    VendorAddress,
    address,
    azure_address,
    is_own_engine,
    key_variable,
    vendor_of,
)
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "Portkey"
MODES = ("single", "loadbalance", "fallback", "conditional")
_MARKS = {"targets", "strategy", "virtual_key", "virtualKey", "override_params", "overrideParams", "provider"}
_GUARDS = (
    "input_guardrails", "output_guardrails", "before_request_hooks", "after_request_hooks",
    "default_input_guardrails", "default_output_guardrails",
)  # fmt: skip


def recognises(document: Any) -> bool:
    """Whether this is such a config."""
    if not isinstance(document, dict) or not _MARKS & document.keys():
        return False
    strategy, targets = document.get("strategy"), document.get("targets")
    mode = strategy.get("mode") if isinstance(strategy, dict) else None
    if isinstance(targets, list) and all(isinstance(one, dict) for one in targets):
        return mode in MODES or any(_snake_keys(one).keys() & {"provider", "virtual_key"} for one in targets)
    known = _snake_keys(document)
    return isinstance(known.get("provider"), str) and bool(
        known.keys() & {"api_key", "virtual_key", "override_params"}
    )


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """Endpoints, one route for any model, and the incumbent. Returns what was not read."""
    root = Source(_snake_keys(document))
    asked = _targets(root, parts)
    if not asked:
        return root.unread()
    wanted = parts.one_of((one.model for one in asked if one.model is not None), incumbent)
    first = next((one for one in asked if wanted is not None and one.model == wanted), asked[0])
    ordered = [first, *(one for one in asked if one != first)]
    if first.model is not None:
        parts.set_incumbent(first, "the first target")
    elif incumbent is not None:
        parts.set_incumbent(first._replace(model=incumbent), "--incumbent")
    else:
        parts.assume(
            "the config names no model, so [incumbent] is yours to write: which model do you pay for?"
        )
    waits: dict[str, Any] = {}
    retry = root.part("retry")
    if retry is not None and (attempts := retry.whole("attempts")) is not None:
        waits["retries"] = parts.retries(attempts)
        if retry.take("on_status_codes") is not None:
            parts.lacks(
                retry.at("on_status_codes"), "a failed connection or a 5xx is asked again, nothing else"
            )
    timeout = root.number("request_timeout")
    if timeout is not None and 1 <= timeout <= 3_600_000:
        waits["first_byte_ms"] = timeout
        parts.assume("a request's time is bounded until the first byte of its answer, not until its end")
    parts.route("*", ordered, "the config", waits=waits, cache=_cache(root, parts))
    parts.assume(
        "a config holds for whatever names it; the route here is for any model. Clients change their base URL and "
        "leave out the headers x-portkey-*"
    )
    return root.unread()


def _targets(source: Source, parts: ConfigParts) -> list[ConvertedModel]:
    """What a config asks, in the order in which it is asked. Targets may hold configs of their own."""
    for key in _GUARDS:
        if source.take(key) is not None:
            parts.lacks(source.at(key), "freehold checks answers by schema; nothing else of guardrails")
    listed = source.parts("targets")
    if not listed:
        one = _asked(source, parts)
        return [one] if one is not None else []
    strategy = source.part("strategy")
    mode = (strategy.text("mode") if strategy is not None else None) or "single"
    targets = [Source(_snake_keys_of(one), one.path, one.opened) for one in listed]
    if strategy is not None and strategy.take("on_status_codes") is not None:
        parts.lacks(
            strategy.at("on_status_codes"),
            "the next target is asked after a failed connection, a 5xx or no first byte",
        )
    if mode == "loadbalance":
        targets.sort(key=lambda one: -(one.number("weight") or Decimal(1)))
        parts.assume(
            "of a load balance the target with the largest weight answers, and the others where it cannot be reached: "
            "shares of traffic are a rollout's (freehold rollout)"
        )
    if mode == "conditional" and strategy is not None:
        strategy.take("conditions")
        parts.lacks(
            strategy.at("conditions"), "routes tell requests apart by model, header and key, not by metadata"
        )
        default = strategy.text("default")
        targets.sort(key=lambda one: one.peek("name") != default)
    return [asked for target in targets for asked in _targets(target, parts)]


def _asked(source: Source, parts: ConfigParts) -> ConvertedModel | None:
    vendor = source.text("provider") or ""
    slug = vendor.removeprefix("@") if vendor.startswith("@") else source.text("virtual_key")
    if (vendor.startswith("@") or not vendor) and slug is not None:
        guess = next((word for word in re.split(r"[^a-z0-9]+", slug.lower()) if vendor_of(word)), None)
        if guess is None:
            parts.lacks(
                source.path or "the config", "a stored provider: its vendor and key are in Portkey's vault"
            )
            return None
        parts.assume(f"the stored provider {slug} is of the vendor {guess}, as its name says")
        vendor = guess
    if not vendor and not source.peek("custom_host"):
        return None
    override = source.part("override_params")
    model = override.text("model") if override is not None else None
    model = model or source.text("azure_model_name")
    place = _address(vendor, source)
    if place is None:
        parts.lacks(source.path or "the config", "the address of this provider does not stand in the config")
        return None
    usual = None if is_own_engine(vendor) else key_variable(vendor)
    if source.peek("custom_host") is not None and source.peek("api_key") is None:
        usual = None
    place = place._replace(api_key_env=parts.key(source.take("api_key"), usual, source.at("api_key")))
    source.take("name")
    source.take("weight")
    return ConvertedModel(place, model)


def _address(vendor: str, source: Source) -> VendorAddress | None:
    host = source.text("custom_host")
    if vendor_of(vendor) != "azure":
        return address(vendor, host)
    resource, deployment = (
        source.text("resource_name", "azure_resource_name"),
        source.text("deployment_id", "azure_deployment_id"),
    )
    if resource is None or deployment is None or not re.fullmatch(r"[A-Za-z0-9-]{1,80}", resource):
        return None
    version = source.text("api_version", "azure_api_version")
    return azure_address(host or f"https://{resource}.openai.azure.com", deployment, version)


def _cache(root: Source, parts: ConfigParts) -> dict[str, Any] | None:
    cache = root.part("cache")
    if cache is None:
        return None
    if cache.text("mode") != "simple":
        parts.lacks("cache", "only exact repeats are answered from memory")
        return None
    parts.assume("the cache's max_age is in seconds, as Portkey's documentation says")
    return parts.cache(cache.number("max_age"))


def _snake_keys(value: dict[Any, Any]) -> dict[str, Any]:
    """The keys in snake case, of this level and of `strategy`, `retry` and `cache`."""
    made = {}
    for key, one in value.items():
        name = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", str(key))
        made[name] = (
            _snake_keys(one) if isinstance(one, dict) and name in ("strategy", "retry", "cache") else one
        )
    return made


def _snake_keys_of(source: Source) -> dict[str, Any]:
    return _snake_keys({key: source.take(key) for key in source})
