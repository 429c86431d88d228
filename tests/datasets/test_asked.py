import json

from freehold.datasets.asked import all_asked, asked_context, is_step, last_turn, normalized_question
from freehold.types.dataset import Message, Sample

LONG = "where is the lamp that I ordered on Tuesday for my sister?"


def sample(*turns):
    return Sample(id="0" * 32, messages=tuple(Message(role=role, content=said) for role, said in turns))


def test_one_turn_asks_what_its_last_message_says():
    one = sample(("system", "be brief"), ("user", "earlier"), ("user", " Refund   PLEASE"))
    assert normalized_question(one) == normalized_question(one, step=True) == "refund please"
    assert not is_step(one)


def test_a_stock_phrase_is_another_question_in_another_conversation():
    first = sample(("user", "my lamp is broken"), ("assistant", "sorry"), ("user", "thanks!"))
    other = sample(("user", "my tent is wet"), ("assistant", "sorry"), ("user", "thanks!"))
    alone = sample(("user", "thanks!"))
    assert is_step(first)
    assert len({normalized_question(one) for one in (first, other, alone)}) == 3
    again = sample(("user", "My lamp  is broken"), ("assistant", "oh no"), ("user", "Thanks!"))
    assert normalized_question(first) == normalized_question(again), "answers are not what is asked"


def test_a_long_question_after_examples_is_compared_by_itself():
    shots = [("user", "an example"), ("assistant", "its label")]
    behind = sample(*shots, ("user", LONG))
    assert normalized_question(behind) == normalized_question(sample(("user", LONG)))
    assert normalized_question(behind, step=True) != normalized_question(sample(("user", LONG)))


def test_results_of_tools_are_asked_and_their_field_names_are_not():
    result = json.dumps({"order": {"state": "lost", "days": [3, None]}})
    one = sample(("user", LONG), ("assistant", None), ("tool", result))
    assert last_turn(one) == "lost 3"
    assert asked_context(one) == f"{LONG}\nlost 3"
    assert all_asked(one) == LONG
    assert normalized_question(one) != normalized_question(sample(("user", LONG)))
