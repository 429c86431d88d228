import json

import pytest
from tests.evals.scorers.conftest import score, value

from freehold.types.dataset import Sample

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "book",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "nights": {"type": "integer"},
                    "price": {"type": "number"},
                    "extras": {"type": "array", "items": {"type": "string"}},
                    "guest": {"type": "object"},
                    "note": {"type": ["string", "null"]},
                },
                "required": ["city", "nights"],
            },
        },
    }
]


BOOKING = Sample(id="s", messages=(), tools=TOOLS)


RECORDED = json.dumps(
    [
        {
            "id": "x",
            "type": "function",
            "function": {
                "name": "book",
                "arguments": '{"city":"Bern","nights":2,"price":99,"extras":["sea view"],"guest":{"name":"Li"}}',
            },
        }
    ]
)


def book(**changed):
    arguments = {
        "city": "Bern",
        "nights": 2,
        "price": 99.0,
        "extras": ["sea view"],
        "guest": {"name": "Li"},
    } | changed
    kept = {key: one for key, one in arguments.items() if one is not ...}
    return json.dumps(
        [{"id": "y", "type": "function", "function": {"name": "book", "arguments": json.dumps(kept)}}]
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (book(), None),
        (book(city="bern"), "wrong_value"),
        (book(city=...), "missing_required"),
        (book(price=...), "missing_argument"),
        (book(nights="2"), "wrong_type"),
        (book(nights=2.5), "wrong_type"),
        (book(nights=True), "wrong_type"),
        (book(extras=["sea view", "pool"]), "wrong_value"),
        (book(extras=[1]), "wrong_item_type"),
        (book(guest={"name": "Bo"}), "wrong_value"),
        (book(guest={"name": "Li", "age": 3}), "wrong_key"),
        (book(pool=True), "unexpected_argument"),
        ("I can't book that.", "no_call"),
        ("", "no_call"),
        (book().replace('"book"', '"cancel"'), "wrong_function"),
        (book()[:-1] + "," + book()[1:], "wrong_count"),
        ('[{"function": {"name": "book", "arguments": "{broken"}}]', "broken_call"),
        ('[{"function": "book"', "no_call"),
    ],
)
def test_tool_call_against_a_recorded_call(answer, reason):
    given = score("tool_call", answer, RECORDED, sample=BOOKING)
    if reason is None:
        assert given.value == 1.0
    else:
        assert given.value == 0.0
        assert given.reason.split(":")[0] == reason
        assert given.format_ok is (reason != "broken_call")


def test_tool_call_options():
    assert value("tool_call", book(city="bern"), RECORDED, sample=BOOKING, strings="lenient") == 1.0
    assert value("tool_call", book(city="Rome"), RECORDED, sample=BOOKING, ignore=["city"]) == 1.0
    assert value("tool_call", book(note=None), RECORDED, sample=BOOKING) == 0.0
    assert score("tool_call", "x", "not calls {", sample=BOOKING).value is None
    assert value("tool_call", "just words", "", sample=BOOKING) == 1.0


def test_tool_call_matches_calls_in_the_best_way():
    reference = json.dumps([{"f": {"x": [1, 2]}}, {"f": {"x": [1]}}])
    assert value("tool_call", "[f(x=1), f(x=2)]", reference) == 1.0
    assert value("tool_call", "[f(x=2), f(x=2)]", reference) == 0.0
