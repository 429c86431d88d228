"""Questions without a project: the records of the commands of the same name."""

from decimal import Decimal

import pytest

import freehold
from freehold.errors import UnknownModelError, UsageError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))


def test_a_licence_is_ruled_on_for_a_use():
    ruling = freehold.license(
        "HuggingFaceTB/SmolLM2-135M-Instruct", use={"mode": "internal", "commercial": True}
    )
    assert isinstance(ruling, freehold.Ruling) and ruling.outcome == "allowed"
    assert freehold.license("nobody/mystery").outcome == "unclear"
    with pytest.raises(UsageError, match="nothing to rule on"):
        freehold.license()
    with pytest.raises(UsageError, match="itself"):
        freehold.license("a/b", lineage="lineage.json")


def test_fit_on_a_named_machine():
    found = freehold.fit("google/gemma-3-27b-it", machine="RTX 4090", context_tokens=32_768, concurrency=16)
    assert isinstance(found, freehold.Fit) and not found.fits and found.ways_out
    trained = freehold.fit("google/gemma-3-270m", machine="L4", train="lora")
    assert trained.training == "lora"
    with pytest.raises(UnknownModelError):
        freehold.fit("nobody/mystery", machine="L4")


def test_cost_states_what_is_known():
    found = freehold.cost(
        "Qwen/Qwen3-8B",
        incumbent="gpt-4o",
        machine="L4",
        requests_per_month=2_000_000,
        prompt_tokens=800,
        completion_tokens=120,
        usd_per_hour=("0.6", "0.9"),
        incumbent_price=(1, 2),
    )
    assert isinstance(found, freehold.Cost)
    # 2 million requests of 800 tokens at 1 $ and 120 at 2 $ a million
    assert found.bill.usd_per_month.low == Decimal(2_000_000) * (800 * 1 + 120 * 2) / 1_000_000
    with pytest.raises(UsageError, match="no incumbent is named"):
        freehold.cost("Qwen/Qwen3-8B")
