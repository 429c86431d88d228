"""What is the same question, and what is not."""

import json
import random
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.datasets.traces import trace

from freehold.datasets.building import make_samples
from freehold.datasets.sampling import Recipe
from freehold.types.dataset import Message, Sample
from freehold.types.identity import (
    Wordings,
    answer_id,
    connected,
    item_key,
    looked_at,
    near_ids,
    question_id,
    stated_at,
    words,
)

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


def test_pictures_instructions_alone_and_broken_characters_count():
    def shown(url):
        return [user([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}])]

    assert question_id(shown("a")) != question_id(shown("b")) != question_id([user("what?")])
    assert question_id([user("one", "system")]) != question_id([user("two", "system")])
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


ASKED = "how do I change the address on my account"
BESIDE = [ASKED, "where is my card", "what is the weather in Rome today", "please close my account"]
SOME = st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=8)


def said(text):
    return words(Sample(id="s", messages=(Message(role="user", content=text),)))


KNOWN = Wordings([said(text) for text in BESIDE])


@pytest.mark.parametrize(
    "text",
    [
        "how do I change the adress on my account",
        "how do I xqzwv the address on my account",
        "how do I change the on my account",
        "Please, how do I change the ADDRESS on my account?!",
        "on my account: how do I change the address",
    ],
)
def test_a_garbled_or_missing_word_and_another_order_are_near(text):
    assert KNOWN.near(said(text)) == {0}


@pytest.mark.parametrize(
    "text",
    [
        "how do I close the address on my account",  # a word that another question has
        "how do I change the 4711 on my account",  # a number is none that was mistyped
        "how do I change it on my acount",
        "my card",
        "",
    ],
)
def test_another_question_is_not(text):
    assert KNOWN.near(said(text)) == set()


def test_a_place_that_many_words_fill_is_what_is_asked_about_and_a_character_may_be_a_word():
    towns = ["Rome", "Oslo", "Lima", "Kiel"]
    asked = [f"what is the weather in {town}" for town in towns]
    assert Wordings(map(said, asked[:3])).near(said("what is the weather in Bonn")) == {0, 1, 2}
    assert Wordings(map(said, asked)).near(said("what is the weather in Bonn")) == set()
    again = Wordings(map(said, [*asked, *asked]), within=True)
    assert again.near(said(asked[0])) == {0, 4}
    known = Wordings([said("我的信用卡在哪里")])
    assert known.near(said("我的信用卡在哪")) == {0} and known.near(said("我要开账户")) == set()


def test_a_picture_counts():
    def shown(url):
        parts = [
            {"type": "text", "text": "what is on this"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        return words(Sample(id="s", messages=(Message(role="user", content=parts),)))

    assert Wordings([shown("a1")]).near(shown("b2")) == set()


def shared(one, other):
    ((mine,), (theirs,)) = near_ids([one]), near_ids([other])
    return set(mine) & set(theirs)


@given(SOME, st.integers(0, 7), st.randoms(use_true_random=False))
def test_ids_are_shared_by_those_that_differ_in_one_word_and_by_no_others(asked, place, draw):
    place %= len(asked)
    other = [*asked[:place], "new", *asked[place + 1 :]]
    draw.shuffle(other)
    assert shared(asked, other)
    two = [*other, "newer"]
    two.remove(next(word for word in other if word != "new"))
    assert not shared(asked, two)


def test_a_number_and_a_place_that_many_fill_have_no_id():
    assert not shared(said("where is order 4711 of mine"), said("where is order 4712 of mine"))
    towns = near_ids([said(f"what is the weather in {town}") for town in ("Rome", "Oslo", "Lima", "Kiel")])
    assert not set(towns[0]) & set(towns[1]) and all(len(one) == 6 for one in towns)


def test_nothing_is_compared_in_pairs():
    """Twenty thousand questions against as many, each found by its garbled copy."""
    draw = random.Random(0)
    asked = [[draw.choice("abcdefghij") * draw.randint(1, 9) for _ in range(12)] for _ in range(20_000)]
    known = Wordings(asked)
    assert all(place in known.near(["zzz", *one[1:]]) for place, one in enumerate(asked))


def test_what_is_joined_through_others_is_one():
    assert connected([(3, 1), (1, 4), (0, 2)], 6) == [0, 1, 0, 1, 1, 5]


def test_a_long_question_is_near_to_its_half_and_to_itself_with_words_before():
    text = "why was i charged twice for the same train ticket when i only bought one of them"
    asked = tuple(text.split())
    known = Wordings([asked, ("where", "is", "the", "nearest", "branch")])
    assert known.near(("hey", "could", "you", "please", "tell", "me", *asked)) == {0}
    assert known.near(asked[: len(asked) // 2]) == known.near(asked[-8:]) == {0}
    assert known.near(asked[:7]) == set(), "that many people write"
    assert known.near((*asked[:8], "at", "the", "shop", "in", "the", "station", "at", "night")) == set()
    assert known.near(("please", "where", "is", "the", "nearest", "branch", "in", "town")) == set()
    assert Wordings([asked, asked[:8]], within=True).near(asked[:8]) == {1}, "among themselves they are two"
