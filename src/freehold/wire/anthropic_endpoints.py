"""OpenAI's chat API, translated to and from Anthropic's Messages API, for endpoints that speak only the latter.

Covered: text, pictures, tools and their results, tool choice, stop sequences, system prompts, JSON schemas, streams
with usage.
Not covered (refused, never left out): what the Messages API has no word for, such as several choices,
log-probabilities, a seed, or JSON without a schema.
"""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec

from freehold.wire import anthropic, openai, sse
from freehold.wire.errors import ApiError, cut_off, refuse_others
from freehold.wire.usage import chat_usage, merged, read_usage

# The Messages API wants a limit, OpenAI's does not.
MAX_TOKENS = 4096
_NO_WORD_FOR = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "seed": (None,),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "functions": (None, []),
    "web_search_options": (None,),
    "verbosity": (None, "medium"),
}
_TRANSLATED = frozenset(
    (
        *_NO_WORD_FOR,
        *(
            "model",
            "messages",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
            "top_k",
            "stop",
        ),
        *("stream", "stream_options", "user", "safety_identifier", "tools", "tool_choice"),
        *("parallel_tool_calls", "response_format", "reasoning_effort"),
        # Of price and speed or of what is kept at OpenAI, not of the answer.
        *("service_tier", "prediction", "prompt_cache_key", "prompt_cache_retention", "store", "metadata"),
    )
)
# How the formats that the Messages API takes begin, in base64.
_PICTURES = {"/9j/": "image/jpeg", "iVBORw0": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_WHOSE = "an endpoint of Anthropic's API"
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def request_from_openai(body: bytes) -> bytes:
    """The message request that asks the same. Raises `ApiError` (400) for what it cannot ask."""
    chat: dict[str, Any] = msgspec.json.decode(body)
    for name, neutral in _NO_WORD_FOR.items():
        if chat.get(name) not in neutral:
            raise ApiError(400, f"{name} is not possible with {_WHOSE}", param=name)
    refuse_others(chat, _TRANSLATED, _WHOSE)
    system, turns = _turns(chat.get("messages"))
    asked: dict[str, Any] = {
        "model": chat.get("model"),
        "max_tokens": chat.get("max_completion_tokens") or chat.get("max_tokens") or MAX_TOKENS,
        "messages": turns,
    }
    if system:
        asked["system"] = system
    if chat.get("temperature") is not None:
        if chat["temperature"] > 1:
            raise ApiError(400, "Anthropic's API takes a temperature of 0 to 1", param="temperature")
        asked["temperature"] = chat["temperature"]
    for name in ("top_p", "top_k"):
        if chat.get(name) is not None:
            asked[name] = chat[name]
    if chat.get("stop"):
        asked["stop_sequences"] = [chat["stop"]] if isinstance(chat["stop"], str) else chat["stop"]
    if chat.get("stream") is True:
        asked["stream"] = True
    if user := chat.get("user") or chat.get("safety_identifier"):
        asked["metadata"] = {"user_id": user}
    asked.update(_tools(chat))
    output = _output(chat)
    if output:
        asked["output_config"] = output
    return msgspec.json.encode(asked)


def _turns(messages: Any) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and the other messages with neighbours of one role joined."""
    if not isinstance(messages, list):
        raise ApiError(400, "messages must be a list", param="messages")
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if not isinstance(message, dict):
            raise ApiError(400, "messages: expected objects", param="messages")
        role, content = message.get("role"), message.get("content")
        match role:
            case "system" | "developer":
                system.append("".join(block["text"] for block in _blocks(content, only_text=True)))
                continue
            case "user":
                blocks = _blocks(content)
            case "assistant":
                words = _blocks(content) or _blocks(message.get("refusal"))
                blocks = [*words, *(_tool_use(call) for call in message.get("tool_calls") or ())]
            case "tool":
                result = _blocks(content, only_text=True)
                blocks = [
                    {
                        "type": "tool_result",
                        "tool_use_id": _call_id(message.get("tool_call_id")),
                        "content": result,
                    }
                ]
            case other:
                raise ApiError(400, f"a message of the role {other} cannot be passed on", param="messages")
        if not blocks:
            continue  # the Messages API refuses a turn that says nothing
        said = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == said:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": said, "content": blocks})
    return "\n".join(system), turns


def _blocks(content: Any, *, only_text: bool = False) -> list[dict[str, Any]]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = []
    for part in content:
        match part.get("type"):
            case "text":
                if part.get("text"):
                    blocks.append({"type": "text", "text": part["text"]})
            case "refusal":
                blocks.extend(_blocks(part.get("refusal")))
            case "image_url" if not only_text:
                blocks.append({"type": "image", "source": _source(part.get("image_url") or {})})
            case other:
                raise ApiError(400, f"content of type {other} cannot be passed on", param="messages")
    return blocks


def _source(image: dict[str, Any]) -> dict[str, Any]:
    url = str(image.get("url"))
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, _, data = url.removeprefix("data:").partition(",")
    # The Messages API holds the type against the picture; OpenAI's looks at the picture, and Ollama's is told no type.
    kind = next((kind for start, kind in _PICTURES.items() if data.startswith(start)), None)
    return {"type": "base64", "media_type": kind or head.removesuffix(";base64"), "data": data}


def _tool_use(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
    except msgspec.DecodeError:
        raise ApiError(400, "the arguments of a tool call are not JSON", param="messages") from None
    return {
        "type": "tool_use",
        "id": _call_id(call.get("id")),
        "name": function.get("name"),
        "input": arguments,
    }


def _call_id(name: Any) -> Any:
    """The id of a call, in the letters that the Messages API takes: other models' have dots and colons in theirs."""
    return _NOT_IN_IDS.sub("_", name) if isinstance(name, str) else name


def _tools(chat: dict[str, Any]) -> dict[str, Any]:
    tools = []
    for tool in chat.get("tools") or ():
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict):
            raise ApiError(400, f"a tool of type {tool.get('type')} cannot be passed on", param="tools")
        made = {
            "name": function.get("name"),
            "input_schema": function.get("parameters") or {"type": "object"},
        }
        made.update({name: function[name] for name in ("description", "strict") if function.get(name)})
        tools.append(made)
    if not tools:
        return {}
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        wanted = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    elif choice is None or choice in _CHOICES:
        wanted = {"type": _CHOICES[choice or "auto"]}
    else:
        raise ApiError(400, f"tool_choice {choice!r} is not possible", param="tool_choice")
    if chat.get("parallel_tool_calls") is False and wanted["type"] != "none":
        wanted["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": wanted}


