import json

import pytest

from freehold.deferring.agreeing import agreement, resampled, said_in


@pytest.mark.parametrize(("own", "warm"), [(None, 0.7), (0, 0.7), (0.0, 0.7), (1.2, 1.2), (True, 0.7)])
def test_a_further_sample_has_chance_in_it_and_a_seed_of_its_own(own, warm):
    asked = {
        "model": "m",
        "messages": [],
        "stream": True,
        "stream_options": {},
        "logprobs": True,
        "top_logprobs": 1,
    }
    body = asked if own is None else {**asked, "temperature": own}
    assert resampled(body, 2) == {"model": "m", "messages": [], "temperature": warm, "seed": 2}
    assert resampled({"seed": 40}, 3)["seed"] == 43
    assert asked["stream"] is True, "the request itself stays as it is"


def test_answers_agree_by_what_they_say():
    assert agreement("refund", ["refund", " refund\n", "lamp", None]) == 0.5
    assert agreement('{"a": 1, "b": 2}', ['{ "b":2,"a":1 }', '{"a": 1}']) == 0.5
    assert agreement("two  words", ["two words"]) == 1.0
    assert agreement("[" * 5000, ["[" * 5000]) == 1.0


def test_calls_agree_by_name_and_arguments_whatever_their_ids():
    def call(id, name, arguments):
        return json.dumps(
            [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]
        )

    first = call("c1", "refund", '{"order": 1, "why": "x"}')
    further = [call("c2", "refund", '{"why":"x","order":1}'), call("c3", "refund", '{"order": 2}')]
    assert agreement(first, further) == 0.5
    assert agreement(call("a", "f", "broken"), [call("b", "f", "broken")]) == 1.0


def test_without_a_first_or_a_further_one_nothing_is_known():
    assert agreement(None, ["a"]) is None and agreement("a", []) is None


def test_what_a_completion_says_is_what_an_evaluation_keeps():
    def completion(message, finish="stop", count=1):
        return {"choices": [{"message": message, "finish_reason": finish}] * count}

    assert said_in(completion({"content": "yes"})) == "yes"
    calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]
    assert json.loads(said_in(completion({"content": None, "tool_calls": calls}, "tool_calls"))) == calls
    for nothing in (
        completion({"content": "half"}, "length"),
        completion({"content": ""}),
        completion({"content": "a"}, count=2),
        completion(None),
        {},
        {"choices": "x"},
    ):
        assert said_in(nothing) is None
