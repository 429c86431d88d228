"""Prices of requests, and whose model a name is."""

from datetime import UTC, date, datetime

import pytest
from tests.costs.conftest import D

from freehold.costs import prices
from freehold.costs.prices import MOVING, BilledName, billed_name
from freehold.errors import UsageError
from freehold.types.trace import Usage

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")
AT = datetime(2026, 11, 20, tzinfo=UTC)


def test_cached_tokens_are_cheaper():
    full = prices.request_price("gpt-4o", Usage(prompt_tokens=1000, completion_tokens=100), at=AT)
    cached = prices.request_price(
        "gpt-4o", Usage(prompt_tokens=1000, completion_tokens=100, cached_prompt_tokens=1000), at=AT
    )
    assert full == D("0.0035")  # 1000 x 2.50 + 100 x 10
    assert cached == D("0.00225")  # 1000 x 1.25 + 100 x 10


def test_what_is_written_to_a_cache_costs_more_and_for_an_hour_most():
    usage = Usage(
        prompt_tokens=6000,
        completion_tokens=100,
        cached_prompt_tokens=2000,
        cache_write_tokens=3000,
        cache_write_1h_tokens=1000,
    )
    # 1000 x 1 + 2000 x 0.10 + 2000 x 1.25 + 1000 x 2 + 100 x 5
    assert prices.request_price("claude-haiku-4-5", usage, at=AT) == D("0.0062")


@pytest.mark.parametrize(
    ("model", "usd"),
    [("gpt-5", "0.001125"), ("claude-haiku-4-5", "0.00075"), ("gpt-4o", "0.00175"), ("command-r", None)],
)
def test_batches_cost_half_by_the_list_or_by_the_vendors_word(model, usd):
    now = Usage(prompt_tokens=1000, completion_tokens=100)
    later = Usage(prompt_tokens=1000, completion_tokens=100, service_tier="batch")
    price = prices.request_price(model, later, at=AT)
    assert price * 2 == prices.request_price(model, now, at=AT)
    assert usd is None or price == D(usd)


def test_other_service_tiers_have_the_list_s_price():
    standard, flex, priority = (
        prices.request_price(
            "gpt-5", Usage(prompt_tokens=1000, completion_tokens=100, service_tier=tier), at=AT
        )
        for tier in (None, "flex", "priority")
    )
    assert flex < standard < priority


@pytest.mark.parametrize("model", ["gpt-4o", "gemini-2.5-pro", "claude-sonnet-4-20250514", "deepseek-chat"])
def test_many_requests_cost_what_they_cost_one_by_one(model):
    """Prompts on both sides of where a longer one costs more, parts that are cached or sound, all tiers."""
    tiers = (None, "batch", "flex", "priority")
    usages = [
        Usage(
            prompt_tokens=1000 * (n % 300), completion_tokens=7 * n, cached_prompt_tokens=400 * (n % 5),
            cache_write_tokens=300 * (n % 3), reasoning_tokens=3 * n, audio_prompt_tokens=(n % 2) * 50,
            service_tier=tiers[n % 4],
        )
        for n in range(600)
    ]  # fmt: skip
    one_by_one = sum(prices.request_price(model, one) for one in usages)
    assert float(prices.total_price(model, usages)) == pytest.approx(float(one_by_one), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("azure/gpt-4o", "openai"),
        ("azure/o3-mini", "azure"),
        ("openai/gpt-4o", "openai"),
        ("bedrock/anthropic.claude-haiku-4-5-20251001-v1:0", "aws"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "aws"),
        ("vertex_ai/claude-haiku-4-5@20251001", "google"),
        ("mistral-large-latest", "mistral"),
        ("chatgpt-4o-latest", "openai"),
    ],
)
def test_names_of_clouds_and_gateways_have_a_price(name, vendor):
    assert prices.request_price(name, Usage(prompt_tokens=1000, completion_tokens=1), at=AT) > 0
    assert prices.price_basis(name).vendor == vendor, "whose list it stands in"