def _output(chat: dict[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = {}
    form = chat.get("response_format") or {}
    if form.get("type") == "json_schema":
        schema = (form.get("json_schema") or {}).get("schema")
        output["format"] = {"type": "json_schema", "schema": schema}
    elif form.get("type") not in (None, "text"):
        raise ApiError(
            400,
            f"response_format {form.get('type')} is not possible with {_WHOSE}; send a json_schema",
            param="response_format",
        )
    effort = chat.get("reasoning_effort")
    if effort in _EFFORTS:
        output["effort"] = effort
    elif effort not in (None, "none"):
        raise ApiError(
            400,
            f"reasoning_effort {str(effort)[:100]} is not possible with {_WHOSE}; it knows {', '.join(_EFFORTS)}",
            param="reasoning_effort",
        )
    return output


def answer_to_openai(body: bytes, request: bytes) -> bytes:
    """The chat completion that says what a message says."""
    answer = anthropic.read_answer(body)
    chat = dict(answer.body or {})
    choice = openai.first_choice(chat)
    choice["finish_reason"] = choice.get("finish_reason") or "stop"  # as in a stream
    chat["model"] = openai.peek(request).model or chat.get("model")
    chat["created"] = int(time.time())
    if answer.usage is not None:
        chat["usage"] = chat_usage(answer.usage)
    return msgspec.json.encode(chat)


class StreamToOpenai(sse.TranslatedStream):
    """Anthropic's events as a chat completion stream."""

    def __init__(self, request: bytes) -> None:
        super().__init__()
        seen = openai.peek(request)
        self._model = seen.model
        self._tells_usage = b'"include_usage":true' in bytes(seen.stream_options).replace(b" ", b"")
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._tools = -1
        self._untold: dict[str, Any] | None = None
        self._ended = False

    def rest(self) -> bytes:
        if not self._ended:
            raise cut_off()
        return b""

    def _take(self, event: dict[str, Any], /) -> None:
        match event.get("type"):
            case "message_start":
                message = event["message"]
                self._usage = dict(message.get("usage") or {})
                self._head = {
                    "id": message.get("id"),
                    "object": "chat.completion.chunk",
                    "created": int(time.time()),
                    "model": self._model or message.get("model"),
                }
                self._delta({"role": "assistant", "content": ""})
            case "content_block_start" if event["content_block"].get("type") == "tool_use":
                block = event["content_block"]
                self._tools += 1
                self._call(openai.function_call(block.get("id"), block.get("name"), ""))
                self._untold = block.get("input") or {}
            case "content_block_delta":
                delta = event["delta"]
                if delta.get("type") == "text_delta":
                    self._delta({"content": delta["text"]})
                elif delta.get("type") == "input_json_delta" and delta["partial_json"]:
                    self._untold = None
                    self._call({"function": {"arguments": delta["partial_json"]}})
            case "content_block_stop":
                self._end_call()
            case "message_delta":
                self._end_call()
                self._usage = merged(self._usage, event.get("usage"))
                reason = (event.get("delta") or {}).get("stop_reason")
                self._delta({}, anthropic.FINISH_REASONS.get(reason or "end_turn", "stop"))
            case "message_stop":
                self._end()
            case "error":
                said = (event.get("error") or {}).get("message")
                raise ApiError(502, f"the model stopped with an error: {said}")

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> None:
        self._say({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def _call(self, part: dict[str, Any]) -> None:
        self._delta({"tool_calls": [{"index": self._tools, **part}]})

    def _end_call(self) -> None:
        """Tell the arguments of a call that was streamed without any: clients read them as JSON, so they are ``{}``."""
        if self._untold is not None:
            self._call({"function": {"arguments": msgspec.json.encode(self._untold).decode()}})
            self._untold = None

    def _end(self) -> None:
        self._ended = True
        if self._tells_usage:
            usage = chat_usage(read_usage(self._usage))
            self._say({"choices": [], "usage": usage})
        self._out.append(b"data: [DONE]\n\n")

    def _say(self, body: dict[str, Any]) -> None:
        self._out.append(b"data: " + msgspec.json.encode({**self._head, **body}) + b"\n\n")
