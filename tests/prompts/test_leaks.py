"""What a prompt may not carry, and what it may."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prompts.modelled import SYSTEM, samples

from freehold.prompts.leaks import RUN_WORDS, LeakCheck, words
from freehold.types.dataset import Message, Sample


def sample(id, text, gold):
    return Sample(id=id, messages=(Message(role="user", content=text),), gold=gold)


VALIDATION = sample("v1", "I would like my blue bicycle bell replaced before the race on Sunday", "returns")
HELD_OUT = sample("h1", "Where is order QX-48213 now, please tell me", json.dumps({"order": "QX-48213"}))
SHORT = sample("h2", "my lamp hums at night", "It hums because its coil is loose")
CHECK = LeakCheck(
    [("train", samples(30, prefix="t")), ("validation", [VALIDATION]), ("held_out", [HELD_OUT, SHORT])],
    [SYSTEM, "billing", "delivery", "returns"],
)


@pytest.mark.parametrize(
    ("text", "split"),
    [
        (
            "If a user says: I would like my blue bicycle bell replaced before noon, answer returns.",
            "validation",
        ),
        ("I WOULD LIKE MY BLUE\nBICYCLE-BELL, replaced before the", "validation"),
        ("I would like my bl\u200bue bicycle bell replaced before", "validation"),
        ("The order is always qx 48213.", "held-out"),
        ("e.g. my lamp hums at night -> repair", "held-out"),
        ("Say: it hums because its coil is loose!", "held-out"),
        ("Sort like this: t 4: my parcel from week 4 is not what I had hoped it would be", "training"),
    ],
)
def test_texts_and_answers_of_samples_are_found_however_they_are_written(text, split):
    found = CHECK.found_in(text)
    assert found is not None and f"a {split} sample" in found
    assert "bicycle" not in found and "48213" not in found, "what was found is not repeated"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{SYSTEM} Answer with billing, delivery or returns. Orders are numbers.",
        "Messages about a bell or a lamp are returns; orders begin with two letters.",
        "parcel from week is not what I had hoped",  # shorter than a run
    ],
)
def test_rules_labels_and_the_application_s_own_words_are_no_leak(text):
    assert CHECK.found_in(text) is None


def test_what_many_samples_share_is_no_leak():
    shared = "is not what I had hoped it would be"
    assert len(words(shared)) >= RUN_WORDS
    assert CHECK.found_in(f"Many write that something {shared}.") is None


def test_scripts_without_spaces_are_compared_letter_by_letter():
    japanese = sample("h", "注文した商品がまだ届いていないのですが確認してください", "delivery")
    check = LeakCheck([("held_out", [japanese])], [])
    assert check.found_in("例：商品がまだ届いていないのですが") is not None
    assert check.found_in("丁寧に答えてください") is None


def test_parts_of_a_message_count_and_what_is_not_text_does_not():
    parts = [{"type": "text", "text": "one two three four five six seven eight"}, {"type": "image_url"}, "?"]
    held = Sample(
        id="h", messages=(Message(role="user", content=parts), Message(role="assistant")), gold=None
    )
    check = LeakCheck([("held_out", [held])], [])
    assert check.found_in("say one two three four five six seven eight nine") is not None


@given(
    st.lists(st.sampled_from(["amber", "birch", "cedar", "dune", "elm", "fir", "grove"]), min_size=8),
    st.data(),
)
def test_any_run_of_a_sample_is_found_wherever_it_stands(text, data):
    held = sample("h", " ".join(text), "returns")
    start = data.draw(st.integers(0, len(text) - RUN_WORDS))
    around = data.draw(st.text("xyz ,.\n", max_size=30))
    check = LeakCheck([("held_out", [held])], [])
    assert check.found_in(f"{around} {' '.join(text[start : start + RUN_WORDS])} {around}") is not None


@given(st.text())
def test_nothing_is_found_where_there_is_nothing_to_find(text):
    assert LeakCheck([("held_out", [])], []).found_in(text) is None
