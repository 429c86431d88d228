"""Whether something is a JSON schema, and whether a grammar holds all of it."""

import pytest

from freehold.wire.output_schema import is_held, problem_of

NESTED = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue"]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 1, "maxItems": 3},
        "size": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
    },
    "required": ["colour"],
    "additionalProperties": False,
    "$defs": {"part": {"type": ["string", "null"], "maxLength": 5}},
}


@pytest.mark.parametrize(
    "schema", [NESTED, {}, True, {"type": "array", "items": [{}, {}]}, {"$ref": "#"}, {"prefixItems": [{}]}]
)
def test_what_is_a_schema(schema):
    assert problem_of(schema) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strin"}, "#: type 'strin' is not one of"),
        ({"properties": []}, "properties is not an object of schemas"),
        ({"required": "a"}, "required is not a list of names"),
        ({"items": "x"}, "#/items is a text"),
        ({"maxLength": "5"}, "maxLength is not a count"),
        ({"$ref": "#/$defs/missing"}, "does not lead into the schema"),
        ({"$ref": "https://example.com/schema"}, "does not lead into the schema"),
    ],
)
def test_what_is_none(schema, words):
    assert words in problem_of(schema)


@pytest.mark.parametrize(
    ("schema", "held"),
    [
        (NESTED, True),
        ({"type": "integer", "minimum": 5}, True),
        ({"type": "number", "minimum": 5}, False),
        ({"properties": {"a": {"type": "string", "pattern": "^a+$"}}}, False),
        ({"items": {"uniqueItems": True}}, False),
        ({"not": {}}, False),
        ({"$defs": {"a": {"multipleOf": 2}}}, False),
        ({"properties": {"not": {"type": "string"}}}, True),
    ],
)
def test_what_a_grammar_holds(schema, held):
    assert is_held(schema) is held
