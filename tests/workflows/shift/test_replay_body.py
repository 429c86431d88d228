"""What is sent of a captured request: known fields alone, and a bound that holds whichever limit an API reads."""

import pytest
from tests.workflows.shift.shifting import trace

from freehold.errors import UsageError
from freehold.workflows.shift.replay_body import body_of, tokens_of

ASKED = {"messages": [{"role": "user", "content": "where is it?"}], "max_tokens": 20}


def body(**more):
    return body_of(trace(1, request=ASKED | more), "m")


@pytest.mark.parametrize(
    "field",
    [
        {"search_parameters": {"mode": "on"}},
        {"plugins": [{"id": "web"}]},
        {"models": ["a/dear-one"]},
        {"enable_search": True},
        {"x" * 4000: 1},
    ],
)
def test_a_field_that_is_not_known_is_left_out_and_named(field):
    made = body(temperature=0, **field)
    assert made.fields == ASKED | {"temperature": 0, "model": "m"}
    (name,) = field
    assert made.notes[0].startswith("Left out") and made.notes[0].endswith(f"{name[:40]}.")


def test_of_two_limits_the_higher_bounds_the_cost():
    made = body(max_completion_tokens=5, max_tokens=100_000)
    assert made.fields["max_completion_tokens"] == 5 and made.fields["max_tokens"] == 100_000
    expected, most = tokens_of(trace(1), made)
    assert made.answer_tokens == most.completion_tokens == 100_000 and expected.prompt_tokens > 1
    with pytest.raises(UsageError, match="limit of tokens is x"):
        body(max_completion_tokens=5, max_tokens="x")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tools": [{"type": ["a"]}]}, "would run"),
        ({"tools": [{"type": {"a": 1}}]}, "would run"),
        ({"tools": {"type": "function"}}, "would run"),
        ({"modalities": [{}]}, "sound or pictures"),
        ({"modalities": 5}, "sound or pictures"),
    ],
)
def test_what_has_a_wrong_type_is_refused(more, said):
    with pytest.raises(UsageError, match=said):
        body(**more)
