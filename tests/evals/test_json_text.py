"""JSON and calls read out of text, compared and paired."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.text import (
    BrokenCall,
    Call,
    Fault,
    NotJson,
    first_unmatched,
    parse_json,
    read_calls,
    same,
)


@pytest.mark.parametrize(
    ("text", "accept", "value"),
    [
        (' {"a": 1}\n', "strict", {"a": 1}),
        ('```json\n{"a": 1}\n```', "fenced", {"a": 1}),
        ("Here: {broken} then [1, 2].", "anywhere", [1, 2]),
        ('{"a": {"b": 1}} and {"c": 2}', "anywhere", {"a": {"b": 1}}),
    ],
)
def test_how_much_around_the_value_is_accepted(text, accept, value):
    assert parse_json(text, accept) == value


@pytest.mark.parametrize(
    ("text", "accept"),
    [
        ('```json\n{"a": 1}\n```', "strict"),
        ('Here: {"a": 1}', "fenced"),
        ('{"a": NaN}', "fenced"),
        ("-Infinity", "anywhere"),
        ("", "fenced"),
        ("[" * 100_000, "anywhere"),
    ],
)
def test_anything_else_is_not_json(text, accept):
    with pytest.raises(NotJson):
        parse_json(text, accept)


@pytest.mark.parametrize(
    ("left", "right", "options", "holds"),
    [
        (1, 1.0, {}, True),
        (True, 1, {}, False),
        (0, None, {}, False),
        ("1", 1, {}, False),
        (102, 100, {"tolerance": 0.02}, True),
        ("e\u0301", "\u00e9", {}, True),
        ("New Order", "new_order", {}, False),
        ("New Order", "new_order", {"normalize": True}, True),
        ({"a": 1}, {"a": 1, "b": None}, {}, False),
        ([1, 2], [2, 1], {"ordered": False}, False),
        (["a", "b"], ["b", "a"], {"ordered": False}, True),
        (["a", "a"], ["a", "b"], {"ordered": False}, False),
        ({"x": [{"y": ["a", "b"]}]}, {"x": [{"y": ["b", "a"]}]}, {"ordered": False}, True),
    ],
)
def test_what_means_the_same(left, right, options, holds):
    assert same(left, right, **options) is holds


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
