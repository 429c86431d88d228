"""Calibrations are read between their points; a rule's id is what it decides by."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deferral_rules import one_tier as rule

from freehold.types.deferral import Calibration, DeferralRule, RouterFiles

STEPS = Calibration(raw=(-2.0, -1.0, -1.0, 0.0), probability=(0.1, 0.3, 0.6, 0.9))


@pytest.mark.parametrize(
    ("value", "probability"),
    [
        (-math.inf, 0.1), (-5.0, 0.1), (-2.0, 0.1), (-1.5, 0.2), (-1.0, 0.3), (-0.5, 0.75), (0.0, 0.9), (7.0, 0.9),
        (math.nan, 0.1),
    ],
)  # fmt: skip
def test_a_signal_between_the_points(value, probability):
    assert STEPS(value) == pytest.approx(probability)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_higher_signal_is_never_less_sure(one, other):
    low, high = sorted((one, other))
    assert STEPS(low) <= STEPS(high)


def test_its_id_is_what_it_decides_by():
    assert rule().id == rule(mixture_id="m").id
    assert len({one.id for one in (rule(), rule(threshold=0.9), rule(identity="c2"))}) == 3
    here, there = (rule(router=RouterFiles(path=path, sha256="s")) for path in ("/a", "/b"))
    assert here.id == there.id
    assert msgspec.json.decode(msgspec.json.encode(here), type=DeferralRule) == here


def test_a_whole_number_gives_the_id_that_it_has_when_it_is_read_back():
    made = rule(wait_ms=300, threshold=1)
    assert (
        made.problem is None
        and msgspec.json.decode(msgspec.json.encode(made), type=DeferralRule).problem is None
    )
    with pytest.raises(msgspec.ValidationError, match="signal"):
        rule(signal="oracle")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"calibration": Calibration(raw=(), probability=())}, "no points"),
        ({"calibration": Calibration(raw=(0.0, 1.0), probability=(0.5,))}, "not as many"),
        ({"calibration": Calibration(raw=(0.0, 1.0), probability=(0.5, 1.5))}, "not probabilities"),
        ({"calibration": Calibration(raw=(1.0, 0.0), probability=(0.5, 0.6))}, "ascend"),
        ({"calibration": Calibration(raw=(0.0, 1.0), probability=(0.6, 0.5))}, "ascend"),
        ({"threshold": -0.1}, "threshold"),
        ({"wait_ms": 0}, "wait_ms"),
        ({"signal": "router"}, "names none"),
        ({"signal": None}, "first tier"),
        ({"calibration": None}, "without calibration"),
    ],
)
def test_what_cannot_decide_says_why(changed, why):
    assert why in rule(**changed).problem


def test_one_of_an_older_form_is_read_and_decides_nothing():
    old = (
        b'{"id":"x","way":"cascade","signal":"probability","calibration":{"raw":[0],"probability":[0]},'
        b'"threshold":0.5,"candidate":"small","candidate_id":"c","incumbent":"m","incumbent_down":"error"}'
    )
    made = msgspec.json.decode(old, type=DeferralRule)
    assert "older version" in made.problem and made.candidate.model == "" and made.upper is None


def test_a_rule_that_was_changed_after_its_proof_says_so():
    assert rule().problem is None
    assert "changed after" in msgspec.structs.replace(rule(), threshold=0.1).problem
