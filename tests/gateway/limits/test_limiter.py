import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.limits import limiter
from freehold.gateway.limits.limiter import Limiter
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
        one.take_unreported()  # as it does four times a second: the other knows
        second = await other.admit(wanted, tokens=600)
        second.settle(800)
        second.settle(50)
        other.take_unreported()
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
