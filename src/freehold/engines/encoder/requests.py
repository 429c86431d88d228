"""What a request asks of an encoder, read from its JSON; what it cannot do is refused in words.

Covered: fields that change the answer of a model that writes and cannot change this one (temperature, top_p, seed,
penalties) are taken and have no effect: the likeliest answer is the same each time.
Not covered: a conversation whose last turn is the assistant's is not continued; what is read of it is the user's.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from freehold.types.dataset import Message
from freehold.wire.errors import ApiError

MOST_INPUTS = 2048
"""As many as OpenAI's API takes in one request."""
_Text = Annotated[str, Meta(min_length=1)]
_Count = Annotated[int, Meta(ge=1)]


class _TextPart(msgspec.Struct):
    type: Literal["text", "refusal"]
    text: str = ""


class _ChatTurn(msgspec.Struct):
    role: str
    content: str | list[_TextPart] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """A chat request."""

    model: str
    messages: Annotated[list[_ChatTurn], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    stop: _Text | list[_Text] | None = None
    response_format: dict[str, Any] | None = None

    @property
    def conversation(self) -> list[Message]:
        """Its messages."""
        return [Message(role=one.role, content=msgspec.to_builtins(one.content)) for one in self.messages]


class EmbeddingRequest(msgspec.Struct):
    """A request for embeddings."""

    model: str
    input: _Text | Annotated[list[_Text], Meta(min_length=1, max_length=MOST_INPUTS)]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None


def read_json(data: bytes) -> dict[str, Any]:
    """A request's JSON object. Half of a surrogate pair, which some clients leave when they cut a text, is replaced as
    other readers do it. Raises `ApiError` (400)."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            loaded = json.loads(data)
            body = msgspec.json.decode(json.dumps(loaded, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise ApiError(400, f"the request is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the request must be a JSON object")
    return body


def read_chat(body: dict[str, Any]) -> ChatRequest:
    """A chat request. Raises `ApiError` (400) for what is malformed, and for what an encoder cannot do: what would
    change the answer of a model that writes."""
    impossible = {
        "tools": (body.get("tools"), "an encoder answers from a closed set and calls no tools"),
        "functions": (body.get("functions"), "an encoder answers from a closed set and calls no functions"),
        "n": (body.get("n") not in (None, 1), "an encoder has one answer to a message: n must be 1"),
        "logit_bias": (body.get("logit_bias"), "an encoder draws no tokens: logit_bias is not possible"),
        "audio": (body.get("audio"), "an encoder answers in text"),
        "modalities": (body.get("modalities") not in (None, [], ["text"]), "an encoder answers in text"),
    }
    for name, (is_asked, why) in impossible.items():
        if is_asked:
            raise ApiError(400, why, code="unsupported_parameter", param=name)
    asked = convert(body, ChatRequest)
    if not any(one.role == "user" for one in asked.messages):
        raise ApiError(
            400, "an encoder reads the user's message, and messages has no user's", param="messages"
        )
    if asked.top_logprobs and not asked.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: true", param="top_logprobs")
    return asked


T = TypeVar("T")


def convert(body: dict[str, Any], kind: type[T]) -> T:
    """A request of a kind. Raises `ApiError` (400) with the place that is not of it."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        place = re.search(r"`\$\.(\w+)", str(error))
        raise ApiError(
            400, f"an encoder cannot read this request: {error}", param=place and place[1]
        ) from None
