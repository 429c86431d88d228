"""Requests on which an engine of a pool dies: after the second death such a request is answered with an error.

Whatever was under way when an engine died is suspected. Suspects of a model are asked one at a time, so the next death
is the doing of one, and an answer clears the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from freehold.errors import EngineError

log = logging.getLogger("freehold.engines.pool")
DEATHS_MAX = 2
REMEMBERED_SECONDS = 3600.0
"""Then the engine is asked again."""
KNOWN_MAX = 256
"""As many requests are remembered; the oldest is forgotten first."""


class DeadlyRequestError(EngineError):
    """An engine has died on this request, and is not asked it again."""

    retryable = False


class _Death(NamedTuple):
    deaths: int
    at: float
    process_id: int


class DeadlyRequests:
    """What a pool knows of such requests, by the digest of each; no words of clients. Belongs to one event loop."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Death] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    @contextlib.asynccontextmanager
    async def turn(self, name: str, body: dict[str, Any]) -> AsyncIterator[None]:
        """At once, or for a suspect when no other suspect of that model is asked. Raises `DeadlyRequestError`."""
        if not self._known or not self._deaths(digest := _digest(name, body)):
            yield
            return
        async with self._turns.setdefault(name, asyncio.Lock()):
            if self._deaths(digest) >= DEATHS_MAX:
                raise DeadlyRequestError(
                    f"the engine of {name} died {DEATHS_MAX} times on this request and is not asked it again"
                )
            yield

    def add(self, name: str, body: dict[str, Any], *, process_id: int) -> None:
        """The engine died while the request was under way; `process_id` was its process."""
        digest = _digest(name, body)
        deaths = self._deaths(digest) + 1
        known = self._known.pop(digest, None)
        if known is not None and known.process_id == process_id:
            self._known[digest] = known  # a copy of it was under way at the same death
            return
        self._known[digest] = _Death(deaths, time.monotonic(), process_id)
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        if deaths == DEATHS_MAX:
            log.warning(
                "the engine of %s died %d times on one request (digest %s); it is not asked it again for %.0f min",
                name,
                DEATHS_MAX,
                digest.hex(),
                REMEMBERED_SECONDS / 60,
            )

    def clear(self, name: str, body: dict[str, Any]) -> None:
        """The engine has answered a request: another one was to blame."""
        if self._known:
            self._known.pop(_digest(name, body), None)

    def _deaths(self, digest: bytes) -> int:
        known = self._known.get(digest)
        if known is None or time.monotonic() - known.at > REMEMBERED_SECONDS:
            return 0
        return known.deaths


def _digest(name: str, body: dict[str, Any]) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(body), digest_size=16, key=name.encode()[:64]).digest()
