"""What a recorded turn is; and arguments compared by a tool's schema: what may differ, what may not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.turns import (
    Leeway,
    difference,
    reference_turn,
    refusal_pattern,
)
from freehold.types.dataset import Sample

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["Celsius", "Fahrenheit"]},
        "nights": {"type": "integer"},
        "price": {"type": "number"},
        "note": {"type": ["string", "null"]},
        "reason": {"type": "string", "default": "other"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "guest": {"$ref": "#/$defs/guest"},
        "when": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "limit": {"type": "integer", "default": 10},
    },
    "required": ["city"],
    "$defs": {
        "guest": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "default": 30}},
            "required": ["name"],
        }
    },
}


def code(one, other, **leeway):
    found = difference(one, other, SCHEMA, Leeway(**leeway))
    return None if found is None else found.code


@pytest.mark.parametrize(
    ("given", "expected", "wanted"),
    [
        ({"city": "Bern"}, {"city": "Bern"}, None),
        ({"city": " Bern "}, {"city": "Bern"}, None),
        ({"city": "bern"}, {"city": "Bern"}, "wrong_value"),
        ({}, {"city": "Bern"}, "missing_required"),
        ({"city": "Bern", "unit": "celsius"}, {"city": "Bern", "unit": "Celsius"}, None),
        ({"city": "Bern", "unit": "Fahrenheit"}, {"city": "Bern", "unit": "Celsius"}, "wrong_value"),
        ({"city": "Bern", "nights": 2.0}, {"city": "Bern", "nights": 2}, None),
        ({"city": "Bern", "nights": True}, {"city": "Bern", "nights": 1}, "wrong_type"),
        ({"city": "Bern", "reason": "other"}, {"city": "Bern"}, None),
        ({"city": "Bern"}, {"city": "Bern", "reason": "other"}, None),
        ({"city": "Bern", "reason": "late"}, {"city": "Bern"}, "unexpected_argument"),
        ({"city": "Bern"}, {"city": "Bern", "reason": "late"}, "missing_argument"),
        ({"city": "Bern", "note": None}, {"city": "Bern"}, None),
        ({"city": "Bern", "limit": None}, {"city": "Bern"}, "unexpected_argument"),
        ({"city": "Bern", "made_up": 1}, {"city": "Bern"}, "unexpected_argument"),
        ({"city": "Bern", "tags": ["a"]}, {"city": "Bern", "tags": ["a", "a"]}, "wrong_value"),
        (
            {"city": "Bern", "guest": {"name": "Li", "age": 30}},
            {"city": "Bern", "guest": {"name": "Li"}},
            None,
        ),
        ({"city": "Bern", "when": 3}, {"city": "Bern", "when": 3}, None),
    ],
)
def test_what_the_schema_lets_differ(given, expected, wanted):
    assert code(given, expected) == wanted


def test_leeway_is_only_where_it_is_said():
    asked = {"city": "Bern", "price": 100.0, "tags": ["a", "b"], "note": "x"}
    other = {"city": "Bern", "price": 100.4, "tags": ["b", "a"], "note": "y"}
    assert code(other, asked) == "wrong_value"
    full = {"tolerance": 0.005, "sets": frozenset({"tags"}), "ignored": frozenset({"note"})}
    assert code(other, asked, **full) is None
    assert code({**other, "price": 101.0}, asked, **full) == "wrong_value"
    assert code({**other, "tags": ["b", "b"]}, asked, **full) == "wrong_value"
    assert code({"city": "new-york"}, {"city": "New York"}, lenient=True) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=4), JSON, max_size=4)


@given(OBJECTS, JSON)
def test_equal_arguments_never_differ_whatever_the_schema(arguments, schema):
    assert difference(arguments, arguments, {"properties": {}}) is None
    assert difference(arguments, arguments, schema) is None


@given(OBJECTS, OBJECTS)
def test_without_a_schema_neither_side_is_favoured(one, other):
    assert (difference(one, other, {}) is None) == (difference(other, one, {}) is None)


def test_nesting_without_end_is_a_fault_and_no_crash():
    deep = {"a": 1}
    for _ in range(200):
        deep = {"a": deep}
    assert difference(deep, deep, {}).code == "too_deep"
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert difference({"x": 1}, {"x": 1}, loop) is None


SAMPLE = Sample(id="s", messages=())
OFFERED = frozenset({"f", "math_add"})
PATTERN = refusal_pattern()
CALL = json.dumps([{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}])


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        (CALL, "call"),
        (json.dumps(json.loads(CALL) * 2), "parallel calls"),
        ('[{"f": {"x": [1, 2]}}]', "call"),
        ('[{"name": "f", "arguments": {"x": 1}}]', "call"),
        ("[math.add(x=1)]", "call"),
        ("[]", "no call"),
        ("It is on its way.", "text"),
        ('[{"items": {"a": [1]}}]', "text"),
        ('{"intent": "refund"}', "text"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I’m unable to share other people's orders.", "refusal"),
        ("I can't find your order. Is the number right?", "text"),
    ],
)
def test_what_a_recorded_turn_is(reference, kind):
    assert reference_turn(reference, SAMPLE, OFFERED, PATTERN).kind == kind


def test_the_apis_own_mark_makes_a_refusal():
    marked = Sample(id="s", messages=(), incumbent="No.", metadata={"refusal": True})
    assert reference_turn("No.", marked, OFFERED, PATTERN).kind == "refusal"
    assert reference_turn("Yes.", marked, OFFERED, PATTERN).kind == "text", (
        "gold is not the answer that was marked"
    )
