"""Which headers of a client say who it is or who pays: they reach only the host they were meant for.

Decided by name, and in doubt a header is taken for a credential: one that is left out costs a question to the operator,
one that is sent to a stranger costs a key. A key of this gateway is left out everywhere, whatever header it is in.
"""

from __future__ import annotations

import re

KEY_HEADERS = frozenset(("authorization", "x-api-key", "api-key", "x-goog-api-key"))
"""Where the APIs that are spoken here expect a key."""
_NAMES = re.compile(
    r"auth|key|token|secret|credential|passw|cookie|session|signature|assertion|jwt"
    r"|organi[sz]ation|project|account|workspace|tenant|subscription|(?:^|-)cert"
)
# These look like it by name only.
_HARMLESS = frozenset(
    ("idempotency-key", "x-idempotency-key", "sec-websocket-key", "pagetoken", "page_token")
)
# Browsers, which can send no headers with a WebSocket, put a key among the protocols they name.
_KEY_PROTOCOL = "openai-insecure-api-key."
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


def protocols_without_keys(value: str, *, key_too: bool) -> str:
    """The WebSocket protocols that a client names, without a key among them, unless it is meant for the endpoint."""
    named = [one.strip() for one in value.split(",")]
    keep = [
        one
        for one in named
        if not holds_own_key(one) and (key_too or not one.lower().startswith(_KEY_PROTOCOL))
    ]
    return ", ".join(keep)


def holds_own_key(value: str) -> bool:
    """Whether a header's value holds a key as this gateway makes them."""
    return "fh-" in value and _OWN_KEY.search(value) is not None
