"""What holding a model costs, and leave or stay."""

import msgspec
import pytest
from tests.costs.conftest import D, asked, bill, rented, speed

from freehold.costs import decision
from freehold.costs.decision import HOURS_PER_MONTH, Owned, machine_month, self_host
from freehold.errors import UsageError
from freehold.types.cost import Range


@pytest.mark.parametrize(
    ("per_request", "requests", "hour", "found"),
    [("0.01", 1_000_000, ("2", "3"), "leave"), ("0.0001", 10_000, ("2", "3"), "stay"),
     ("0.002", 1_000_000, ("2", "3"), "undecided"), ("0.01", 0, ("2", "3"), "stay")],
)  # fmt: skip
def test_leave_stay_or_undecided(per_request, requests, hour, found):
    usage = asked(requests)
    cost = decision.decide(
        usage, bill(per_request, requests), self_host("m", "box", usage, speed(), rented(*hour))
    )
    assert cost.advice == found
    assert cost.sentence
    if requests == 0:
        assert any("no traffic" in reason for reason in cost.reasons)


def test_the_sentence_of_a_case_computed_by_hand():
    # A request keeps the machine busy for 0.2 s, in the busiest hour 4 times as often: a month of 2,629,800 s at
    # 60 % serves 1,577,880 / 0.2 / 4 = 1,972,350 requests. At 1 to 1.5 dollars an hour it costs 730.5 to 1,095.75.
    def said(requests, per_request="0.002"):
        usage = asked(requests, peak=4.0)
        held = self_host("m", "box", usage, speed(), rented("1", "1.5"))
        return decision.decide(usage, bill(per_request, requests), held)

    leave = said(1_000_000)
    assert leave.sentence == (
        "Leave: gpt costs $2,000 a month for this traffic, holding m on box costs $730 to $1,096."
    )
    assert leave.break_even_requests_per_month == Range(low=D("365250"), high=D("547875"))
    stay = said(100_000)
    assert stay.sentence == (
        "On cost alone, stay on the API: gpt costs $200 a month for this traffic, holding m on box costs $730 "
        "to $1,096. "
        "Holding pays from about 370,000 requests a month; you have 100,000."
    )
    assert said(500_000).advice == "undecided"
    assert said(3_944_700, "0.0005").self_host.machines == (2, 2)
    assert said(3_944_701, "0.0005").self_host.machines == (3, 3)
    # One machine's month buys 2,191,500 requests at 0.0005 dollars, more than it serves.
    assert said(100_000, "0.0005").break_even_requests_per_month.high == D("Infinity")
    free = said(100_000, "0")
    assert free.sentence.endswith("A request costs nothing there, so holding never pays.")


def test_break_even_is_where_both_cost_the_same():
    usage = asked(100)
    held = self_host("m", "box", usage, speed(), rented("2", "4"))
    meet = decision.break_even(bill("0.01", 100), held)
    assert meet.low == 2 * HOURS_PER_MONTH / D("0.01")
    assert meet.high == 4 * HOURS_PER_MONTH / D("0.01")
    at = self_host("m", "box", asked(int(meet.low)), speed(), rented("2"))
    assert float(at.usd_per_month.low) == pytest.approx(float(D("0.01") * meet.low))


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


def test_reasoning_tokens_are_billed_and_said():
    thinking = msgspec.structs.replace(asked(), reasoning_tokens=D(60))
    found = decision.decide(
        thinking, bill("0.001", 1_000_000), self_host("m", "box", thinking, speed(), rented(1))
    )
    assert any("hidden reasoning" in reason for reason in found.reasons)
