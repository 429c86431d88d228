"""OpenAI's Responses API, translated to and from its chat API, for upstreams that only have the latter.

Covered: create, plain and streamed, with text, images, functions and their outputs, JSON schemas.
Not covered (refused): state on the server (``previous_response_id``, ``conversation``, ``background``) and
tools that run at OpenAI. Nothing is stored: answers say ``"store": false``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.wire import openai, sse
from freehold.wire.errors import ApiError, cut_off, refuse_others
from freehold.wire.openai import AssembledAnswer
from freehold.wire.usage import response_usage, usage_of

_SAME = (
    *("temperature", "top_p", "user", "metadata", "parallel_tool_calls", "safety_identifier", "seed"),
    *("service_tier", "prompt_cache_key", "prompt_cache_retention"),
)
_KEPT_AT_OPENAI = ("previous_response_id", "conversation", "prompt")
_TRANSLATED = frozenset(
    (
        *_SAME,
        *("model", "input", "instructions", "max_output_tokens", "tools", "tool_choice", "reasoning", "text"),
        *("stream", "include"),
        # Nothing is stored or cut here, no tool runs here, and streams are not padded.
        *("store", "truncation", "max_tool_calls", "stream_options"),
    )
)


def request_to_openai(body: bytes) -> bytes:
    """The chat request that asks the same. Raises `ApiError` (400) for what it cannot ask."""
    asked = msgspec.json.decode(body)
    for name in (*_KEPT_AT_OPENAI, "background"):
        if asked.get(name):
            raise ApiError(
                400, f"{name} needs state that is not kept here; send the whole input instead", param=name
            )
    if asked.get("top_logprobs"):
        raise ApiError(400, "top_logprobs is possible with /v1/chat/completions only", param="top_logprobs")
    refuse_others(asked, _TRANSLATED, "the API of this model")
    for wanted in asked.get("include") or ():
        # Reasoning is not passed on, so there is none to encrypt.
        if wanted != "reasoning.encrypted_content":
            raise ApiError(400, f"include {str(wanted)[:100]} is not possible here", param="include")
    return msgspec.json.encode(_as_chat_request(asked))


def read_request(body: bytes) -> bytes:
    """A request that OpenAI's API itself answers, as a chat request: for guards, traces and imported logs.

    What a chat request has no word for is left out; `ApiError` where that would be a part of the conversation.
    """
    asked = msgspec.json.decode(body)
    for name in _KEPT_AT_OPENAI:
        if asked.get(name):
            raise ApiError(400, f"{name} stands for messages that are not in the request", param=name)
    return msgspec.json.encode(_as_chat_request(asked))


def _as_chat_request(asked: dict[str, Any]) -> dict[str, Any]:
    chat: dict[str, Any] = {"model": asked.get("model"), "messages": _messages(asked)}
    chat.update({name: asked[name] for name in _SAME if asked.get(name) is not None})
    if asked.get("max_output_tokens") is not None:
        chat["max_tokens"] = asked["max_output_tokens"]
    if asked.get("tools"):
        chat["tools"] = [_tool(tool) for tool in asked["tools"]]
    choice = asked.get("tool_choice")
    if isinstance(choice, dict):
        chat["tool_choice"] = _tool_choice(choice)
    elif choice is not None:
        chat["tool_choice"] = choice
    if isinstance(reasoning := asked.get("reasoning"), dict) and reasoning.get("effort"):
        chat["reasoning_effort"] = reasoning["effort"]
    text = asked.get("text") or {}
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    form = text.get("format") or {}
    if form.get("type") == "json_schema":
        schema = {name: form[name] for name in ("name", "schema", "strict", "description") if name in form}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}
    if asked.get("stream") is True:
        chat["stream"] = True
        chat["stream_options"] = {"include_usage": True}
    return chat


def _messages(asked: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if asked.get("instructions"):
        messages.append({"role": "system", "content": asked["instructions"]})
    given = asked.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    for item in given or ():
        if not isinstance(item, dict):
            raise ApiError(400, "input: expected a string or a list of objects", param="input")
        match item.get("type", "message"):
            case "message":
                messages.append({"role": item.get("role"), "content": _content(item.get("content"))})
            case "function_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments")}
                call = {"id": item.get("call_id"), "type": "function", "function": function}
                if messages and messages[-1].get("tool_calls"):
                    messages[-1]["tool_calls"].append(call)
                else:
                    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output":
                output = item.get("output")
                text = output if isinstance(output, str) else _content(output)
                messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
            case "reasoning":
                continue
            case other:
                raise ApiError(400, f"an input item of type {other} cannot be passed on", param="input")
    return messages


def _content(content: Any) -> Any:
    if content is None or isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = []
    for part in content:
        match part.get("type"):
            case "input_text" | "output_text" | "text":
                parts.append({"type": "text", "text": part.get("text", "")})
            case "input_image" if part.get("image_url"):
                parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
            case other:
                raise ApiError(400, f"content of type {other} cannot be passed on", param="input")
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise ApiError(400, f"the tool {tool.get('type')} runs at OpenAI, not here", param="tools")
    kept = {name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name)}
    return {"type": "function", "function": kept}


def _tool_choice(choice: dict[str, Any]) -> dict[str, Any]:
    match choice.get("type"):
        case "function":
            return {"type": "function", "function": {"name": choice.get("name")}}
        case "allowed_tools":
            named = [{"type": "function", "function": {"name": tool["name"]}} for tool in choice["tools"]]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": named}}
        case other:
            raise ApiError(400, f"tool_choice {str(other)[:100]} is not possible here", param="tool_choice")


def _response(chat: dict[str, Any], asked: dict[str, Any], status: str, output: list[Any]) -> dict[str, Any]:
    usage = chat.get("usage")
    return {
        "id": f"resp_{chat.get('id', '')}",
        "object": "response",
        "created_at": chat.get("created") or 0,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": asked.get("metadata") or {},
        "model": asked.get("model"),
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "store": False,
        "temperature": asked.get("temperature"),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p"),
        "truncation": "disabled",
        "usage": response_usage(usage_of(chat)) if isinstance(usage, dict) else None,
    }


def _message_item(chat_id: Any, text: str, status: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": f"msg_{chat_id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _call_item(call: dict[str, Any], status: str) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": f"fc_{call.get('id')}",
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments") or "",
        "status": status,
    }


def _output(chat: dict[str, Any]) -> list[dict[str, Any]]:
    message = (chat.get("choices") or [{}])[0].get("message") or {}
    calls = message.get("tool_calls") or ()
    output = []
    if message.get("content") or not calls:
        output.append(_message_item(chat.get("id"), message.get("content") or "", "completed"))
    return [*output, *(_call_item(call, "completed") for call in calls)]


def _status(finish: str | None) -> str:
    return "incomplete" if finish == "length" else "completed"


def answer_from_openai(body: bytes, request: bytes) -> bytes:
    """The response that says what a chat completion says."""
    chat = msgspec.json.decode(body)
    finish = (chat.get("choices") or [{}])[0].get("finish_reason")
    return msgspec.json.encode(_response(chat, msgspec.json.decode(request), _status(finish), _output(chat)))


class ResponsesStreamFromOpenai:
    """A chat completion stream as the events of a response."""

    def __init__(self, request: bytes) -> None:
        self._asked = msgspec.json.decode(request)
        self._events = sse.JsonEvents()
        self._all: list[bytes] = []
        self._number = 0
        self._chat: dict[str, Any] = {}
        self._text: list[str] | None = None
        self._calls: dict[int, dict[str, Any]] = {}

    def feed(self, data: bytes) -> bytes:
        self._all.append(data)
        out: list[bytes] = []
        for chunk in self._events.feed(data):
            self._chunk(chunk, out)
        return b"".join(out)

    def rest(self) -> bytes:
        out: list[bytes] = []
        self._start({}, out)
        answer = openai.read_stream(b"".join(self._all))
        if not answer.ended:
            raise cut_off()
        chat = answer.body or {}
        if self._text is not None:
            text = "".join(self._text)
            place = {"item_id": f"msg_{self._chat.get('id')}", "output_index": 0, "content_index": 0}
            part = {"type": "output_text", "text": text, "annotations": []}
            self._event("response.output_text.done", {**place, "text": text, "logprobs": []}, out)
            self._event("response.content_part.done", {**place, "part": part}, out)
            item = _message_item(self._chat.get("id"), text, "completed")
            self._event("response.output_item.done", {"output_index": 0, "item": item}, out)
        calls = ((chat.get("choices") or [{}])[0].get("message") or {}).get("tool_calls") or ()
        for index, call in zip(sorted(self._calls), calls, strict=False):
            item, output_index = _call_item(call, "completed"), self._calls[index]["output_index"]
            place = {"item_id": item["id"], "output_index": output_index}
            named = {"arguments": item["arguments"], "name": item["name"]}
            self._event("response.function_call_arguments.done", {**place, **named}, out)
            self._event("response.output_item.done", {"output_index": output_index, "item": item}, out)
        status = _status(answer.finish_reason)
        response = _response(chat, self._asked, status, _output(chat))
        self._event(f"response.{status}", {"response": response}, out)
        return b"".join(out)

    def broken(self, error: bytes) -> bytes:
        said = msgspec.json.decode(error)["error"]
        out: list[bytes] = []
        body = {"code": said.get("code"), "message": said.get("message"), "param": None}
        self._event("error", body, out)
        return b"".join(out)

    def _chunk(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        if "error" in chunk:
            raise openai.stopped_with(chunk)
        self._start(chunk, out)
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            if delta.get("content"):
                self._word(delta["content"], out)
            for call in delta.get("tool_calls") or ():
                self._call(call, out)

    def _start(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        if self._chat:
            return
        self._chat = {"id": chunk.get("id", ""), "created": chunk.get("created")}
        response = _response(self._chat, self._asked, "in_progress", [])
        self._event("response.created", {"response": response}, out)
        self._event("response.in_progress", {"response": response}, out)

    def _word(self, text: str, out: list[bytes]) -> None:
        item_id = f"msg_{self._chat.get('id')}"
        place = {"item_id": item_id, "output_index": 0, "content_index": 0}
        if self._text is None:
            self._text = []
            item = {**_message_item(self._chat.get("id"), "", "in_progress"), "content": []}
            self._event("response.output_item.added", {"output_index": 0, "item": item}, out)
            part = {"type": "output_text", "text": "", "annotations": []}
            self._event("response.content_part.added", {**place, "part": part}, out)
        self._text.append(text)
        self._event("response.output_text.delta", {**place, "delta": text, "logprobs": []}, out)

    def _call(self, call: dict[str, Any], out: list[bytes]) -> None:
        index = call.get("index") or 0
        if index not in self._calls:
            output_index = len(self._calls) + (self._text is not None)
            item = {**_call_item(call, "in_progress"), "arguments": ""}
            self._calls[index] = {"output_index": output_index, "id": item["id"]}
            self._event("response.output_item.added", {"output_index": output_index, "item": item}, out)
        known = self._calls[index]
        if text := (call.get("function") or {}).get("arguments"):
            body = {"item_id": known["id"], "output_index": known["output_index"], "delta": text}
            self._event("response.function_call_arguments.delta", body, out)

    def _event(self, kind: str, body: dict[str, Any], out: list[bytes]) -> None:
        data = msgspec.json.encode({"type": kind, "sequence_number": self._number, **body})
        out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))
        self._number += 1


# What OpenAI itself answered, for traces


@openai.none_where_unreadable
def read_answer(body: bytes) -> AssembledAnswer:
    """A response, as a chat completion."""
    try:
        response = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AssembledAnswer(None, None, None, False)
    if not isinstance(response, dict) or response.get("object") != "response":
        return AssembledAnswer(response if isinstance(response, dict) else None, None, None, True)
    text: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in response.get("output") or ():
        if item.get("type") == "message":
            text.extend(
                part["text"] for part in item.get("content") or () if part.get("type") == "output_text"
            )
        elif item.get("type") == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            calls.append({"id": item.get("call_id"), "type": "function", "function": function})
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) or None}
    if calls:
        message["tool_calls"] = calls
    finish = "length" if response.get("status") == "incomplete" else ("tool_calls" if calls else "stop")
    chat = {
        "id": response.get("id"),
        "object": "chat.completion",
        "model": response.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return AssembledAnswer(
        chat, finish, usage_of(response), response.get("status") in ("completed", "incomplete")
    )


@openai.none_where_unreadable
def read_stream(stream: bytes) -> AssembledAnswer:
    """The response that a stream's last event carries, as a chat completion."""
    for _, data in sse.events(stream):
        try:
            event = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(event, dict) and event.get("type") in ("response.completed", "response.incomplete"):
            return read_answer(msgspec.json.encode(event["response"]))
    return AssembledAnswer(None, None, None, False)
