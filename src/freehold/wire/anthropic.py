"""Anthropic's Messages API, translated to and from OpenAI's chat API.

Covered: text, images, tools and their results, tool choice, stop sequences, system prompts, JSON schemas, effort,
streams, the count of a prompt's tokens where the endpoint can tell it, the list of models.
Not covered (refused): documents, server-side tools, thinking with a budget, and everything else a chat API has no
word for. Thinking blocks of earlier turns are left out, as the API allows; a model that thinks by itself does so,
and its thinking is not passed on. Threads are not held here, which the API allows as well: clients send the whole
conversation again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from freehold.wire import openai, sse
from freehold.wire.anthropic_request import read_request as read_request
from freehold.wire.anthropic_request import request_to_openai as request_to_openai
from freehold.wire.errors import UNREADABLE, ApiError, cut_off
from freehold.wire.openai import AssembledAnswer
from freehold.wire.usage import merged, message_usage, read_usage, usage_of

API_VERSION = "2023-06-01"
"""The one that is asked for when the client did not say."""

_PAGE_MODELS, _PAGE_MODELS_MAX = 20, 1000
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Turns(msgspec.Struct):
    messages: list[msgspec.Raw] = []


def begun_answer(request: bytes) -> str:
    """The beginning of the answer that a request's last message is; empty where it is none."""
    try:
        last = msgspec.json.decode(request, type=_Turns).messages[-1:]
        message = msgspec.json.decode(last[0]) if last and b'"assistant"' in bytes(last[0]) else {}
        content = message["content"] if message.get("role") == "assistant" else ""
        if isinstance(content, str):
            return content
        return "".join(block["text"] for block in content if block.get("type") == "text")
    except UNREADABLE:
        return ""


def answer_from_openai(body: bytes, request: bytes, *, repeats_begun: bool = False) -> bytes:
    """The message that says what a chat completion says. `repeats_begun`: the completion has in front what the request
    begun of it, which Anthropic's API does not tell again."""
    chat = msgspec.json.decode(body)
    choice = openai.first_choice(chat)
    message = choice.get("message") or {}
    content: list[dict[str, Any]] = []
    text = openai.said_in(message)
    finish = "content_filter" if message.get("refusal") else choice.get("finish_reason")
    if text and repeats_begun:
        text = text.removeprefix(begun_answer(request))
    if text:
        content.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        content.append(
            {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": _arguments(function.get("arguments")),
            }
        )
    return msgspec.json.encode(
        {
            "id": f"msg_{chat.get('id', '')}",
            "type": "message",
            "role": "assistant",
            "model": openai.peek(request).model or chat.get("model"),
            "content": content,
            **_stop(finish, stop_word(chat, choice), called=bool(message.get("tool_calls"))),
            "usage": message_usage(usage_of(chat)),
        }
    )


def stop_word(chat: dict[str, Any], choice: dict[str, Any]) -> str | None:
    """The stop sequence that ended an answer, where the engine tells it: vLLM in the choice, llama.cpp among all it
    knows."""
    word = choice.get("stop_reason")
    if isinstance(verbose := chat.get("__verbose"), dict):
        word = verbose.get("stopping_word")
    return word if isinstance(word, str) and word else None


def _stop(finish: Any, word: str | None, *, called: bool) -> dict[str, Any]:
    if called and finish in (None, "stop"):
        # So OpenAI's API ends a call that was demanded by name, and others every call.
        finish = "tool_calls"
    if finish == "stop" and word is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": word}
    return {"stop_reason": _STOP_REASONS.get(finish or "stop", "end_turn"), "stop_sequence": None}


def _progress(told: Any) -> dict[str, Any] | None:
    """The prompt's tokens as llama.cpp tells them while it reads it, as usage."""
    if not isinstance(told, dict) or not isinstance(told.get("total"), int):
        return None
    cached = told.get("cache")
    return {
        "prompt_tokens": told["total"],
        "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": cached if isinstance(cached, int) else 0},
    }


