"""What engines skip of a JSON schema."""

import pytest

from freehold.engines.constraints import unenforced

PLAIN = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green"]},
        "age": {"type": "integer", "minimum": 0},
        "day": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
        # Names of the user's own are no keywords.
        "not": {"type": "string"},
        "contains": {"$ref": "#/$defs/part"},
    },
    "$defs": {
        "part": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    },
    "required": ["colour"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("engine", ["llamacpp", "ollama", "vllm", "remote", "echo"])
def test_what_all_can_hold_is_not_complained_of(engine):
    assert unenforced(PLAIN, engine) == ()


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"type": "number", "minimum": 0}, "minimum of a number"),
        ({"type": "string", "format": "email"}, "format email"),
        ({"type": "string", "pattern": "[A-Z]"}, "pattern without ^ and $"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "https://example.com/schema.json"}, "$ref to https://example.com/schema.json"),
        ({"properties": {}, "oneOf": [{}]}, "properties next to anyOf"),
    ],
)
def test_llama_cpp_skips(part, what):
    nested = {"type": "object", "properties": {"a": {"type": "array", "items": part}}}
    assert unenforced(nested, "llamacpp") == (f"$.properties.a.items: {what}",)


def test_vllm_has_a_second_way_for_some_of_it():
    assert unenforced({"type": "string", "format": "email"}, "vllm") == ()
    assert unenforced({"type": "array", "uniqueItems": True}, "vllm") == ("$: uniqueItems",)
    assert unenforced({"type": "array", "uniqueItems": False}, "vllm") == ()


def test_nonsense_is_nobodys_schema():
    loop = {"properties": {}}
    loop["properties"]["again"] = loop
    assert unenforced(loop, "llamacpp") == () and unenforced(None, "llamacpp") == ()
    assert unenforced({"anyOf": "x", "properties": [1]}, "vllm") == ()
