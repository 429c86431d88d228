"""A screen's record, computed once for all pages that show it.

Twenty open consoles ask for the same record twenty times every two seconds. It is computed once, by the first one that
asks, and answers all until it is `RECORD_SECONDS` old; one that takes long to compute answers for longer, so that no
screen keeps a processor busy for more than a quarter of the time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

RECORD_SECONDS = 1.5
"""How long a computed record answers for, at least."""
REST = 3.0
"""How many times as long as it took to compute a record answers for, at least."""
MOST_RECORDS = 64
"""Records kept at a time, each of one screen with one set of parameters."""


class _CachedRecord:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.data = b""
        self.until = 0.0


class RecordCache:
    """Encoded records by screen and query. For one event loop."""

    def __init__(self) -> None:
        self._records: OrderedDict[Hashable, _CachedRecord] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The record of that key, from `make` (in a thread) where none is fresh. Raises what `make` raises."""
        cached = self._records.setdefault(key, _CachedRecord())
        self._records.move_to_end(key)
        while len(self._records) > MOST_RECORDS:
            self._records.popitem(last=False)
        loop = asyncio.get_running_loop()
        async with cached.lock:
            began = loop.time()
            if began >= cached.until or not cached.data:
                cached.data = await asyncio.to_thread(make)
                took = loop.time() - began
                cached.until = loop.time() + max(RECORD_SECONDS, REST * took)
            return cached.data

    def clear(self) -> None:
        """Forget all: something was changed, and the next look must see it."""
        self._records.clear()
