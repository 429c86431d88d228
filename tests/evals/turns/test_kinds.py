import json

import pytest

from freehold.evals.tool_calls import BrokenCall
from freehold.evals.turns.kinds import (
    api_calls,
    reference_turn,
    refusal_pattern,
    refuses,
    written_calls,
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


def test_a_recorded_call_with_broken_arguments_stays_a_call():
    turn = reference_turn(CALL.replace('\\"x\\":1}', ""), SAMPLE, OFFERED, PATTERN)
    assert (turn.kind, turn.calls[0].name) == ("call", "f")


def test_calls_of_an_answer_are_those_of_the_api():
    assert [one.name for one in api_calls(CALL)] == ["f"]
    assert api_calls('[{"name": "f", "arguments": {}}]') == ()
    assert api_calls("words") == api_calls("[]") == api_calls("[1]") == ()
    with pytest.raises(BrokenCall):
        api_calls('[{"function": {"name": "f", "arguments": "{broken"}}]')


def test_written_calls_are_calls_of_offered_tools():
    assert [one.name for one in written_calls("[f(x=1), math.add()]", OFFERED)] == ["f", "math.add"]
    assert written_calls("print(x=1)", OFFERED) == ()
    assert written_calls("[f(1)]", OFFERED) == ()


def test_more_words_of_refusals_may_be_given():
    assert not refuses("Computer says no.", PATTERN)
    assert refuses("Computer says no.", refusal_pattern(["computer says no"]))
    assert not refuses("x" * 300 + " I can't help with that", PATTERN)
