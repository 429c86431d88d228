from datetime import UTC, datetime
from decimal import Decimal

import pytest

from freehold.types.serving.rollout import FEWEST_PAIRS, Check, Drift

DRIFT = Drift(
    name="tools", side="input", users=9, share=0.5, baseline=0.1, e_value=3, statistic=250, alarm=True
)


def check(**changes):
    base = {
        "id": "c", "route": "r", "at": datetime(2026, 3, 1, tzinfo=UTC), "against": "live", "period": 1, "planned": 50,
        "estimated_usd": None, "budget_usd": Decimal(1), "spent_usd": None, "pairs": FEWEST_PAIRS, "unscored": 0,
        "difference": 0.0, "e_value": 1.0, "statistic": 1.0, "alarm": False, "smallest_drop": None,
    }  # fmt: skip
    return Check(**(base | changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"alarm": True}, 1),
        ({"drift": (DRIFT,)}, 1),
        ({"pairs": FEWEST_PAIRS - 1}, 3),
        ({"pairs": 0, "drift": (DRIFT,)}, 1),
    ],
)
def test_exit_codes_of_checks(changes, code):
    assert check(**changes).exit_code == code
