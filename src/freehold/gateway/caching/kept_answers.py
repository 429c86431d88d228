"""The answers a worker keeps: for a time, within bounds, by route. Never on a disk.

What they take counts in the worker's budget of bytes; where a request needs the room, the oldest answers go. All of a
route's go when it changes, its rule of deferral included, or what answers it; and each goes when its time is over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from freehold.gateway.http.memory import HeldBytes, MemoryBudget
from freehold.types.endpoint import Endpoint
from freehold.types.route import CacheTerms

ANSWER_BYTES_MAX = 256 * 1024
"""A longer answer is not kept."""
BUDGET_SHARE = 0.25
"""All answers together take at most this part of the worker's budget."""
_OVERHEAD_BYTES = 1024


class KeptAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer as its endpoint gave it, so that it goes the same way to the client again. Times are in seconds."""

    endpoint: Endpoint
    arm: Literal["incumbent", "candidate", "upper"]
    content_type: str
    content_encoding: str | None
    hides_usage: bool
    chunks: tuple[bytes, ...]
    kept_s: float
    until_s: float
    digest: bytes = b""

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.chunks)) + _OVERHEAD_BYTES

    def sealed(self) -> KeptAnswer:
        """With the digest of what it holds."""
        return msgspec.structs.replace(self, digest=self._made_digest())

    @property
    def is_sound(self) -> bool:
        """Whether it still holds what was kept."""
        return self.digest == self._made_digest()

    def _made_digest(self) -> bytes:
        about = (self.endpoint.name, self.arm, self.content_type, self.content_encoding, self.hides_usage)
        return hashlib.blake2b(msgspec.msgpack.encode([about, self.chunks]), digest_size=16).digest()


class _OfRoute(msgspec.Struct):
    """The answers of one route, oldest first."""

    version: bytes
    held: HeldBytes
    answers: dict[bytes, KeptAnswer] = {}


class KeptAnswers:
    """All answers of this worker. `now_s` is a clock that never goes back."""

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory = memory
        self._routes: dict[str, _OfRoute] = {}
        memory.spare = self.give_way

    def find(self, route: str, version: bytes, key: bytes, *, now_s: float) -> KeptAnswer | None:
        """The answer to a request, if it is here. `version` is that of the route and of what answers it."""
        of_route = self._of(route, version)
        answer = None if of_route is None else of_route.answers.get(key)
        if of_route is None or answer is None:
            return None
        if answer.until_s <= now_s or not answer.is_sound:
            self._drop(of_route, key)
            return None
        return answer

    def keep(self, route: str, version: bytes, key: bytes, answer: KeptAnswer, terms: CacheTerms) -> bool:
        """Keep an answer, where there is room for it: the route's oldest make some. The newest answer to a request
        counts."""
        size = answer.size_bytes
        most = min(int(terms.mib * 2**20), int(self._memory.limit_bytes * BUDGET_SHARE))
        if size > min(most, ANSWER_BYTES_MAX + _OVERHEAD_BYTES):
            return False
        of_route = self._of(route, version)
        if of_route is None:
            of_route = self._routes[route] = _OfRoute(version, HeldBytes(self._memory))
        if key in of_route.answers:
            self._drop(of_route, key)
        while of_route.held.size_bytes + size > most:
            self._drop(of_route, next(iter(of_route.answers)))
        while self.held_bytes + size > self._memory.limit_bytes * BUDGET_SHARE:
            self.give_way()
        if not of_route.held.take(size):
            return False
        of_route.answers[key] = answer.sealed()
        return True

    def sweep(self, *, now_s: float) -> None:
        """Forget what is too old. A route's answers are here in the order of their end: all have the same time, and a
        change of it has emptied the route."""
        for of_route in self._routes.values():
            while of_route.answers:
                key, answer = next(iter(of_route.answers.items()))
                if answer.until_s > now_s:
                    break
                self._drop(of_route, key)

    def retain(self, versions: Mapping[str, bytes]) -> None:
        """Forget the answers of all routes but these, by name, at these versions."""
        for name in [name for name, one in self._routes.items() if versions.get(name) != one.version]:
            self._routes.pop(name).held.release()

    def give_way(self) -> bool:
        """Forget the oldest answer of the route that holds most; False where there is none."""
        fullest = max(self._routes.values(), key=lambda one: one.held.size_bytes, default=None)
        if fullest is None or not fullest.answers:
            return False
        self._drop(fullest, next(iter(fullest.answers)))
        return True

    @property
    def held_bytes(self) -> int:
        """What all answers take."""
        return sum(one.held.size_bytes for one in self._routes.values())

    def _of(self, route: str, version: bytes) -> _OfRoute | None:
        of_route = self._routes.get(route)
        if of_route is not None and of_route.version != version:
            self._routes.pop(route).held.release()
            return None
        return of_route

    @staticmethod
    def _drop(of_route: _OfRoute, key: bytes) -> None:
        gone = of_route.answers.pop(key)
        of_route.held.give(gone.size_bytes)
