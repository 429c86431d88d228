import asyncio
import itertools
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.limits import limiter, rates, shared_page
from freehold.gateway.limits.limiter import Limiter, share_of
from freehold.gateway.messages import UsageTotals
from freehold.types.route import Limits
from freehold.wire.errors import ApiError, RateState


def test_the_wait_that_is_advised_is_enough(monkeypatch):
    now = 150.0
    monkeypatch.setattr(limiter.time, "monotonic", lambda: now)

    async def run():
        nonlocal now
        gate = Limiter()
        limits = Limits(requests_per_minute=10)
        for _ in range(10):
            (await gate.admit([("key:a", limits)]))()
        with pytest.raises(ApiError) as refused:
            await gate.admit([("key:a", limits)])
        assert refused.value.status == 429
        assert refused.value.rate == RateState("requests", 10, 0, refused.value.retry_after_s)
        now += refused.value.retry_after_s
        await gate.admit([("key:a", limits)])

    asyncio.run(run())


def test_concurrency_has_a_queue_with_a_deadline():
    async def run():
        gate = Limiter()
        wanted = [("route:r", Limits(concurrency=1, wait_ms=9000))]
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
        wanted = [("route:r", Limits(concurrency=1, wait_ms=9000))]
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
        wanted = [("route:r", Limits(concurrency=1, wait_ms=9000, requests_per_minute=2))]
        leave = await gate.admit(wanted)
        waiting = [asyncio.create_task(gate.admit(wanted)) for _ in range(2)]
        await asyncio.sleep(0.01)
        leave()
        (await waiting[0])()
        with pytest.raises(ApiError, match="may use 2 requests"):
            await waiting[1]

    asyncio.run(run())


def test_two_workers_let_in_what_one_would(tmp_path):
    async def run():
        workers = [Limiter() for _ in range(2)]
        for worker in workers:
            worker.share(tmp_path)
        wanted = [("key:a", Limits(requests_per_minute=60)), ("route:r", Limits(tokens_per_minute=10**6))]

        async def one(number):
            try:
                (await workers[number % 2].admit(wanted))()
            except ApiError as error:
                return error.status
            return 200

        statuses = await asyncio.gather(*map(one, range(300)))
        assert statuses.count(200) == 60 and statuses.count(429) == 240

    asyncio.run(run())


def test_tokens_are_reserved_before_and_settled_after(tmp_path):
    async def run():
        one, other = Limiter(), Limiter()
        for worker in (one, other):
            worker.share(tmp_path)
        wanted = [("key:a", Limits(tokens_per_minute=1000))]
        first = await one.admit(wanted, tokens=600)
        with pytest.raises(ApiError, match="1000 tokens a minute") as refused:
            await other.admit(wanted, tokens=600)
        assert refused.value.rate[:3] == ("tokens", 1000, 400)
        first.settle(100)
        second = await other.admit(wanted, tokens=600)
        second.settle(800)
        second.settle(50)
        last = await one.admit(wanted, tokens=10**6)
        with pytest.raises(ApiError):
            await one.admit(wanted, tokens=1)
        last.settle(0)
        alone = await one.admit(wanted, tokens=10**6)
        alone.settle(50)
        with pytest.raises(ApiError):
            await other.admit(wanted, tokens=0)

    asyncio.run(run())


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=60), st.randoms())
def test_tokens_overrun_a_limit_by_one_answer_at_most(answers, random):
    """However many run at once, and in whatever order they end, as long as none uses more than was reserved for it."""

    async def run():
        gate, wanted, running, used, largest = (
            Limiter(),
            [("key:a", Limits(tokens_per_minute=1000))],
            [],
            0,
            0,
        )
        for reserved, share in answers:
            tokens = min(share, reserved)
            try:
                running.append((await gate.admit(wanted, tokens=reserved), tokens))
            except ApiError:
                if running:
                    admission, took = running.pop(random.randrange(len(running)))
                    admission.settle(took)
                continue
            used, largest = used + tokens, max(largest, tokens)
            assert used <= 1000 + largest
        for admission, took in running:
            admission.settle(took)
        assert used <= 1000 + largest

    asyncio.run(run())


