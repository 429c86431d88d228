"""Which API a log speaks, and what a drafted `freehold.toml` says of the incumbent by it."""

from __future__ import annotations

from collections import Counter

from freehold.datasets.importing import Imported
from freehold.workflows.journey.drafting import quoted


def api_of(found: Imported) -> str:
    """``anthropic``, ``responses`` or ``openai``, by the form of the recorded answer, else by the model's name."""
    response = found.response or {}
    if response.get("type") == "message" or str(found.request.get("model", "")).startswith("claude"):
        return "anthropic"
    return "responses" if response.get("object") == "response" else "openai"


def spoken(mapping: dict[str, str], apis: Counter[str]) -> dict[str, str]:
    """The mapping with the answer's field as this API calls it."""
    field = {"anthropic": "response.content", "responses": "response.output"}.get(next(iter(apis), ""))
    chat = "response.choices[0].message"
    return {name: field if field and source == chat else source for name, source in mapping.items()}


def incumbent_lines(incumbent: str | None, apis: Counter[str]) -> list[str]:
    if incumbent is None:
        return [
            "# [incumbent]   # the model you pay for today",
            '# model = "gpt-4o-2024-08-06"',
        ]
    anthropic = incumbent.startswith("claude") or (
        apis.most_common(1) and apis.most_common(1)[0][0] == "anthropic"
    )
    if anthropic:
        return [
            "[incumbent]",
            f"model = {quoted(incumbent)}",
            'api = "anthropic"',
            '# base_url = "https://api.anthropic.com"   # to forward traffic to it and to record its answers',
            '# api_key_env = "ANTHROPIC_API_KEY"        # the name of the variable, never the key',
        ]
    return [
        "[incumbent]",
        f"model = {quoted(incumbent)}",
        '# base_url = "https://api.openai.com/v1"   # to forward traffic to it and to record its answers',
        '# api_key_env = "OPENAI_API_KEY"           # the name of the variable, never the key',
    ]
