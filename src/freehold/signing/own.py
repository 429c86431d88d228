"""What a process sends to say who it is when it asks an endpoint itself: its key, or credentials of its cloud.

For commands and scorers, which ask an incumbent or a candidate without the gateway between. The gateway's workers hold
their keys and their `Signer` themselves, for they pass many clients' requests on.
"""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from freehold.errors import UpstreamError, UsageError
from freehold.signing.clouds import check_sources, source_of
from freehold.signing.keeper import NoCredentialsError
from freehold.signing.signer import Signer
from freehold.signing.source import Headers, reason_of, why_ended
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic
from freehold.wire.base_url import is_azure

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
