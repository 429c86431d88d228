"""Which translation lies between a client's API and an endpoint's; none where both speak the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from freehold.gateway.messages import ApiKind
from freehold.types.endpoint import Api, Endpoint
from freehold.wire import anthropic, ollama, responses
from freehold.wire.errors import ApiError, Reply, anthropic_error, ollama_error, openai_error


class StreamTranslation(Protocol):
    """Turns a running stream into another; whole events only."""

    def feed(self, data: bytes) -> bytes:
        """What to send on for the bytes that came; may be empty."""

    def rest(self) -> bytes:
        """What is left to say when the stream has ended."""

    def broken(self, error: bytes) -> bytes:
        """The same when the stream broke off; `error` is the error's body in the client's API."""


class Translation(NamedTuple):
    """From a client's request to the endpoint's, and back. `path` is the endpoint's.

    `answer` gets the answer and the client's request; `stream` gets the request.
    """

    path: str
    request: Callable[[bytes], bytes]
    answer: Callable[[bytes, bytes], bytes]
    stream: Callable[[bytes], StreamTranslation]
    content_type: str


class Door(NamedTuple):
    """One path of the gateway that leads to models. `read` turns its requests into what `peek` understands."""

    kind: ApiKind
    api: Api
    path: str
    error: Callable[[ApiError], Reply] = openai_error
    read: Callable[[bytes], bytes] | None = None


_CHAT = "/v1/chat/completions"
_SSE, _NDJSON = "text/event-stream", "application/x-ndjson"


def _same(body: bytes) -> bytes:
    return body


def _no_stream(_request: bytes) -> StreamTranslation:
    raise ApiError(502, "an embedding was answered with a stream")


_MESSAGES = Translation(
    path=_CHAT,
    request=anthropic.request_to_openai,
    answer=anthropic.answer_from_openai,
    stream=anthropic.StreamFromOpenai,
    content_type=_SSE,
)
_RESPONSES = Translation(
    path=_CHAT,
    request=responses.request_to_openai,
    answer=responses.answer_from_openai,
    stream=responses.StreamFromOpenai,
    content_type=_SSE,
)
# Ollama's requests are read into OpenAI's form at the door, so nothing is left to do on the way there.
_OLLAMA: dict[str, Translation] = {
    "/api/chat": Translation(_CHAT, _same, ollama.chat_from_openai, ollama.StreamFromOpenai, _NDJSON),
    "/api/generate": Translation(
        _CHAT, _same, ollama.generate_from_openai, ollama.GenerateStreamFromOpenai, _NDJSON
    ),
    "/api/embed": Translation("/v1/embeddings", _same, ollama.embed_from_openai, _no_stream, _NDJSON),
    "/api/embeddings": Translation(
        "/v1/embeddings", _same, ollama.old_embedding_from_openai, _no_stream, _NDJSON
    ),
}

DOORS: dict[str, Door] = {
    _CHAT: Door("chat", "openai", _CHAT),
    "/v1/completions": Door("completions", "openai", "/v1/completions"),
    "/v1/embeddings": Door("embeddings", "openai", "/v1/embeddings"),
    "/v1/responses": Door("responses", "openai", "/v1/responses"),
    "/v1/messages": Door("messages", "anthropic", "/v1/messages", anthropic_error),
    "/v1/messages/count_tokens": Door(
        "count_tokens", "anthropic", "/v1/messages/count_tokens", anthropic_error
    ),
    "/api/chat": Door("chat", "ollama", "/api/chat", ollama_error, ollama.chat_to_openai),
    "/api/generate": Door("chat", "ollama", "/api/generate", ollama_error, ollama.generate_to_openai),
    "/api/embed": Door("embeddings", "ollama", "/api/embed", ollama_error, ollama.embed_to_openai),
    "/api/embeddings": Door("embeddings", "ollama", "/api/embeddings", ollama_error, ollama.embed_to_openai),
}


def between(door: Door, endpoint: Endpoint) -> Translation | None:
    """The translation from a door to an endpoint, None where both speak the same.

    Raises `ApiError` (400) where one cannot be made to speak the other.
    """
    if door.kind == "responses":
        if endpoint.api == "openai":
            return None if endpoint.capabilities.responses else _RESPONSES
    elif endpoint.api == "openai":
        if door.api == "openai":
            return None
        if door.kind == "messages":
            return _MESSAGES
        if door.api == "ollama":
            return _OLLAMA[door.path]
        raise ApiError(400, f"the endpoint {endpoint.name} cannot count tokens before it is asked")
    elif endpoint.api == door.api and door.read is None:
        return None
    raise ApiError(
        400, f"the endpoint {endpoint.name} speaks the {endpoint.api} API; this request cannot be translated"
    )
