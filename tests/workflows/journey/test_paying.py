"""What a request may cost at most, by where it goes; what is taken out of an allowance and what comes back."""

import asyncio
from decimal import Decimal

import pytest

from freehold.agents.mcp.tool import AgentBudget, OverBudgetError
from freehold.errors import UsageError
from freehold.evals.scorer import ChatAnswer
from freehold.types.config import PriceConfig
from freehold.types.config_file import parse
from freehold.types.endpoint import Endpoint
from freehold.types.trace import Usage
from freehold.workflows.journey.paying import Prices, ProjectSpendingCap, asked_model

CONFIG = parse("""
[app]
name = "inbox"
[incumbent]
model = "gpt-4o"
base_url = "https://api.example.com/v1"
price = { prompt = 1000, completion = 2000 }
[[endpoints]]
name = "house"
base_url = "http://10.0.0.7:8000/v1"
models = ["big"]
price = { prompt = 0, completion = 0 }
[[endpoints]]
name = "proxy"
base_url = "http://127.0.0.1:4000"
[task]
scorer = "judge"
[task.options]
base_url = "http://127.0.0.1:5000/v1"
model = "judge-1"
""")
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
RENTED = Endpoint(name="incumbent", engine="remote", base_url="https://api.example.com")


def capped(requests=10, usd=5):
    budget = AgentBudget(requests, Decimal(usd))
    return ProjectSpendingCap(lambda: CONFIG, budget), budget


@pytest.mark.parametrize(
    ("url", "model", "known"),
    [
        ("https://api.example.com/v1/", "gpt-4o", Decimal("0.003")),
        ("http://10.0.0.7:8000", "big", Decimal(0)),
        ("https://api.example.com/v1", "unheard-of-1", None),
        ("https://elsewhere.example.com/v1", "unheard-of-1", None),
        ("http://127.0.0.1:4000/v1", "alias", None),
        ("http://127.0.0.1:5000", "judge-1", None),
        ("http://localhost:4000", "alias", None),
        ("http://[::1]:4000/", "alias", None),
        ("https://127.0.0.2:4000//v1", "alias", None),
        ("http://127.0.0.1:4000/other/v1", "alias", None),
        ("http://10.0.0.7:8000//v1", "big", Decimal(0)),
        ("http://127.0.0.1:8420", "smollm2", Decimal(0)),
        ("http://localhost.example.com", "smollm2", None),
    ],
)
def test_a_price_is_that_of_the_address_or_of_the_model_or_not_known(url, model, known):
    cap, _ = capped()
    found = cap.usd(url, model)
    assert found is None if known is None else found >= known
    assert known != 0 or found == 0


def test_a_model_with_a_list_price_costs_it_behind_an_address_of_this_machine_too():
    pytest.importorskip("genai_prices")
    cap, _ = capped()
    assert cap.usd("http://127.0.0.1:8420", "gpt-4o", BODY) > 0


def test_a_request_holds_its_most_and_gives_back_what_it_did_not_cost():
    cap, budget = capped()
    held = asyncio.run(cap.hold(RENTED, BODY))
    assert budget.requests == 9 and 5 - budget.usd == held.most_usd > Decimal("0.02")
    cap.settle(held, ChatAnswer(output="x", usage=Usage(prompt_tokens=3, completion_tokens=1)))
    assert (budget.requests, budget.usd) == (9, 5 - Decimal("0.005"))


@pytest.mark.parametrize(
    ("answer", "requests", "costs"),
    [
        (ChatAnswer(fault="infrastructure", error="unreachable: refused"), 10, False),
        (ChatAnswer(fault="infrastructure", error="http_503: busy"), 9, False),
        (ChatAnswer(fault="infrastructure", error="http_504: the proxy gave up"), 9, True),
        (ChatAnswer(fault="infrastructure", error="connection_lost: gone"), 9, True),
        (None, 9, True),
    ],
)
def test_what_may_have_been_billed_counts_at_its_most(answer, requests, costs):
    cap, budget = capped()
    held = asyncio.run(cap.hold(RENTED, BODY))
    cap.settle(held, answer)
    assert budget.requests == requests and (budget.usd == 5 - held.most_usd if costs else budget.usd == 5)


def test_several_answers_cost_several_times_and_one_without_a_limit_is_refused():
    cap, _ = capped()
    once = cap.usd(RENTED.base_url, "gpt-4o", BODY)
    assert cap.usd(RENTED.base_url, "gpt-4o", {**BODY, "n": 3}) == 3 * once
    unlimited = {name: value for name, value in BODY.items() if name != "max_tokens"}
    with pytest.raises(OverBudgetError, match="not known here"):
        asyncio.run(cap.hold(RENTED, unlimited))
    assert asyncio.run(cap.hold(RENTED, {**unlimited, "max_completion_tokens": 10})).most_usd == once


PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        *(({"max_tokens": limit}, "no limit of tokens") for limit in (-1, True, "10", float("nan"), 1e30)),
        *(({"n": n}, "more than one answer") for n in (-3, 0, "x", True)),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, "holds more than text"),
        ({"tools": [{"type": "web_search"}]}, "has the API itself run web_search"),
        ({"web_search_options": {}}, "has the API itself run web_search_options"),
        ({"modalities": ["text", "audio"]}, "sound or pictures"),
    ],
)
def test_a_request_whose_cost_has_no_bound_is_refused(fields, why):
    cap, budget = capped()
    with pytest.raises(OverBudgetError, match=why):
        asyncio.run(cap.hold(RENTED, BODY | fields))
    assert (budget.requests, budget.usd) == (10, 5)
    free = Endpoint(name="house", engine="remote", base_url="http://10.0.0.7:8000")
    assert asyncio.run(cap.hold(free, BODY | fields | {"model": "big"})).most_usd == 0


def test_what_an_answer_cost_beyond_its_most_is_taken_too():
    cap, budget = capped()
    held = asyncio.run(cap.hold(RENTED, BODY))
    cap.settle(held, ChatAnswer(output="x", usage=Usage(prompt_tokens=3, completion_tokens=3_000)))
    assert budget.usd == 5 - Decimal("6.003")
    with pytest.raises(OverBudgetError, match=r"\$0.00 are left"):
        asyncio.run(cap.hold(RENTED, BODY))
    budget.check(1, Decimal(0), "asking what is free")


def test_an_engine_of_ones_own_is_not_counted():
    cap, budget = capped(requests=0, usd=0)
    own = Endpoint(name="local", engine="llamacpp", base_url="http://127.0.0.1:1")
    assert asyncio.run(cap.hold(own, BODY)) is None
    with pytest.raises(OverBudgetError, match=r"a request to gpt-4o at https://api.example.com would send 1"):
        asyncio.run(cap.hold(RENTED, BODY))
    assert budget.requests == 0


def test_a_request_waits_for_what_those_under_way_give_back():
    cap, budget = capped(usd="0.2")  # two requests, each of which can cost 13 cents

    async def both():
        first = await cap.hold(RENTED, BODY)
        waiting = asyncio.create_task(cap.hold(RENTED, BODY))
        await asyncio.sleep(0.1)
        assert not waiting.done() and budget.usd < first.most_usd
        cap.settle(first, ChatAnswer(output="x", usage=Usage(prompt_tokens=3, completion_tokens=1)))
        second = await waiting
        cap.settle(second, None)

    asyncio.run(both())
    assert budget.requests == 8
    with pytest.raises(OverBudgetError, match="would cost about"):
        asyncio.run(cap.hold(RENTED, BODY))


STATED = Prices(PriceConfig(prompt=Decimal(2), completion=Decimal(10)), "mine")
BODY_of_prices = {"messages": [{"role": "user", "content": "漢" * 100}], "max_tokens": 50}


def test_a_stated_price_holds_for_its_model_only_and_no_request_can_cost_more():
    assert STATED.usd("mine", 1_000_000, 100_000) == Decimal(3)
    assert STATED.usd("unheard-of-1", 1, 1) is None
    assert STATED.most("mine", BODY_of_prices) >= STATED.usd("mine", 300, 50)


def test_what_was_not_counted_costs_its_most_unless_it_was_refused():
    counted = ChatAnswer(output="x", usage=Usage(prompt_tokens=10, completion_tokens=2))
    assert STATED.spent("mine", counted, Decimal(1)) == Decimal("0.00004")
    lost = ChatAnswer(fault="infrastructure", error="connection_lost: gone")
    assert STATED.spent("mine", lost, Decimal(1)) == 1
    assert STATED.spent("mine", ChatAnswer(fault="candidate", error="timeout: no"), Decimal(1)) == 1
    assert STATED.spent("mine", ChatAnswer(fault="infrastructure", error="http_429: slow"), Decimal(1)) == 0


TEXT = """
[app]
name = "mail"
[incumbent]
model = "rented"
base_url = "http://rented"
api_key_env = "KEY"
price = { prompt = 1, completion = 2 }
[[endpoints]]
name = "house"
base_url = "http://house"
models = ["*", "big"]
[[endpoints]]
name = "any"
base_url = "http://any"
[[endpoints]]
name = "other"
base_url = "http://other"
api = "anthropic"
models = ["small"]
"""


def named(name, text=TEXT):
    return asked_model(name, parse(text), role="the writer")


def test_the_incumbent_and_endpoints_are_found_by_name():
    incumbent = named("incumbent")
    assert (
        incumbent.model,
        incumbent.endpoint.base_url,
        incumbent.prices.usd(incumbent.model, 1, 1) is not None,
    ) == (
        "rented",
        "http://rented",
        True,
    )
    assert (named("house").model, named("house/large").model, named("any/large").model) == (
        "big",
        "large",
        "large",
    )
    house = named("house")
    assert house.prices.usd(house.model, 1, 1) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hous", "the writer hous is not one of"),
        ("any", "the endpoint any lists no models, so it is not known which one is the writer"),
        ("other", "the endpoint other speaks the anthropic API"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_way_out(name, said):
    with pytest.raises(UsageError, match=said) as caught:
        named(name)
    assert caught.value.hint


def test_an_incumbent_without_an_address_cannot_be_asked():
    with pytest.raises(UsageError, match="no address of it is known"):
        named("incumbent", TEXT.replace('base_url = "http://rented"\n', ""))
