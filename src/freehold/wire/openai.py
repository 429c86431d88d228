"""OpenAI's API: the few fields looked at on the way through, and streams put together afterwards.

Covered: a peek that leaves the bytes alone, top-level fields replaced or added without touching the others,
chat and text completion streams reassembled (tool calls, refusals, log-probabilities, several choices).
Not covered: validation of requests; the upstream does that.

OpenAI's API gives each call an index. Others begin every call under the same one, or tell none: what stands in front of
Gemini's API does (github.com/NousResearch/hermes-agent, pull request 12930; github.com/QuantumNous/new-api, 672). And
some tell the id and the name again with each piece, or as empty texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import msgspec

from freehold.types.trace import Usage
from freehold.wire import sse
from freehold.wire.errors import UNREADABLE, ApiError
from freehold.wire.usage import usage_of


def place_of(calls: list[dict[str, Any]], piece: dict[str, Any]) -> int:
    """Which of the calls so far a piece is of, by its place among them; a piece that begins a call adds it, without
    what it says."""
    index = piece.get("index")
    place = len(calls) - 1
    while place >= 0 and index is not None and calls[place].get("index") != index:
        place -= 1
    if place < 0 or _begins_another(calls[place], piece):
        calls.append({"index": index})
        return len(calls) - 1
    return place


def note(call: dict[str, Any], piece: dict[str, Any]) -> None:
    """Keep of a piece what tells its call from the next: id, name, and that it has arguments."""
    known, function = call.setdefault("function", {}), piece.get("function") or {}
    call["id"] = piece.get("id") or call.get("id")
    for name in ("name", "arguments"):
        known[name] = function.get(name) or known.get(name)


def _begins_another(call: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Whether a piece under the index of `call` begins a call of its own: it has another id, or, where ids are not
    told, a name though the call had its name and arguments."""
    if piece.get("id"):
        return call.get("id") not in (None, "", piece["id"])
    known, function = call.get("function") or {}, piece.get("function") or {}
    return bool(function.get("name") and known.get("name") and known.get("arguments"))


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What routing needs to know of a request; everything else stays unread."""

    model: Any = None
    stream: Any = None
    user: Any = None
    safety_identifier: Any = None
    stream_options: msgspec.Raw = msgspec.Raw()
    response_format: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()


class _Conversation(msgspec.Struct, gc=False):
    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    """The Responses API's name for them."""


_NAME_LENGTH_MAX = 1000
_ERROR_WITHIN = 200
# A conversation is known by this much of its beginning.
_START_BYTES_MAX = 64 * 1024
_JSON_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},]', re.DOTALL)
_peek = msgspec.json.Decoder(Peek)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_conversation = msgspec.json.Decoder(_Conversation)
_messages = msgspec.json.Decoder(list[msgspec.Raw])


def peek(body: bytes) -> Peek:
    """Look at a request's body. Raises `ApiError` (400) when it is not a JSON object, or its model not a string."""
    try:
        seen = _peek.decode(body)
        if not body.isascii():
            body.decode()  # texts that are passed over are not looked into, and must be UTF-8 too
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the request body is not a JSON object: {error}") from None
    if seen.model is not None and type(seen.model) is not str:
        raise ApiError(400, "model must be a string", param="model")
    if seen.model is not None and len(seen.model) > _NAME_LENGTH_MAX:
        raise ApiError(
            404,
            f"the model '{seen.model[:100]}…' does not exist here; GET /v1/models lists those that do",
            code="model_not_found",
            param="model",
        )
    return seen


def stopped_with(chunk: dict[str, Any]) -> ApiError:
    """The error that a stream's chunk tells instead of going on."""
    said = chunk.get("error")
    words = said.get("message") if isinstance(said, dict) else said
    return ApiError(502, f"the model stopped with an error: {str(words)[:500]}", code="upstream_cut")


def first_choice(chat: Any) -> dict[str, Any]:
    """The first choice of a whole completion. Raises `ApiError` (502) for an answer that has none, which must not look
    like an empty one: some providers tell an error of the model under the status 200
    (https://openrouter.ai/docs/api/reference/errors-and-debugging, read 2026-11-30)."""
    choices = chat.get("choices")
    if not choices and chat.get("error"):
        raise stopped_with(chat)
    if not choices:
        raise ApiError(
            502, "the model's endpoint gave an answer without a choice", code="upstream_unreadable"
        )
    first: dict[str, Any] = choices[0]
    return first


