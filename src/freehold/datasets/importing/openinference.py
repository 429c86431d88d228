"""OpenInference's attributes (Arize Phoenix and others) as the numbered ones of OpenLLMetry, which are read already.

Source of the names: OpenInference's pages "Semantic Conventions", "Messages" and "Tool and Function Calling"
(arize-ai.github.io/openinference, read 2026-11). Not covered: images, which are named by their type.
"""

from __future__ import annotations

import re
from typing import Any

from freehold.datasets.importing.records import as_object

KIND = "openinference.span.kind"
_MESSAGE = re.compile(r"llm\.(input|output)_messages\.(\d+)\.message\.(.+)")
_PART = re.compile(r"contents\.(\d+)\.message_content\.(type|text)")
_CALL = re.compile(r"tool_calls\.(\d+)\.tool_call\.(?:function\.)?(id|name|arguments)")
_TOOL = re.compile(r"llm\.tools\.(\d+)\.tool\.json_schema")
_SAME = {
    "llm.model_name": "gen_ai.request.model",
    "llm.token_count.prompt": "gen_ai.usage.prompt_tokens",
    "llm.token_count.completion": "gen_ai.usage.completion_tokens",
    "llm.token_count.total": "gen_ai.usage.total_tokens",
    "llm.token_count.prompt_details.cache_read": "gen_ai.usage.cache_read.input_tokens",
    "llm.token_count.prompt_details.cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.audio": "gen_ai.usage.input_audio_tokens",
    "llm.token_count.completion_details.reasoning": "gen_ai.usage.reasoning.output_tokens",
    "llm.token_count.completion_details.audio": "gen_ai.usage.output_audio_tokens",
}


def translated(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span, with OpenInference's messages, tools and counts under the other names as well."""
    if KIND not in attributes:
        return attributes
    found: dict[str, Any] = {}
    parts: dict[str, dict[int, dict[str, Any]]] = {}
    tools: dict[int, Any] = {}
    for key, value in attributes.items():
        if key in _SAME:
            found[_SAME[key]] = value
        elif tool := _TOOL.fullmatch(key):
            tools[int(tool[1])] = as_object(value)
        elif message := _MESSAGE.fullmatch(key):
            place = f"gen_ai.{'prompt' if message[1] == 'input' else 'completion'}.{message[2]}"
            field = message[3]
            if part := _PART.fullmatch(field):
                parts.setdefault(f"{place}.content", {}).setdefault(int(part[1]), {})[part[2]] = value
            elif call := _CALL.fullmatch(field):
                found[f"{place}.tool_calls.{call[1]}.{call[2]}"] = value
            elif field in ("role", "content", "tool_call_id"):
                found[f"{place}.{field}"] = value
    for key, listed in parts.items():
        found.setdefault(key, _content([listed[at] for at in sorted(listed)]))
    if tools:
        found["gen_ai.tool.definitions"] = [tools[at] for at in sorted(tools)]
    return {**found, **attributes}


def _content(parts: list[dict[str, Any]]) -> Any:
    """Text parts as one text; with others among them, a list in which these are named."""
    if all(part.get("type", "text") == "text" for part in parts):
        return "".join(str(part.get("text") or "") for part in parts)
    return [
        {"type": part.get("type", "text")} | ({"text": part["text"]} if "text" in part else {})
        for part in parts
    ]
