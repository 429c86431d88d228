"""Where a project is: from nothing to a candidate that answers, with what it spared."""

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.workflows.shift.shifting import LATER, START, begun, mirrored, trace

from freehold.store import open_store
from freehold.store.search import AnsweredTokens
from freehold.types.trace import Usage
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.tell.views.overview import OverviewQuery, overview, savings

PRICED = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:1"
price = { prompt = 2, completion = 10 }
[[endpoints]]
name = "dear"
base_url = "http://127.0.0.1:2"
price = { prompt = 1, completion = 1 }
[[endpoints]]
name = "secret"
base_url = "http://127.0.0.1:3"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(PRICED)
    return open_project()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        yield store


def test_a_rollout_is_told_with_its_traffic(project, store):
    begun(store)
    for number in range(10):
        store.add_traces(mirrored(number))
    found = overview(project, store, OverviewQuery(), at=START + timedelta(minutes=1))
    assert found.journey.stage == "shadow" and found.traffic.incumbent.requests == 10
    (line,) = found.routes
    assert (line.state, line.share, line.can_go_back) == ("shadow", 0.0, True)
    rollout.rollback(store, "support", who="ada", at=LATER)
    again = overview(project, store, OverviewQuery(), at=LATER)
    assert again.journey.stage == "rolled_back" and not again.routes[0].can_go_back


def test_what_was_spared_leaves_out_what_did_not_spare_anything(project, store):
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=100_000)
    counted = {"arm": "candidate", "endpoint": "local", "usage": usage}
    store.add_traces(
        [
            trace(1, **counted),
            trace(2, **counted | {"fallback": "timeout", "endpoint": "incumbent"}),
            trace(3, **counted, status=500),
            trace(4, **counted, parent_id="x"),
            trace(5, **counted | {"endpoint": "incumbent"}),  # left to the incumbent by a rule
            trace(6, **counted | {"arm": "incumbent", "endpoint": "incumbent"}),
        ]
    )
    found = overview(project, store, OverviewQuery(), at=START + timedelta(minutes=1)).savings
    assert (found.requests, found.usd) == (1, Decimal(3))
    assert found.basis == "prices as stated"


def test_many_short_requests_are_not_priced_as_one_long_one(tmp_path):
    """Above 200,000 prompt tokens of a request this model costs twice as much: $4.50 were shown as $8.25."""
    pytest.importorskip("genai_prices")
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n\n[incumbent]\nmodel = "claude-sonnet-4-5"\n'
    )
    found = savings(
        open_project(tmp_path / "freehold.toml"), [AnsweredTokens("local", 1000, 1_000_300, 100_000)]
    )
    assert found.usd == Decimal("4.5009")


def test_what_another_endpoint_charges_is_taken_off_or_said_to_be_unknown(project):
    dear = savings(project, [AnsweredTokens("dear", 2, 1_000_000, 100_000)])
    assert dear.usd == Decimal(3) - Decimal("1.1")
    unknown = savings(project, [AnsweredTokens("secret", 2, 1_000_000, 0)])
    assert unknown.usd is None and "secret" in unknown.why
    assert savings(project, [AnsweredTokens("incumbent", 9, 9, 9)]) is None