def said_in(message: dict[str, Any]) -> str:
    """The words of a message or of a piece of one: its text, or what it says where the model refused to answer."""
    return text_of(message.get("content")) or message.get("refusal") or ""


def text_of(content: Any) -> Any:
    """The text of an answer's content. Mistral's models that reason tell parts, of thought and of text
    (github.com/spring-projects/spring-ai, issue 5019)."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def begins_with_error(beginning: bytes) -> ApiError | None:
    """The error that the first event of a stream tells in place of an answer; None where it tells none.

    llama.cpp and vLLM put the status into the error's code.
    """
    if b'"error"' not in beginning[:_ERROR_WITHIN]:
        return None
    try:
        said = msgspec.json.decode(next(sse.events(beginning))[1])["error"]
    except (StopIteration, *UNREADABLE):
        return None
    if not said:
        return None
    told = said if isinstance(said, dict) else {"message": said}
    status = told.get("code")
    known = status if isinstance(status, int) and 400 <= status < 600 else None
    code = status if known is None else told.get("type")
    return ApiError(
        known or 502,
        str(told.get("message") or "the model stopped with an error")[:2000],
        code=code if isinstance(code, str) else None,
        param=told.get("param") if isinstance(told.get("param"), str) else None,
    )


def raw_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level fields of a body, unread."""
    return _fields.decode(body)


def splice(body: bytes, changes: dict[str, Any]) -> bytes:
    """The body with top-level fields replaced or added; the bytes of all other values stay as they are.

    `changes` has the new values as `msgspec.Raw` or anything JSON can say.
    """
    fields: dict[str, Any] = dict(_fields.decode(body))
    fields.update(changes)
    return msgspec.json.encode(fields)


def conversation_start(body: bytes) -> bytes:
    """What two requests of one conversation share: the messages up to and with the first of the user."""
    try:
        told = _conversation.decode(body)
        messages = bytes(told.messages) or bytes(told.input)
        if not messages.startswith(b"["):
            return body[:_START_BYTES_MAX]
        if len(messages) > _START_BYTES_MAX:
            return _long_start(messages[:_START_BYTES_MAX])
        start = []
        for message in _messages.decode(messages):
            start.append(bytes(message))
            if b'"user"' in start[-1]:
                break
        return b"\n".join(start)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:_START_BYTES_MAX]


def _long_start(messages: bytes) -> bytes:
    """The same of the first bytes of many messages: those that end in there are looked at one by one."""
    start: list[bytes] = []
    depth, begun = 0, 1
    for token in _JSON_TOKENS.finditer(messages, 1):
        match token.group():
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case b"," if depth == 0:
                start.append(messages[begun : token.start()].strip())
                begun = token.end()
                if b'"user"' in start[-1]:
                    return b"\n".join(start)
    return b"\n".join([*start, messages[begun:].strip()])


class _WordDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str


class _WordChoice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    delta: _WordDelta
    index: int = 0
    finish_reason: None = None
    logprobs: None = None


class _WordChunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The commonest chunk by far, one more word of one choice: read by this, a long stream costs a fifth."""

    choices: tuple[_WordChoice]
    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None
    obfuscation: Any = None
    usage: None = None


_word = msgspec.json.Decoder(_WordChunk).decode


class AssembledAnswer(NamedTuple):
    """An answer put together from what came over the wire. `ended` says whether the upstream finished it."""

    body: dict[str, Any] | None
    finish_reason: str | None
    usage: Usage | None
    ended: bool


def function_call(id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A call as a chat message has it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def as_completion(
    whole: dict[str, Any], text: str, calls: list[dict[str, Any]], finish: str | None, *, ended: bool
) -> AssembledAnswer:
    """What another API's answer, `whole`, says, as a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    body = {
        "id": whole.get("id"),
        "object": "chat.completion",
        "model": whole.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    return AssembledAnswer(body, finish, usage_of(whole), ended)


def none_where_unreadable(read: Callable[[bytes], AssembledAnswer]) -> Callable[[bytes], AssembledAnswer]:
    """`read`, for which an answer whose fields are not of the types its API says is one that never ended.

    Answers come from whatever stands behind an address: what one of them holds must not cost the trace of its request.
    """

    @wraps(read)
    def tolerant(body: bytes) -> AssembledAnswer:
        try:
            return read(body)
        except UNREADABLE:
            return AssembledAnswer(None, None, None, False)

    return tolerant


