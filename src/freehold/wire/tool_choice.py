"""Which of the tools of a chat request may or must be called, for engines that take ``tool_choice`` as a text only."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.wire import openai
from freehold.wire.errors import ApiError


def one_tool(body: bytes) -> dict[str, Any]:
    """Changes that ask an engine which reads no names for the tools a request names; empty where it names none.

    llama.cpp takes ``tool_choice`` as a text only, and silently ignores anything else.
    """
    try:
        fields = openai.raw_fields(body)
        choice = msgspec.json.decode(fields.get("tool_choice", b"null"))
        tools = msgspec.json.decode(fields.get("tools", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    if not isinstance(choice, dict) or not isinstance(tools, list):
        return {}
    allowed = choice.get("allowed_tools")
    if isinstance(choice.get("function"), dict):
        wanted, mode = [tool_name(choice)], "required"
    elif isinstance(allowed, dict) and allowed.get("mode") in ("auto", "required"):
        wanted = [tool_name(one) for one in allowed.get("tools") or ()]
        mode = allowed["mode"]
    else:
        raise ApiError(
            400,
            f"a tool_choice of type {str(choice.get('type'))[:100]} is not possible here",
            param="tool_choice",
        )
    named = {name: tool for tool in tools if (name := tool_name(tool)) in wanted and name is not None}
    if not named or len(named) < len(wanted):
        missing = next((name for name in wanted if name not in named), None)
        raise ApiError(
            400,
            f"tool_choice names {str(missing)[:100]}, a tool that is not offered",
            code="invalid_value",
            param="tool_choice",
        )
    return {"tools": list(named.values()), "tool_choice": mode}


def tool_name(tool: Any) -> str | None:
    """The name of a chat request's tool, or of what names one; None where it has none."""
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
