"""Amounts, prices and uses as a caller of the library writes them."""

from decimal import Decimal

import pytest

from freehold.api.calling import decimal, low_high, token_price, use_of
from freehold.errors import ConfigError, UsageError
from freehold.types.config import AppConfig, ProjectConfig, UseProfile


class Opened:
    config = ProjectConfig(app=AppConfig(name="x"), use=UseProfile(mode="internal"))


def test_amounts_are_exact_and_finite():
    assert decimal("2_000_000.10") == Decimal("2000000.10") and decimal(0.1) == Decimal("0.1")
    assert decimal(None) is None
    for wrong in ("two", float("nan"), "inf"):
        with pytest.raises(UsageError, match="number"):
            decimal(wrong)


def test_one_amount_or_two_ends():
    assert (low_high("2.5").low, low_high("2.5").high) == (Decimal("2.5"), Decimal("2.5"))
    assert (low_high((1, 2)).low, low_high((1, 2)).high) == (1, 2)
    assert low_high(None) is None
    assert token_price((1, "2.5")).output_usd_per_million_tokens == Decimal("2.5")
    assert token_price(None) is None


def test_a_use_is_a_profile_its_keys_or_the_projects():
    assert use_of(None, Opened).mode == "internal"
    assert use_of({"mode": "research", "regions": ["EU"]}, Opened) == UseProfile(
        mode="research", regions=("EU",)
    )
    assert use_of(UseProfile(commercial=True), Opened).commercial
    with pytest.raises(ConfigError, match="mod"):
        use_of({"mod": "internal"}, Opened)
    with pytest.raises(ConfigError, match="commercial"):
        use_of({"commercial": "perhaps"}, Opened)
