"""The translation between a client's API and an endpoint's; none where both speak the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from freehold.gateway.messages import ApiKind
from freehold.types.endpoint import Api, Endpoint
from freehold.wire import anthropic, anthropic_endpoints, ollama, responses
from freehold.wire.errors import UNREADABLE, ApiError, HttpReply, anthropic_error, openai_error


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


class ApiRoute(NamedTuple):
    """One path of the gateway that leads to models.

    `error` gets the request's id with the error. `model` is the one that the path itself names; `native` is the
    client's spelling of it, with ``{model}`` there.
    """

    kind: ApiKind
    api: Api
    path: str
    error: Callable[[ApiError, str], HttpReply] = openai_error
    model: str = ""
    native: str = ""


_CHAT = "/v1/chat/completions"


def _from_client(translate: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A translation of requests whose wrong types are the client's error."""

    @functools.wraps(translate)
    def read(body: bytes) -> bytes:
        try:
            return translate(body)
        except UNREADABLE:
            raise ApiError(400, "a field of the request is not of the type its API says") from None

    return read


def _from_upstream(translate: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    """A translation of answers whose wrong types are the upstream's error."""

    @functools.wraps(translate)
    def read(body: bytes, request: bytes) -> bytes:
        try:
            return translate(body, request)
        except UNREADABLE:
            raise unreadable_answer() from None

    return read


def unreadable_answer() -> ApiError:
    """An upstream's answer is not of the form its API says."""
    return ApiError(
        502, "the model's endpoint gave an answer that cannot be read", code="upstream_unreadable"
    )


def _no_stream(_request: bytes) -> StreamTranslation:
    raise ApiError(502, "a whole answer was expected, and a stream came", code="upstream_unreadable")


_MESSAGES = Translation(
    path=_CHAT,
    request=_from_client(anthropic.request_to_openai),
    answer=_from_upstream(anthropic.answer_from_openai),
    stream=anthropic.AnthropicStreamFromOpenai,
)
_GO_ON = {"continue_final_message": True, "add_generation_prompt": False}
# By what an engine does with an answer that the client has begun.
_MESSAGES_CONTINUED = {
    "always": _MESSAGES,
    "repeating": _MESSAGES._replace(
        answer=_from_upstream(functools.partial(anthropic.answer_from_openai, repeats_begun=True)),
        stream=functools.partial(anthropic.AnthropicStreamFromOpenai, repeats_begun=True),
    ),
    "when_asked": _MESSAGES._replace(
        request=_from_client(lambda body: anthropic.request_to_openai(body, begun=_GO_ON))
    ),
    "unsure": _MESSAGES._replace(
        request=_from_client(lambda body: anthropic.request_to_openai(body, begun=None))
    ),
}
_RESPONSES = Translation(
    path=_CHAT,
    request=_from_client(responses.request_to_openai),
    answer=_from_upstream(responses.answer_from_openai),
    stream=responses.ResponsesStreamFromOpenai,
)
_TO_ANTHROPIC = Translation(
    path="/v1/messages",
    request=_from_client(anthropic_endpoints.request_from_openai),
    answer=_from_upstream(anthropic_endpoints.answer_to_openai),
    stream=anthropic_endpoints.StreamToOpenai,
)


class _Chained:
    """Two translations of a stream, one after the other."""

    def __init__(self, first: StreamTranslation, second: StreamTranslation) -> None:
        self._first, self._second = first, second

    def feed(self, data: bytes) -> bytes:
        return self._second.feed(self._first.feed(data))

    def rest(self) -> bytes:
        return self._second.feed(self._first.rest()) + self._second.rest()

    def broken(self, error: bytes) -> bytes:
        return self._second.broken(error)


# Over the chat API.
_RESPONSES_TO_ANTHROPIC = Translation(
    path=_TO_ANTHROPIC.path,
    request=lambda body: _TO_ANTHROPIC.request(_RESPONSES.request(body)),
    answer=lambda data, body: _RESPONSES.answer(_TO_ANTHROPIC.answer(data, _RESPONSES.request(body)), body),
    stream=lambda body: _Chained(_TO_ANTHROPIC.stream(_RESPONSES.request(body)), _RESPONSES.stream(body)),
)


def _count_request(body: bytes) -> bytes:
    """vLLM's ``/tokenize`` for the prompt of a message."""
    chat = msgspec.json.decode(anthropic.read_request(body))
    prompt = {name: chat[name] for name in ("model", "messages", "tools") if name in chat}
    return msgspec.json.encode({**prompt, "add_generation_prompt": True})


def _count_answer(body: bytes, _request: bytes) -> bytes:
    return msgspec.json.encode({"input_tokens": msgspec.json.decode(body)["count"]})


def _probe_answer(body: bytes, _request: bytes) -> bytes:
    return msgspec.json.encode({"input_tokens": ollama.probed_tokens(body)})


# By how an engine counts the tokens of a prompt.
_COUNTS: dict[str, Translation | None] = {
    "count_tokens": None,
    "tokenize": Translation(
        "/tokenize", _from_client(_count_request), _from_upstream(_count_answer), _no_stream
    ),
    "answer": Translation(
        "/api/chat",
        _from_client(lambda body: ollama.probe_from_openai(anthropic.read_request(body))),
        _from_upstream(_probe_answer),
        _no_stream,
    ),
}

API_ROUTES: dict[str, ApiRoute] = {
    _CHAT: ApiRoute("chat", "openai", _CHAT),
    "/v1/completions": ApiRoute("completions", "openai", "/v1/completions"),
    "/v1/embeddings": ApiRoute("embeddings", "openai", "/v1/embeddings"),
    "/v1/responses": ApiRoute("responses", "openai", "/v1/responses"),
    "/v1/messages": ApiRoute("messages", "anthropic", "/v1/messages", anthropic_error),
    "/v1/messages/count_tokens": ApiRoute(
        "count_tokens", "anthropic", "/v1/messages/count_tokens", anthropic_error
    ),
}


def translation_for(api_route: ApiRoute, endpoint: Endpoint) -> Translation | None:
    """The translation from an API's path to an endpoint, None where both speak the same.

    Raises `ApiError` (400) where one cannot be made to speak the other.
    """
    if endpoint.api == "openai":
        if api_route.kind == "count_tokens":
            counts = endpoint.engine_kind.counts_tokens
            if counts is None:
                raise ApiError(400, f"the endpoint {endpoint.name} cannot count tokens before it is asked")
            return _COUNTS[counts]
        if api_route.kind == "responses":
            return None if endpoint.capabilities.responses else _RESPONSES
        if api_route.kind == "messages":
            return _MESSAGES_CONTINUED[endpoint.engine_kind.continues_answers]
        return None
    if api_route.api == "anthropic":
        return None
    if api_route.kind == "responses":
        return _RESPONSES_TO_ANTHROPIC
    if api_route.kind == "chat":
        return _TO_ANTHROPIC
    raise ApiError(
        400, f"Anthropic's API, which the endpoint {endpoint.name} speaks, has no {api_route.kind}"
    )
