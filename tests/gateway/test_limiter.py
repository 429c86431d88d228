import asyncio

import pytest

from freehold.gateway import limiter
from freehold.gateway.limiter import Counter, Limiter
from freehold.types.route import Limits
from freehold.wire.errors import ApiError


def test_a_minute_slides():
    counter = Counter()
    counter.add(60, 600, 120.0)
    assert counter.used(0, 179.0) == 60
    assert counter.used(0, 210.0) == pytest.approx(30), "half of the last minute still counts"
    assert counter.used(1, 240.0) == 0


def test_what_others_used_counts_and_never_lowers_ours():
    counter = Counter()
    counter.add(5, 0, 120.0)
    assert counter.take_ours() == (5, 0) and counter.take_ours() == (0, 0)
    counter.learn(2, 12, 0)
    assert counter.used(0, 121.0) == 12
    counter.learn(2, 7, 0)
    assert counter.used(0, 121.0) == 12
    counter.learn(1, 60, 0)
    assert counter.used(0, 150.0) == pytest.approx(12 + 30)


def test_the_wait_that_is_advised_is_enough(monkeypatch):
    now = 150.0
    monkeypatch.setattr(limiter.time, "time", lambda: now)

    async def run():
        nonlocal now
        gate = Limiter(1)
        limits = Limits(requests_per_minute=10)
        for _ in range(10):
            (await gate.admit([("key:a", limits)]))()
        with pytest.raises(ApiError) as refused:
            await gate.admit([("key:a", limits)])
        assert refused.value.status == 429
        now += refused.value.retry_after_s
        await gate.admit([("key:a", limits)])

    asyncio.run(run())


def test_concurrency_has_a_queue_with_a_deadline():
    async def run():
        gate = Limiter(1)
        wanted = [("route:r", Limits(concurrency=1, wait_ms=200))]
        leave = await gate.admit(wanted)
        waiting = asyncio.create_task(gate.admit(wanted))
        await asyncio.sleep(0.01)
        leave()
        leave_again = await waiting
        with pytest.raises(ApiError, match="as many as it may"):
            await gate.admit([("route:r", Limits(concurrency=1, wait_ms=20))])
        leave_again()
        (await gate.admit([("route:r", Limits(concurrency=1))]))()

    asyncio.run(run())


def test_a_refused_request_takes_no_place():
    async def run():
        gate = Limiter(1)
        wanted = [("route:r", Limits(concurrency=1)), ("key:k", Limits(requests_per_minute=0))]
        for _ in range(3):
            with pytest.raises(ApiError, match="may use 0 requests a minute"):
                await gate.admit(wanted)
        await gate.admit(wanted[:1])

    asyncio.run(run())
