"""Schemas of arguments as clients read them."""

import json

import jsonschema
import msgspec
import pytest

from freehold.agents.mcp.tool import ActArguments, Tool
from freehold.agents.mcp.tools import TOOLS


@pytest.mark.parametrize("name", TOOLS)
def test_schemas_are_valid_and_whole(name):
    schema = TOOLS[name].input_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    for reference in [one for one in json.dumps(schema).split('"') if one.startswith("#/")]:
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_what_a_schema_takes_is_what_a_call_takes():
    tool = TOOLS["compare_scores"]
    right = {"pairs": [[1, 0], [None, 1]], "margin": 0.1}
    jsonschema.validate(right, tool.input_schema())
    assert msgspec.convert(right, tool.arguments).pairs == [[1.0, 0.0], [None, 1.0]]
    for wrong in ({"pairs": [[1]], "margin": 0.1}, {"pairs": [[1, 0]], "margin": 1}, {"margn": 0.1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, tool.input_schema())
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, tool.arguments)


def test_nested_records_are_given_along():
    class Inner(msgspec.Struct):
        x: int

    class Outer(ActArguments, frozen=True, kw_only=True):
        inner: Inner

    schema = Tool("t", "T", "does", Outer, lambda call, asked: None).input_schema()
    assert schema["$defs"]["Inner"]["properties"] == {"x": {"type": "integer"}}
