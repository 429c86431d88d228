"""A machine, a month of traffic, a bill and a price to compute with."""

from decimal import Decimal

from freehold.costs import traffic
from freehold.costs.decision import Rented
from freehold.types.cost import Bill, Range
from freehold.types.machine import Speed

D = Decimal


def speed(prefill=10_000.0, decode=1_000.0):
    return Speed(
        prefill_tokens_per_second=(prefill, prefill),
        decode_tokens_per_second=(decode, decode),
        decode_all_tokens_per_second=(decode, decode),
        concurrency=8,
        how="measured",
        basis="test",
    )


def asked(requests=1_000_000, peak=1.0):
    return traffic.stated(
        requests_per_month=D(requests), prompt_tokens=D(1000), completion_tokens=D(100), peak_factor=peak
    )


def bill(per_request, requests):
    one = Range(low=D(per_request), high=D(per_request))
    month = D(per_request) * requests
    return Bill(model="gpt", usd_per_request=one, usd_per_month=Range(low=month, high=month), basis="test")


def rented(low, high=None):
    return Rented(Range(low=D(low), high=D(high or low)))
