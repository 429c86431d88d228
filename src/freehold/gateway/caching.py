"""The answers a worker keeps: for a time, within bounds, by route. Never on a disk.

What they take counts in the worker's budget of bytes; where a request needs the room, the oldest answers go. All of a
route's go when it changes, its rule of deferral included, or what answers it; and each goes when its time is over.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from freehold.gateway.http.memory import HeldBytes, MemoryBudget
from freehold.gateway.http.response import UpstreamResponse
from freehold.types.endpoint import Endpoint

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

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.chunks)) + _OVERHEAD_BYTES


class _OfRoute(msgspec.Struct):
    """The answers of one version of a route, oldest first."""

    held: HeldBytes
    answers: dict[bytes, KeptAnswer] = {}

    def drop(self, key: bytes) -> None:
        self.held.give(self.answers.pop(key).size_bytes)

    def drop_oldest(self) -> None:
        self.drop(next(iter(self.answers)))


class KeptAnswers:
    """All answers of this worker, by the version of a route (a hash of it and of what answers it) and a request's key.

    `now_s` is a clock that never goes back.
    """

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory = memory
        self._routes: dict[bytes, _OfRoute] = {}
        memory.spare = self.give_way

    def find(self, version: bytes, key: bytes, *, now_s: float) -> KeptAnswer | None:
        """The answer to a request, if it is here."""
        of_route = self._routes.get(version)
        answer = None if of_route is None else of_route.answers.get(key)
        return None if answer is None or answer.until_s <= now_s else answer

    def keep(self, version: bytes, key: bytes, answer: KeptAnswer, *, most_bytes: int) -> bool:
        """Keep an answer, where there is room for it: the route's oldest make some, up to `most_bytes` of all of them.
        The newest answer to a request counts."""
        size, most_of_all = answer.size_bytes, self._memory.limit_bytes * BUDGET_SHARE
        if size > min(most_bytes, most_of_all, ANSWER_BYTES_MAX + _OVERHEAD_BYTES):
            return False
        of_route = self._routes.setdefault(version, _OfRoute(HeldBytes(self._memory)))
        if key in of_route.answers:
            of_route.drop(key)
        while of_route.held.size_bytes + size > most_bytes:
            of_route.drop_oldest()
        while self.held_bytes + size > most_of_all:
            self.give_way()
        if not of_route.held.take(size):
            return False
        of_route.answers[key] = answer
        return True

    def sweep(self, *, now_s: float) -> None:
        """Forget what is too old. A route's answers are here in the order of their end: all have the same time, and a
        change of it has emptied the route."""
        for of_route in self._routes.values():
            while of_route.answers and next(iter(of_route.answers.values())).until_s <= now_s:
                of_route.drop_oldest()

    def retain(self, versions: Collection[bytes]) -> None:
        """Forget the answers of all routes but those of these versions."""
        for version in self._routes.keys() - set(versions):
            self._routes.pop(version).held.release()

    def give_way(self) -> bool:
        """Forget the oldest answer of the route that holds most; False where there is none."""
        fullest = max(self._routes.values(), key=lambda one: one.held.size_bytes, default=None)
        if fullest is None or not fullest.answers:
            return False
        fullest.drop_oldest()
        return True

    @property
    def held_bytes(self) -> int:
        """What all answers take."""
        return sum(one.held.size_bytes for one in self._routes.values())


def replayed(kept: KeptAnswer, memory: MemoryBudget, *, now_s: float) -> UpstreamResponse:
    """A kept answer as a response of its endpoint, so that it takes the way of every other to the client.

    The whole body is here, in the chunks it came in. Of the first answer's headers those are repeated that say what the
    body is, and no others.
    """
    response = UpstreamResponse(None, memory)
    response.status = 200
    response.headers = [
        ("content-type", kept.content_type),
        ("content-length", str(sum(map(len, kept.chunks)))),
        ("x-freehold-cache", "hit"),
        ("age", str(int(now_s - kept.kept_s))),
    ]
    if kept.content_encoding is not None:
        response.headers.append(("content-encoding", kept.content_encoding))
    for chunk in kept.chunks:
        response.feed_data(chunk)
    response.feed_eof()
    return response
