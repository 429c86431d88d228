"""Which endpoints have OpenAI's Responses API themselves, found by asking where it was not said.

An empty request is put to the path: an endpoint that has it refuses the request, which costs nothing, and one that has
not says that there is no such path. What that leaves open (a refused key, a timeout, an error of the server) is asked
again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from freehold.gateway.http.credentials import is_credential
from freehold.gateway.http.response import TransportError
from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams
from freehold.types.endpoint import Endpoint
from freehold.wire.base_url import target

WITHIN_S = 2.0
"""An endpoint that takes longer to refuse an empty request is asked again."""
KEPT_S = 600.0
"""Servers are renewed: after this an endpoint is asked again."""
_AGAIN_AFTER_S = 5.0
_PATH = "/v1/responses"
_ANSWER_BYTES_MAX = 64 * 1024
_NO_SUCH_PATH = frozenset((404, 405, 501))
_REFUSED = frozenset((400, 413, 415, 422))
_SENT_TOO = frozenset(("user-agent", "openai-beta"))


class SpokenApis:
    """What a worker found out of its endpoints; who asks meanwhile waits for the question that is under way."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._found: dict[tuple[str, str], tuple[float, bool]] = {}
        self._open: dict[tuple[str, str], float] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[bool | None]] = {}

    async def responses(
        self, endpoint: Endpoint, client_headers: Iterable[tuple[str, str]], *, pass_credentials: bool
    ) -> bool | None:
        """Whether an endpoint has the Responses API; None where that cannot be found out now.

        It is asked with the client's credentials where a request of the client's would be.
        """
        key, now = (endpoint.name, endpoint.base_url), time.monotonic()
        found = self._found.get(key)
        if found is not None and now < found[0]:
            return found[1]
        if now < self._open.get(key, 0.0):
            return None
        task = self._asking.get(key)
        if task is None:
            sent = [pair for pair in client_headers if is_credential(pair[0]) or pair[0] in _SENT_TOO]
            task = asyncio.create_task(self._ask(endpoint, sent, pass_credentials=pass_credentials))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # A client that leaves does not end the question that others wait for.
        return await asyncio.shield(task)

    async def _ask(
        self, endpoint: Endpoint, sent: list[tuple[str, str]], *, pass_credentials: bool
    ) -> bool | None:
        key = (endpoint.name, endpoint.base_url)
        status, body = 0, b""
        try:
            headers = self._upstreams.request_headers(endpoint, sent, pass_credentials=pass_credentials)
            headers.append(("content-type", "application/json"))
            place = target(endpoint.base_url, _PATH, api=endpoint.api)
            async with asyncio.timeout(WITHIN_S):
                response = await self._upstreams.pass_on(endpoint, "POST", place, headers, b"{}")
                try:
                    status = response.status
                    body = await response.read_short(_ANSWER_BYTES_MAX) or b""
                finally:
                    await response.close()
        except (UpstreamFailure, TransportError, TimeoutError):
            pass
        has = has_responses(status, body)
        if has is not None:
            self._found[key] = (time.monotonic() + KEPT_S, has)
        elif status not in (401, 403):  # another client's key may tell
            self._open[key] = time.monotonic() + _AGAIN_AFTER_S
        return has


def has_responses(status: int, body: bytes) -> bool | None:
    """What the answer to an empty request says: the path is there, it is not, or (None) neither is known."""
    if status in _REFUSED:
        return True
    if status in _NO_SUCH_PATH:
        # A proxy may say 404 for a model that was not named.
        return _misses_the_model(body)
    if 200 <= status < 300:
        return _field(body, "object") == "response"
    return None


def _misses_the_model(body: bytes) -> bool:
    error = _field(body, "error")
    return isinstance(error, dict) and (
        error.get("param") == "model" or str(error.get("code")) in ("model_not_found", "missing_model")
    )


def _field(body: bytes, name: str) -> object:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return value.get(name) if isinstance(value, dict) else None
