"""Calls read out of text, paired, and texts made alike."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.matching import Fault, first_unmatched
from freehold.evals.normalizing import collapsed, normalized_label, unfenced
from freehold.evals.tool_calls import BrokenCall, Call, read_calls

CALL = Call("book", {"city": "Bern", "nights": 2})
ARGUMENTS = {"city": "Bern", "nights": 2}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(
            [
                {
                    "id": "x",
                    "type": "function",
                    "function": {"name": "book", "arguments": json.dumps(ARGUMENTS)},
                }
            ]
        ),
        json.dumps({"name": "book", "arguments": ARGUMENTS}),
        json.dumps({"name": "book", "parameters": ARGUMENTS}),
        json.dumps([{"book": ARGUMENTS}]),
        "```json\n" + json.dumps({"book": ARGUMENTS}) + "\n```",
        "[book(city='Bern', nights=2)]",
        'book(nights=2, city="Bern")',
    ],
)
def test_one_call_in_every_spelling(text):
    assert read_calls(text) == [CALL]


@pytest.mark.parametrize("text", ["", "I can't book that.", "42", "[]", "[1, 2]", "null", "[book"])
def test_plain_words_are_not_a_call(text):
    assert read_calls(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"name": "f", "arguments": "{broken"}]', "arguments are not valid JSON"),
        ('{"name": "f", "arguments": [1]}', "arguments are not a JSON object"),
        ('{"a": {}, "b": {}}', "keys a, b"),
        ('{"name": "f", "arguments": {"x": 1}', "not valid JSON"),
        ('[{"name": "f" "x"}]', "not valid JSON"),
        ("f(1)", "an argument has no name"),
        ("f(**more)", "an argument has no name"),
    ],
)
def test_what_is_meant_as_a_call_and_cannot_be_read_is_broken(text, message):
    with pytest.raises(BrokenCall, match=message):
        read_calls(text)


BAD = Fault("bad", "")


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_a_pairing_is_found_exactly_where_one_exists(fits):
    faults = [[None if one else BAD for one in row] for row in fits]
    possible = any(
        all(fits[row][column] for row, column in enumerate(order)) for order in permutations(range(len(fits)))
    )
    assert (first_unmatched(faults) is None) == possible


@given(st.text())
def test_normalizing_twice_changes_nothing(text):
    assert normalized_label(normalized_label(text)) == normalized_label(text)
    assert collapsed(collapsed(text)) == collapsed(text)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```json\n{}\n```", "{}"),
        ("  ```\na\nb\n```  ", "a\nb"),
        ("``` \n x \n```", "x"),
        ("say ```x```", "say ```x```"),
        ("```a\nb", "```a\nb"),
        (" plain ", "plain"),
    ],
)
def test_only_a_fence_around_everything_is_taken_off(text, inside):
    assert unfenced(text) == inside
