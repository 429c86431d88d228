"""What is the same question, and what is not."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.datasets.traces import trace

from freehold.datasets.building import make_samples
from freehold.datasets.sampling import Recipe
from freehold.types.dataset import Message, Sample
from freehold.types.identity import answer_id, item_key, looked_at, question_id, stated_at

WORDS = st.text(st.characters(exclude_categories=["Z", "Cc", "Cs"]), min_size=1, max_size=6)
SPACE = st.text(" \t\n\r\u00a0\u2003", min_size=1, max_size=3)
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1, "b": [2]}'}}


def user(text, role="user", **more):
    return {"role": role, "content": text, **more}


@given(st.lists(WORDS, min_size=1), st.lists(SPACE, min_size=1), st.text(max_size=20))
def test_neither_spacing_nor_instructions_make_another_question(words, spaces, instructions):
    plain = " ".join(words)
    spaced = "".join(word + spaces[n % len(spaces)] for n, word in enumerate(words))
    asked = question_id([user(plain)])
    assert question_id([user(instructions, "system"), user(spaces[0] + spaced)]) == asked
    assert question_id([user(spaced), user(instructions, "developer")]) == asked
    assert question_id([Message(role="user", content=[{"type": "text", "text": plain}])]) == asked


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), WORDS), min_size=1, max_size=4), WORDS)
def test_every_turn_belongs_to_the_question(turns, more):
    said = [user(text, role) for role, text in turns]
    assert question_id([*said, user(more)]) != question_id(said)
    assert question_id([user(more), *said[1:]]) != question_id(said) or said[0] == user(more)


def test_a_sample_and_a_plain_request_give_the_same_id():
    request = [
        user("q"),
        user(None, "assistant", tool_calls=[CALL]),
        user("3", "tool", tool_call_id="call_1"),
    ]
    assert question_id(msgspec.convert(request, tuple[Message, ...])) == question_id(request)
    assert len(question_id(request)) == 16


def test_ids_of_calls_and_the_spelling_of_arguments_do_not_count():
    def history(id, arguments, *, name="find", turned=False):
        call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        other = {"id": "x", "type": "function", "function": {"name": "list", "arguments": "{}"}}
        calls = [other, call] if turned else [call, other]
        return [user("q"), user(None, "assistant", tool_calls=calls), user("3", "tool", tool_call_id=id)]

    one = question_id(history("call_1", '{"a": 1, "b": [2]}'))
    assert question_id(history("call_9", '{"b":[2],"a":1}', turned=True)) == one
    assert question_id(history("call_1", '{"a": 2, "b": [2]}')) != one
    assert question_id(history("call_1", '{"a": 1, "b": [2]}', name="look")) != one


def test_pictures_count():
    def shown(url):
        return [user([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}])]

    assert question_id(shown("a")) != question_id(shown("b")) != question_id([user("what?")])


def test_where_all_is_instruction_the_instruction_is_the_question():
    assert question_id([user("one", "system")]) != question_id([user("two", "system")])


def test_broken_characters_have_an_id_too():
    assert question_id([user("\ud800")]) != question_id([user("\ud801")])


def sample(text="q", **more):
    return Sample(id="s", messages=(Message(role="user", content=text),), **more)


def tools(*names):
    return [
        {"type": "function", "function": {"name": name, "description": str(len(names))}} for name in names
    ]


def test_the_same_words_asked_with_other_tools_or_for_another_form_are_other_items():
    form = {"type": "json_schema", "json_schema": {"name": "order", "schema": {}}}
    keys = {
        item_key(one)
        for one in (
            sample(),
            sample(tools=tools("a")),
            sample(tools=tools("a", "b")),
            sample(response_format=form),
        )
    }
    assert len(keys) == 4
    assert item_key(sample(tools=tools("b", "a"))) == item_key(sample(tools=tools("a", "b")))
    edited = {"type": "json_schema", "json_schema": {"name": "order", "schema": {"type": "object"}}}
    assert item_key(sample(response_format=edited)) == item_key(sample(response_format=form))
    assert item_key(sample(response_format={"type": "text"})) == item_key(sample())


def test_of_personal_data_only_its_kind_counts_for_looks():
    one, other = (sample(f"mail <EMAIL_{key}> now") for key in ("1f0c9a2b", "00000000"))
    assert looked_at(one) == looked_at(other) != looked_at(sample("mail <PHONE_1f0c9a2b> now"))
    assert item_key(one) != item_key(other), "within a dataset they are two"


@pytest.mark.parametrize(
    "other", ["WHERE IS MY CARD", "Where is my card?", "where  is my card!!!", '"Where is my card"']
)
def test_another_spelling_is_no_other_item_to_look_at(other):
    assert looked_at(sample(other)) == looked_at(sample("where is my card"))


@pytest.mark.parametrize(
    ("one", "other"), [("is it 3-4?", "is it 3+4?"), ("?", "!"), ("why", "how"), ("5 %", "5 €")]
)
def test_what_says_something_else_stays_another_item(one, other):
    assert looked_at(sample(one)) != looked_at(sample(other))


def test_right_answers_that_say_the_same():
    assert answer_id("Yes ") == answer_id("yes") != answer_id("no")
    assert answer_id('{"a": 1, "b": 2}') == answer_id(json.dumps({"b": 2, "a": 1}, indent=2))
    assert answer_id(None) == bytes(8) and answer_id("") != bytes(8)


def test_what_was_said_last_counts():
    def at(day):
        return datetime(2026, 1, day, tzinfo=UTC)

    asked = msgspec.structs.replace(trace(1, "q", gold="a"), at=at(1))
    imported = msgspec.structs.replace(asked, imported_at=at(3))
    told = msgspec.structs.replace(imported, metadata={"feedback": {"at": at(5).isoformat()}})
    assert [stated_at(one).day for one in (asked, imported, told)] == [1, 3, 5]
    assert stated_at(msgspec.structs.replace(told, metadata={"feedback": {"at": "soon"}})).day == 3


def test_of_two_golds_for_one_question_the_later_feedback_counts():
    def told(number, gold, day):
        return trace(number, "the same", gold=gold, feedback={"at": f"2026-02-{day:02}T00:00:00+00:00"})

    for first, second in (("a", "b"), ("b", "a")):
        later = [told(1, first, 9), told(2, second, 3)]
        for traces in (later, later[::-1]):
            made = make_samples(traces, Recipe())
            (found,) = [one for split in made.by_split.values() for one in split]
            assert found.gold == first and made.conflict_count == 1
