"""A record is computed once for all that ask at the same time, and again after a change."""

import asyncio
import threading

import pytest

from freehold.console import record_cache
from freehold.console.record_cache import MOST_RECORDS, RecordCache


def test_twenty_that_ask_at_once_cost_one(monkeypatch):
    made = []

    def make():
        made.append(threading.get_ident())
        return b"data"

    async def main():
        cache = RecordCache()
        found = await asyncio.gather(*(cache.get("a", make) for _ in range(20)))
        assert found == [b"data"] * 20 and len(made) == 1
        await cache.get("b", make)
        assert len(made) == 2, "another query is another record"
        cache.clear()
        await cache.get("a", make)
        assert len(made) == 3
        monkeypatch.setattr(record_cache, "RECORD_SECONDS", 0.0)
        monkeypatch.setattr(record_cache, "REST", 0.0)
        cache.clear()
        await cache.get("a", make)
        await cache.get("a", make)
        assert len(made) == 5, "an old one is made again"

    asyncio.run(main())
    assert threading.get_ident() not in made


def test_an_error_is_told_and_not_kept():
    answers = [OSError("no disk"), b"data"]

    def make():
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def main():
        cache = RecordCache()
        with pytest.raises(OSError, match="no disk"):
            await cache.get("a", make)
        assert await cache.get("a", make) == b"data"

    asyncio.run(main())


def test_it_holds_a_bounded_number():
    async def main():
        cache, made = RecordCache(), []
        for number in range(MOST_RECORDS + 1):
            await cache.get(number, lambda: made.append(1) or b"x")
        await cache.get(MOST_RECORDS, lambda: made.append(1) or b"x")
        assert len(made) == MOST_RECORDS + 1
        await cache.get(0, lambda: made.append(1) or b"x")
        assert len(made) == MOST_RECORDS + 2, "the oldest was dropped"

    asyncio.run(main())
