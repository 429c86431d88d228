from decimal import Decimal

import click
import pytest

from freehold.cli.options import low_high, number


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2.5", "2.5"), ("$2.50", "2.50"), ("3 USD", "3"), ("2,000,000", "2000000"), ("2_000_000", "2000000"),
        ("1,234.5", "1234.5"), (".5", "0.5"), ("5.", "5"), ("2e6", "2e6"), ("-1", "-1"),
    ],
)  # fmt: skip
def test_numbers_are_read_exactly(said, meant):
    assert number(said) == Decimal(meant)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("2,5", "decimal comma"), ("0,60", "decimal comma"), ("1.234,5", "decimal comma"), ("2,", "decimal comma"),
        ("1,2,3", "is not a number"), ("1,23,456", "is not a number"), ("12_", "is not a number"),
        ("_", "is not a number"), ("", "is not a number"), (".", "is not a number"), ("e5", "is not a number"),
        ("--5", "is not a number"), ("1.2.3", "is not a number"), ("٣", "is not a number"),
        ("nan", "US dollars"), ("5 EUR", "US dollars"), ("1e999", "more than"), ("9" * 16, "more than"),
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused(said, why):
    with pytest.raises(click.BadParameter, match=why):
        number(said)


def test_a_range_has_two_ends_in_order():
    ends = low_high("2-3.5")
    assert (ends.low, ends.high) == (Decimal(2), Decimal("3.5"))
    assert low_high("1e-1-2E-1").high == Decimal("0.2") and low_high("5e-1").low == Decimal("0.5")
    for said, why in (
        ("2-", "no upper end"),
        ("-2", "below 0"),
        ("3-2", "ends below"),
        ("0,6-0,9", "decimal"),
    ):
        with pytest.raises(click.BadParameter, match=why):
            low_high(said)
