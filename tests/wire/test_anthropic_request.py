"""Requests of Anthropic's Messages API as chat requests."""

import json

import pytest

from freehold.wire.anthropic_request import request_to_openai
from freehold.wire.errors import ApiError

ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "where?"}]}
BEGUN = [*ASKED["messages"], {"role": "assistant", "content": "It is"}]


def translated(*, begun=None, **more):
    return json.loads(request_to_openai(json.dumps({**ASKED, **more}).encode(), begun=begun))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking with a budget is not possible"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "clear_tool_uses"),
        ({"output_config": {"task_budget": {"total": 9}}}, "task_budget is not possible"),
        ({"speed": "fast"}, "speed is not possible"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "role critic"),
        ({"messages": BEGUN}, "begins the answer"),
        ({"system": [{"type": "image"}]}, "block of type image"),
    ],
)
def test_what_it_has_no_word_for_is_refused(more, words):
    with pytest.raises(ApiError, match=words) as error:
        translated(**more)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "more",
    [
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "adaptive"}},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        {"service_tier": "auto", "mcp_servers": [], "speed": None},
    ],
)
def test_what_says_nothing_about_the_answer_is_no_reason_to_refuse(more):
    assert translated(**more) == translated()


def test_effort_and_forms_are_words_of_both():
    schema = {"type": "object"}
    chat = translated(output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}})
    assert chat["reasoning_effort"] == "low"
    assert chat["response_format"]["json_schema"]["schema"] == schema
    older = translated(output_format={"type": "json_schema", "schema": schema})
    assert older["response_format"] == chat["response_format"]


def test_an_answer_begun_by_the_client_is_gone_on_with_where_that_can_be():
    assert translated(messages=BEGUN, begun={})["messages"][-1] == BEGUN[-1]
    assert translated(messages=BEGUN, begun={"continue_final_message": True})["continue_final_message"]
