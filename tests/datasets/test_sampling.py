from datetime import UTC, datetime

import msgspec
import pytest

from freehold.datasets.building import make_samples
from freehold.datasets.sampling import Recipe, calls_unoffered, sample_of
from freehold.evals.asking import chat_request
from freehold.types.dataset import SPLITS, Message, Sample
from freehold.types.endpoint import ServedModel
from freehold.types.evaluation import Task
from freehold.types.trace import Trace

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q":"lamp"}'}}
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {}}}]


def trace(answer="yes", *, gold=None, tools=None, metadata=None, question="q", **changes):
    message = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
    request = {"messages": [{"role": "user", "content": question}]}
    return Trace(
        id=str(changes),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        source="test",
        model="m",
        request=request | ({"tools": tools} if tools else {}),
        response={"choices": [{"message": message}]},
        gold=gold,
        metadata=metadata or {},
        **changes,
    )


def sample(*args, **changes):
    return sample_of(trace(*args, **changes), Recipe())


def test_tool_calls_stay_messages():
    one = sample({"role": "assistant", "content": None, "tool_calls": [CALL]}, tools=TOOLS)
    assert one.answer == (Message(role="assistant", content=None, tool_calls=[CALL]),)
    assert msgspec.json.decode(one.target) == [CALL]


@pytest.mark.parametrize(
    "gold", ['[{"name":"find","arguments":{"q":"lamp"}}]', msgspec.json.encode([CALL]).decode()]
)
def test_a_right_answer_of_calls_is_taught_as_calls(gold):
    (message,) = sample("no idea", gold=gold, tools=TOOLS).answer
    assert message.tool_calls[0]["function"] == CALL["function"]
    assert sample("no idea", gold=gold).answer == (Message(role="assistant", content=gold),)


@pytest.mark.parametrize("gold", ["[broken", "[1]", "[]", '[{"find":{"q":["lamp"]}}]'])
def test_a_right_answer_that_is_no_list_of_calls_stays_text(gold):
    assert sample("no idea", gold=gold, tools=TOOLS).answer == (Message(role="assistant", content=gold),)


def test_a_call_is_of_an_offered_tool_or_not():
    def one(tools, *names, **more):
        calls = [
            {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in names
        ]
        return calls_unoffered(sample({"role": "assistant", "tool_calls": calls}, tools=tools, **more))

    assert one(TOOLS, "other") and one(TOOLS, "find", "other")
    assert not one(TOOLS, "find")
    assert not one(None, "other"), "a log may not keep what was offered"
    assert not one([*TOOLS, {"type": "web_search"}], "other"), "the API has tools of its own"
    assert not one(TOOLS, "other", gold="words are right")
    dotted = [{"type": "function", "function": {"name": "shop.find"}}]
    assert not one(dotted, "shop_find") and one(dotted, "shop.buy")
    assert not calls_unoffered(sample("words", tools=TOOLS))


def test_an_answer_that_was_disliked_is_marked_unless_a_right_one_was_given():
    up, down = {"feedback": {"thumb": "up"}}, {"feedback": {"thumb": "down"}}
    assert sample(metadata=down).disliked and sample(desirable=False).disliked
    assert not sample(metadata=up).disliked and not sample(desirable=True).disliked
    corrected = sample("no", metadata=down, gold="yes")
    assert corrected.target == "yes" and not corrected.disliked


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_of_one_question_the_answer_that_was_not_disliked_stays(order):
    made = make_samples([trace(str(liked), desirable=liked) for liked in order], Recipe())
    (kept,) = [one for name in SPLITS for one in made.by_split[name]]
    assert kept.incumbent == "True" and not kept.disliked
    assert made.dropped == {"same request again": 1}


def test_a_malformed_request_is_counted_not_raised():
    bad = msgspec.structs.replace(trace(), request={"messages": [{"content": "no role"}]})
    assert make_samples([bad], Recipe()).dropped == {"messages not as the chat API spells them": 1}


def test_weights_are_kept_and_never_sent():
    one = sample({"role": "assistant", "content": "x", "weight": 0})
    assert one.answer[0].weight == 0
    asked = Sample(id="1", messages=(Message(role="assistant", content="x", weight=1),))
    body = chat_request(asked, ServedModel(name="m", upstream_name="m"), Task(name="t", scorer="exact"))
    assert body["messages"] == [{"role": "assistant", "content": "x"}]
