"""OpenAI's Responses API, translated to and from its chat API, for upstreams that only have the latter.

Covered: create, plain and streamed, with text, images, functions and their outputs, JSON schemas.
Not covered (refused): state on the server (``previous_response_id``, ``conversation``, ``background``, ``store``),
tools that run at OpenAI, summaries of reasoning. Nothing is stored: answers say ``"store": false``, and their ids tell
that they were issued here (`freehold.wire.responses_request.OWN_MARK`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.wire import openai, sse
from freehold.wire.errors import cut_off
from freehold.wire.openai import AssembledAnswer
from freehold.wire.responses_request import OWN_MARK
from freehold.wire.responses_request import read_request as read_request
from freehold.wire.responses_request import request_to_openai as request_to_openai
from freehold.wire.usage import response_usage, usage_of

_REPEATED = ("user", "safety_identifier", "prompt_cache_key", "service_tier")
# By the chat API's finish_reason.
_KINDS = ("content", "refusal")
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _response(
    chat: dict[str, Any], asked: dict[str, Any], status: str, output: list[Any], finish: str | None = None
) -> dict[str, Any]:
    usage = chat.get("usage")
    reasoning = asked.get("reasoning")
    return {
        "id": f"resp_{OWN_MARK}{chat.get('id', '')}",
        "object": "response",
        "created_at": chat.get("created") or 0,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": _INCOMPLETE[finish or "length"]} if status == "incomplete" else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "metadata": asked.get("metadata") or {},
        "model": asked.get("model"),
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {
            "effort": reasoning.get("effort") if isinstance(reasoning, dict) else None,
            "summary": None,
        },
        "store": False,
        "temperature": asked.get("temperature"),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p"),
        "truncation": asked.get("truncation") or "disabled",
        "usage": response_usage(usage_of(chat)) if isinstance(usage, dict) else None,
        **{name: asked[name] for name in _REPEATED if asked.get(name) is not None},
    }


def _part(kind: str, text: str) -> dict[str, Any]:
    """A part of a message: its text, or (`kind` is ``refusal``) what the model said instead of answering."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": []}


def _message_item(chat_id: Any, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": f"msg_{OWN_MARK}{chat_id}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _call_item(call: dict[str, Any], status: str) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": f"fc_{OWN_MARK}{call.get('id')}",
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments") or "{}",
        "status": status,
    }


def _output(chat: dict[str, Any], status: str, text_at: int = 0) -> list[dict[str, Any]]:
    """The items of an answer, its text behind the first `text_at` calls. The last of them is what was cut, where it
    was."""
    message = (chat.get("choices") or [{}])[0].get("message") or {}
    output = [_call_item(call, "completed") for call in message.get("tool_calls") or ()]
    told = ((kind, openai.text_of(message.get(kind))) for kind in _KINDS)
    content = [_part(kind, text) for kind, text in told if text]
    if content or not output:
        output.insert(text_at, _message_item(chat.get("id"), content or [_part("content", "")], "completed"))
    output[-1]["status"] = status
    return output


def _status(finish: str | None) -> str:
    return "incomplete" if finish in _INCOMPLETE else "completed"


def answer_from_openai(body: bytes, request: bytes) -> bytes:
    """The response that says what a chat completion says."""
    chat = msgspec.json.decode(body)
    finish = openai.first_choice(chat).get("finish_reason")
    asked = msgspec.json.decode(request)
    status = _status(finish)
    return msgspec.json.encode(_response(chat, asked, status, _output(chat, status), finish))


