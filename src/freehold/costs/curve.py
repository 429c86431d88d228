"""Bill and holding over the traffic: the points of a picture of the break-even."""

from __future__ import annotations

import math
from typing import NamedTuple

from freehold.types.cost import Cost

POINTS = 61
LEAST_REQUESTS = 1_000.0


class CurvePoint(NamedTuple):
    """Dollars a month at one number of requests: the bill and holding, low and high end."""

    requests: float
    bill: tuple[float, float]
    holding: tuple[float, float]


def curve(cost: Cost, points: int = POINTS) -> list[CurvePoint]:
    """Points evenly spread on a logarithmic axis around the traffic and the break-even.

    Holding is machines (whole ones) times their price, each end with its own capacity.
    """
    marks = [float(cost.traffic.requests_per_month)]
    meet = cost.break_even_requests_per_month
    marks += [float(end) for end in (meet.low, meet.high) if end.is_finite()]
    marks = [mark for mark in marks if mark > 0] or [LEAST_REQUESTS * 100]
    low = math.log10(max(LEAST_REQUESTS, min(marks)) / 10)
    high = math.log10(max(LEAST_REQUESTS, *marks) * 10)
    return [at(cost, 10 ** (low + (high - low) * step / (points - 1))) for step in range(points)]


def at(cost: Cost, requests: float) -> CurvePoint:
    """The dollars of one number of requests a month."""
    held, bill = cost.self_host, cost.bill.usd_per_request
    slow, fast = held.requests_per_machine_month
    month = held.usd_per_machine_month

    def machines(capacity: float) -> int:
        return max(1, math.ceil(requests / capacity)) if capacity > 0 else 1

    return CurvePoint(
        requests,
        (float(bill.low) * requests, float(bill.high) * requests),
        (float(month.low) * machines(fast), float(month.high) * machines(slow)),
    )
