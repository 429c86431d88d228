import asyncio
import multiprocessing
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits import limiter
from freehold.gateway.limits.limiter import Limiter, RateCounter, share_of
from freehold.gateway.limits.slots import LocalSlots, SharedSlots
from freehold.gateway.messages import UsageTotals
from freehold.gateway.spending import charge_of, usd_of
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.types.route import Limits
from freehold.wire.errors import ApiError


def test_a_minute_slides():
    counter = RateCounter()
    counter.add(60, 600, 120.0)
    assert counter.used(0, 179.0) == 60
    assert counter.used(0, 210.0) == pytest.approx(30), "half of the last minute still counts"
    assert counter.used(1, 240.0) == 0


def test_what_others_used_counts_and_never_lowers_ours():
    counter = RateCounter()
    counter.add(5, 0, 120.0)
    assert counter.take_unreported() == (5, 0) and counter.take_unreported() == (0, 0)
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
        gate = Limiter()
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
        gate = Limiter()
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
        gate = Limiter()
        wanted = [("route:r", Limits(concurrency=1)), ("key:k", Limits(requests_per_minute=0))]
        for _ in range(3):
            with pytest.raises(ApiError, match="may use 0 requests a minute"):
                await gate.admit(wanted)
        await gate.admit(wanted[:1])

    asyncio.run(run())


def test_the_queue_is_served_in_turn():
    async def run():
        gate = Limiter()
        wanted = [("route:r", Limits(concurrency=1, wait_ms=1000))]
        leave, order = await gate.admit(wanted), []

        async def one(number):
            out = await gate.admit(wanted)
            order.append(number)
            await asyncio.sleep(0.01)
            out()

        tasks = []
        for number in range(4):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0.005)
        leave()
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3]

    asyncio.run(run())


def test_who_waited_is_checked_again():
    async def run():
        gate = Limiter()
        wanted = [("route:r", Limits(concurrency=1, wait_ms=500, requests_per_minute=2))]
        leave = await gate.admit(wanted)
        waiting = [asyncio.create_task(gate.admit(wanted)) for _ in range(2)]
        await asyncio.sleep(0.01)
        leave()
        (await waiting[0])()
        with pytest.raises(ApiError, match="may use 2 requests"):
            await waiting[1]

    asyncio.run(run())


def test_a_limit_is_shared_out_over_gateways_without_rest():
    for limit in (0, 1, 5, 7):
        assert sum(share_of(limit, 3, rank) for rank in range(3)) == limit


def _hold(folder, ready, go):
    slots = SharedSlots(folder, "route:r")
    took = [slots.acquire(3) for _ in range(2)]
    ready.put(took.count(True))
    go.wait(20)


