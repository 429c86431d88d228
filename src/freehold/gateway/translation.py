"""Which translation lies between a client's API and an endpoint's; none where both speak the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from freehold.gateway.messages import ApiKind
from freehold.types.endpoint import Api
from freehold.wire.errors import ApiError, Reply, openai_error


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
    complaint: Callable[[bytes], str]
    content_type: str


class Door(NamedTuple):
    """One path of the gateway that leads to models. `read` turns its requests into what `peek` understands."""

    kind: ApiKind
    api: Api
    path: str
    error: Callable[[ApiError], Reply] = openai_error
    read: Callable[[bytes, Any], bytes] | None = None


DOORS: dict[str, Door] = {
    "/v1/chat/completions": Door("chat", "openai", "/v1/chat/completions"),
    "/v1/completions": Door("completions", "openai", "/v1/completions"),
    "/v1/embeddings": Door("embeddings", "openai", "/v1/embeddings"),
}


def between(door: Door, api: Api) -> Translation | None:
    """The translation to an endpoint that speaks `api`. Raises `ApiError` (400) where there is none."""
    if door.api == api:
        return None
    raise ApiError(400, f"the endpoint of this model speaks the {api} API, not the one that was asked")
