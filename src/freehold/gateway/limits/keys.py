"""Local API keys: made once, shown once, stored as a hash.

A key carries 192 random bits, so a plain SHA-256 of it cannot be turned back; slow password hashes are for
secrets people choose.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable

from freehold.types.route import ApiKey, LabelLimits, Limits, Permission
from freehold.wire.errors import ApiError

PREFIX = "fh-"
_NO_LIMITS = Limits()


def new_key() -> str:
    """A fresh key; store `hash_of` it, show it once."""
    return PREFIX + secrets.token_urlsafe(24)


def hash_of(key: str) -> str:
    """What is stored for a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys in force. Where there never was one, every client that reaches the port is let in.

    `required` asks for a key even where there is none. `waiting` is a ring whose keys are yet to come, `problem` the
    reason why none can be believed: no client is let in meanwhile.
    """

    __slots__ = ("_by_hash", "keys", "labels", "problem", "required", "waiting")

    def __init__(
        self,
        keys: Iterable[ApiKey],
        labels: Iterable[LabelLimits] = (),
        *,
        required: bool = False,
        waiting: bool = False,
        problem: str | None = None,
    ) -> None:
        known = list(keys)
        self._by_hash = {key.hash: key for key in known if key.revoked_at is None}
        self.labels = {one.label: one for one in labels}
        self.waiting = waiting
        self.problem = problem
        self.keys = known
        self.required = bool(known) or required or waiting or problem is not None

    def lacks_some_of(self, before: KeyRing) -> bool:
        """Whether a key that was in force before is not any more."""
        return not before._by_hash.keys() <= self._by_hash.keys()

    def refuses(self, header: Callable[[str], str | None]) -> bool:
        """Whether what a request shows is not a key in force. That keys cannot be read at the moment refuses none."""
        try:
            self.admit(header)
        except ApiError as error:
            return error.status == 401
        return False

    def limits_of(self, key: ApiKey) -> list[tuple[str, Limits]]:
        """The limits of a key and of its label that limit anything, each with the name it is counted under."""
        limits = key.limits
        found = [] if limits == _NO_LIMITS else [(f"key:{key.name}", limits)]
        shared = None if key.label is None else self.labels.get(key.label)
        if shared is not None and shared.limits != _NO_LIMITS:
            found.append((shared.account, shared.limits))
        return found

    def admit(self, header: Callable[[str], str | None]) -> ApiKey | None:
        """The key that a request shows, in ``Authorization: Bearer`` or another of the headers that clients of the APIs
        put one into; None when none is needed.

        Raises `ApiError` (401, or 503 while the keys are not known).
        """
        if not self.required:
            return None
        if self.problem is not None:
            # What is wrong stands in the operator's log; clients need not know.
            raise ApiError(
                503, "the gateway cannot check keys at the moment", code="keys_unavailable", retry_after_s=5
            )
        if self.waiting:
            raise ApiError(503, "the gateway is starting", code="starting", retry_after_s=1)
        shown = header("x-api-key") or header("api-key") or header("x-goog-api-key")
        authorization = header("authorization")
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
        if key.expires_at is not None and key.expires_at.timestamp() <= time.time():
            raise ApiError(401, "this API key has expired", code="expired_api_key")
        return key


_DOING = {
    "ask": "ask models",
    "look": "look at routes, numbers and readiness",
    "change": "change routes",
    "keys": "manage keys",
}


def check_may(key: ApiKey | None, what: Permission) -> None:
    """Raise `ApiError` (403) where the key's role does not allow this. None is a client of a gateway without keys."""
    if key is not None and not key.may(what):
        raise ApiError(
            403,
            f"the role of this key is {key.role}, which may not {_DOING[what]}",
            code="not_allowed",
        )


def check_scope(key: ApiKey, model: str, route: str | None) -> None:
    """Raise `ApiError` (403) for a model or a route that the key is not made for."""
    if key.models and model not in key.models:
        raise ApiError(
            403,
            f"this key may not use the model '{model[:100]}', only {', '.join(key.models)}",
            code="model_not_allowed",
            param="model",
        )
    if key.routes and route not in key.routes:
        raise ApiError(
            403,
            f"this key may only use the routes {', '.join(key.routes)}; the model '{model[:100]}' leads elsewhere",
            code="route_not_allowed",
            param="model",
        )