def test_a_name_that_moves_is_priced_as_what_it_stands_for_and_said():
    million = Usage(prompt_tokens=10**6, completion_tokens=10**6)
    assert prices.request_price("mistral-large-latest", million, at=AT) == D("2.8")  # 0.70 + 2.10
    assert "is taken for mistral-large-4" in prices.price_basis("mistral-large-latest").notes[0]


def test_an_unknown_model_is_an_error_unless_its_price_is_stated():
    one = Usage(prompt_tokens=1, completion_tokens=1)
    with pytest.raises(UsageError, match="no price of house-model is known"):
        prices.request_price("house-model", one)
    with pytest.raises(UsageError, match="no price of azure/ours is known") as caught:
        prices.request_price("azure/ours", one)
    assert "a deployment may have any name" in str(caught.value.hint)
    flat = prices.TokenPrice(D(2), D(8), D(1), D(4))
    usage = Usage(
        prompt_tokens=4000, completion_tokens=1000, cached_prompt_tokens=2000, cache_write_tokens=1000
    )
    # 1000 x 2 + 2000 x 1 + 1000 x 4 + 1000 x 8
    assert prices.request_price("house-model", usage, flat=flat) == D("0.016")
    with pytest.raises(UsageError, match="0 or more"):
        prices.request_price("m", one, flat=prices.TokenPrice(D(-1), D(0)))


def test_a_price_says_which_list_it_is_of_and_when_that_is_old():
    basis = prices.price_basis("gpt-4o")
    assert basis.newest_change is not None and str(basis.newest_change) in basis.text
    assert "gpt-4o of OpenAI, prices of genai-prices" in basis.text
    fresh = prices.price_basis("gpt-4o", today=basis.newest_change)
    assert fresh.notes == ()
    old = prices.price_basis("gpt-4o", today=date(2028, 1, 1))
    assert old.notes[0].startswith("old prices: the list's newest change is")
    assert prices.price_basis("gpt-4o", flat=prices.TokenPrice(D(1), D(1))).text == "prices as stated"
    assert prices.newest_change() <= datetime.now(UTC).date(), "not a change that is still to come"


def test_hosts_of_an_open_model_are_found_cheapest_first_and_only_those_that_sell_it():
    usage = Usage(prompt_tokens=3000, completion_tokens=400, cached_prompt_tokens=2000)
    found = prices.hosted_prices(("openai/gpt-oss-120b", "gpt-oss-120b"), usage)
    assert [price for _, price in found] == sorted(price for _, price in found)
    assert {"Groq", "Together AI"} <= {who for who, _ in found}
    assert "OpenAI" not in {who for who, _ in found}, "its row was copied from a reseller's list"
    assert prices.hosted_prices(("no-such-model",), usage) == []
    plain = Usage(prompt_tokens=3000, completion_tokens=400)
    assert dict(found)["Groq"] < dict(prices.hosted_prices(("gpt-oss-120b",), plain))["Groq"]


@pytest.mark.parametrize(
    ("name", "model", "vendor"),
    [
        ("gpt-4o", "gpt-4o", None),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("azure/gpt-4o", "gpt-4o", "azure"),
        ("azure/eu/gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "azure"),
        ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0", "aws"),
        ("bedrock/us-east-1/meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0", "aws"),
        ("bedrock/converse/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "aws"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "aws"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "aws",
        ),
        ("vertex_ai/claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001", "google"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o", "openrouter"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18:acme::abc", "openai"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("mistral-large-2512", "mistral-large-2512", None),
    ],
)  # fmt: skip
def test_a_name_says_whose_model_it_is(name, model, vendor):
    assert billed_name(name) == BilledName(model, vendor)


def test_a_name_that_moves_stands_for_one_release_with_source_and_day():
    for name, moved in MOVING.items():
        found = billed_name(f"mistral/{name}")
        assert (found.model, found.vendor) == (moved.model, "mistral")
        assert str(moved.read) in found.note and moved.source in found.note
