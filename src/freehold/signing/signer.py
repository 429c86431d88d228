"""What requests carry to endpoints whose credentials a cloud gives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from freehold.signing.aws import without_signature
from freehold.signing.clouds import source_of
from freehold.signing.keeper import CredentialKeeper
from freehold.signing.source import Headers
from freehold.types.endpoint import Endpoint
from freehold.wire.base_url import taken_apart

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
