import pytest
from tests.costs.conftest import D

from freehold.costs import prices
from freehold.errors import UsageError


def test_price_counts_cached_tokens_once():
    pytest.importorskip("genai_prices")
    full = prices.request_price("gpt-4o", prompt_tokens=1000, completion_tokens=100)
    cached = prices.request_price(
        "gpt-4o", prompt_tokens=1000, completion_tokens=100, cached_prompt_tokens=500
    )
    assert full == D("0.0035")
    assert cached == D("0.002875")


def test_fine_tuned_models_have_their_own_price():
    pytest.importorskip("genai_prices")
    base = prices.request_price("gpt-4o-mini", prompt_tokens=10**6, completion_tokens=0)
    tuned = prices.request_price(
        "ft:gpt-4o-mini-2024-07-18:acme::x", prompt_tokens=10**6, completion_tokens=0
    )
    assert tuned == 2 * base


def test_unknown_price_is_an_error_unless_stated():
    pytest.importorskip("genai_prices")
    with pytest.raises(UsageError, match="no price of house-model"):
        prices.request_price("house-model", prompt_tokens=1, completion_tokens=1)
    flat = prices.TokenPrice(D(2), D(8), D(1))
    assert prices.request_price(
        "house-model", prompt_tokens=1000, completion_tokens=100, cached_prompt_tokens=400, flat=flat
    ) == D("0.0012") + D("0.0004") + D("0.0008")


def test_a_stated_price_below_zero_is_refused():
    with pytest.raises(UsageError, match="0 or more"):
        prices.request_price("m", prompt_tokens=1, completion_tokens=1, flat=prices.TokenPrice(D(-1), D(0)))