def test_what_was_reserved_is_settled_though_a_second_ends_meanwhile(monkeypatch):
    ticks = itertools.count(1000)
    monkeypatch.setattr(limiter.time, "monotonic", lambda: float(next(ticks)))

    async def run():
        gate, wanted = Limiter(), [("key:a", Limits(tokens_per_minute=1000))]
        (await gate.admit(wanted, tokens=900)).settle(100)
        for _ in range(2):
            await gate.admit(wanted, tokens=400)

    asyncio.run(run())


def test_tokens_of_one_worker_are_known_to_the_other(tmp_path):
    async def run():
        one, other = Limiter(), Limiter()
        for worker in (one, other):
            worker.share(tmp_path)
        wanted = [("key:a", Limits(tokens_per_minute=100))]
        (await one.admit(wanted)).settle(100)
        with pytest.raises(ApiError, match="100 tokens a minute"):
            await other.admit(wanted)
        assert other.take_unreported() is None, "what it has not counted itself the one who has reports"
        assert one.take_unreported().use == {"key:a": (1, 100)}

    asyncio.run(run())


def test_only_what_was_counted_since_is_looked_at_for_a_report(tmp_path, monkeypatch):
    """Four times a second, while the other workers wait: it must not cost by all keys that were ever used."""
    looked_at = []

    class Looking(rates.RateCounter):
        def take_unreported(self):
            looked_at.append(self)
            return super().take_unreported()

    monkeypatch.setattr(rates, "RateCounter", Looking)

    async def run():
        gate = Limiter()
        gate.share(tmp_path)
        admissions = {
            name: await gate.admit([(name, Limits(tokens_per_minute=1000))], tokens=10)
            for name in ("key:a", "key:b", "key:c")
        }
        with monkeypatch.context() as stuck:
            stuck.setattr(shared_page.fcntl, "flock", refuse_lock)
            assert gate.take_unreported() is None
        assert gate.take_unreported().use == dict.fromkeys(admissions, (1, 10))
        looked_at.clear()
        assert gate.take_unreported() is None and not looked_at
        admissions["key:b"].settle(7)
        assert gate.take_unreported().use == {"key:b": (0, -3)} and len(looked_at) == 1

    asyncio.run(run())


def refuse_lock(*_):
    raise BlockingIOError


def test_nothing_limited_is_let_in_without_the_shared_page(tmp_path, caplog):
    async def run():
        gate, folder = Limiter(), tmp_path / "run"
        gate.share(folder)
        for limits in (Limits(requests_per_minute=5), Limits(tokens_per_minute=5), Limits(concurrency=5)):
            with pytest.raises(ApiError) as refused:
                await gate.admit([("key:a", limits)])
            assert (refused.value.status, refused.value.code) == (503, "limits_unknown")
        await gate.admit([("key:a", Limits(usd_per_day=Decimal(1)))])
        folder.mkdir()
        (await gate.admit([("key:a", Limits(requests_per_minute=5, concurrency=5))]))()

    asyncio.run(run())
    assert caplog.text.count("requests under a limit are refused") == 1


def test_tokens_that_cannot_be_counted_now_are_counted_with_the_next(tmp_path, monkeypatch):
    async def run():
        gate = Limiter()
        gate.share(tmp_path)
        wanted = [("key:a", Limits(tokens_per_minute=100))]
        admission = await gate.admit(wanted)
        with monkeypatch.context() as stuck:

            def refuse(*_):
                raise BlockingIOError

            stuck.setattr(shared_page.fcntl, "flock", refuse)
            admission.settle(100)
        with pytest.raises(ApiError, match="100 tokens a minute"):
            await gate.admit(wanted)

    asyncio.run(run())


def test_a_limit_is_shared_out_over_gateways_without_rest():
    for limit in (0, 1, 5, 7):
        assert sum(share_of(limit, 3, rank) for rank in range(3)) == limit


def totals(**changes):
    values = {"day": datetime.now(UTC).strftime("%Y-%m-%d"), **changes}
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
