import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.datasets.replacing import Replacer
from freehold.privacy import patterns
from freehold.types.dataset import Message, Sample

PARTS = st.sampled_from(
    [
        "ada@example.com",
        "+49 170 1234567",
        "4111 1111 1111 1111",
        "4111111111111111",
        "0170 1234567",
        "10.0.0.7",
        " ",
        ", ",
        "order 4711",
        "<EMAIL_0a1b2c3d>",
        "日本",
        "7",
        "-",
    ]
)


def replacer(key=b"k" * 32):
    return Replacer((patterns.find_secrets, patterns.find), key)


def sample(text, **fields):
    return Sample(id="s", messages=(Message(role="user", content=text),), **fields)


@given(st.lists(PARTS).map("".join))
def test_replacing_twice_is_replacing_once(text):
    once = replacer().text(text)
    again = replacer()
    assert again.text(once) == once
    assert not again.counts


@given(st.lists(PARTS).map("".join), st.text())
def test_the_same_value_has_the_same_placeholder_wherever_it_stands(before, after):
    one = replacer()
    placeholder = one.text("ada@example.com")
    assert placeholder in one.text(f"{before} ada@example.com {after}")
    assert one.text("ADA@example.com ") == f"{placeholder} "


def test_spelling_of_a_number_does_not_count():
    one = replacer()
    assert one.text("+49 170 1234567") == one.text("+49-170-1234567")
    assert one.text("+49 170 1234567") != one.text("+49 170 1234568")


def test_another_key_gives_other_placeholders():
    assert replacer().text("ada@example.com") != replacer(b"x" * 32).text("ada@example.com")


def test_question_answers_calls_group_and_metadata_agree():
    call = {"id": "call_0170 1234567", "function": {"name": "send", "arguments": '{"to": "ada@example.com"}'}}
    one = replacer()
    changed = one.sample(
        sample(
            [{"type": "text", "text": "I am ada@example.com"}],
            gold="ada@example.com",
            incumbent="mail ada@example.com",
            group="ada@example.com",
            metadata={"from": "ada@example.com", "n": 5},
            completion=(Message(role="assistant", content=None, tool_calls=[call]),),
        )
    )
    placeholder = changed.gold
    assert placeholder.startswith("<EMAIL_") and changed.group == placeholder
    assert changed.metadata == {"from": placeholder, "n": 5}
    assert changed.messages[0].content == [{"type": "text", "text": f"I am {placeholder}"}]
    (said,) = changed.completion
    assert said.tool_calls[0]["id"] == call["id"]
    assert msgspec.json.decode(said.tool_calls[0]["function"]["arguments"]) == {"to": placeholder}
    found = one.counts["EMAIL"]
    assert (found.found, found.different, found.samples) == (6, 1, 1)


def test_a_sample_without_finds_is_the_very_same():
    plain = sample("order 4711", gold="yes")
    assert replacer().sample(plain) is plain


@pytest.mark.parametrize("text", ["data:image/png;base64,0170 1234567", "", "hi"])
def test_left_alone(text):
    assert replacer().text(text) == text


def test_a_group_found_from_messages_is_no_card_number():
    one = replacer()
    assert one.text("5ce4631674059041") != "5ce4631674059041"
    assert replacer().sample(sample("hello", group="5ce4631674059041")).group == "5ce4631674059041"
    assert replacer().sample(sample("hello", group="4111111111111111")).group != "4111111111111111"
