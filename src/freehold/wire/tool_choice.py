"""Which of the tools of a chat request may or must be called, for engines that take ``tool_choice`` as a text only."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from freehold.wire import openai
from freehold.wire.errors import ApiError


class NamedTools(NamedTuple):
    """The names in a ``tool_choice`` (None for one that is none), and whether a tool of them may be called (``auto``)
    or must be (``required``)."""

    names: frozenset[str | None]
    mode: str


def named_tools(choice: Any) -> NamedTools | None:
    """What a chat request's ``tool_choice`` names; None where it names none."""
    if not isinstance(choice, dict):
        return None
    if isinstance(choice.get("function"), dict):
        return NamedTools(frozenset((tool_name(choice),)), "required")
    allowed = choice.get("allowed_tools")
    if not isinstance(allowed, dict) or allowed.get("mode") not in ("auto", "required"):
        return None
    listed = allowed.get("tools")
    return (
        NamedTools(frozenset(map(tool_name, listed)), allowed["mode"]) if isinstance(listed, list) else None
    )


def may_be_called(tools: Any, choice: Any) -> Any:
    """Those of a chat request's tools that its ``tool_choice`` leaves: all where it names none that is there."""
    named = named_tools(choice)
    if named is None or not isinstance(tools, list):
        return tools
    return [tool for tool in tools if tool_name(tool) in named.names] or tools


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
    if (wanted := named_tools(choice)) is None:
        raise ApiError(
            400,
            f"a tool_choice of type {str(choice.get('type'))[:100]} is not possible here",
            param="tool_choice",
        )
    named = {name: tool for tool in tools if (name := tool_name(tool)) in wanted.names and name is not None}
    if not named or len(named) < len(wanted.names):
        missing = next((name for name in wanted.names if name not in named), None)
        raise ApiError(
            400,
            f"tool_choice names {str(missing)[:100]}, a tool that is not offered",
            code="invalid_value",
            param="tool_choice",
        )
    return {"tools": list(named.values()), "tool_choice": wanted.mode}


def tool_name(tool: Any) -> str | None:
    """The name of a chat request's tool, or of what names one; None where it has none."""
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
