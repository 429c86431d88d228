import pytest
from tests.evals.agent_log import TOOLS, call

from freehold.evals.tool_calls import Call
from freehold.evals.trajectories.recorded_tools import LEAST_LIKENESS, NO_RESULT, RecordedTools
from freehold.types.dataset import Message


def turn(*calls):
    return Message(role="assistant", content=None, tool_calls=list(calls))


def result(id, content):
    return Message(role="tool", content=content, tool_call_id=id)


TRANSCRIPT = (
    result("c2", "early"),  # a result before its call
    turn(call("c1", "find_order", order_id="A1"), call("c2", "escalate", why="the customer is very angry")),
    result("c1", "first"),
    turn(call("c3", "find_order", order_id="A1")),
    result("c3", "second"),
    turn({"id": "c4", "type": "function", "function": {"name": "stock", "arguments": "{broken"}}),
    turn(call("c5", "refund", order_id="A1", amount=5)),
)


def answers(*calls):
    tools = RecordedTools(TRANSCRIPT, TOOLS)
    return [tools.answer(Call(name, arguments)) for name, arguments in calls]


def test_the_same_call_again_gets_the_next_recorded_result():
    asked = ("find_order", {"order_id": "A1"})
    assert [one.content for one in answers(asked, asked, asked)] == ["first", "second", "second"]
    assert {one.how for one in answers(asked, asked, asked)} == {"exact"}


def test_nearly_the_same_words_get_the_nearest_result_and_say_how_near():
    (found,) = answers(("escalate", {"why": "the customer is really very angry"}))
    assert (found.how, found.content) == ("nearest", "early")
    assert LEAST_LIKENESS <= found.likeness < 1


@pytest.mark.parametrize(
    "asked",
    [
        ("find_order", {"order_id": "A2"}),
        ("escalate", {"why": "I like lamps"}),
        ("track", {"order_id": "A1"}),
        ("stock", {"sku": "x"}),
        ("unknown", {}),
    ],
)
def test_another_order_is_another_order(asked):
    (found,) = answers(asked)
    assert (found.how, found.content) == ("miss", NO_RESULT)
