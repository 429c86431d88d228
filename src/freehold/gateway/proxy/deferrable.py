"""What a rule of deferral reads of a request and of a candidate's answer. Pure; long bodies are read where it costs the
event loop nothing (`reading`).

Covered: chat completions, Responses and Anthropic messages; answers whole and streamed.
Not covered: text completions and embeddings, several choices, tools that run at the model's maker. What a rule was
proven for is none of these, so the incumbent answers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec

from freehold.deferring.request_text import request_text
from freehold.deferring.signals import AnswerSignals
from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy import structured_output
from freehold.types.deferral import SignalName
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic, responses
from freehold.wire.errors import UNREADABLE, ApiError

_CHAT_KINDS = frozenset(("chat", "messages", "responses"))
_RUN_BY_CLIENT = frozenset((None, "function", "custom"))
_METADATA_BYTES_MAX = 64 * 1024


class ReadRequest(msgspec.Struct, frozen=True, array_like=True):
    """How a request is read: which API asked, and whether a router decides."""

    kind: str
    by_router: bool


class Deferrable(msgspec.Struct, frozen=True, array_like=True):
    """What a rule needs to know of a request. `metadata` are the texts of its own field of that name."""

    decidable: bool
    metadata: dict[str, str] = {}
    asks_logprobs: bool = False


class ReadAnswer(msgspec.Struct, frozen=True, array_like=True):
    """How a candidate's answer is read: which API asked, who answered, whether as a stream, for which signal.

    Without `keeps_logprobs` the client did not ask for them.
    """

    kind: str
    endpoint: Endpoint
    stream: bool
    signal: SignalName
    keeps_logprobs: bool


class AnswerSignal(msgspec.Struct, frozen=True, array_like=True):
    """How sure an answer is; `value` is None where it does not tell. `whole`: it came to its end."""

    whole: bool
    value: float | None = None


class _Fields(msgspec.Struct, gc=False):
    n: Any = None
    metadata: Any = None
    tools: Any = None
    logprobs: Any = None
    background: Any = None


_fields = msgspec.json.Decoder(_Fields).decode


def read_request(how: ReadRequest, body: bytes) -> tuple[Deferrable, list[bytes]]:
    """What of a request decides, and the text that a router reads of it (empty for a cascade)."""
    try:
        asked = _fields(body)
    except UNREADABLE:
        return Deferrable(False), [b""]
    metadata = _texts(asked.metadata)
    if how.kind not in _CHAT_KINDS:
        return Deferrable(False, metadata), [b""]
    try:
        decidable = asked.n is None or asked.n == 1
        text = b""
        if how.by_router:
            text = _router_text(how.kind, body)
        else:
            # What the client runs is run once, by the answer it gets. What the maker's servers run is run by asking.
            tools = asked.tools if isinstance(asked.tools, list) else []
            kinds = (tool.get("type") if isinstance(tool, dict) else None for tool in tools)
            decidable = decidable and not asked.background and all(_is_name(one) for one in kinds)
    except (ApiError, *UNREADABLE):
        # A rule was proven for conversations alone.
        return Deferrable(False, metadata), [b""]
    return Deferrable(decidable, metadata, bool(asked.logprobs)), [text]


def _router_text(kind: str, body: bytes) -> bytes:
    if kind == "messages":
        body = anthropic.read_request(body)
    elif kind == "responses":
        body = responses.read_request(body)
    return request_text(msgspec.json.decode(body, type=dict[str, Any])).encode(errors="replace")


def _is_name(kind: Any) -> bool:
    return kind is None or (isinstance(kind, str) and kind in _RUN_BY_CLIENT)


def _texts(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        return {}
    found = {name: value for name, value in metadata.items() if isinstance(value, str)}
    return found if sum(map(len, found.values())) <= _METADATA_BYTES_MAX else {}


def meets(
    conditions: Iterable[Mapping[str, str]],
    found: Deferrable,
    header: Callable[[str], str | None],
    key_name: str | None,
) -> bool:
    """Whether a request meets one of the conditions in all its parts."""

    def holds(name: str, wanted: str) -> bool:
        if name == "key":
            return key_name == wanted
        if name.startswith("header:"):
            return header(name[7:].strip().lower()) == wanted
        return found.metadata.get(name) == wanted

    return any(
        bool(condition) and all(holds(name, wanted) for name, wanted in condition.items())
        for condition in conditions
    )


def read_answer(how: ReadAnswer, data: bytes) -> tuple[AnswerSignal, list[bytes]]:
    """How sure an answer is, and the answer as the client is to have it: empty where that is as it came."""
    answer = structured_output.answer_of(cast("ApiKind", how.kind), how.endpoint, data, streamed=how.stream)
    if answer.body is None or not answer.ended:
        return AnswerSignal(False), [b""]
    told = AnswerSignal(True, _value(how, answer.body))
    if how.keeps_logprobs or b'"logprobs"' not in data:
        return told, [b""]
    try:
        return told, [_stream_without(data) if how.stream else _without(data)]
    except UNREADABLE:
        return AnswerSignal(False), [b""]


def _value(how: ReadAnswer, body: Mapping[str, Any]) -> float | None:
    read = AnswerSignals()
    read.take(body)
    return read.signals(fields=how.signal == "field_min_logprob").get(how.signal)


def _stream_without(data: bytes) -> bytes:
    """A chat stream whose chunks tell no log-probabilities; all else of it stays byte for byte."""
    lines = data.split(b"\n")
    for place, line in enumerate(lines):
        if b'"logprobs"' in line and line.startswith(b"data:"):
            text = line[5:].strip()
            ending = b"\r" if line.endswith(b"\r") else b""
            lines[place] = b"data: " + _without(text) + ending
    return b"\n".join(lines)


def _without(body: bytes) -> bytes:
    """A chat completion, or a chunk of one, that tells no log-probabilities. Raises what is `UNREADABLE`."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if "choices" not in fields:
        return body
    choices = msgspec.json.decode(fields["choices"], type=list[dict[str, msgspec.Raw]])
    for choice in choices:
        if "logprobs" in choice:
            choice["logprobs"] = _NULL
    return msgspec.json.encode({**fields, "choices": msgspec.Raw(msgspec.json.encode(choices))})


_NULL = msgspec.Raw(b"null")
