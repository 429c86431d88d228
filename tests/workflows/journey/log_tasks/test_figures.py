from datetime import UTC, datetime

from freehold.types.trace import Usage
from freehold.workflows.journey.log_tasks.figures import (
    ANSWERS,
    AskedRequest,
    Drawn,
    GroupFigures,
    distinct_questions,
    is_agent,
    languages,
)


def figures(*said, answer="yes", **more):
    made = GroupFigures()
    for text in said:
        request = {"messages": [{"role": "user", "content": text}]}
        response = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        logged = AskedRequest(request, response, "m", **more)
        made.add(logged, logged.asked())
    return made


def test_a_question_that_comes_again_is_one_sample():
    assert distinct_questions(figures("a", "b", " a ")) == 2
    assert distinct_questions(GroupFigures()) == 0


def test_counted_tokens_are_taken_and_missing_ones_estimated():
    counted = figures("hello", usage=Usage(prompt_tokens=7, completion_tokens=2))
    assert (counted.prompt_tokens, counted.completion_tokens, counted.estimated) == (7, 2, 0)
    guessed = figures("hello " * 100)
    assert guessed.estimated == 1 and guessed.prompt_tokens > 100


def test_at_most_so_many_are_kept_and_all_have_a_chance():
    drawn = Drawn[int]()
    for number in range(10 * ANSWERS):
        drawn.add(number)
    assert len(drawn.kept) == ANSWERS and max(drawn.kept) > 8 * ANSWERS and drawn.met == 10 * ANSWERS


def test_languages_are_told_or_unknown():
    assert languages(figures("what is the time in the city of London for you", "ok")) == {
        "en": 0.5,
        "unknown": 0.5,
    }


def test_an_agent_goes_on_after_calls():
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
    ]
    agent = GroupFigures()
    logged = AskedRequest({"messages": turns}, None, "m", at=datetime(2026, 1, 1, tzinfo=UTC))
    agent.add(logged, logged.asked())
    assert is_agent(agent) and agent.guess() is None
    assert not is_agent(figures("go"))
