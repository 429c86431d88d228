"""A kept answer as a response of its endpoint, so that it takes the way of every other to the client."""

from __future__ import annotations

from freehold.gateway.caching.kept_answers import KeptAnswer
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import UpstreamResponse

CACHE_HEADER = "x-freehold-cache"


class ReplayedResponse(UpstreamResponse):
    """The whole body is here, in the chunks it came in. Of the first answer's headers those are repeated that say what
    the body is, and no others."""

    __slots__ = ("_chunks", "headers", "status")

    def __init__(self, kept: KeptAnswer, memory: MemoryBudget, *, age_s: int) -> None:
        super().__init__(memory)
        self.status = 200
        self.headers = [
            ("content-type", kept.content_type),
            (CACHE_HEADER, "hit"),
            ("age", str(age_s)),
        ]
        if kept.content_encoding is not None:
            self.headers.append(("content-encoding", kept.content_encoding))
        self._chunks = list(kept.chunks)
        if not self.is_stream:
            self.headers.append(("content-length", str(sum(map(len, kept.chunks)))))

    async def wait_for_body(self) -> None:
        return

    @property
    def beginning(self) -> bytes:
        return self._chunks[0] if self._chunks else b""

    async def read(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        return chunks

    async def close(self) -> None:
        self._held.release()
