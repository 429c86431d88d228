from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from freehold.costs.prices import TokenPrice
from freehold.settings import load
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.trace import Trace, Usage
from freehold.workflows.choose.traffic import price_traffic
from freehold.workflows.project import Project

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")

FLAT = TokenPrice(Decimal(2), Decimal(10))
"""Dollars per million tokens of prompts and of answers."""
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path):
    return Project(
        tmp_path, parse('[app]\nname = "t"\n'), load({"FREEHOLD_HOME": str(tmp_path / "home")}), None
    )


def trace(number, *, model="gpt-4o", **fields):
    return Trace(
        **{
            "id": f"t{number}",
            "at": START + timedelta(hours=number),
            "source": "import:x",
            "model": model,
            "request": {"messages": [{"role": "user", "content": "hi"}]},
            "response": {"choices": []},
            "usage": Usage(prompt_tokens=1000, completion_tokens=100),
        }
        | fields
    )


def fill(project, traces):
    with open_store(project.store_url) as store:
        store.add_traces(traces)


def test_traces_are_priced_one_by_one_and_mirrored_ones_left_out(project):
    fill(project, [*(trace(n) for n in range(48)), trace(60, parent_id="t1")])
    found = price_traffic(project, "gpt-4o", flat=FLAT)
    assert found.bill.usd_per_request.low == Decimal("0.003")
    assert found.bill.basis == "prices as stated, 48 traces, each with its own tokens"
    assert found.made_from[0].startswith("traces:")
    assert price_traffic(project, "gpt-4o").bill.basis.startswith("gpt-4o of OpenAI, prices of genai-prices ")


def test_of_many_traces_some_are_read_and_the_sentence_says_so(project):
    usages = [Usage(prompt_tokens=900 + n % 200, completion_tokens=100) for n in range(4000)]
    fill(
        project,
        (trace(n, usage=usage, parent_id="t1" if n % 4 == 3 else None) for n, usage in enumerate(usages)),
    )
    exact, quick = (
        price_traffic(project, "gpt-4o", flat=FLAT),
        price_traffic(project, "gpt-4o", flat=FLAT, most=500),
    )
    assert "costs about $" in quick.sentence and "(from 512 of 4,000 requests)" in quick.sentence
    assert "about" not in exact.sentence
    assert float(quick.bill.usd_per_month.low) == pytest.approx(float(exact.bill.usd_per_month.low), rel=0.02)
    assert price_traffic(project, "gpt-4o", flat=FLAT, most=4000) == exact


def test_a_snapshot_and_its_alias_count_as_one_model(project):
    models = ("gpt-4o", "openai/gpt-4o-2024-08-06", "gpt-4o-mini", "gpt-4o-latest")
    fill(project, [trace(n, model=models[n % 4]) for n in range(48)])
    basis = price_traffic(project, "gpt-4o", flat=FLAT).bill.basis
    assert "12 of them were of other models (gpt-4o-mini 12) and are priced as gpt-4o" in basis


def test_hidden_reasoning_counts_up_to_the_answer_it_is_part_of(project):
    details = {"reasoning_tokens": 70}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "completion_tokens_details": details}
    fill(project, [trace(n, response={"choices": [], "usage": usage}) for n in range(48)])
    assert price_traffic(project, "gpt-4o", flat=FLAT).traffic.reasoning_tokens == 70
