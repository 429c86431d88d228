import json

import pytest

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


def test_several_calls_keep_their_order_and_need_no_arguments():
    assert read_calls("[f(x=1), a.g()]") == [Call("f", {"x": 1}), Call("a.g", {})]
    assert read_calls('[{"name": "f", "arguments": ""}, {"name": "g"}]') == [Call("f", {}), Call("g", {})]


def test_a_variable_is_compared_by_its_name():
    assert read_calls("f(x=city)") == [Call("f", {"x": "city"})]


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
