"""What of a chat request leaves its cost without a bound."""

import pytest

from freehold.evals.chat.cost_bounds import answer_tokens, limited, unbounded

BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
CALLED_HERE = [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": CALLED_HERE, "modalities": ["text"]},
        {"tools": None, "modalities": None},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
    ],
)
def test_text_with_a_limit_has_a_bound(fields):
    assert unbounded(BODY | fields) is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"max_tokens": None}, "no limit"),
        ({"max_completion_tokens": 0}, "no limit"),
        ({"tools": [*CALLED_HERE, {"type": "web_search"}, "x"]}, "None, web_search"),
        ({"tools": "all"}, "?"),
        ({"audio": {}}, "sound"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "more than text"),
    ],
)
def test_what_has_none_is_said(fields, why):
    assert why in (unbounded(BODY | fields) or "")


def test_of_two_limits_the_larger_is_the_bound():
    assert answer_tokens({"max_tokens": 10, "max_completion_tokens": 20}) == 20


def test_a_limit_is_said_where_there_is_none():
    assert limited({"max_tokens": None}, 7) == {"max_tokens": 7}
    for said in ({"max_completion_tokens": 3}, {"max_tokens": "x"}):
        assert limited(said, 7) == said
