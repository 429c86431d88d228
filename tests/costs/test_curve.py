import pytest
from tests.costs.conftest import asked, bill, rented, speed

from freehold.costs import decision
from freehold.costs.self_host import self_host


def test_the_curve_meets_bill_and_holding_at_the_break_even():
    from freehold.costs.curve import at, curve

    held = self_host("m", "box", asked(), speed(), rented(1))
    found = decision.decide(asked(), bill("0.01", 1_000_000), held)
    meet = float(found.break_even_requests_per_month.low)
    point = at(found, meet)
    assert point.bill[0] == pytest.approx(point.holding[0], rel=1e-6)
    points = curve(found)
    assert points[0].requests < meet < points[-1].requests
    assert all(one.holding[0] <= one.holding[1] for one in points)
    more = [one.holding[0] for one in points]
    assert more == sorted(more)


def test_a_curve_without_traffic_is_still_drawn():
    from freehold.costs.curve import curve

    none = asked(requests=0)
    found = decision.decide(none, bill("0.01", 0), self_host("m", "box", none, speed(), rented(1)))
    assert len(curve(found)) > 10
    assert any("no traffic" in reason for reason in found.reasons)
