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
