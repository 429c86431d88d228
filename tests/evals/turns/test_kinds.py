import json

import pytest

from freehold.evals.turns.kinds import (
    reference_turn,
    refusal_pattern,
)
from freehold.types.dataset import Sample

SAMPLE = Sample(id="s", messages=())
OFFERED = frozenset({"f", "math_add"})
PATTERN = refusal_pattern()
CALL = json.dumps([{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}])


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        (CALL, "call"),
        (json.dumps(json.loads(CALL) * 2), "parallel calls"),
        ('[{"f": {"x": [1, 2]}}]', "call"),
        ('[{"name": "f", "arguments": {"x": 1}}]', "call"),
        ("[math.add(x=1)]", "call"),
        ("[]", "no call"),
        (" ", "no call"),
        ("It is on its way.", "text"),
        ('[{"items": {"a": [1]}}]', "text"),
        ('{"intent": "refund"}', "text"),
        ("[1, 2]", "text"),
        ("print(x=1)", "text"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("Dabei kann ich Ihnen leider nicht helfen.", "refusal"),
        ("I’m unable to share other people's orders.", "refusal"),
        ("I can't find your order. Is the number right?", "text"),
        ("Unfortunately we cannot ship on Sundays.", "text"),
    ],
)
def test_what_a_recorded_turn_is(reference, kind):
    assert reference_turn(reference, SAMPLE, OFFERED, PATTERN).kind == kind


def test_the_apis_own_mark_makes_a_refusal():
    marked = Sample(id="s", messages=(), incumbent="No.", metadata={"refusal": True})
    assert reference_turn("No.", marked, OFFERED, PATTERN).kind == "refusal"
    assert reference_turn("Yes.", marked, OFFERED, PATTERN).kind == "text", (
        "gold is not the answer that was marked"
    )
