"""How much an agent may do before a person looks."""

from decimal import Decimal

import pytest

from freehold.agents.mcp.limits import AgentBudget, CallRate, FloodError, OverBudgetError


def test_calls_are_taken_at_a_rate():
    clock = [0.0]
    rate = CallRate(60, lambda: clock[0])
    for _ in range(60):
        rate.take()
    with pytest.raises(FloodError, match="more than 60 calls a minute") as caught:
        rate.take()
    assert caught.value.retryable and "wait 1 s" in caught.value.hint
    clock[0] = 2.0
    rate.take()
    rate.take()
    with pytest.raises(FloodError):
        rate.take()
    clock[0] = 10_000.0
    for _ in range(60):
        rate.take()
    with pytest.raises(FloodError):
        rate.take()


def test_a_budget_is_taken_before_it_is_spent_and_what_was_not_comes_back():
    budget = AgentBudget(100, Decimal(5))
    budget.take(60, Decimal(2), "freezing")
    with pytest.raises(OverBudgetError, match="freezing would send 60 requests, 40 are left"):
        budget.take(60, Decimal(1), "freezing")
    with pytest.raises(OverBudgetError, match=r"about \$4.00, \$3.00 are left"):
        budget.take(1, Decimal(4), "freezing")
    budget.give_back(50, Decimal(1))
    assert (budget.requests, budget.usd) == (90, Decimal(4))
    budget.give_back(-10, Decimal(-1))
    assert (budget.requests, budget.usd) == (90, Decimal(4)), "what was overspent is not given back"


def test_a_price_that_is_not_known_fits_no_budget():
    budget = AgentBudget(100, Decimal(5))
    with pytest.raises(OverBudgetError, match="not known here"):
        budget.take(1, None, "freezing")
    assert budget.requests == 100
    budget.take(0, None, "freezing what is frozen")
