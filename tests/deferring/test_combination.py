import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.deferring.combination import answer_parts, call_parts, combined
from freehold.types.deferral import Calibration, Combination, DeferralRule

JOINED = Combination(
    signals=("probability", "margin"),
    centre=(0.0, 0.5),
    scale=(1.0, 0.5),
    weights=(1.0, 2.0),
    answers=dict.fromkeys(answer_parts("refund"), -3.0),
    intercept=0.25,
    samples=9,
)


def test_what_is_joined_is_a_logistic_function_of_all_of_it():
    signals = {"probability": 0.5, "margin": 1.0, "entropy": -9.0}
    assert combined(JOINED, signals, ()) == pytest.approx(1 / (1 + math.exp(-2.25)))
    assert combined(JOINED, signals, answer_parts(" refund\n")) == pytest.approx(1 / (1 + math.exp(0.75)))
    assert combined(JOINED, {"probability": 1.0, "margin": 1.0}, ()) < 1


@pytest.mark.parametrize("signals", [{}, {"probability": 0.5}, {"probability": 0.5, "margin": math.nan}])
def test_one_signal_that_is_missing_leaves_none(signals):
    assert combined(JOINED, signals, ()) is None


def test_what_answers_say_is_compared_by_value_and_holds_no_words():
    one = answer_parts('{"intent": "refund", "order_id": null, "urgent": false, "rows": [1]}')
    assert len(one) == 3 and not any("refund" in part for part in one)
    assert answer_parts('{ "urgent":false,"intent":"refund" }') == (one[2], one[0])
    assert len(answer_parts('["a", "b"]')) == 2
    assert answer_parts("refund") != answer_parts("lamp") and len(answer_parts("refund")) == 1
    for nothing in (None, "", "x" * 65, "{broken", "[" * 5000):
        assert answer_parts(nothing) == ()


def test_a_called_function_is_the_same_part_in_a_gateway_and_in_an_evaluation():
    call = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": '{"order": 1}'}}
    assert answer_parts(json.dumps([call])) == call_parts(["refund"])


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    assert len(answer_parts(text)) <= 32
    assert len(answer_parts(json.dumps({"a": text, "b": [text]}))) <= 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"weights": (1.0,)}, "one weight for each signal"),
        ({"scale": (1.0, 0.0)}, "weigh nothing"),
        ({"intercept": math.inf}, "weigh nothing"),
        ({"answers": {"x": math.nan}}, "weigh nothing"),
    ],
)
def test_a_combination_that_cannot_be_is_found_in_its_rule(changed, said):
    assert said in msgspec.structs.replace(JOINED, **changed).problem


def test_a_rule_says_how_its_signals_are_joined():
    fields = {
        "way": "cascade", "calibration": Calibration(raw=(0.0, 1.0), probability=(0.0, 1.0)), "threshold": 0.5,
        "candidate": "c", "candidate_id": "i", "incumbent": "m",
    }  # fmt: skip
    rule = DeferralRule.of(signal="combined", combination=JOINED, **fields)
    assert rule.problem is None
    assert "how they are joined" in DeferralRule.of(signal="combined", **fields).problem
    moved = msgspec.structs.replace(JOINED, intercept=9.0)
    assert "changed after it was proven" in msgspec.structs.replace(rule, combination=moved).problem
