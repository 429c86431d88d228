import pytest

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


def test_the_picture_is_written(freehold, tmp_path):
    ran = freehold("cost", *STATED, "--html", "cost.html")
    assert "<svg" in (tmp_path / "cost.html").read_text()
    assert "wrote cost.html" in ran.err


def test_it_fits_80_columns(freehold, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, freehold("cost", *STATED).out.splitlines())) <= 80


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


@pytest.mark.parametrize("option", ["--usd-per-hour", "--input-price", "--prompt-tokens"])
def test_a_decimal_comma_is_told_with_its_option(freehold, option):
    ran = freehold("cost", "m", option, "0,6")
    assert ran.code == 2 and option in ran.err and "decimal comma" in ran.err
