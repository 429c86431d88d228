"""What a request asks of an encoder, read from its JSON; what it cannot do is refused in words.

Covered: fields that change the answer of a model that writes and cannot change this one (temperature, top_p, seed,
penalties) are taken and have no effect: the likeliest answer is the same each time.
Not covered: a conversation whose last turn is the assistant's is not continued; what is read of it is the user's.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec

from freehold.types.dataset import Message
from freehold.types.encoder import EncoderManifest
from freehold.wire.errors import ApiError

MOST_TOP = 20
MOST_INPUTS = 2048
"""As many as OpenAI's API takes in one request."""


class ChatRequest(NamedTuple):
    """A chat request. `texts` are what is read of it, by the manifest's views; `top` is None where no log-probabilities
    are asked for."""

    model: str
    texts: tuple[str, ...]
    stream: bool
    include_usage: bool
    top: int | None
    max_tokens: int | None
    stops: tuple[str, ...]
    response_format: dict[str, Any] | None


class EmbeddingRequest(NamedTuple):
    """A request for embeddings."""

    model: str
    texts: tuple[str, ...]
    as_base64: bool


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


def read_chat(body: dict[str, Any], manifest: EncoderManifest) -> ChatRequest:
    """A chat request. Raises `ApiError` (400) for what is malformed, and for what an encoder cannot do."""
    _refuse_impossible(body)
    messages = read_messages(body)
    stops = body.get("stop") or ()
    stops = (stops,) if isinstance(stops, str) else stops
    if not isinstance(stops, list | tuple) or not all(isinstance(one, str) and one for one in stops):
        raise ApiError(400, "stop must be a text or a list of texts", param="stop")
    return ChatRequest(
        model=str(body.get("model")),
        texts=manifest.texts_of(messages),
        stream=body.get("stream") is True,
        include_usage=bool(_object(body, "stream_options").get("include_usage")),
        top=_top(body),
        max_tokens=_max_tokens(body),
        stops=tuple(stops),
        response_format=_object(body, "response_format") or None,
    )


def read_messages(body: dict[str, Any]) -> list[Message]:
    """The messages of a request. Raises `ApiError` (400) where they are malformed, hold more than text, or have no
    message of the user."""
    raw = body.get("messages")
    if not isinstance(raw, list) or not raw:
        raise ApiError(400, "messages must be a list with one message at least", param="messages")
    for number, one in enumerate(raw):
        if not isinstance(one, dict) or not isinstance(one.get("role"), str):
            raise ApiError(400, f"messages[{number}] must be an object with a role", param="messages")
        _check_content(one.get("content"), f"messages[{number}].content")
    if not any(one["role"] == "user" for one in raw):
        raise ApiError(
            400, "an encoder reads the user's message, and messages has no user's", param="messages"
        )
    return [Message(role=one["role"], content=one.get("content")) for one in raw]


def read_embedding(body: dict[str, Any], manifest: EncoderManifest) -> EmbeddingRequest:
    """A request for embeddings. Raises `ApiError` (400)."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise ApiError(400, "input must be a text or a list of texts", param="input")
    if any(isinstance(one, int | list) for one in texts):
        raise ApiError(400, "input must be texts: lists of token ids are not possible here", param="input")
    if not all(isinstance(one, str) and one for one in texts):
        raise ApiError(400, "input must be texts that are not empty", param="input")
    if len(texts) > MOST_INPUTS:
        raise ApiError(400, f"input has {len(texts)} texts, and may have {MOST_INPUTS}", param="input")
    dimensions = body.get("dimensions")
    if dimensions is not None and dimensions != manifest.width:
        raise ApiError(
            400,
            f"this model's embeddings have {manifest.width} dimensions, and were not trained to be shortened",
            param="dimensions",
        )
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise ApiError(400, "encoding_format must be float or base64", param="encoding_format")
    return EmbeddingRequest(str(body.get("model")), tuple(texts), encoding == "base64")


def _refuse_impossible(body: dict[str, Any]) -> None:
    """What would change the answer of a model that writes, and cannot be done here."""
    modalities = body.get("modalities")
    impossible = {
        "tools": (body.get("tools"), "an encoder answers from a closed set and calls no tools"),
        "functions": (body.get("functions"), "an encoder answers from a closed set and calls no functions"),
        "n": (body.get("n") not in (None, 1), "an encoder has one answer to a message: n must be 1"),
        "logit_bias": (body.get("logit_bias"), "an encoder draws no tokens: logit_bias is not possible"),
        "audio": (body.get("audio"), "an encoder answers in text"),
        "modalities": (modalities not in (None, [], ["text"]), "an encoder answers in text"),
    }
    for name, (is_asked, why) in impossible.items():
        if is_asked:
            raise ApiError(400, why, code="unsupported_parameter", param=name)


def _check_content(content: Any, place: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise ApiError(400, f"{place} must be a text or a list of parts", param="messages")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "refusal"):
            raise ApiError(
                400,
                f"{place} has a part of type {str(kind)[:40]!r}, and an encoder reads text",
                code="unsupported_parameter",
                param="messages",
            )
        if kind == "text" and not isinstance(part.get("text"), str):
            raise ApiError(400, f"{place} has a part of text without a text", param="messages")


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(400, f"{name} must be an object", param=name)
    return value


def _top(body: dict[str, Any]) -> int | None:
    top = body.get("top_logprobs")
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or not 0 <= top <= MOST_TOP):
        raise ApiError(400, f"top_logprobs must be a number from 0 to {MOST_TOP}", param="top_logprobs")
    if body.get("logprobs") is not True:
        if top:
            raise ApiError(400, "top_logprobs needs logprobs: true", param="top_logprobs")
        return None
    return top or 0


def _max_tokens(body: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ApiError(400, f"{name} must be a number, 1 at least", param=name)
        return value
    return None
