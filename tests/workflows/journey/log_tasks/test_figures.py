from datetime import UTC, datetime

from freehold.types.trace import Usage
from freehold.workflows.journey.log_tasks.figures import (
    AskedRequest,
    GroupFigures,
    is_agent,
)


def figures(*said, answer="yes", **more):
    made = GroupFigures()
    for text in said:
        request = {"messages": [{"role": "user", "content": text}]}
        response = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        logged = AskedRequest(request, response, "m", **more)
        made.add(logged, logged.asked())
    return made


def test_counted_tokens_are_taken_and_missing_ones_estimated():
    counted = figures("hello", usage=Usage(prompt_tokens=7, completion_tokens=2))
    assert (counted.prompt_tokens, counted.completion_tokens, counted.estimated) == (7, 2, 0)
    guessed = figures("hello " * 100)
    assert guessed.estimated == 1 and guessed.prompt_tokens > 100


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
