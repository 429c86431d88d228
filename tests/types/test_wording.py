"""Questions that differ in one word are found, unless that word is what they ask about."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.types.dataset import Message, Sample
from freehold.types.identity import Wordings, connected, near_ids, words

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


def test_a_place_that_many_words_fill_is_what_is_asked_about():
    towns = ["Rome", "Oslo", "Lima", "Kiel"]
    asked = [f"what is the weather in {town}" for town in towns]
    assert Wordings(map(said, asked[:3])).near(said("what is the weather in Bonn")) == {0, 1, 2}
    assert Wordings(map(said, asked)).near(said("what is the weather in Bonn")) == set()
    again = Wordings(map(said, [*asked, *asked]), within=True)
    assert again.near(said(asked[0])) == {0, 4}


def test_in_writing_without_spaces_a_character_is_a_word():
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
