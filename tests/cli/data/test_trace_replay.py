"""`freehold traces replay` as a person meets it: the cost, a question, the answer."""

import io

import pytest
from tests.workflows.shift.shifting import ROUTE, START, trace
from tests.workflows.watch.watching import Incumbent

from freehold.store import open_store
from freehold.types.trace import Usage
from freehold.workflows.project import open_project


@pytest.fixture
def incumbent(freehold, tmp_path):
    server = Incumbent()
    (tmp_path / "freehold.toml").write_text(
        f'[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{server.url}"\n'
        "price = { prompt = 10, completion = 100 }\n"
    )
    with open_store(open_project().store_url) as store:
        store.save_route(ROUTE, who="ada", at=START)
        store.add_traces(
            [trace(1, id="0abc", answer="then", usage=Usage(prompt_tokens=40, completion_tokens=4))]
        )
    yield server
    server.close()


def test_a_dry_run_tells_the_cost(freehold, incumbent):
    told = freehold("traces", "replay", "0a", "--to", "incumbent", "--dry-run")
    assert (told.code, incumbent.seen) == (0, []) and "at most 0.1" in told.out and "of 1" in told.out
    plan = freehold("traces", "replay", "0a", "--to", "incumbent", "--dry-run", "--json").fields
    assert plan["trace_id"] == "0abc" and plan["side"] == "incumbent" and plan["spent_usd"] == "0"


def test_it_is_asked_after_a_yes_and_noted(freehold, incumbent, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    asked = freehold("traces", "replay", "0abc", "--to", "incumbent")
    assert asked.code != 0 and incumbent.seen == [], "no terminal, no answer, no request"
    assert "at most" in asked.err
    made = freehold("traces", "replay", "0abc", "--to", "incumbent", "--yes", "--why", "a complaint")
    assert made.code == 0 and made.out.splitlines()[:2] == ["then, gateway:", "then"]
    assert made.out.rstrip().endswith("refund") and "0.0020 USD" in made.out
    begun, _ = freehold("audit", "--action", "trace.replay", "--json").items
    assert begun["action"] == "trace.replay.begin" and begun["why"] == "a complaint"
    assert (
        freehold("traces", "replay", "0abc", "--to", "incumbent", "--yes", "--json").fields["output"]
        == "refund"
    )


def test_no_answer_ends_with_1(freehold, incumbent, tmp_path):
    text = (tmp_path / "freehold.toml").read_text().replace(incumbent.url, "http://127.0.0.1:1")
    (tmp_path / "freehold.toml").write_text(text)
    ran = freehold("traces", "replay", "0abc", "--to", "incumbent", "--yes")
    assert ran.code == 1 and "no answer: unreachable" in ran.out


@pytest.mark.parametrize(
    ("amount", "why"),
    [("much", "is not a number"), ("-1", "is below 0"), ("NaN", "is not a number"), ("inf", "is not")],
)
def test_an_amount_that_is_none_is_refused(freehold, incumbent, amount, why):
    ran = freehold("traces", "replay", "0abc", "--budget-usd", amount)
    assert ran.code == 2 and f"'{amount}' {why}" in ran.err


def test_a_budget_of_nothing_asks_nothing(refused, incumbent):
    refused(
        "traces",
        "replay",
        "0abc",
        "--to",
        "incumbent",
        "--budget-usd",
        "0",
        "--yes",
        message="can cost",
        hint="--budget-usd",
    )
    assert incumbent.seen == []
