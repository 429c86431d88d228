from decimal import Decimal

import click
import pytest

from freehold.cli.choose.cost import low_high, number

STATED = (
    "google/gemma-3-270m", "--incumbent", "mine", "--machine", "L4", "--usd-per-hour", "0.6-0.9",
    "--requests-per-month", "2_000_000", "--prompt-tokens", "800", "--completion-tokens", "120",
    "--input-price", "2.5", "--output-price", "10",
)  # fmt: skip


def test_the_bill_stands_against_holding(freehold):
    found = freehold("cost", *STATED, "--json").json
    # 2 million requests of 800 tokens at 2.50 and 120 at 10 dollars a million.
    assert float(found["bill"]["usd_per_month"]["low"]) == 2 * (800 * 2.5 + 120 * 10)
    shown = freehold("cost", *STATED)
    assert shown.code == 0
    for word in ("traffic", "bill", "holding", "break-even"):
        assert f"\n  {word} " in shown.out


def test_the_picture_is_drawn_and_written(freehold, tmp_path):
    ran = freehold("cost", *STATED, "--plot", "--html", "cost.html")
    assert "requests a month   b bill   h holding   x both" in ran.out
    assert "<svg" in (tmp_path / "cost.html").read_text()
    assert "wrote cost.html" in ran.err


def test_it_fits_80_columns(freehold, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, freehold("cost", *STATED, "--plot").out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--input-price", "1"), "a price needs both ends", "--output-price"),
        (STATED[:5], "no traffic to price", "--requests-per-month"),
        (
            (*STATED[:3], "--machine", "Qfoo", *STATED[7:]),
            "accelerator Qfoo is not in the catalog",
            "--machine FILE",
        ),
    ],
)
def test_what_is_not_known_is_asked_for(refused, arguments, message, hint):
    refused("cost", *arguments, message=message, hint=hint)


def test_a_price_that_is_not_a_number(freehold):
    ran = freehold("cost", "m", "--usd-per-hour", "cheap")
    assert ran.code == 2
    assert "--usd-per-hour" in ran.err and "Traceback" not in ran.err


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


@pytest.mark.parametrize("option", ["--usd-per-hour", "--input-price", "--prompt-tokens"])
def test_a_decimal_comma_is_told_with_its_option(freehold, option):
    ran = freehold("cost", "m", option, "0,6")
    assert ran.code == 2 and option in ran.err and "decimal comma" in ran.err
