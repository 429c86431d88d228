"""Questions without a project: the records of the commands of the same name."""

import json
from decimal import Decimal

import pytest

import freehold
from freehold.api.calling import decimal, low_high, token_price, use_of
from freehold.errors import ConfigError, UnknownModelError, UsageError
from freehold.types.config import AppConfig, ProjectConfig, UseProfile


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


class Opened:
    config = ProjectConfig(app=AppConfig(name="x"), use=UseProfile(mode="internal"))


def test_amounts_are_exact_and_finite_one_or_two_ends():
    assert decimal("2_000_000.10") == Decimal("2000000.10") and decimal(0.1) == Decimal("0.1")
    assert decimal(None) is None
    for wrong in ("two", float("nan"), "inf"):
        with pytest.raises(UsageError, match="number"):
            decimal(wrong)
    assert (low_high("2.5").low, low_high("2.5").high) == (Decimal("2.5"), Decimal("2.5"))
    assert (low_high((1, 2)).low, low_high((1, 2)).high) == (1, 2)
    assert low_high(None) is None
    assert token_price((1, "2.5")).output_usd_per_million_tokens == Decimal("2.5")
    assert token_price(None) is None


def test_a_use_is_a_profile_its_keys_or_the_projects():
    assert use_of(None, Opened).mode == "internal"
    assert use_of({"mode": "research", "regions": ["EU"]}, Opened) == UseProfile(
        mode="research", regions=("EU",)
    )
    assert use_of(UseProfile(commercial=True), Opened).commercial
    with pytest.raises(ConfigError, match="mod"):
        use_of({"mod": "internal"}, Opened)
    with pytest.raises(ConfigError, match="commercial"):
        use_of({"commercial": "perhaps"}, Opened)


PAIRS = [(1, 1)] * 180 + [(1, 0)] * 5 + [(0, 1)] * 15


def test_power_plans():
    plan = freehold.power(0.02, n=500, discordance=0.05)
    assert (
        plan.margin == 0.02 and plan.rows[0].power_at_n is not None and "500 held-out items" in plan.sentence
    )
    with pytest.raises(UsageError):
        freehold.power(0.02, icc=2)


def test_values_and_a_file_of_the_same_pairs_give_the_same_verdict(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"id": n, "a": a, "b": b}) + "\n" for n, (a, b) in enumerate(PAIRS)))
    of_values = freehold.compare(PAIRS, margin=0.05)
    assert of_values.verdict == "promote" and of_values.a_only == 5 and of_values.b_only == 15
    assert of_values == freehold.compare(file, margin=0.05) == freehold.compare(str(file), margin=0.05)


@pytest.mark.parametrize(
    ("pairs", "more", "message"),
    [
        ([(1, 1, 1)], {}, "two for each item"),
        ([1, 0], {}, "two for each item"),
        ([1, 0], {"candidate": [1]}, "2 scores of the incumbent, 1 of the candidate"),
        ([("1", "0")], {}, "'1' is text"),
        ([(1, 2)], {}, "outside"),
        ([(1, 1)], {"slices": ["language"]}, "sliced by values"),
        ([(1, 1)], {"clusters": ["a", "b"]}, "clusters"),
        ("pairs.jsonl", {"clusters": ["a"]}, "itself"),
        ([(0, 0)] * 50, {"margin": 0.5}, "no candidate could fail"),
        ([(1, 1)], {"margin": 2}, "margin is 2"),
    ],
)
def test_mistakes_are_told(pairs, more, message):
    with pytest.raises(UsageError, match=message):
        freehold.compare(pairs, **{"margin": 0.05, **more})


ITEMS = 200
RIGHT = ["a" if n % 3 else "b" for n in range(ITEMS)]
OLD = ["x" if n % 10 == 0 else right for n, right in enumerate(RIGHT)]
NEW = ["y" if n % 25 == 1 else right for n, right in enumerate(RIGHT)]


def named(values):
    return {f"q{n}": value for n, value in enumerate(values)}


class Column(list):
    """What an array or a column of a frame gives."""

    def tolist(self):
        return list(self)


@pytest.mark.parametrize("shape", [list, iter, Column, named])
def test_answers_in_memory_are_evaluated_as_those_in_files(shape):
    found = freehold.evaluate(shape(OLD), shape(NEW), gold=shape(RIGHT), margin=0.06)
    assert (found.verdict, found.promoted, found.comparison.n) == ("promote", True, ITEMS)
    assert str(found) == found.summary()
    assert repr(found).startswith(
        "Evaluation(candidate against incumbent: promote: 90.0 → 96.0, +6.0 points ["
    )


def test_missing_answers_count_as_lost_and_missing_right_ones_are_refused():
    gaps = [None, float("nan"), *NEW[2:]]
    found = freehold.evaluate(OLD, gaps, gold=RIGHT, margin=0.06)
    assert found.comparison.unscored["candidate_only"] == 2
    with pytest.raises(UsageError, match=r"2 of 200 right answers are missing, the first of item 0"):
        freehold.evaluate(OLD, NEW, gold=gaps[:2] + RIGHT[2:])
    with pytest.raises(UsageError, match="different lengths: incumbent 200, candidate 199, gold 200"):
        freehold.evaluate(OLD, NEW[1:], gold=RIGHT)


def test_two_columns_of_scores_are_compared_as_their_pairs():
    old, new = zip(*PAIRS, strict=True)
    found = freehold.compare(Column(old), new, margin=0.05)
    assert found == freehold.compare(PAIRS, margin=0.05) and found.promoted
    assert str(found).startswith("promote: ") and "\n" not in repr(found)
    assert str(freehold.license("Qwen/Qwen3-8B")) == "Qwen/Qwen3-8B: allowed, 0 duties"
    with pytest.raises(UsageError, match=r"margin is '0.02'"):
        freehold.power("0.02")
