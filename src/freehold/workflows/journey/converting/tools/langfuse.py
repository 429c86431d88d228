"""Langfuse: prompts as they are exported or listed, LLM connections of its API, and exports of observations.

Source of the shapes: langfuse.com/changelog/2026-08-06-bulk-import-export-prompts, langfuse.com/docs/prompt-management,
and the types `Prompt`, `LlmConnection` of its JavaScript reference (read 2026-11-29). Observations are traffic: the
file becomes `[data] files`, which `freehold import` reads.
"""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing import langfuse as traffic
from freehold.workflows.journey.converting.addresses import address, is_own_engine, key_variable
from freehold.workflows.journey.converting.parts import ConfigParts, ConvertedModel
from freehold.workflows.journey.converting.source import Source

TITLE = "Langfuse"
_ADAPTERS = {"openai": "openai", "anthropic": "anthropic", "google-ai-studio": "gemini"}


def recognises(document: Any) -> bool:
    """Whether this is one of them."""
    return bool(_listed(document, _is_prompt) or _listed(document, _is_connection) or _observations(document))


def _listed(document: Any, kind: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        document = document["data"]
    elif isinstance(document, dict) and isinstance(document.get("prompts"), list):
        document = document["prompts"]
    listed = document if isinstance(document, list) else [document]
    return [one for one in listed if isinstance(one, dict)] if listed and all(map(kind, listed)) else []


def _is_prompt(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("prompt"), str | list)
        and bool(value.keys() & {"type", "labels", "version", "config"})
    )


def _is_connection(value: Any) -> bool:
    return isinstance(value, dict) and {"provider", "adapter"} <= value.keys()


def _observations(document: Any) -> bool:
    listed = document if isinstance(document, list) else [document]
    return bool(listed) and all(isinstance(one, dict) and traffic.claims(one) for one in listed[:20])


def convert(document: Any, parts: ConfigParts, incumbent: str | None) -> list[str]:
    """Endpoints, the incumbent and the data. Returns what was not read."""
    if prompts := _listed(document, _is_prompt):
        return _prompts(prompts, parts, incumbent)
    if connections := _listed(document, _is_connection):
        return _connections(connections, parts, incumbent)
    models = [one.get("model") or one.get("providedModelName") for one in _flat(document)]
    named = [one for one in models if isinstance(one, str)]
    model = incumbent or (max(sorted(set(named)), key=named.count) if named else None)
    _pay(model, "the observations", parts)
    parts.data |= {"files": [parts.file], "format": "langfuse"}
    parts.note("the observations", "[data] files")
    parts.lacks("scores", "scores of observations: a right answer is given by trace (freehold traces)")
    return []


def _flat(document: Any) -> list[dict[str, Any]]:
    listed = document if isinstance(document, list) else [document]
    found = []
    for one in listed:
        if isinstance(one, dict):
            inner = one.get("observations")
            found += (
                [inner_one for inner_one in inner if isinstance(inner_one, dict)]
                if isinstance(inner, list)
                else [one]
            )
    return found


def _pay(model: str | None, source: str, parts: ConfigParts) -> None:
    if model is None:
        parts.assume("the file names no model: write [incumbent], or say --incumbent MODEL")
        return
    vendor = "anthropic" if model.startswith("claude") else "openai"
    place = address(vendor)
    assert place is not None
    parts.assume(f"{model} is asked at {vendor}, as its name says")
    env = parts.key(None, key_variable(vendor), source)
    parts.set_incumbent(ConvertedModel(place._replace(api_key_env=env), model), source)


def _prompts(prompts: list[dict[str, Any]], parts: ConfigParts, wanted: str | None) -> list[str]:
    """The prompt that is in production: its model, its instruction and its longest answer."""
    production = [one for one in prompts if _is_production(one)] or prompts
    chosen = max(production, key=_version)
    if len({one["name"] for one in prompts}) > 1:
        parts.assume(f"the task is that of the prompt {chosen['name']}; a project is for one task")
    source = Source(chosen, "prompt")
    config = source.part("config")
    model = wanted or (config.text("model", "modelName") if config is not None else None)
    _pay(model, "prompt.config.model", parts)
    limit = config.whole("max_tokens", "maxTokens", "max_completion_tokens") if config is not None else None
    if limit:
        parts.task["max_tokens"] = limit
    text = source.take("prompt")
    system = (
        text
        if isinstance(text, str)
        else next(
            (
                one.get("content")
                for one in text or ()
                if isinstance(one, dict) and one.get("role") == "system"
            ),
            None,
        )
    )
    if isinstance(system, str) and "{{" not in system:
        parts.data["system"] = system
        parts.note("prompt.prompt", "[data] system")
        parts.assume(
            "the prompt is put before each input of tables; requests of captured traffic carry their own"
        )
    else:
        parts.lacks(
            "prompt.prompt",
            "a prompt with variables, which your application fills in: its traffic carries it",
        )
    for key in ("name", "version", "labels", "type", "tags", "id", "createdAt", "updatedAt", "createdBy", "projectId",
                "commitMessage", "isActive", "resolutionGraph", "lastUpdatedAt", "lastConfig", "versions"):  # fmt: skip
        source.take(key)
    others = len(prompts) - 1
    if others:
        parts.lacks(
            "the other prompts", f"{others:,} other prompts or versions; each task is a project of its own"
        )
    return source.unread()


def _is_production(prompt: dict[str, Any]) -> bool:
    labels = prompt.get("labels")
    return isinstance(labels, list) and "production" in labels


def _version(prompt: dict[str, Any]) -> float:
    version = prompt.get("version")
    return float(version) if isinstance(version, int | float) and not isinstance(version, bool) else 0.0


def _connections(connections: list[dict[str, Any]], parts: ConfigParts, wanted: str | None) -> list[str]:
    """LLM connections as endpoints with the models they list; keys are masked there."""
    unread: list[str] = []
    found: list[tuple[ConvertedModel, str]] = []
    for number, one in enumerate(connections):
        source = Source(one, f"data[{number}]")
        adapter = source.text("adapter") or ""
        place = address(_ADAPTERS.get(adapter, adapter), source.text("baseURL"))
        for key in ("id", "createdAt", "updatedAt", "displaySecretKey", "provider", "withDefaultModels"):
            source.take(key)
        models = source.take("customModels")
        if place is None:
            parts.lacks(
                source.path, "Azure, Bedrock and Vertex: write [[endpoints]] with your address and the preset"
            )
            continue
        own = is_own_engine(adapter)
        env = None if own else parts.key(None, key_variable(_ADAPTERS.get(adapter, adapter)), source.path)
        place = place._replace(api_key_env=env)
        names = (
            [name for name in models if isinstance(name, str) and name.strip()]
            if isinstance(models, list)
            else []
        )
        found += [(ConvertedModel(place, name), source.path) for name in names]
        if not names:
            parts.endpoint(place)
            parts.note(source.path, "[[endpoints]]")
        unread += source.unread()
    parts.one_of((one.model for one, _ in found if one.model is not None), wanted)
    chosen = next((one for one in found if one[0].model == wanted), found[0] if found else None)
    if chosen is None:
        _pay(wanted, "--incumbent", parts)
        return unread
    parts.set_incumbent(*chosen)
    for asked, source_path in found:
        assert asked.model is not None
        parts.route(asked.model, [asked], source_path)
    return unread
