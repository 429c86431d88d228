"""Sources of credentials: one for each cloud, by its maker's library.

The services are those of https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions-mantle.html
and of https://github.com/openai/openai-java/blob/master/bedrock.md (read 2026-11-29): ``bedrock-mantle`` at
``bedrock-mantle.REGION.api.aws``, ``bedrock`` elsewhere. Signed are the host, the content type and the body: what else
a request carries may be changed by a proxy on its way.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from freehold.errors import ConfigError, MissingExtraError
from freehold.types.endpoint import CloudCredentials, Endpoint

Headers = list[tuple[str, str]]
ANSWERS_WITHIN_S = 10.0
"""How long one answer may take of whom credentials come from. Libraries wait for five minutes, several times over."""
TITLES: dict[CloudCredentials, str] = {"aws": "AWS", "google": "Google Cloud", "azure": "Azure"}


class CredentialError(Exception):
    """There are no credentials to send. Its text is for people and names no secret."""


class Issued(NamedTuple):
    """Credentials as their source gave them. Times are Unix seconds: when to look for newer ones, and when these end
    (None: not known, or never)."""

    value: object
    refresh_s: float
    expires_s: float | None

    def has_ended(self, now_s: float) -> bool:
        return self.expires_s is not None and now_s >= self.expires_s


class CredentialSource(Protocol):
    """One cloud's way to credentials."""

    def fetch(self) -> Issued:
        """Credentials that are good now. Blocks for as long as it takes; called in a thread, never twice at once.
        Raises `CredentialError`, and whatever its library does."""

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        """What a request carries because of the `value` of fetched credentials. Does no I/O."""


def reason_of(cloud: CloudCredentials, error: BaseException) -> str:
    """Why there are no credentials, without the words of a library: they may quote what a server said."""
    said = str(error) if isinstance(error, CredentialError) else type(error).__name__
    return f"no credentials of {TITLES[cloud]} can be had ({said})"


def why_ended(cloud: CloudCredentials) -> str:
    """Why credentials that have ended when they come are not used."""
    return f"the credentials that {TITLES[cloud]} gave have ended by this machine's clock"


def refresh_before(now_s: float, expires_s: float) -> float:
    """When to look for newer credentials: four minutes before the end of these, or halfway there for short ones."""
    return max(expires_s - 240.0, (now_s + expires_s) / 2)


