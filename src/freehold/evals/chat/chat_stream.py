"""Chat answers read from the wire: an assembled stream, or one JSON body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from freehold.deferring.signals import AnswerSignals
from freehold.types.deferral import SignalName
from freehold.types.trace import Usage
from freehold.wire.usage import read_usage


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _Body(msgspec.Struct):
    choices: list[_Choice] = []
    usage: dict[str, Any] | None = None
    service_tier: Any = None
    error: Any = None
    freehold: Any = None


_decode = msgspec.json.Decoder(_Body).decode


class Garbled(ValueError):
    """The response is not in the API's format."""


class ChatText:
    """Assembles an answer from bytes as they arrive. `done` once the stream has ended."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.error: str | None = None
        self.done = False
        self._rest = b""
        self._signals = AnswerSignals()

    @property
    def started(self) -> bool:
        """Whether the first token has arrived."""
        return bool(self.content or self.tool_calls)

    @property
    def output(self) -> str | None:
        """The answer as text; tool calls as compact JSON in the API's own shape; None for an empty answer."""
        if self.tool_calls:
            return msgspec.json.encode([self.tool_calls[key] for key in sorted(self.tool_calls)]).decode()
        return "".join(self.content) if self.content else None

    def signals(self) -> dict[SignalName, float]:
        """How sure the model was, now that the answer is complete; empty where it told nothing of that."""
        calls = list(self.tool_calls.values())
        self._signals.take_choice(None, {"content": "".join(self.content), "tool_calls": calls}, None)
        return self._signals.signals()

    def feed(self, data: bytes) -> None:
        """Take bytes of a ``text/event-stream``. Raises `Garbled`."""
        for payload in self._payloads(data):
            if payload == b"[DONE]":
                self.done = True
            else:
                self._take(payload)

    def feed_body(self, data: bytes) -> None:
        """Take a whole JSON answer. Raises `Garbled`."""
        self._take(data)
        self.done = True

    def _payloads(self, data: bytes) -> Iterator[bytes]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()

    def _take(self, payload: bytes) -> None:
        try:
            body = _decode(payload)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Garbled(str(error)) from None
        if body.error is not None:
            message = body.error.get("message") if isinstance(body.error, dict) else None
            self.error = str(message or body.error)
        if body.usage is not None:
            self.usage = read_usage(body.usage, service_tier=body.service_tier) or self.usage
        self._signals.take_told(body.freehold)
        for choice in body.choices[:1]:
            self._signals.take_choice(choice.logprobs, None, choice.finish_reason)
            self.finish_reason = choice.finish_reason or self.finish_reason
            message = choice.delta or choice.message
            if message is not None:
                self._add(message)

    def _add(self, message: _Message) -> None:
        for text in (message.content, message.refusal):
            if isinstance(text, list):
                text = "".join(part.get("text") or "" for part in text if isinstance(part, dict))
            if isinstance(text, str) and text:
                self.content.append(text)
        for place, piece in enumerate(message.tool_calls or []):
            index = place if piece.index is None else piece.index
            call = self.tool_calls.setdefault(
                index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = piece.id or call["id"]
            if piece.function is not None:
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""