class ResponsesStreamFromOpenai:
    """A chat completion stream as the events of a response."""

    def __init__(self, request: bytes) -> None:
        self._asked = msgspec.json.decode(request)
        self._events = sse.JsonEvents()
        self._all: list[bytes] = []
        self._number = 0
        self._chat: dict[str, Any] = {}
        self._parts: dict[str, list[str]] = {}
        self._text_at = 0
        self._calls: list[dict[str, Any]] = []
        self._items: list[dict[str, Any]] = []

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
        status = _status(answer.finish_reason)
        self._end_text(status, out)
        calls = ((chat.get("choices") or [{}])[0].get("message") or {}).get("tool_calls") or ()
        for begun, call in zip(self._items, calls, strict=False):
            last = begun is self._items[-1] and (not self._parts or self._text_at < len(self._calls))
            item = _call_item(call, status if last else "completed")
            output_index = begun["output_index"]
            place = {"item_id": item["id"], "output_index": output_index}
            named = {"arguments": item["arguments"], "name": item["name"]}
            self._event("response.function_call_arguments.done", {**place, **named}, out)
            self._event("response.output_item.done", {"output_index": output_index, "item": item}, out)
        response = _response(
            chat, self._asked, status, _output(chat, status, self._text_at), answer.finish_reason
        )
        self._event(f"response.{status}", {"response": response}, out)
        return b"".join(out)

    def broken(self, error: bytes) -> bytes:
        said = msgspec.json.decode(error)["error"]
        out: list[bytes] = []
        body = {"code": said.get("code"), "message": said.get("message"), "param": None}
        self._event("error", body, out)
        return b"".join(out)

    def _chunk(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        if chunk.get("error"):
            raise openai.stopped_with(chunk)
        self._start(chunk, out)
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            for kind in _KINDS:
                if text := openai.text_of(delta.get(kind)):
                    self._word(kind, text, out)
            for call in delta.get("tool_calls") or ():
                self._call(call, out)

    def _start(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        if self._chat:
            return
        self._chat = {"id": chunk.get("id", ""), "created": chunk.get("created")}
        response = _response(self._chat, self._asked, "in_progress", [])
        self._event("response.created", {"response": response}, out)
        self._event("response.in_progress", {"response": response}, out)

    def _word(self, kind: str, text: str, out: list[bytes]) -> None:
        if not self._parts:
            self._text_at = len(self._calls)
            item = _message_item(self._chat.get("id"), [], "in_progress")
            self._event("response.output_item.added", {"output_index": self._text_at, "item": item}, out)
        if kind not in self._parts:
            self._parts[kind] = []
            self._event("response.content_part.added", {**self._place(kind), "part": _part(kind, "")}, out)
        self._parts[kind].append(text)
        if kind == "refusal":
            self._event("response.refusal.delta", {**self._place(kind), "delta": text}, out)
        else:
            self._event(
                "response.output_text.delta", {**self._place(kind), "delta": text, "logprobs": []}, out
            )

    def _place(self, kind: str) -> dict[str, Any]:
        return {
            "item_id": f"msg_{OWN_MARK}{self._chat.get('id')}",
            "output_index": self._text_at,
            "content_index": list(self._parts).index(kind),
        }

    def _end_text(self, status: str, out: list[bytes]) -> None:
        if not self._parts:
            return
        content = []
        for kind, words in self._parts.items():
            text = "".join(words)
            content.append(_part(kind, text))
            if kind == "refusal":
                self._event("response.refusal.done", {**self._place(kind), "refusal": text}, out)
            else:
                told = {**self._place(kind), "text": text, "logprobs": []}
                self._event("response.output_text.done", told, out)
            self._event("response.content_part.done", {**self._place(kind), "part": content[-1]}, out)
        is_last = self._text_at == len(self._calls)
        item = _message_item(self._chat.get("id"), content, status if is_last else "completed")
        self._event("response.output_item.done", {"output_index": self._text_at, "item": item}, out)

    def _call(self, call: dict[str, Any], out: list[bytes]) -> None:
        begun = len(self._calls)
        place = openai.place_of(self._calls, call)
        openai.note(self._calls[place], call)
        if place == begun:
            output_index = begun + bool(self._parts)
            item = {**_call_item(call, "in_progress"), "arguments": ""}
            self._items.append({"output_index": output_index, "id": item["id"]})
            self._event("response.output_item.added", {"output_index": output_index, "item": item}, out)
        known = self._items[place]
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
