import re
from decimal import Decimal

import msgspec
import pytest

from freehold.costs import decision, traffic
from freehold.costs.self_host import Rented, self_host
from freehold.report.cost_page import break_even, picture, render_cost
from freehold.types.cost import Bill, Range
from freehold.types.machine import Speed


def both(value):
    return Range(low=Decimal(value), high=Decimal(value))


def cost(requests=1_000_000, per_request="0.002", hour="1"):
    usage = traffic.stated(
        requests_per_month=Decimal(requests), prompt_tokens=Decimal(1000), completion_tokens=Decimal(100)
    )
    speed = Speed(
        prefill_tokens_per_second=(10_000.0, 10_000.0),
        decode_tokens_per_second=(1_000.0, 1_000.0),
        decode_all_tokens_per_second=(1_000.0, 1_000.0),
        concurrency=8,
        how="measured",
        basis="test",
    )
    bill = Bill(
        model="gpt <4>",
        usd_per_request=both(per_request),
        usd_per_month=both(Decimal(per_request) * requests),
        basis="test",
    )
    return decision.decide(usage, bill, self_host("open", "box", usage, speed, Rented(both(hour))))


def test_the_page_gives_the_advice_its_figures_and_its_grounds():
    made = cost()
    page = render_cost(made)
    assert "<h1>Leave</h1>" in page
    assert "bill of gpt &lt;4&gt;</td><td>$2,000 a month" in page
    assert f"<td>{break_even(made)}</td>" in page
    assert all(reason.split(":")[0].replace("<4>", "&lt;4&gt;") in page for reason in made.reasons)
    assert f"Record {made.id}" in page
    assert "http" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1000, 2000, "1,000 to 2,000 requests a month"),
        (1000, 1000, "1,000 requests a month"),
        (1000, "Infinity", "1,000 to never requests a month"),
        ("Infinity", "Infinity", "never requests a month"),
    ],
)
def test_where_holding_begins_to_pay_in_words(low, high, text):
    meet = Range(low=Decimal(low), high=Decimal(high))
    assert break_even(msgspec.structs.replace(cost(), break_even_requests_per_month=meet)) == text


@pytest.mark.parametrize("requests", [1, 1_000_000, 10**9])
def test_everything_drawn_is_inside_the_picture(requests):
    svg = picture(cost(requests=requests))
    points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(re.findall(r'points="([^"]+)"', svg)))
    assert len(points) > 40
    assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 300 for x, y in points)
    assert ">you</text>" in svg


def test_without_traffic_there_is_no_place_to_mark():
    assert ">you</text>" not in picture(cost(requests=0))
