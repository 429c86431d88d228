from decimal import Decimal

import pytest

from freehold.types.route import Limits


@pytest.mark.parametrize(
    ("limits", "counts", "caps"),
    [
        (Limits(), False, False),
        (Limits(requests_per_minute=1), False, False),
        (Limits(tokens_per_minute=1), True, False),
        (Limits(usd_per_day=Decimal(1)), True, True),
        (Limits(usd_per_month=Decimal(0)), True, True),
    ],
)
def test_money_and_tokens_need_what_an_answer_used(limits, counts, caps):
    assert (limits.counts_tokens, limits.caps_spending) == (counts, caps)


@pytest.mark.parametrize("number", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "1E+999"])
def test_money_that_is_no_number_is_a_problem(number):
    assert "usd_per_day" in Limits(usd_per_day=Decimal(number)).problem
    assert "usd_per_month" in Limits(usd_per_month=Decimal(number)).problem


def test_counts_have_a_largest_and_usual_limits_no_problem():
    assert "requests_per_minute" in Limits(requests_per_minute=10**400).problem
    assert "wait_ms" in Limits(wait_ms=float("inf")).problem
    assert (
        Limits(concurrency=0, wait_ms=2000, usd_per_day=Decimal("0.5"), tokens_per_minute=10**9).problem
        is None
    )
