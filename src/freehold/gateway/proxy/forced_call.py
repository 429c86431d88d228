"""A tool call that an engine was told to make and did not: asked for once more as JSON of the call's form.

llama.cpp's grammar of a demanded call (2026-11) lets any text go before it, so a small model talks until its length
limit and the demand is passed over in silence. Its grammar of a JSON schema lets nothing go before: the call is asked
for by that, with the tools still in the prompt, and the JSON is told as the call it stands for.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from freehold.gateway.proxy.structured_output import OutputContract
from freehold.wire import openai
from freehold.wire.errors import UNREADABLE
from freehold.wire.tool_choice import tool_name


def request_of_call(contract: OutputContract, body: bytes) -> bytes | None:
    """The request whose answer is one of the demanded calls as JSON; None where no tool that is offered is demanded."""
    tools = _demanded(contract)
    if not tools:
        return None
    schema = _schema(tools[0], "#")
    if len(tools) > 1:
        # Each by its name, for llama.cpp follows references through objects alone.
        forms = {f"call_{number}": tool for number, tool in enumerate(tools)}
        schema = {
            "anyOf": [{"$ref": f"#/$defs/{name}"} for name in forms],
            "$defs": {name: _schema(tool, f"#/$defs/{name}") for name, tool in forms.items()},
        }
    described = {"name": "call", "schema": schema, "strict": True}
    changes = {"response_format": {"type": "json_schema", "json_schema": described}, "tool_choice": "none"}
    return openai.splice(body, changes)


def told_as_call(contract: OutputContract, answer: bytes, *, streamed: bool) -> bytes:
    """The answer to `request_of_call`, with calls in the place of their JSON; as it came where it is not whole JSON."""
    try:
        chat = (openai.read_stream(answer) if streamed else openai.read_answer(answer)).body
        names = {tool_name(tool) for tool in _demanded(contract)}
        choices = [_as_call(choice, names) for choice in (chat or {})["choices"]]
    except UNREADABLE:
        return answer
    whole = {**(chat or {}), "choices": choices}
    return _events(whole) if streamed else msgspec.json.encode(whole)


def _demanded(contract: OutputContract) -> list[dict[str, Any]]:
    named = [tool for tool in contract.tools if tool_name(tool) is not None]
    return [tool for tool in named if contract.demanded in ("", tool_name(tool))]


def _schema(tool: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = tool["function"].get("parameters") or {"type": "object"}
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool_name(tool)},
            "arguments": _moved(parameters, f"{place}/properties/arguments"),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:
    """A schema whose references to its own root lead to `place`. As deep as requests may be nested."""
    if isinstance(schema, list):
        return [_moved(one, place) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: place + value[1:]
        if name == "$ref" and isinstance(value, str) and value[:1] == "#"
        else _moved(value, place)
        for name, value in schema.items()
    }


def _as_call(choice: dict[str, Any], names: set[str | None]) -> dict[str, Any]:
    """Raises one of `UNREADABLE` for a choice that is not one of the calls."""
    told = msgspec.json.decode(choice["message"]["content"])
    if told["name"] not in names:
        raise ValueError("another tool")
    function = {"name": told["name"], "arguments": msgspec.json.encode(told["arguments"]).decode()}
    call = {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"index": choice.get("index", 0), "message": message, "finish_reason": "tool_calls"}


def _events(chat: dict[str, Any]) -> bytes:
    """A whole answer with one call in each choice as the events of a stream: the call, its arguments, the end."""
    head: dict[str, Any] = {
        name: chat[name] for name in ("id", "created", "model", "system_fingerprint") if name in chat
    }
    head["object"] = "chat.completion.chunk"
    parts: list[dict[str, Any]] = []
    for choice in chat["choices"]:
        call = choice["message"]["tool_calls"][0]
        begun = {**call, "index": 0, "function": {**call["function"], "arguments": ""}}
        rest = {"index": 0, "function": {"arguments": call["function"]["arguments"]}}
        for delta, finish in (
            ({"role": "assistant", "content": None, "tool_calls": [begun]}, None),
            ({"tool_calls": [rest]}, None),
            ({}, choice["finish_reason"]),
        ):
            told = {"index": choice["index"], "delta": delta, "finish_reason": finish}
            parts.append({**head, "choices": [told]})
    if isinstance(chat.get("usage"), dict):
        parts.append({**head, "choices": [], "usage": chat["usage"]})
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(part) for part in parts) + b"data: [DONE]\n\n"
