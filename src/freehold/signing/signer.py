"""What requests carry to endpoints whose credentials a cloud gives.

Newer ones are fetched in a thread before those at hand end; a request waits only where there are none, and for
`within_s` at most. A source that hangs, or fails, costs each request no more than the first: while it is known to,
they are refused at once, with its reason.

For commands and scorers, which ask an incumbent or a candidate without the gateway between. The gateway's workers hold
their keys and their `Signer` themselves, for they pass many clients' requests on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from freehold.errors import UpstreamError, UsageError
from freehold.signing.clouds import (
    TITLES,
    CredentialSource,
    Headers,
    Issued,
    check_sources,
    reason_of,
    source_of,
    why_ended,
    without_signature,
)
from freehold.types.endpoint import CloudCredentials, Endpoint
from freehold.wire import anthropic
from freehold.wire.base_url import is_azure, taken_apart

log = logging.getLogger("freehold.gateway")
WITHIN_S = 5.0
"""How long a request waits for credentials."""
_AGAIN_AFTER_S, _AGAIN_AT_MOST_S = 1.0, 30.0
_DOUBTED_EVERY_S = 30.0


class NoCredentialsError(Exception):
    """A request cannot be sent for want of credentials. Its text is for clients."""


class CredentialKeeper:
    """The credentials of one endpoint in one process. Lives on the event loop."""

    def __init__(
        self,
        endpoint: str,
        cloud: CloudCredentials,
        source: CredentialSource,
        *,
        within_s: float | None = None,
    ) -> None:
        self._within_s = WITHIN_S if within_s is None else within_s
        self.source = source
        self._endpoint = endpoint
        self._cloud = cloud
        self._issued: Issued | None = None
        self._fetching: asyncio.Future[None] | None = None
        self._began_s = 0.0
        self._why = ""
        self._pause_s = _AGAIN_AFTER_S
        self._again_s = 0.0
        self._doubted_s = -_DOUBTED_EVERY_S

    async def value(self) -> object:
        """Credentials that are good now. Raises `NoCredentialsError`."""
        self.tend()
        if (issued := self._good()) is not None:
            return issued.value
        if self._fetching is not None:
            left_s = self._began_s + self._within_s - time.monotonic()
            if left_s > 0:
                await asyncio.wait({self._fetching}, timeout=left_s)
            if (issued := self._good()) is not None:
                return issued.value
        why = self._why or f"{TITLES[self._cloud]} has not given credentials within {self._within_s:g} s"
        raise NoCredentialsError(f"endpoint {self._endpoint} is not asked: {why}")

    def tend(self) -> None:
        """Begin to fetch newer credentials where it is time to."""
        issued = self._issued
        if self._fetching is not None or time.monotonic() < self._again_s:
            return
        if issued is not None and time.time() < issued.refresh_s and self._good() is not None:
            return
        loop = asyncio.get_running_loop()
        fetching = self._fetching = loop.create_future()
        self._began_s = time.monotonic()
        # Not one of the loop's own threads: it may never come back, and must not keep the process from ending.
        arguments = (loop, fetching)
        threading.Thread(target=self._fetch, args=arguments, name="credentials", daemon=True).start()

    def doubt(self) -> None:
        """The endpoint refused the credentials: look for newer ones, once in a while."""
        now = time.monotonic()
        if self._issued is not None and now - self._doubted_s >= _DOUBTED_EVERY_S:
            self._doubted_s = now
            self._issued = self._issued._replace(refresh_s=0.0)
            self.tend()

    def _good(self) -> Issued | None:
        issued = self._issued
        return None if issued is None or issued.has_ended(time.time()) else issued

    def _fetch(self, loop: asyncio.AbstractEventLoop, fetching: asyncio.Future[None]) -> None:
        """In a thread."""
        issued: Issued | None = None
        why = ""
        try:
            issued = self.source.fetch()
            if issued.has_ended(time.time()):
                issued, why = None, why_ended(self._cloud)
        except BaseException as error:  # noqa: BLE001 (of three makers; with no word of its end, no other is begun)
            why = reason_of(self._cloud, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._take, fetching, issued, why)

    def _take(self, fetching: asyncio.Future[None], issued: Issued | None, why: str) -> None:
        self._fetching = None
        if issued is None:
            if why != self._why:
                log.warning("endpoint %s: %s", self._endpoint, why)
            self._again_s = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _AGAIN_AT_MOST_S)
        else:
            if self._why:
                log.warning(
                    "endpoint %s: there are credentials of %s again", self._endpoint, TITLES[self._cloud]
                )
            self._issued = issued
            self._pause_s = _AGAIN_AFTER_S
            # A source may keep what it has until shortly before its end, whenever it is asked.
            self._again_s = time.monotonic() + _AGAIN_AFTER_S
        self._why = why
        if not fetching.done():
            fetching.set_result(None)


_ON_LOOP_BYTES_MAX = 256 * 1024


class Signer:
    """The credentials of all such endpoints that one event loop asks."""

    def __init__(self, within_s: float | None = None) -> None:
        """`within_s` is how long a request waits for credentials, where not as long as in a gateway."""
        self._within_s = within_s
        self._keepers: dict[tuple[str, str, str], CredentialKeeper] = {}

    async def signed(
        self, endpoint: Endpoint, method: str, place: str, headers: Headers, body: bytes | None
    ) -> Headers:
        """The headers of a request to a `place` (path and query) of an endpoint's host, with its credentials.

        Raises `NoCredentialsError`.
        """
        keeper = self._keeper(endpoint)
        value = await keeper.value()
        url = taken_apart(endpoint.base_url, endpoint.api).origin + place
        if endpoint.credentials != "aws":
            return [*headers, *keeper.source.headers(value, method, url, headers, b"")]
        headers, body = without_signature(headers), bytes(body or b"")
        if len(body) <= _ON_LOOP_BYTES_MAX:
            return [*headers, *keeper.source.headers(value, method, url, headers, body)]
        # A digest of many megabytes takes a while.
        more = await asyncio.to_thread(keeper.source.headers, value, method, url, headers, body)
        return [*headers, *more]

    def learn(self, endpoint: Endpoint, status: int) -> None:
        """Look for newer credentials where an endpoint refused those it was sent."""
        if endpoint.credentials is not None and status in (401, 403):
            self._keeper(endpoint).doubt()

    def tend(self, endpoints: Iterable[Endpoint]) -> None:
        """Have the credentials of endpoints ready before a request needs them, and renewed before they end."""
        for endpoint in endpoints:
            if endpoint.credentials is not None:
                self._keeper(endpoint).tend()

    def _keeper(self, endpoint: Endpoint) -> CredentialKeeper:
        assert endpoint.credentials is not None
        key = (endpoint.name, endpoint.credentials, endpoint.base_url)
        keeper = self._keepers.get(key)
        if keeper is None:
            keeper = CredentialKeeper(
                endpoint.name, endpoint.credentials, source_of(endpoint), within_s=self._within_s
            )
            self._keepers[key] = keeper
        return keeper


FIRST_WITHIN_S = 60.0
"""How long a command waits for credentials of a cloud: its library is loaded first, then sources are asked in turn."""


class OwnCredentials:
    """This process's credentials for one endpoint. Of its methods `headers` belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises `UsageError` where the key's variable is not set, `MissingExtraError` where the cloud's library is not
        installed, `ConfigError` where nothing says which region requests are signed for."""
        self._endpoint = endpoint
        self._fixed = _fixed_of(endpoint)
        check_sources((endpoint,))
        self._signer = Signer(within_s=FIRST_WITHIN_S)

    async def headers(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """The headers that go with a request to a URL of the endpoint. Raises `UpstreamError` where the cloud gives no
        credentials."""
        if self._endpoint.credentials is None:
            return self._fixed
        try:
            signed = await self._signer.signed(self._endpoint, method, _place(url), _content(body), body)
        except NoCredentialsError as error:
            raise UpstreamError(str(error), hint=_HINT) from None
        return {**self._fixed, **dict(signed)}

    def headers_now(self, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """The same without an event loop; credentials are fetched for this request."""
        cloud = self._endpoint.credentials
        if cloud is None:
            return self._fixed
        source, sent = source_of(self._endpoint), _content(body)
        try:
            issued = source.fetch()
        except Exception as error:  # noqa: BLE001 (of three makers' libraries)
            raise self._not_asked(reason_of(cloud, error)) from None
        if issued.has_ended(time.time()):
            raise self._not_asked(why_ended(cloud))
        return {**self._fixed, **dict([*sent, *source.headers(issued.value, method, url, sent, body)])}

    def _not_asked(self, why: str) -> UpstreamError:
        return UpstreamError(f"endpoint {self._endpoint.name} is not asked: {why}", hint=_HINT)

    def learn(self, status: int) -> None:
        """Look for newer credentials where the endpoint refused those it was sent."""
        self._signer.learn(self._endpoint, status)


_HINT = "the usual chain of its library is looked through: freehold doctor, or sign in to the cloud here"


def _fixed_of(endpoint: Endpoint) -> dict[str, str]:
    """The headers that every request has: the version of Anthropic's API, and the endpoint's key by what its API and
    its host expect."""
    headers = {"anthropic-version": anthropic.API_VERSION} if endpoint.api == "anthropic" else {}
    name = endpoint.api_key_env
    if not name:
        return headers
    key = os.environ.get(name)
    if not key:
        raise UsageError(
            f"endpoint {endpoint.name}: the environment variable {name} is not set",
            hint=f"export {name}=… with the key of {endpoint.base_url}",
        )
    if endpoint.api == "anthropic":
        return {**headers, "x-api-key": key}
    return {"api-key": key} if is_azure(endpoint.base_url) else {"authorization": f"Bearer {key}"}


def _content(body: bytes) -> Headers:
    return [("content-type", "application/json")] if body else []


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
