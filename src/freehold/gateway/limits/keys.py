"""Local API keys: made once, shown once, stored as a hash.

A key carries 192 random bits, so a plain SHA-256 of it cannot be turned back; slow password hashes are for
secrets people choose.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from freehold.types.route import ApiKey
from freehold.wire.errors import ApiError

PREFIX = "fh-"


def new_key() -> str:
    """A fresh key; store `hash_of` it, show it once."""
    return PREFIX + secrets.token_urlsafe(24)


def hash_of(key: str) -> str:
    """What is stored for a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys in force. Where there never was one, every client that reaches the port is let in.

    `waiting` is a ring whose keys are yet to come: no client is let in meanwhile.
    """

    __slots__ = ("_by_hash", "_waiting", "required")

    def __init__(self, keys: Iterable[ApiKey], *, waiting: bool = False) -> None:
        known = list(keys)
        self._by_hash = {key.hash: key for key in known if key.revoked_at is None}
        self._waiting = waiting
        self.required = bool(known) or waiting

    def check(self, authorization: str | None, x_api_key: str | None) -> ApiKey | None:
        """The key a request shows, in ``Authorization: Bearer`` or ``x-api-key``; None when none is needed.

        Raises `ApiError` (401, or 503 while waiting).
        """
        if not self.required:
            return None
        if self._waiting:
            raise ApiError(503, "the gateway is starting", code="starting", retry_after_s=1)
        shown = x_api_key
        if authorization is not None and authorization[:7].lower() == "bearer ":
            shown = authorization[7:].strip()
        if not shown:
            raise ApiError(
                401,
                "no API key: send Authorization: Bearer with a key of this gateway",
                code="invalid_api_key",
            )
        # Looked up by hash: how long it takes says nothing about how much of a key was right.
        key = self._by_hash.get(hash_of(shown))
        if key is None:
            raise ApiError(401, "this API key is not known here", code="invalid_api_key")
        return key
