"""What endpoints are sent: addresses, headers, credentials, and what is said where they cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from freehold.errors import ConfigError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.headers import forwarded, passes_key, query_without_keys
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import ConnectError, NoRoom, ReadTimeout, TransportError, UpstreamResponse
from freehold.gateway.http.upstream_client import Address, Proxy, UpstreamClient, UpstreamConnection
from freehold.signing.signer import NoCredentialsError, Signer
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic
from freehold.wire.base_url import is_loopback, merged_query, target

log = logging.getLogger("freehold.gateway")
# The longest list of models that is known, OpenRouter's, has half of it. Reading this much takes some ten milliseconds.
SHORT_BYTES_MAX = 2 * 1024 * 1024


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
        self._client = UpstreamClient(
            connect_timeout_s=config.connect_timeout_s,
            read_timeout_s=config.read_timeout_s,
            memory=memory or MemoryBudget(config.body_memory_bytes),
        )
        self.signer = Signer()
        self._secrets: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
        self._without_key: set[str] = set()
        self._addresses: dict[str, Address] = {}

    async def close(self) -> None:
        await self._client.close()

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
        endpoint's own key where it names one, or the password in its address.
        """
        keys_here = not pass_credentials
        headers = forwarded(endpoint, client_headers, keys_here=keys_here, compressed=compressed)
        if endpoint.api_key_env is not None:
            headers.extend(self._secret(endpoint))
        elif all(name != "authorization" for name, _ in headers):
            headers.extend(password_of(endpoint.base_url))
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
        place = target(endpoint.base_url, path, api=endpoint.api)
        return await self.pass_on(endpoint, "POST", place, headers, body)

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
                response.close()
            raise LateFailure(endpoint, wait_ms) from None
        except TransportError as error:
            if response is not None:
                response.close()
            raise upstream_failure(endpoint, error) from error

    async def probe(
        self, endpoint: Endpoint, path: str, *, timeout_s: float, body: bytes | None = None
    ) -> int:
        """The status of a health check: a small GET, or a POST of `body`. Raises `UpstreamFailure`."""
        headers = self.request_headers(endpoint, (), pass_credentials=False)
        if body is not None:
            headers.append(("content-type", "application/json"))
        place = target(endpoint.base_url, path, api=endpoint.api)
        status, _ = await self.ask(endpoint, place, headers, body, within_s=timeout_s)
        return status

    async def ask(
        self,
        endpoint: Endpoint,
        place: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        *,
        within_s: float,
        most_bytes: int = SHORT_BYTES_MAX,
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a question of the gateway's own: a GET, or a POST of `body`. Of one that is
        longer than `most_bytes` the body is empty. Raises `UpstreamFailure`."""
        try:
            async with asyncio.timeout(within_s):
                method = "GET" if body is None else "POST"
                response = await self.pass_on(endpoint, method, place, headers, body)
                try:
                    return response.status, await response.read_short(most_bytes) or b""
                finally:
                    response.close()
        except TransportError as error:
            raise upstream_failure(endpoint, error) from error
        except TimeoutError as error:
            raise upstream_failure(endpoint, ReadTimeout("no answer")) from error

    def idle(self, endpoint: Endpoint) -> deque[UpstreamConnection]:
        """The open connections to an endpoint that wait for a request."""
        return self._client.idle(self._address(endpoint))

    def _address(self, endpoint: Endpoint) -> Address:
        """Looked up once: it reads the whole environment. Raises `UpstreamFailure`."""
        address = self._addresses.get(endpoint.base_url)
        if address is None:
            try:
                address = self._addresses[endpoint.base_url] = address_of(endpoint.base_url)
            except ConfigError as error:
                raise UpstreamFailure(str(error), reached=False) from None
        return address

    def start_of_post(self, endpoint: Endpoint, path: str, headers: list[tuple[str, str]]) -> bytes:
        """The head of a request up to the length of its body."""
        place = target(endpoint.base_url, path, api=endpoint.api)
        head = request_head("POST", endpoint, self._address(endpoint), place, headers, None)
        return head[:-2] + b"content-length: "

    async def pass_on(
        self,
        endpoint: Endpoint,
        method: str,
        place: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
    ) -> UpstreamResponse:
        """Send any request to a `place` (path and query) of an endpoint's host and wait for the head of the answer.
        Raises `UpstreamFailure`."""
        address = self._address(endpoint)
        try:
            headers = await self._signed(method, endpoint, place, headers, body)
            head = request_head(method, endpoint, address, place, headers, body)
            response = await self._client.send(address, head, body or b"")
        except TransportError as error:
            raise upstream_failure(endpoint, error) from error
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


def address_of(base_url: str) -> Address:
    """Where to connect for an address, and the proxy that the environment names for it."""
    parts = urlsplit(base_url)
    tls = parts.scheme == "https"
    return Address(parts.hostname or "", parts.port or (443 if tls else 80), tls, _proxy_of(base_url))


def _proxy_of(address: str) -> Proxy | None:
    """The proxy that the environment names for an address on another machine. Raises `ConfigError` for one that is not
    spoken to by HTTP."""
    parts = urlsplit(address)
    if is_loopback(parts.hostname or "") or not any(
        name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ
    ):
        return None
    # Late, because few need it and it is heavy.
    from urllib.request import getproxies_environment, proxy_bypass

    proxies = getproxies_environment()
    proxy_url = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy_url or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = urlsplit(proxy_url if "://" in proxy_url else f"http://{proxy_url}")
    if proxy.scheme != "http" or proxy.hostname is None:
        raise ConfigError(
            f"the proxy for {parts.hostname} is of the scheme {proxy.scheme}, and only http:// is spoken to proxies",
            hint="set https_proxy to http://HOST:PORT; endpoints over TLS are reached through it all the same",
        )
    login = [f"proxy-{name}: {value}\r\n" for name, value in password_of(proxy.geturl())]
    return Proxy(proxy.hostname, proxy.port or 80, "".join(login))


def password_of(address: str) -> list[tuple[str, str]]:
    """A name and a password in an address, as a header."""
    said = urlsplit(address).netloc.rpartition("@")[0]
    return [("authorization", f"Basic {b64encode(unquote(said).encode()).decode()}")] if said else []


def request_head(
    method: str,
    endpoint: Endpoint,
    address: Address,
    place: str,
    headers: list[tuple[str, str]],
    body: bytes | None,
) -> bytes:
    """The head of a request with a whole body, or without one."""
    host = urlsplit(endpoint.base_url).netloc.rpartition("@")[2]
    if address.proxy is not None and not address.tls:
        start = f"{method} http://{host}{place} HTTP/1.1\r\nhost: {host}\r\n{address.proxy.login}"
    else:
        start = f"{method} {place} HTTP/1.1\r\nhost: {host}\r\n"
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    return b"%b%b%b\r\n" % (start.encode(), lines, length)
