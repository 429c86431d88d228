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
MOST_BYTES, BUDGET_SHARE = 16 * 2**20, 0.25
"""All answers together take at most this, and this part of the worker's budget."""
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


class KeptAnswers:
    """All answers of this worker, the oldest first, by the version of a route (a hash of it and of what answers it) and
    a request's key.

    `now_s` is a clock that never goes back.
    """

    def __init__(self, memory: MemoryBudget) -> None:
        self._held = HeldBytes(memory)
        self._most_bytes = min(MOST_BYTES, int(memory.limit_bytes * BUDGET_SHARE))
        self._answers: dict[tuple[bytes, bytes], KeptAnswer] = {}
        memory.spare = self.give_way

    def find(self, version: bytes, key: bytes, *, now_s: float) -> KeptAnswer | None:
        """The answer to a request, if it is here."""
        answer = self._answers.get((version, key))
        return None if answer is None or answer.until_s <= now_s else answer

    def keep(self, version: bytes, key: bytes, answer: KeptAnswer) -> bool:
        """Keep an answer, where there is room for it: the oldest make some. The newest answer to a request counts."""
        size = answer.size_bytes
        if size > min(self._most_bytes, ANSWER_BYTES_MAX + _OVERHEAD_BYTES):
            return False
        if (version, key) in self._answers:
            self._drop((version, key))
        while self.held_bytes + size > self._most_bytes:
            self.give_way()
        if not self._held.take(size):
            return False
        self._answers[version, key] = answer
        return True

    def sweep(self, *, now_s: float) -> None:
        """Forget what is too old."""
        self._drop(*[place for place, one in self._answers.items() if one.until_s <= now_s])

    def retain(self, versions: Collection[bytes]) -> None:
        """Forget the answers of all routes but those of these versions."""
        kept = frozenset(versions)
        self._drop(*[place for place in self._answers if place[0] not in kept])

    def give_way(self) -> bool:
        """Forget the oldest answer; False where there is none."""
        for place in self._answers:
            self._drop(place)
            return True
        return False

    def _drop(self, *places: tuple[bytes, bytes]) -> None:
        for place in places:
            self._held.give(self._answers.pop(place).size_bytes)

    @property
    def held_bytes(self) -> int:
        """What all answers take."""
        return self._held.size_bytes


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
