from decimal import Decimal

from freehold.evals.answers import ChatAnswer
from freehold.types.config import PriceConfig
from freehold.types.trace import Usage
from freehold.workflows.journey.paying import Prices

STATED = Prices(PriceConfig(prompt=Decimal(2), completion=Decimal(10)), "mine")
BODY = {"messages": [{"role": "user", "content": "漢" * 100}], "max_tokens": 50}


def test_a_stated_price_holds_for_its_model_only():
    assert STATED.usd("mine", 1_000_000, 100_000) == Decimal(3)
    assert STATED.usd("unheard-of-1", 1, 1) is None


def test_no_request_can_cost_more_than_its_most():
    # One token a byte is the worst that a tokenizer over bytes can do.
    assert STATED.most("mine", BODY) >= STATED.usd("mine", 300, 50)


def test_what_was_not_counted_costs_its_most_unless_it_was_refused():
    counted = ChatAnswer(output="x", usage=Usage(prompt_tokens=10, completion_tokens=2))
    assert STATED.spent("mine", counted, Decimal(1)) == Decimal("0.00004")
    lost = ChatAnswer(fault="infrastructure", error="connection_lost: gone")
    assert STATED.spent("mine", lost, Decimal(1)) == 1
    assert STATED.spent("mine", ChatAnswer(fault="candidate", error="timeout: no"), Decimal(1)) == 1
    assert STATED.spent("mine", ChatAnswer(fault="infrastructure", error="http_429: slow"), Decimal(1)) == 0
