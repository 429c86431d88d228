"""Which headers go from a client to an endpoint, and which come back.

What says who a client is, or who pays, reaches only the host it was meant for. That is decided by name, and in doubt a
header is taken for a credential: one that is left out costs a question to the operator, one that is sent to a stranger
costs a key. A key of this gateway is left out everywhere, whatever header it is in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from freehold.gateway.http.response import UpstreamResponse
from freehold.types.endpoint import Endpoint


def names_in(text: str) -> frozenset[str]:
    """The names that a text lists."""
    return frozenset(text.split())


# Connection matters end here; lengths and encodings are written by freehold's own client and server.
_HOP_BY_HOP = names_in(
    """
    connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding
    upgrade
    """
)
_NOT_FORWARDED = _HOP_BY_HOP | names_in(
    """
    accept-encoding content-length cookie expect forwarded host x-forwarded-for x-forwarded-host
    x-forwarded-proto x-real-ip
    """
)
# Browsers of other origins stay out, whatever an upstream would allow them; what software it runs stays private. Of a
# gateway behind this one: this one says the arm of its own routes.
_NOT_RETURNED = _HOP_BY_HOP | names_in(
    """
    access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-allow-private-network access-control-expose-headers
    access-control-max-age alt-svc date server set-cookie x-freehold-arm x-powered-by
    """
)


Kind = Literal["plain", "account", "key", "encoding", "dropped"]


def _kind_of(name: str) -> Kind:
    """What a client's header is to an endpoint, by its name in lower case."""
    if name == "accept-encoding":
        return "encoding"
    if name in _NOT_FORWARDED or name.startswith("x-freehold-"):
        return "dropped"
    if is_credential(name):
        return "key" if name in KEY_HEADERS else "account"
    return "plain"


def passes_key(endpoint: Endpoint, *, keys_here: bool) -> bool:
    """Whether a client's key is for an endpoint: one that clients mean by it (`forward_client_key`), that names none of
    its own, while the gateway itself asks for none (`keys_here`)."""
    meant = endpoint.forward_client_key and endpoint.engine_kind.is_rented
    return meant and not endpoint.has_own_key and not keys_here


def forwarded(
    endpoint: Endpoint, client_headers: Iterable[tuple[str, str]], *, keys_here: bool, compressed: bool
) -> list[tuple[str, str]]:
    """The client's headers as an endpoint is sent them.

    What says who the client is, or who pays (see `credentials`), is forwarded only to an endpoint that clients mean by
    it, and a key as `passes_key` says; one to this gateway never. `compressed` says that the answer may be compressed,
    where the client takes that.
    """
    headers = []
    meant = endpoint.forward_client_key and endpoint.engine_kind.is_rented
    key_too = passes_key(endpoint, keys_here=keys_here)
    for name, value in client_headers:
        kind = _kind_of(name)
        if kind == "plain" or (kind == "account" and meant) or (kind == "key" and key_too):
            if not holds_own_key(value):
                headers.append((name, value))
        elif kind == "encoding":
            headers.append((name, "gzip" if compressed and "gzip" in value else "identity"))
    return headers


def response_headers(answer: UpstreamResponse) -> list[tuple[str, str]]:
    """The answer's headers as they go to the client."""
    return [header for header in answer.headers if header[0] not in _NOT_RETURNED]


KEY_HEADERS = frozenset(("authorization", "x-api-key", "api-key", "x-goog-api-key"))
"""Where the APIs that are spoken here expect a key."""
_NAMES = re.compile(
    r"auth|key|token|secret|credential|passw|cookie|session|signature|assertion|jwt"
    r"|organi[sz]ation|project|account|workspace|tenant|subscription|(?:^|-)cert"
)
# These look like it by name only.
_HARMLESS = frozenset(("idempotency-key", "x-idempotency-key", "pagetoken", "page_token"))
_OWN_KEY = re.compile(r"(?<![A-Za-z0-9_-])fh-[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])")


def is_credential(name: str) -> bool:
    """Whether a header, by its name in lower case, carries a key or names the account that pays."""
    return name not in _HARMLESS and _NAMES.search(name) is not None


def query_without_keys(query: str, *, key_too: bool) -> str:
    """A query as an endpoint may see it: without what is a key by its name, unless the key is meant for it.

    A key of this gateway is left out in any case.
    """
    kept = []
    for part in query.split("&"):
        name = part.partition("=")[0].lower()
        if (key_too or not is_credential(name)) and not holds_own_key(part):
            kept.append(part)
    return "&".join(kept)


def holds_own_key(value: str) -> bool:
    """Whether a header's value holds a key as this gateway makes them."""
    return "fh-" in value and _OWN_KEY.search(value) is not None