@none_where_unreadable
def read_answer(body: bytes) -> AssembledAnswer:
    """A plain (not streamed) answer."""
    value = msgspec.json.decode(body)
    if not isinstance(value, dict):
        return AssembledAnswer({"body": value}, None, None, True)
    return AssembledAnswer(value, _finish_reason(value), usage_of(value), True)


@none_where_unreadable
def read_stream(stream: bytes) -> AssembledAnswer:
    """Put a chat or text completion stream together into the answer a plain request would have got."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    words: dict[int, list[str]] = {}
    ended = False
    for _, data in sse.events(stream):
        if data.strip() == b"[DONE]":
            ended = True
            continue
        if whole:
            try:
                word = _word(data).choices[0]
            except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
                _add_words(choices, words)
            else:
                words.setdefault(word.index, []).append(word.delta.content)
                continue
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(chunk, dict):
            _add_chunk(whole, choices, chunk)
    _add_words(choices, words)
    if not whole and not choices:
        return AssembledAnswer(None, None, None, ended)
    if whole.get("error"):
        return AssembledAnswer(whole, None, None, False)
    if choices:
        whole["choices"] = [_finished(choices[index]) for index in sorted(choices)]
        ended = ended or all(choice.get("finish_reason") for choice in choices.values())
    if whole.get("object") == "chat.completion.chunk":
        whole["object"] = "chat.completion"
    return AssembledAnswer(whole, _finish_reason(whole), usage_of(whole), ended)


def _add_words(choices: dict[int, dict[str, Any]], words: dict[int, list[str]]) -> None:
    for index, parts in words.items():
        message = choices.setdefault(index, {"index": index}).setdefault("message", {})
        message["content"] = (message.get("content") or "") + "".join(parts)
    words.clear()


def _add_chunk(whole: dict[str, Any], choices: dict[int, dict[str, Any]], chunk: dict[str, Any]) -> None:
    for key, value in chunk.items():
        if key != "choices" and (value is not None or key not in whole):
            whole[key] = value
    for part in chunk.get("choices") or ():
        if not isinstance(part, dict):
            continue
        choice = choices.setdefault(part.get("index") or 0, {"index": part.get("index") or 0})
        for key, value in part.items():
            if key == "delta" and isinstance(value, dict):
                _add_delta(_within(choice, "message"), value)
            elif key == "text" and isinstance(value, str):
                choice["text"] = choice.get("text", "") + value
            elif key == "logprobs" and isinstance(value, dict):
                _add_lists(_within(choice, key), value)
            elif key != "index" and (value is not None or key not in choice):
                choice[key] = value


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "content" and isinstance(value, list):
            value = text_of(value)
        if key == "tool_calls" and isinstance(value, list):
            for call in value:
                if isinstance(call, dict):
                    _add_tool_call(message.setdefault("tool_calls", []), call)
        elif isinstance(value, str) and key != "role" and isinstance(message.get(key), str):
            message[key] += value
        elif value is not None or key not in message:
            message[key] = value


def _add_tool_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    call = calls[place_of(calls, part)]
    for key, value in part.items():
        if key == "function" and isinstance(value, dict):
            function = _within(call, key)
            for name, text in value.items():
                if name == "arguments" and isinstance(text, str):
                    function[name] = function.get(name, "") + text
                elif text or name not in function:
                    function[name] = text
        elif key != "index" and (value or key not in call):
            call[key] = value


def _within(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """The object under a name, begun where none was told yet: vLLM's first chunk has ``"logprobs": null``."""
    inner: dict[str, Any] = whole.get(name) or {}
    whole[name] = inner
    return inner


def _add_lists(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, list) and isinstance(into.get(key), list):
            into[key] = [*into[key], *value]
        elif value is not None or key not in into:
            into[key] = value


def _finished(choice: dict[str, Any]) -> dict[str, Any]:
    message = choice.get("message")
    if isinstance(message, dict):
        message.setdefault("role", "assistant")
        message.setdefault("content", None)
        for call in message.get("tool_calls") or ():
            call.pop("index", None)
    return choice


def _finish_reason(body: dict[str, Any]) -> str | None:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        reason = choices[0].get("finish_reason")
        return reason if isinstance(reason, str) else None
    return None
