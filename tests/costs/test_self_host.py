import msgspec
import pytest
from tests.costs.conftest import D, asked, bill, rented, speed

from freehold.costs import decision
from freehold.costs.self_host import HOURS_PER_MONTH, Owned, machine_month, self_host
from freehold.errors import UsageError
from freehold.types.cost import Range


def test_machines_are_whole_and_sized_for_the_peak():
    # 0.1 s of prefill and 0.1 s of decoding a request: 0.2 s, at 60 % of a month's seconds
    capacity = float(HOURS_PER_MONTH) * 3600 * 0.6 / 0.2
    held = self_host("m", "box", asked(1_000_000), speed(), rented("2"))
    assert held.machines == (1, 1)
    assert held.requests_per_machine_month[0] == pytest.approx(capacity)
    assert held.usd_per_month.low == 2 * HOURS_PER_MONTH
    peaked = self_host("m", "box", asked(int(capacity), peak=3.0), speed(), rented("2"))
    assert peaked.machines == (3, 3)


def test_owned_machine_is_written_off_and_powered():
    month = machine_month(Owned(Range(low=D(4800), high=D(4800)), watts=1000, usd_per_kwh=D("0.2")))
    assert month.low == D(100) + D("730.5") * D("0.2")


@pytest.mark.parametrize(
    "price",
    [
        rented("-1"),
        rented("3", "2"),
        Owned(Range(low=D(1), high=D(1)), -5.0),
        Owned(Range(low=D(1), high=D(1)), 5.0, D(-1)),
    ],
)
def test_impossible_prices_are_refused(price):
    with pytest.raises(UsageError):
        machine_month(price)


def test_batches_do_not_add_to_the_peak():
    calm = msgspec.structs.replace(asked(peak=4.0), batch_share=1.0)
    peaked = self_host("m", "box", asked(peak=4.0), speed(), rented(1))
    spread = self_host("m", "box", calm, speed(), rented(1))
    assert spread.requests_per_machine_month[0] == pytest.approx(4 * peaked.requests_per_machine_month[0])


def test_reasoning_tokens_are_billed_and_not_written_by_a_model_that_does_not_reason():
    thinking = msgspec.structs.replace(asked(), reasoning_tokens=D(60))
    plain = self_host("m", "box", thinking, speed(prefill=1e12), rented(1))
    reasoning = self_host("m", "box", thinking, speed(prefill=1e12), rented(1), reasons=True)
    assert plain.requests_per_machine_month[0] == pytest.approx(2.5 * reasoning.requests_per_machine_month[0])
    found = decision.decide(thinking, bill("0.001", 1_000_000), plain)
    assert any("hidden reasoning" in reason for reason in found.reasons)
