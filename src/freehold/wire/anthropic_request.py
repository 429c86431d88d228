"""A request of Anthropic's Messages API, as the chat request that asks the same; see `freehold.wire.anthropic`."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.wire.errors import THREAD_NOT_FOUND, ApiError, refuse_others
from freehold.wire.openai import function_call

_TRANSLATED = frozenset(
    (
        *("model", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences"),
        *("tools", "tool_choice", "output_config", "output_format", "metadata", "stream"),
        *("thinking", "context_management"),
        # That a server may hold the conversation, which it need not: see `_check_thread`.
        "thread",
        # Of price and speed, not of the answer.
        *("service_tier", "cache_control"),
    )
)


_SAYS_NO_MORE: dict[str, Any] = {}


def request_to_openai(body: bytes, *, begun: dict[str, Any] | None = _SAYS_NO_MORE) -> bytes:
    """The chat request that asks the same. Raises `ApiError` (400) for what it cannot ask.

    The last message may be the beginning of the answer; `begun` are the fields that have the endpoint go on with
    it, None where it cannot.
    """
    asked = _object(body)
    _check_at_anthropic(asked)
    refuse_others(asked, _TRANSLATED, "the API of this model")
    refuse_others(asked.get("output_config") or {}, ("format", "effort"), "the API of this model")
    _check_thinking(asked)
    chat = _as_chat_request(asked)
    for message in asked["messages"]:
        if message.get("role") not in ("user", "assistant", "system"):
            role = str(message.get("role"))[:100]
            raise ApiError(400, f"messages: a role {role} is not possible", param="messages")
    if chat["messages"] and chat["messages"][-1]["role"] == "assistant":
        if begun is None:
            raise ApiError(
                400,
                "the last message begins the answer, and the API of this model would not go on with it; "
                "end with a user's message",
                param="messages",
            )
        chat.update(begun)
    return msgspec.json.encode(chat)


def read_request(body: bytes) -> bytes:
    """A request that Anthropic's API itself answers, as a chat request: for guards, traces and imported logs.

    What a chat request has no word for is left out; `ApiError` where that would be a part of the conversation.
    """
    asked = _object(body)
    _check_at_anthropic(asked)
    return msgspec.json.encode(_as_chat_request(asked))


def _check_at_anthropic(asked: dict[str, Any]) -> None:
    _check_thread(asked.get("thread"))
    for name in ("mcp_servers", "container"):
        if asked.get(name):
            raise ApiError(400, f"{name} run at Anthropic and cannot be passed on to this model", param=name)


def _check_thread(thread: Any) -> None:
    """A thread is held by the server that began it, and only as long as that can; what goes on from one that is not
    there gets 404, and the client sends the whole conversation
    (https://platform.claude.com/docs/en/build-with-claude/message-threads, read 2026-11-30)."""
    if isinstance(thread, dict) and thread.get("type") != "create":
        raise ApiError(
            404,
            "thread: the conversation that this one goes on from is not held here; send all of its messages",
            code=THREAD_NOT_FOUND,
            param="thread",
        )


def _as_chat_request(asked: dict[str, Any]) -> dict[str, Any]:
    chat: dict[str, Any] = {"model": asked.get("model"), "messages": _messages(asked)}
    for name in ("max_tokens", "temperature", "top_p", "top_k"):
        if asked.get(name) is not None:
            chat[name] = asked[name]
    if asked.get("stop_sequences"):
        chat["stop"] = asked["stop_sequences"]
    if asked.get("tools"):
        chat["tools"] = [_tool(tool) for tool in asked["tools"]]
    if isinstance(choice := asked.get("tool_choice"), dict):
        chat.update(_tool_choice(choice))
    output = asked.get("output_config") or {}
    if output.get("effort") is not None:
        chat["reasoning_effort"] = output["effort"]
    if isinstance(form := output.get("format") or asked.get("output_format"), dict):
        schema = {"name": "answer", "schema": form.get("schema"), "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    if isinstance(metadata := asked.get("metadata"), dict) and metadata.get("user_id"):
        chat["user"] = metadata["user_id"]
    if asked.get("stream") is True:
        chat["stream"] = True
        chat["stream_options"] = {"include_usage": True}
    return chat


def _check_thinking(asked: dict[str, Any]) -> None:
    """A chat API cannot be told to think, nor for how long; a model that may think or not is left to it."""
    thinking = asked.get("thinking") or {}
    if thinking.get("type") not in (None, "disabled", "adaptive"):
        raise ApiError(
            400,
            "thinking with a budget is not possible with the API of this model; leave it out, or send "
            '{"type": "adaptive"} and the model decides',
            param="thinking",
        )
    for edit in (asked.get("context_management") or {}).get("edits") or ():
        # Earlier thinking is never passed on, so this one is done already.
        if not str(edit.get("type")).startswith("clear_thinking"):
            raise ApiError(
                400,
                f"context_management {str(edit.get('type'))[:100]} is not possible with the API of this model",
                param="context_management",
            )


def _object(body: bytes) -> dict[str, Any]:
    value = msgspec.json.decode(body)
    if not isinstance(value, dict):
        raise ApiError(400, "the request body is not a JSON object")
    return value


def _messages(asked: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if asked.get("system"):
        messages.append({"role": "system", "content": _plain_text(asked["system"])})
    given = asked.get("messages")
    if not isinstance(given, list):
        raise ApiError(400, "messages: Input should be a valid list", param="messages")
    for message in given:
        if not isinstance(message, dict):
            raise ApiError(400, "messages: expected objects")
        content, role = message.get("content"), message.get("role")
        if isinstance(content, str):
            messages.append({"role": role, "content": content})
        elif role == "assistant":
            messages.append(_assistant(content or ()))
        elif role == "system":
            messages.append({"role": role, "content": _plain_text(content)})
        else:
            messages.extend(_user(content or ()))
    return messages


def _plain_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = []
    for block in content or ():
        if not isinstance(block, dict) or block.get("type") != "text":
            kind = block.get("type") if isinstance(block, dict) else block
            raise ApiError(
                400,
                f"a system prompt or tool result with a block of type {str(kind)[:100]} cannot be passed on to this "
                "model; only text can",
                param="messages",
            )
        parts.append(str(block.get("text", "")))
    return "\n".join(parts)


def _assistant(blocks: Any) -> dict[str, Any]:
    text, calls = [], []
    for block in blocks:
        match block.get("type"):
            case "text":
                text.append(block.get("text", ""))
            case "tool_use":
                arguments = msgspec.json.encode(block.get("input") or {}).decode()
                calls.append(function_call(block.get("id"), block.get("name"), arguments))
            case "thinking" | "redacted_thinking":
                continue
            case other:
                raise ApiError(400, f"an assistant's {other} block cannot be passed on to this model")
    # Without calls a chat API wants a text: a turn that was all thinking has an empty one.
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    return message


def _user(blocks: Any) -> list[dict[str, Any]]:
    """One user turn: results of tools become messages of their own, before the rest."""
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        match block.get("type"):
            case "text":
                parts.append({"type": "text", "text": block.get("text", "")})
            case "image":
                parts.append({"type": "image_url", "image_url": {"url": _image(block.get("source") or {})}})
            case "tool_result":
                content = _plain_text(block.get("content") or "")
                if block.get("is_error"):
                    content = f"error: {content}"
                results.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": content})
            case other:
                raise ApiError(400, f"a {other} block cannot be passed on to this model")
    if parts and all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "\n".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}] if parts else results


def _image(source: dict[str, Any]) -> str:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    if source.get("type") == "url":
        return str(source.get("url"))
    raise ApiError(400, f"an image from a {source.get('type')} source cannot be passed on to this model")


def _tool(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type", "custom") != "custom":
        kind = tool.get("type") if isinstance(tool, dict) else tool
        raise ApiError(
            400,
            f"tools that run at Anthropic ({str(kind)[:100]}) cannot be passed on to this model",
            param="tools",
        )
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {"type": "object"}}
    function.update({name: tool[name] for name in ("description", "strict") if tool.get(name)})
    return {"type": "function", "function": function}


def _tool_choice(choice: dict[str, Any]) -> dict[str, Any]:
    chat: dict[str, Any] = {}
    match choice.get("type"):
        case "tool":
            chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
        case "any":
            chat["tool_choice"] = "required"
        case "auto" | "none" as same:
            chat["tool_choice"] = same
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False
    return chat