def _arguments(text: Any) -> Any:
    try:
        return msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, TypeError):
        raise ApiError(502, "the model called a tool with arguments that are not JSON") from None


class AnthropicStreamFromOpenai:
    """A chat completion stream as Anthropic's events. `repeats_begun` as of `answer_from_openai`."""

    def __init__(self, request: bytes, *, repeats_begun: bool = False) -> None:
        self._repeated = begun_answer(request) if repeats_begun else ""
        self._model = openai.peek(request).model
        self._events = sse.JsonEvents()
        self._started = False
        self._block: tuple[str, int] | None = None
        self._calls: list[dict[str, Any]] = []
        self._index = -1
        self._finish: str | None = None
        self._refused = False
        self._word: str | None = None
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        for chunk in self._events.feed(data):
            self._chunk(chunk, out)
        return b"".join(out)

    def rest(self) -> bytes:
        if self._finish is None and not self._events.done:
            raise cut_off()
        out: list[bytes] = []
        self._start({}, out)
        self._end_block(out)
        usage = message_usage(read_usage(self._usage))
        finish = "content_filter" if self._refused else self._finish
        delta = _stop(finish, self._word, called=bool(self._calls))
        out.append(_event("message_delta", {"delta": delta, "usage": usage}))
        out.append(_event("message_stop", {}))
        return b"".join(out)

    def broken(self, error: bytes) -> bytes:
        return b"event: error\ndata: " + error + b"\n\n"

    def _chunk(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        if chunk.get("error"):
            raise openai.stopped_with(chunk)
        usage = chunk.get("usage")
        if isinstance(usage, dict) or (usage := _progress(chunk.get("prompt_progress"))) is not None:
            self._usage = usage
        for choice in (chunk.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            text = openai.said_in(delta)
            self._refused = self._refused or bool(delta.get("refusal"))
            if self._repeated and text:
                text = self._unrepeated(text)
            if not (text or delta.get("tool_calls") or choice.get("finish_reason")):
                continue  # the answer has not begun, and what the prompt has may still be told
            self._start(chunk, out)
            self._word = stop_word(chunk, choice) or self._word
            if text:
                self._open("text", 0, {"type": "text", "text": ""}, out)
                self._delta({"type": "text_delta", "text": text}, out)
            for call in delta.get("tool_calls") or ():
                self._call(call, out)
            self._finish = choice.get("finish_reason") or self._finish

    def _call(self, call: dict[str, Any], out: list[bytes]) -> None:
        function = call.get("function") or {}
        known = len(self._calls)
        place = openai.place_of(self._calls, call)
        if place < known and self._block != ("tool", place):
            if not function.get("arguments"):
                return
            # Blocks follow each other; half a call must not look like a whole one.
            raise ApiError(502, "the model's calls came in pieces that mix", code="upstream_unreadable")
        openai.note(self._calls[place], call)
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": call.get("id"),
            "name": function.get("name"),
            "input": {},
        }
        self._open("tool", place, block, out)
        if function.get("arguments"):
            self._delta({"type": "input_json_delta", "partial_json": function["arguments"]}, out)

    def _unrepeated(self, text: str) -> str:
        """What is new in a piece while the client's own beginning is told again."""
        if self._repeated.startswith(text):
            self._repeated = self._repeated[len(text) :]
            return ""
        new = text.removeprefix(self._repeated)
        self._repeated = ""
        return new

    def _start(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        message: dict[str, Any] = {
            "id": f"msg_{chunk.get('id', '')}",
            "type": "message",
            "role": "assistant",
            "model": self._model or chunk.get("model"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": message_usage(read_usage(self._usage)),
        }
        out.append(_event("message_start", {"message": message}))

    def _open(self, kind: str, number: int, block: dict[str, Any], out: list[bytes]) -> None:
        if self._block == (kind, number):
            return
        self._end_block(out)
        self._block = (kind, number)
        self._index += 1
        out.append(_event("content_block_start", {"index": self._index, "content_block": block}))

    def _delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        out.append(_event("content_block_delta", {"index": self._index, "delta": delta}))

    def _end_block(self, out: list[bytes]) -> None:
        if self._block is not None:
            self._block = None
            out.append(_event("content_block_stop", {"index": self._index}))


def _event(kind: str, body: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **body}))


def listed_model(name: str, created_s: int) -> dict[str, Any]:
    """One line of ``GET /v1/models`` as Anthropic's clients read it."""
    at = datetime.fromtimestamp(created_s, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": name, "display_name": name, "created_at": at, "lifecycle": "active"}


def listed_models(data: list[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
    """A page of the list, as the query's ``limit``, ``after_id`` and ``before_id`` say
    (https://docs.claude.com/en/api/models-list). Raises `ApiError` (400) for a limit that is none."""
    limit = query.get("limit", [str(_PAGE_MODELS)])[-1]
    if not limit.isdecimal() or len(limit) > 9 or not 1 <= int(limit) <= _PAGE_MODELS_MAX:
        raise ApiError(400, f"limit: Input should be from 1 to {_PAGE_MODELS_MAX}", param="limit")
    names = [one["id"] for one in data]
    before, after = (query.get(name, [""])[-1] for name in ("before_id", "after_id"))
    if after in names:
        data = data[names.index(after) + 1 :]
    elif before in names:
        data = data[: names.index(before)]
    count = int(limit)
    page = data[-count:] if before in names and after not in names else data[:count]
    return {
        "data": page,
        "has_more": len(page) < len(data),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


# What Anthropic itself answered, for traces


@openai.none_where_unreadable
def read_answer(body: bytes) -> AssembledAnswer:
    """A message, as a chat completion."""
    try:
        message: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AssembledAnswer(None, None, None, False)
    if not isinstance(message, dict) or message.get("type") != "message":
        return AssembledAnswer(message if isinstance(message, dict) else None, None, None, True)
    return _as_chat(message, ended=True)


@openai.none_where_unreadable
def read_stream(stream: bytes) -> AssembledAnswer:
    """A stream of a message, put together as a chat completion."""
    message: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    ended = False
    for _, data in sse.events(stream):
        try:
            event = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        match event.get("type") if isinstance(event, dict) else None:
            case "message_start":
                message = dict(event["message"])
            case "content_block_start":
                blocks.append(dict(event["content_block"]))
            case "content_block_delta" if blocks:
                delta, block = event["delta"], blocks[-1]
                if delta.get("type") == "text_delta":
                    block["text"] = block.get("text", "") + delta["text"]
                elif delta.get("type") == "input_json_delta":
                    block["partial"] = block.get("partial", "") + delta["partial_json"]
            case "message_delta":
                message.update(event.get("delta") or {})
                message["usage"] = merged(message.get("usage"), event.get("usage"))
            case "message_stop":
                ended = True
    if not message:
        return AssembledAnswer(None, None, None, False)
    return _as_chat({**message, "content": blocks}, ended=ended)


def _as_chat(message: dict[str, Any], *, ended: bool) -> AssembledAnswer:
    text, calls = [], []
    for block in message.get("content") or ():
        if block.get("type") == "text":
            text.append(block.get("text", ""))
        elif block.get("type") == "tool_use":
            arguments = block.get("partial") or msgspec.json.encode(block.get("input") or {}).decode()
            function = {"name": block.get("name"), "arguments": arguments}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
    said: dict[str, Any] = {"role": "assistant", "content": "".join(text) or None}
    if calls:
        said["tool_calls"] = calls
    finish = FINISH_REASONS.get(message.get("stop_reason") or "")
    body = {
        "id": message.get("id"),
        "object": "chat.completion",
        "model": message.get("model"),
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
    }
    return AssembledAnswer(body, finish, usage_of(message), ended)