LOOK_AGAIN_S = 60.0
"""botocore renews credentials that end when it is asked for them, a quarter of an hour before, so it is asked often."""
_REGION = re.compile(r"(?:^|\.)bedrock(?:-mantle|-runtime)?(?:-fips)?\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.")
_OVERWRITTEN = frozenset(("x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "authorization"))


class SigningScope(NamedTuple):
    """What requests to an address are signed for. The region is None where nothing names one."""

    service: str
    region: str | None


def signed_for(base_url: str) -> SigningScope:
    """The scope of an address: a region in its name goes before that of the environment."""
    host = urlsplit(base_url).hostname or ""
    service = "bedrock-mantle" if "bedrock-mantle" in host else "bedrock"
    found = _REGION.search(host)
    region = found[1] if found else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return SigningScope(service, region)


class AwsSource:
    """See the module."""

    def __init__(self, base_url: str) -> None:
        self._scope = signed_for(base_url)
        self._found: Any = None

    def fetch(self) -> Issued:
        if self._found is None:
            import botocore.auth  # not on the loop, with the first request
            from botocore.config import Config
            from botocore.session import Session

            assert botocore.auth
            session, within_s = Session(), ANSWERS_WITHIN_S
            session.set_default_client_config(Config(connect_timeout=within_s, read_timeout=within_s))
            self._found = session.get_credentials()
        if self._found is None:
            raise CredentialError("its usual chain, from AWS_ACCESS_KEY_ID to the instance's role, is empty")
        frozen = self._found.get_frozen_credentials()
        parts = (frozen.access_key, frozen.secret_key, frozen.token or "")
        if not all(part.isascii() and part.isprintable() for part in parts):
            # A line end from a secret's file; what is read again may be without.
            self._found = None
            raise CredentialError("they have characters that no header can carry, such as an end of a line")
        # Only credentials that are renewed have it; botocore tells it nowhere else.
        ends = getattr(self._found, "_expiry_time", None)
        now = time.time()
        if ends is None:
            self._found = None  # a key in a file or a profile may be exchanged: read again
        refresh_s, expires_s = now + LOOK_AGAIN_S, None
        if isinstance(ends, datetime):
            expires_s = ends.timestamp()
            refresh_s = min(refresh_s, refresh_before(now, expires_s))
        return Issued(frozen, refresh_s, expires_s)

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        sent = {name: said for name, said in headers if name == "content-type"}
        request = AWSRequest(method=method, url=url, data=body, headers=sent)
        SigV4Auth(value, self._scope.service, self._scope.region).add_auth(request)
        return [
            (name.lower(), said) for name, said in request.headers.items() if name.lower() in _OVERWRITTEN
        ]


def without_signature(headers: Headers) -> Headers:
    """A request's headers without what another signature left there."""
    return [pair for pair in headers if pair[0] not in _OVERWRITTEN]


# https://learn.microsoft.com/azure/ai-services/authentication and microsoft/PyRIT#1453 (read 2026-11-29): taken by
# Azure OpenAI and by Azure AI Foundry.
AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"


class AzureSource:
    """See the module."""

    def __init__(self) -> None:
        self._found: Any = None

    def fetch(self) -> Issued:
        if self._found is None:
            from azure.identity import DefaultAzureCredential

            # No browser, and no prompt, in a server.
            self._found = DefaultAzureCredential(
                exclude_interactive_browser_credential=True,
                connection_timeout=ANSWERS_WITHIN_S,
                read_timeout=ANSWERS_WITHIN_S,
            )
        issued = self._found.get_token(AZURE_SCOPE)
        return Issued(issued.token, refresh_before(time.time(), issued.expires_on), float(issued.expires_on))

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        return [("authorization", f"Bearer {value}")]


# https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/projects.locations.endpoints.chat/completions (scopes).
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LIFETIME_S = 300.0


class GoogleSource:
    """See the module."""

    def __init__(self) -> None:
        self._found: Any = None

    def fetch(self) -> Issued:
        import google.auth
        import requests
        from google.auth.transport.requests import Request

        with requests.Session() as session:
            transport = Request(session=session)

            def ask(*arguments: Any, **more: Any) -> Any:
                return transport(*arguments, **{**more, "timeout": ANSWERS_WITHIN_S})

            asked: Any = ask  # all that google-auth wants of its `Request` is to be called
            if self._found is None:
                self._found, _ = google.auth.default(scopes=[GOOGLE_SCOPE], request=asked)
            self._found.refresh(asked)
        token, expiry = self._found.token, self._found.expiry
        if not isinstance(token, str) or not token:
            raise CredentialError("its source gave no access token")
        now = time.time()
        # google-auth tells UTC without saying so.
        expires_s = now + _LIFETIME_S if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Issued(token, refresh_before(now, expires_s), expires_s)

    def headers(self, value: object, method: str, url: str, headers: Headers, body: bytes) -> Headers:
        return [("authorization", f"Bearer {value}")]


_MODULES: dict[CloudCredentials, tuple[str, ...]] = {
    "aws": ("botocore",),
    "google": ("google.auth", "requests"),
    "azure": ("azure.identity",),
}
_LOGGERS: dict[CloudCredentials, tuple[str, ...]] = {
    "aws": ("botocore",),
    "google": ("google",),
    "azure": ("azure", "msal"),
}


def source_of(endpoint: Endpoint) -> CredentialSource:
    """The source of an endpoint's credentials; its library is imported when it fetches.

    What these libraries log of an answer may have a secret in it: they log where FREEHOLD_LOG asks them to.
    """
    for name in () if endpoint.credentials is None else _LOGGERS[endpoint.credentials]:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    match endpoint.credentials:
        case "aws":
            return AwsSource(endpoint.base_url)
        case "google":
            return GoogleSource()
        case "azure":
            return AzureSource()
    raise AssertionError(f"{endpoint.name} names no cloud")


def check_sources(endpoints: Iterable[Endpoint]) -> None:
    """Raises `MissingExtraError` where a cloud's library is not installed, `ConfigError` where it is not said what
    requests are signed for."""
    for endpoint in endpoints:
        cloud = endpoint.credentials
        if cloud is None:
            continue
        if not all(_is_there(module) for module in _MODULES[cloud]):
            raise MissingExtraError(f"endpoint {endpoint.name}, with credentials of {TITLES[cloud]},", cloud)
        if cloud == "aws" and signed_for(endpoint.base_url).region is None:
            raise ConfigError(
                f"endpoint {endpoint.name}: {endpoint.base_url} names no AWS region that requests are signed for",
                hint="export AWS_REGION=…, or give the region's own address",
            )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