def test_places_are_counted_over_processes_and_a_killed_one_loses_its_own(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Queue(), context.Event()
    others = [context.Process(target=_hold, args=(tmp_path, ready, go)) for _ in range(2)]
    for other in others:
        other.start()
    assert sum(ready.get(timeout=120) for _ in others) == 3, "three slots, whoever got them"
    mine = SharedSlots(tmp_path, "route:r")
    assert not mine.acquire(3) and SharedSlots(tmp_path, "route:other").acquire(1)
    for other in others:
        other.kill()
        other.join()
    assert [mine.acquire(3) for _ in range(4)] == [True, True, True, False]
    mine.release()
    assert mine.acquire(3) and not mine.acquire(0)


@pytest.mark.parametrize("make", [LocalSlots, lambda: None])
def test_places_alone(make, tmp_path):
    slots = make() or SharedSlots(tmp_path, "key:a")
    assert slots.acquire(1) and not slots.acquire(1)
    slots.wait(1)
    assert slots.waiting_elsewhere() == 0
    slots.wait(-1)
    slots.release()
    assert slots.acquire(1)


def totals(**changes):
    values = {"use": [], "day": datetime.now(UTC).strftime("%Y-%m-%d"), **changes}
    return UsageTotals(**values)


def test_a_spend_cap_stops_what_costs_money_and_nothing_else():
    async def run():
        gate = Limiter()
        wanted = [("key:a", Limits(usd_per_day=Decimal("0.50"), usd_per_month=Decimal(5)))]
        gate.learn(totals(spent=[("key:a", Decimal("0.49"), Decimal("0.49"))]))
        await gate.admit(wanted, paid=True)
        gate.learn(totals(spent=[("key:a", Decimal("0.50"), Decimal("0.50"))]))
        with pytest.raises(ApiError, match=r"may spend 0\.50 USD a day") as refused:
            await gate.admit(wanted, paid=True)
        assert (refused.value.status, refused.value.code) == (429, "spend_cap_reached")
        assert 0 < refused.value.retry_after_s <= 86_400
        await gate.admit(wanted, paid=False)
        gate.learn(totals(spent=[("key:a", Decimal(0), Decimal(5))]))
        with pytest.raises(ApiError, match="5 USD a month"):
            await gate.admit(wanted, paid=True)
        gate.learn(totals(day="2020-01-01", spent=[("key:a", Decimal(9), Decimal(9))]))
        await gate.admit(wanted, paid=True)
        gate.learn(totals(unpriced={"key:a": "mystery"}))
        with pytest.raises(ApiError, match="no price of mystery is known"):
            await gate.admit(wanted, paid=True)

    asyncio.run(run())


USAGE = (
    b'"usage":{"prompt_tokens":1000,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":400}}}'
)
CLAUDE = [
    b'event: message_start\ndata: {"message":{"usage":{"input_tokens":600,"cache_read_input_tokens":400}}}\n\n',
    *[b'data: {"delta":{"text":"word"}}\n\n'] * 9,
    b'data: {"type":"message_delta","usage":{"output_tokens":50}}\n\n',
]


@pytest.mark.parametrize(
    ("api", "answer", "tokens", "estimated"),
    [
        ("openai", [b'{"choices":[],', USAGE], (1000, 400, 50), False),
        ("openai", [b"data: {}\n\n"] * 50 + [b"data: {" + USAGE + b"\n\n"], (1000, 400, 50), False),
        ("anthropic", CLAUDE, (1000, 400, 50), False),
        ("openai", [b'data: {"delta":1}\n\n'] * 7, (25, 0, 7), True),
        ("openai", [b"x" * 400], (25, 0, 100), True),
        ("openai", [], (25, 0, 0), True),
    ],
)
def test_a_bill_has_the_tokens_an_answer_reports_or_an_estimate(api, answer, tokens, estimated):
    charge = charge_of(["key:a"], "incumbent", "gpt-4o", api, b"q" * 100, answer)
    assert (charge.prompt_tokens, charge.cached_tokens, charge.completion_tokens) == tokens
    assert charge.estimated is estimated


def test_dollars_come_from_the_stated_price_or_the_list():
    endpoint = Endpoint(name="incumbent", engine="remote", base_url="http://x")
    stated = PriceConfig(prompt=Decimal(2), completion=Decimal(10), cached_prompt=Decimal(1))
    config = GatewayConfig(endpoints=(endpoint,), prices={"incumbent": stated})
    one = charge_of([], "incumbent", "anything", "openai", b"", [USAGE])
    assert usd_of(one, config, at=datetime.now(UTC)) == Decimal("0.0021") and config.charges("incumbent")
    bare = GatewayConfig(endpoints=(endpoint,))
    assert usd_of(one, bare, at=datetime.now(UTC)) is None
    free = PriceConfig(prompt=Decimal(0), completion=Decimal(0))
    assert not GatewayConfig(endpoints=(endpoint,), prices={"incumbent": free}).charges("incumbent")
    pytest.importorskip("genai_prices")
    real = charge_of([], "incumbent", "gpt-4o", "openai", b"", [USAGE])
    assert usd_of(real, bare, at=datetime.now(UTC)) == Decimal("0.0025")
