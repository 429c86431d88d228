"""The pooled client to the endpoints, and a circuit breaker for each of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import ConnectError, ConnectTimeoutError, RequestError
from pyreqwest.http import Url

from freehold.gateway.config import GatewayConfig
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic

# Connection matters end here; lengths and encodings are written anew by the client and the server.
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_NOT_SENT_ON = _HOP_BY_HOP | {
    "accept-encoding",
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
}
_NOT_SENT_BACK = _HOP_BY_HOP | {"date", "server", "set-cookie", "alt-svc"}


class UpstreamFailure(Exception):
    """An endpoint gave no answer. `reached` is False when it cannot have seen the request."""

    def __init__(self, message: str, *, reached: bool, timed_out: bool = False) -> None:
        super().__init__(message)
        self.reached = reached
        self.timed_out = timed_out


class Opened(NamedTuple):
    """An answer whose head has come, and its `first` chunk where it has `begun`. `close` it in the end."""

    request: Any
    answer: Any
    status: int
    first: Any = None
    begun: bool = False

    @property
    def is_stream(self) -> bool:
        return (self.answer.get_header("content-type") or "").startswith("text/event-stream")

    async def whole(self) -> bytes:
        """The body to its end. Raises pyreqwest's `RequestError`."""
        if not self.begun:
            data: bytes = (await self.answer.bytes()).to_bytes()
            return data
        parts, chunk = [], self.first
        while chunk is not None:
            parts.append(chunk.to_bytes())
            chunk = await self.answer.body_reader.read_chunk()
        return b"".join(parts)


class Upstreams:
    """One pool of keep-alive connections for all endpoints of a worker."""

    def __init__(self, config: GatewayConfig) -> None:
        self._client = (
            ClientBuilder()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .follow_redirects(False)
            .referer(False)
            .http1_lower_case_headers()
            .connect_timeout(timedelta(seconds=config.connect_timeout_s))
            .read_timeout(timedelta(seconds=config.read_timeout_s))
            .pool_max_idle_per_host(4096)
            .pool_idle_timeout(timedelta(seconds=60))
            .build()
        )
        self._urls: dict[tuple[str, str], Url] = {}
        self._secrets: dict[str, list[tuple[str, str]]] = {}

    async def close(self) -> None:
        await self._client.close()

    def headers_for(
        self,
        endpoint: Endpoint,
        client_headers: Iterable[tuple[str, str]],
        *,
        pass_credentials: bool,
        packed: bool = False,
    ) -> list[tuple[str, str]]:
        """The headers of the request to an endpoint.

        The client's own credentials go on only to a remote endpoint that names no key of its own, and only
        when they are not a key to this gateway (`pass_credentials`). `packed` says that the answer may be
        compressed, where the client takes that.
        """
        headers = []
        own = endpoint.api_key_env is None and endpoint.engine == "remote" and pass_credentials
        for name, value in client_headers:
            if name not in _NOT_SENT_ON:
                if not name.startswith("x-freehold-"):
                    headers.append((name, value))
            elif name == "accept-encoding":
                headers.append((name, "gzip" if packed and "gzip" in value else "identity"))
            elif own and name in ("authorization", "x-api-key"):
                headers.append((name, value))
        if endpoint.api_key_env is not None:
            headers.extend(self._secret(endpoint))
        if endpoint.api == "anthropic" and not any(name == "anthropic-version" for name, _ in headers):
            headers.append(("anthropic-version", anthropic.API_VERSION))
        return headers

    def _secret(self, endpoint: Endpoint) -> list[tuple[str, str]]:
        """The endpoint's credentials, read from the environment; never kept anywhere but in memory."""
        found = self._secrets.get(endpoint.name)
        if found is None:
            assert endpoint.api_key_env is not None
            secret = os.environ.get(endpoint.api_key_env)
            if not secret:
                raise UpstreamFailure(
                    f"the environment variable {endpoint.api_key_env} with the key of endpoint "
                    f"{endpoint.name} is not set",
                    reached=False,
                )
            if endpoint.api == "anthropic":
                found = [("x-api-key", secret)]
            else:
                found = [("authorization", f"Bearer {secret}")]
            self._secrets[endpoint.name] = found
        return found

    async def open(
        self, endpoint: Endpoint, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> Opened:
        """Send a request and wait for the head of the answer. Raises `UpstreamFailure`."""
        where = (endpoint.base_url, path)
        url = self._urls.get(where)
        if url is None:
            url = self._urls[where] = Url(endpoint.base_url.rstrip("/") + path)
        request = (
            self._client.post(url)
            .headers(headers)
            .body_bytes(body)
            # With any other limit pyreqwest reads ahead before it hands over the head, and streams stall.
            .streamed_read_buffer_limit(0)
            .build_streamed()
        )
        try:
            answer = await request.__aenter__()
        except RequestError as error:
            raise failure(endpoint, error) from error
        return Opened(request, answer, answer.status)

    async def get(self, endpoint: Endpoint, path: str, *, timeout_s: float) -> tuple[int, bytes]:
        """A small GET, for health checks. Raises `UpstreamFailure`."""
        headers = self.headers_for(endpoint, (), pass_credentials=False)
        request = (
            self._client.get(endpoint.base_url.rstrip("/") + path)
            .headers(headers)
            .timeout(timedelta(seconds=timeout_s))
            .build()
        )
        try:
            answer = await request.send()
            return answer.status, (await answer.bytes()).to_bytes()
        except RequestError as error:
            raise failure(endpoint, error) from error


async def close(opened: Opened) -> None:
    """Let go of an answer; one that is not finished closes its connection."""
    await opened.request.__aexit__(None, None, None)


def failure(endpoint: Endpoint, error: RequestError) -> UpstreamFailure:
    """What pyreqwest says about a failed exchange, without the addresses in it."""
    # pyreqwest says ConnectTimeoutError for any wait before the head; the causes know whether it connected.
    causes = str(error.details.get("causes")).lower()
    if isinstance(error, ConnectError) or (isinstance(error, ConnectTimeoutError) and "connect" in causes):
        return UpstreamFailure(f"endpoint {endpoint.name} cannot be reached", reached=False)
    if isinstance(error, TimeoutError):
        return UpstreamFailure(
            f"endpoint {endpoint.name} did not answer in time", reached=True, timed_out=True
        )
    return UpstreamFailure(f"endpoint {endpoint.name} broke off the connection", reached=True)


def headers_back(answer: Any) -> list[tuple[str, str]]:
    """The answer's headers as they go to the client."""
    return [(name, value) for name, value in answer.headers.items() if name not in _NOT_SENT_BACK]


class Breaker:
    """Stops asking an endpoint that failed `failures` times in a row, for `pause_s`, then lets one try."""

    __slots__ = ("_count", "_failures", "_pause_s", "opened_until")

    def __init__(self, failures: int, pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        self._count = 0
        self.opened_until = 0.0

    def allows(self, now_s: float) -> bool:
        """May a request go out? While half open, the first to ask may, the next ones wait for its outcome."""
        if self.opened_until == 0.0:
            return True
        if now_s < self.opened_until:
            return False
        self.opened_until = now_s + self._pause_s
        return True

    def succeeded(self) -> None:
        self._count = 0
        self.opened_until = 0.0

    def failed(self, now_s: float) -> None:
        self._count += 1
        if self._count >= self._failures:
            self.opened_until = now_s + self._pause_s
