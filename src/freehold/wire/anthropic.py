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
from freehold.wire.errors import THREAD_NOT_FOUND, UNREADABLE, ApiError, cut_off, refuse_others
from freehold.wire.openai import AssembledAnswer, function_call
from freehold.wire.usage import merged, message_usage, read_usage, usage_of

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


class AnthropicStreamFromOpenai(sse.TranslatedStream):
    """A chat completion stream as Anthropic's events. `repeats_begun` as of `answer_from_openai`."""

    def __init__(self, request: bytes, *, repeats_begun: bool = False) -> None:
        super().__init__()
        self._repeated = begun_answer(request) if repeats_begun else ""
        self._model = openai.peek(request).model
        self._started = False
        self._block: tuple[str, int] | None = None
        self._calls: list[dict[str, Any]] = []
        self._index = -1
        self._finish: str | None = None
        self._refused = False
        self._word: str | None = None
        self._usage: dict[str, Any] = {}

    def rest(self) -> bytes:
        if self._finish is None and not self._events.done:
            raise cut_off()
        self._start({})
        self._end_block()
        usage = message_usage(read_usage(self._usage))
        finish = "content_filter" if self._refused else self._finish
        delta = _stop(finish, self._word, called=bool(self._calls))
        self._event("message_delta", {"delta": delta, "usage": usage})
        self._event("message_stop", {})
        return self._sent()

    def broken(self, error: bytes) -> bytes:
        return b"event: error\ndata: " + error + b"\n\n"

    def _take(self, chunk: dict[str, Any], /) -> None:
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
            self._start(chunk)
            self._word = stop_word(chunk, choice) or self._word
            if text:
                self._open("text", 0, {"type": "text", "text": ""})
                self._delta({"type": "text_delta", "text": text})
            for call in delta.get("tool_calls") or ():
                self._call(call)
            self._finish = choice.get("finish_reason") or self._finish

    def _call(self, call: dict[str, Any]) -> None:
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
        self._open("tool", place, block)
        if function.get("arguments"):
            self._delta({"type": "input_json_delta", "partial_json": function["arguments"]})

    def _unrepeated(self, text: str) -> str:
        """What is new in a piece while the client's own beginning is told again."""
        if self._repeated.startswith(text):
            self._repeated = self._repeated[len(text) :]
            return ""
        new = text.removeprefix(self._repeated)
        self._repeated = ""
        return new

    def _start(self, chunk: dict[str, Any]) -> None:
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
        self._event("message_start", {"message": message})

    def _open(self, kind: str, number: int, block: dict[str, Any]) -> None:
        if self._block == (kind, number):
            return
        self._end_block()
        self._block = (kind, number)
        self._index += 1
        self._event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> None:
        self._event("content_block_delta", {"index": self._index, "delta": delta})

    def _end_block(self) -> None:
        if self._block is not None:
            self._block = None
            self._event("content_block_stop", {"index": self._index})

    def _event(self, kind: str, body: dict[str, Any]) -> None:
        data = msgspec.json.encode({"type": kind, **body})
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))


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
    message: Any = msgspec.json.decode(body)
    if not isinstance(message, dict) or message.get("type") != "message":
        return AssembledAnswer(message if isinstance(message, dict) else None, None, None, True)
    return _as_chat(message, ended=True)


@openai.none_where_unreadable
def read_stream(stream: bytes) -> AssembledAnswer:
    """A stream of a message, put together as a chat completion."""
    message: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    ended = False
    for event in sse.objects(stream):
        match event.get("type"):
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
            calls.append(openai.function_call(block.get("id"), block.get("name"), arguments))
    finish = FINISH_REASONS.get(message.get("stop_reason") or "")
    return openai.as_completion(message, "".join(text), calls, finish, ended=ended)
