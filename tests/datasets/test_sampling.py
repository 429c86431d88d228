"""What a request asks, and messages as the chat API spells them."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from freehold.datasets.building import make_samples
from freehold.datasets.messages import (
    all_asked,
    asked_context,
    chat_message,
    is_step,
    last_turn,
    message_text,
    normalized_question,
    refusal_of,
    text_of,
)
from freehold.datasets.sampling import Recipe, calls_unoffered, sample_of
from freehold.types.dataset import SPLITS, Message, Sample
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


LONG = "where is the lamp that I ordered on Tuesday for my sister?"


def sample_of_asked(*turns):
    return Sample(id="0" * 32, messages=tuple(Message(role=role, content=said) for role, said in turns))


def test_a_stock_phrase_is_another_question_in_another_conversation():
    first = sample_of_asked(("user", "my lamp is broken"), ("assistant", "sorry"), ("user", "thanks!"))
    other = sample_of_asked(("user", "my tent is wet"), ("assistant", "sorry"), ("user", "thanks!"))
    alone = sample_of_asked(("user", "thanks!"))
    assert is_step(first)
    assert len({normalized_question(one) for one in (first, other, alone)}) == 3
    again = sample_of_asked(("user", "My lamp  is broken"), ("assistant", "oh no"), ("user", "Thanks!"))
    assert normalized_question(first) == normalized_question(again), "answers are not what is asked"


def test_results_of_tools_are_asked_and_their_field_names_are_not():
    result = json.dumps({"order": {"state": "lost", "days": [3, None]}})
    one = sample_of_asked(("user", LONG), ("assistant", None), ("tool", result))
    assert last_turn(one) == "lost 3"
    assert asked_context(one) == f"{LONG}\nlost 3"
    assert all_asked(one) == LONG
    assert normalized_question(one) != normalized_question(sample_of_asked(("user", LONG)))


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_a_turn_that_calls_needs_no_content(content):
    message = chat_message({"role": "assistant", "tool_calls": [CALL], **content})
    assert message.tool_calls == [CALL] and not message.content


def test_a_refusal_is_what_was_said():
    given = {"role": "assistant", "content": None, "refusal": "I can't do that."}
    assert chat_message(given).content == message_text(given) == refusal_of(given) == "I can't do that."
    parts = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert message_text(parts) == refusal_of(parts) == text_of(parts["content"]) == "No."
    assert refusal_of({"role": "assistant", "content": "No.", "refusal": None}) is None
