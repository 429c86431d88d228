"""The pooled clients to the endpoints."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import TYPE_CHECKING

from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.credentials import query_without_keys
from freehold.gateway.http.headers import forwarded, passes_key
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.plain_client import Address, PlainClient, PlainConnection
from freehold.gateway.http.response import ConnectError, NoRoom, ReadTimeout, TransportError, UpstreamResponse
from freehold.signing.signer import NoCredentialsError, Signer
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic
from freehold.wire.base_url import joined, merged_query, taken_apart, target

if TYPE_CHECKING:
    from freehold.gateway.http.tls_client import TlsClient
    from freehold.gateway.http.tunnel import Tunnel
from base64 import b64encode
from urllib.parse import unquote, urlsplit

log = logging.getLogger("freehold.gateway")
_OFFERED_WITHIN_S = 30.0


class UpstreamFailure(Exception):
    """An endpoint gave no answer. `reached` is False when it cannot have seen the request."""

    def __init__(
        self, message: str, *, reached: bool, timed_out: bool = False, unresolved: bool = False
    ) -> None:
        super().__init__(message)
        self.reached = reached
        self.timed_out = timed_out
        self.unresolved = unresolved

    @property
    def status(self) -> int:
        """What a client gets where nothing else answers it."""
        return 504 if self.timed_out else 502

    @property
    def code(self) -> str:
        return "upstream_timeout" if self.timed_out else "upstream_unreachable"

    @property
    def kind(self) -> str:
        """What it is counted as."""
        return "timeout" if self.timed_out else "name" if self.unresolved else "connection"


class NoCredentialsFailure(UpstreamFailure):
    """An endpoint was not asked for want of credentials: no fault of its own, and not mended by asking again."""

    status, code, kind = 503, "no_credentials", "credentials"

    def __init__(self, error: NoCredentialsError) -> None:
        super().__init__(str(error), reached=False)


class LateFailure(UpstreamFailure):
    """An endpoint sent no byte in the time that it was given."""

    def __init__(self, endpoint: Endpoint, wait_ms: float) -> None:
        message = f"endpoint {endpoint.name} sent no byte within {wait_ms:g} ms"
        super().__init__(message, reached=True, timed_out=True)


class Upstreams:
    """Keep-alive connections to all endpoints of a worker."""

    def __init__(self, config: GatewayConfig, memory: MemoryBudget | None = None) -> None:
        self._config = config
        self._memory = memory or MemoryBudget(config.body_memory_bytes)
        self._plain = PlainClient(
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
            memory=self._memory,
        )
        self._tls: TlsClient | None = None
        self.signer = Signer()
        self._addresses: dict[str, Address | None] = {}
        self._secrets: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
        self._without_key: set[str] = set()

    async def close(self) -> None:
        await self._plain.close()
        if self._tls is not None:
            await self._tls.close()

    def request_headers(
        self,
        endpoint: Endpoint,
        client_headers: Iterable[tuple[str, str]],
        *,
        pass_credentials: bool,
        compressed: bool = False,
    ) -> list[tuple[str, str]]:
        """The headers of the request to an endpoint.

        The client's as `forwarded` says, its key where the gateway asks for none itself (`pass_credentials`), and the
        endpoint's own key where it names one.
        """
        keys_here = not pass_credentials
        headers = forwarded(endpoint, client_headers, keys_here=keys_here, compressed=compressed)
        if endpoint.api_key_env is not None:
            headers.extend(self._secret(endpoint))
        if endpoint.api == "anthropic" and not any(name == "anthropic-version" for name, _ in headers):
            headers.append(("anthropic-version", anthropic.API_VERSION))
        return headers

    def with_query(self, endpoint: Endpoint, path: str, query: str, *, keys_here: bool) -> str:
        """A path with the client's query; a key in it is for an endpoint that it is meant for (see `passes_key`).

        What the path's own query says holds where the client's does not name it. Engines here know no parameters.
        """
        shown = ""
        if endpoint.engine_kind.is_rented:
            query = query.partition("#")[0]  # a fragment is of the client's own
            shown = query_without_keys(query, key_too=passes_key(endpoint, keys_here=keys_here))
        path, _, said = path.partition("?")
        whole = merged_query(shown, said)
        return f"{path}?{whole}" if whole else path

    def _secret(self, endpoint: Endpoint) -> list[tuple[str, str]]:
        """The endpoint's credentials, read from the environment; held in memory only."""
        credentials = self._secrets.get((endpoint.name, endpoint.api_key_env))
        if credentials is None:
            assert endpoint.api_key_env is not None
            secret = os.environ.get(endpoint.api_key_env)
            if not secret or not secret.isascii() or not secret.isprintable():
                why = "has characters that no header can carry" if secret else "is not set"
                if endpoint.name not in self._without_key:
                    self._without_key.add(endpoint.name)
                    log.warning(
                        "endpoint %s is not asked: the environment variable %s with its key %s",
                        endpoint.name,
                        endpoint.api_key_env,
                        why,
                    )
                raise UpstreamFailure(f"endpoint {endpoint.name} is not set up", reached=False)
            if endpoint.api == "anthropic":
                credentials = [("x-api-key", secret)]
            elif endpoint.dialect == "azure":
                credentials = [("api-key", secret)]
            else:
                credentials = [("authorization", f"Bearer {secret}")]
            self._secrets[endpoint.name, endpoint.api_key_env] = credentials
        return credentials

    async def post(
        self, endpoint: Endpoint, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> UpstreamResponse:
        """Send a request and wait for the head of the answer. Raises `UpstreamFailure`."""
        try:
            return await self._sending("POST", endpoint, path, headers, body)
        except TransportError as error:
            raise upstream_failure(endpoint, error) from error

    async def post_in_time(
        self, endpoint: Endpoint, path: str, headers: list[tuple[str, str]], body: bytes, wait_ms: float
    ) -> UpstreamResponse:
        """The same, of an answer whose first byte has come. Raises `LateFailure` too."""
        response = None
        try:
            async with asyncio.timeout(wait_ms / 1000):
                response = await self.post(endpoint, path, headers, body)
                await response.wait_for_body()
                return response
        except TimeoutError:
            if response is not None:
                await response.close()
            raise LateFailure(endpoint, wait_ms) from None
        except TransportError as error:
            if response is not None:
                await response.close()
            raise upstream_failure(endpoint, error) from error

    async def probe(
        self, endpoint: Endpoint, path: str, *, timeout_s: float, body: bytes | None = None
    ) -> int:
        """The status of a health check: a small GET, or a POST of `body`. Raises `UpstreamFailure`."""
        headers = self.request_headers(endpoint, (), pass_credentials=False)
        if body is not None:
            headers.append(("content-type", "application/json"))
        method = "GET" if body is None else "POST"
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._sending(method, endpoint, path, headers, body)
                try:
                    await response.read_all()
                finally:
                    await response.close()
        except TransportError as error:
            raise upstream_failure(endpoint, error) from error
        except TimeoutError as error:
            raise upstream_failure(endpoint, ReadTimeout("no answer")) from error
        return response.status

    def idle(self, endpoint: Endpoint) -> deque[PlainConnection] | None:
        """The open connections to an endpoint that wait for a request; None where a proxy or a password is between."""
        address = plain_address(endpoint.base_url) or tls_address(endpoint.base_url)
        return None if address is None else self._plain.idle(address)

    def open_ahead(self, endpoint: Endpoint) -> None:
        """Have one more connection over TLS for later; those on plain HTTP stay where they were needed once."""
        address = tls_address(endpoint.base_url)
        if address is not None:
            self._plain.open_soon(address)

    def start_of_post(self, endpoint: Endpoint, path: str, headers: list[tuple[str, str]]) -> bytes:
        """The head of a request up to the length of its body."""
        start = request_line(endpoint, target(endpoint.base_url, path, api=endpoint.api))
        return request_head("POST", start, headers, None)[:-2] + b"content-length: "

    def _address(self, base_url: str) -> Address | None:
        if base_url not in self._addresses:
            self._addresses[base_url] = plain_address(base_url)
        return self._addresses[base_url]

    def _sending(
        self, method: str, endpoint: Endpoint, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> Awaitable[UpstreamResponse]:
        if endpoint.credentials is not None:
            return self._sending_signed(method, endpoint, path, headers, body)
        return self._sending_as_it_is(method, endpoint, path, headers, body)

    async def _sending_signed(
        self, method: str, endpoint: Endpoint, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> UpstreamResponse:
        place = target(endpoint.base_url, path, api=endpoint.api)
        signed = await self._signed(method, endpoint, place, headers, body)
        response = await self._sending_as_it_is(method, endpoint, path, signed, body)
        self.signer.learn(endpoint, response.status)
        return response

    async def _signed(
        self, method: str, endpoint: Endpoint, place: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> list[tuple[str, str]]:
        """The headers with the credentials that a cloud gives. Raises `NoCredentialsFailure`."""
        if endpoint.credentials is None:
            return headers
        try:
            return await self.signer.signed(endpoint, method, place, headers, body)
        except NoCredentialsError as error:
            raise NoCredentialsFailure(error) from None

    def _sending_as_it_is(
        self, method: str, endpoint: Endpoint, path: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> Awaitable[UpstreamResponse]:
        base_url = endpoint.base_url
        address = self._address(base_url)
        if address is None:
            return self._tls_client().send(method, joined(base_url, path, api=endpoint.api), headers, body)
        start = request_line(endpoint, target(base_url, path, api=endpoint.api))
        return self._plain.send(address, request_head(method, start, headers, body), body or b"")

    async def pass_on(
        self,
        endpoint: Endpoint,
        method: str,
        place: str,
        headers: list[tuple[str, str]],
        body: bytes | AsyncIterator[list[bytes]] | None,
    ) -> UpstreamResponse:
        """Send any request to a `place` (path and query) of an endpoint's host and wait for the head of the answer.

        Pieces are sent as they come, framed as the client's were: the headers say their length, or they go in chunks.
        Raises `UpstreamFailure`, and what the pieces raise.
        """
        base_url = endpoint.base_url
        whole = None if isinstance(body, AsyncIterator) else body
        headers = await self._signed(method, endpoint, place, headers, whole)
        address = plain_address(base_url)
        url = taken_apart(base_url, endpoint.api).origin + place
        start = request_line(endpoint, place)
        try:
            if not isinstance(body, AsyncIterator):
                if address is None:
                    return await self._tls_client().send(method, url, headers, body)
                return await self._plain.send(
                    address, request_head(method, start, headers, body), body or b""
                )
            if address is None:
                return await self._tls_client().send_pieces(method, url, headers, body)
            chunked = not any(name == "content-length" for name, _ in headers)
            framing = [("transfer-encoding", "chunked")] if chunked else []
            head = request_head(method, start, [*headers, *framing], None)
            return await self._plain.send_pieces(address, head, body, chunked=chunked)
        except TransportError as error:
            raise upstream_failure(endpoint, error) from error

    async def offer(self, endpoint: Endpoint, place: str, headers: list[tuple[str, str]]) -> Tunnel:
        """Offer an endpoint to continue as a WebSocket. Raises `UpstreamFailure`."""
        from freehold.gateway.http.tunnel import dig  # late: few gateways need it

        origin = taken_apart(endpoint.base_url, endpoint.api).origin
        if is_behind_a_proxy(origin):
            message = (
                f"endpoint {endpoint.name} is behind a proxy, through which WebSockets are not passed on"
            )
            raise UpstreamFailure(message, reached=False)
        headers = await self._signed("GET", endpoint, place, headers, None)
        upgrade = [*headers, *password_of(origin), ("connection", "Upgrade"), ("upgrade", "websocket")]
        head = request_head("GET", request_line(endpoint, place), upgrade, None)
        try:
            return await dig(origin, head, within_s=_OFFERED_WITHIN_S)
        except TransportError as error:
            raise upstream_failure(endpoint, error) from error

    def _tls_client(self) -> TlsClient:
        if self._tls is None:
            # Late: a gateway before engines on this machine needs neither its memory nor its threads.
            from freehold.gateway.http.tls_client import TlsClient

            config = self._config
            self._tls = TlsClient(
                self._memory, connect_timeout_s=config.connect_timeout_s, read_timeout_s=config.read_timeout_s
            )
        return self._tls


def upstream_failure(endpoint: Endpoint, error: TransportError) -> UpstreamFailure:
    """What a client says about a failed exchange, without the addresses in it."""
    if isinstance(error, ConnectError):
        if isinstance(error.__cause__, socket.gaierror) or "dns error" in str(error):
            message = f"the host name of endpoint {endpoint.name} cannot be resolved"
            return UpstreamFailure(message, reached=False, unresolved=True)
        return UpstreamFailure(f"endpoint {endpoint.name} cannot be reached", reached=False)
    if isinstance(error, ReadTimeout):
        return UpstreamFailure(
            f"endpoint {endpoint.name} did not answer in time", reached=True, timed_out=True
        )
    if isinstance(error, NoRoom):
        return UpstreamFailure(
            f"the gateway has no room for the answer of endpoint {endpoint.name} at the moment", reached=True
        )
    return UpstreamFailure(f"endpoint {endpoint.name} broke off the connection", reached=True)


def plain_address(base_url: str) -> Address | None:
    """Where to connect for an address on plain HTTP; None where TLS, a password or a proxy is in between."""
    parts = urlsplit(base_url)
    host = parts.hostname
    if parts.scheme != "http" or host is None or parts.username is not None:
        return None
    return None if is_behind_a_proxy(base_url) else Address(host, parts.port or 80)


def tls_address(base_url: str) -> Address | None:
    """Where to connect for an address over TLS; None where it is not, or a password or a proxy is in between."""
    parts = urlsplit(base_url)
    if parts.scheme != "https" or parts.hostname is None or parts.username is not None:
        return None
    return None if is_behind_a_proxy(base_url) else Address(parts.hostname, parts.port or 443, tls=True)


def is_behind_a_proxy(address: str) -> bool:
    """Whether the environment names a proxy for an address."""
    parts = urlsplit(address)
    if not any(name.lower() == f"{parts.scheme}_proxy" for name in os.environ):
        return False
    # Late, because few need it and it is heavy.
    from urllib.request import getproxies, proxy_bypass

    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def password_of(origin: str) -> list[tuple[str, str]]:
    """A name and a password in an address, as a header."""
    said = urlsplit(origin).netloc.rpartition("@")[0]
    return [("authorization", f"Basic {b64encode(unquote(said).encode()).decode()}")] if said else []


def request_line(endpoint: Endpoint, place: str) -> bytes:
    """The first line of a request without its method, and the host it names."""
    host = urlsplit(endpoint.base_url).netloc.rpartition("@")[2]
    return f"{place} HTTP/1.1\r\nhost: {host}\r\n".encode()


def request_head(method: str, start: bytes, headers: list[tuple[str, str]], body: bytes | None) -> bytes:
    """The head of a request with a whole body, or without one."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    return b"%b %b%b%b\r\n" % (method.encode(), start, lines, length)
