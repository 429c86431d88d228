"""What a request may cost beyond its own words."""

import json

import pytest

from freehold.gateway.spending import bounds_of, bounds_of_text
from freehold.wire.ambiguity import unambiguous

TEXT = {"role": "user", "content": [{"type": "text", "text": "hi"}]}


def bounds(**asked):
    body = json.dumps(asked).encode()
    found = bounds_of(body)
    if (text := bounds_of_text(body)) is not None:
        assert text == found._replace(charged_tool=None)
    return found


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [TEXT, {"role": "assistant", "content": "ok"}]},
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "5"}], "tools": [{"type": "function"}]},
        {"system": [{"type": "text", "text": "s"}], "messages": [{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]}]}],
         "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        {"input": "hi"}, {"input": ["a", "b"]}, {"input": [[1, 2], [3]]}, {"prompt": "hi"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]},
                   {"type": "function_call_output", "call_id": "c", "output": "y"}]},
        {"messages": [TEXT], "previous_response_id": None, "conversation": ""},
    ],
)  # fmt: skip
def test_text_and_own_tools_are_all_in_the_body(asked):
    found = bounds(**asked)
    assert found.all_in_body and found.charged_tool is None


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image"}]}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
        {"messages": [{"role": "user", "content": "look", "images": ["aGk="]}]},
        {"input": [{"type": "item_reference", "id": "m"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]},
        {"input": "hi", "previous_response_id": "r"}, {"input": "hi", "conversation": "c"},
        {"input": "hi", "prompt": {"id": "p"}}, {"messages": [TEXT], "container": "c"},
        {"messages": [{"role": "user", "content": [{"type": "of tomorrow"}]}]},
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_text_may_fill_the_context(asked):
    assert not bounds(**asked).all_in_body


def test_a_name_that_is_escaped_is_the_same_name():
    assert not bounds_of(b'{"input":"hi","previous_respons\\u0065_id":"r"}').all_in_body
    assert bounds_of_text(b'{"input":"hi","previous_respons\\u0065_id":"r"}') is None
    assert bounds_of_text(b'{"messages":[{"content":[{"typ\\u0065":"image"}]}]}') is None
    assert not bounds_of(b"{").all_in_body and not bounds_of(b"[" * 100_000).all_in_body


@pytest.mark.parametrize(
    ("asked", "answers", "tokens"),
    [
        ({"max_tokens": 5}, 1, 5),
        ({"max_tokens": 5, "max_completion_tokens": "7e1", "n": 3}, 3, 70),
        ({"prompt": ["a", "b"], "best_of": 4, "max_tokens": 2}, 8, 2),
        ({"prompt": [1, 2, 3], "max_tokens": 2}, 1, 2),
        ({"n": 0, "max_tokens": None}, 1, None),
    ],
)
def test_every_answer_that_is_paid_for_counts(asked, answers, tokens):
    found = bounds(**asked)
    assert (found.answers, found.answer_tokens) == (answers, tokens)


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ("", 100),
        ('"max_tokens": 7', 7),
        ('"max\\u005ftokens": 5000', 5000),
        ('"max_tokens": 5e3', 5000),
        ('"max_tokens": "5000"', 5000),
        ('"max_tokens": 5, "max_completion_tokens": 5000', 5000),
        ('"max_tokens": 5, "n": 4', 20),
        ('"max_tokens": 1e300', 10**9),
        ('"max_tokens": -5', 0),
    ],
)
def test_the_tokens_that_are_asked_for_however_they_are_written(fields, tokens):
    body = f'{{"model": "m"{"," if fields else ""}{fields}}}'.encode()
    found = bounds_of(unambiguous(body))
    each = 100 if found.answer_tokens is None else found.answer_tokens
    assert each * found.answers == tokens


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "code_execution_20250825", "name": "c"}]}, "code_execution_20250825"),
        ({"web_search_options": {"search_context_size": "high"}}, "web_search_options"),
        ({"tools": ["?"]}, "?"),
    ],
)
def test_what_a_maker_runs_has_no_bound(asked, name):
    assert bounds(**asked).charged_tool == name
