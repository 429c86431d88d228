"""Whether an answer fits a response format, judged so that no schema can hang it."""

import pytest

from freehold.engines.encoder.form import misfit
from freehold.types.encoder import EncoderManifest, FieldHead

OBJECT = '{"intent": "track", "urgent": true, "tones": ["polite"], "count": 1, "nothing": null}'


def manifest(answer="json"):
    return EncoderManifest(
        base_model="b", base_sha256="0", width=2, answer=answer, fields=(FieldHead(name="", kind="one"),)
    )


def why(schema, answer=OBJECT, kind="json"):
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    return misfit(form, answer, manifest(kind))


def of(**properties):
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        of(intent={"enum": ["track", "cancel"]}, urgent={"type": "boolean"}),
        of(nothing={"type": ["string", "null"]}, count={"type": "integer", "const": 1}),
        of(tones={"type": "array", "items": {"type": "string"}, "maxItems": 3}),
        {"$ref": "#/$defs/a", "$defs": {"a": of(intent={"$ref": "#/$defs/b"}), "b": {"type": "string"}}},
        of(intent={"anyOf": [{"type": "null"}, {"type": "string", "minLength": 1}]}),
        {"allOf": [of(intent={"type": "string"}), {"required": ["intent", "count"]}]},
        of(intent={"type": "string", "pattern": "(a+)+$"}),
        {"patternProperties": {"(a+)+$": {}}, "additionalProperties": True},
    ],
)
def test_an_answer_that_fits(schema):
    if schema is True:
        assert why(schema) == "response_format has no schema"
    else:
        assert why(schema) is None


@pytest.mark.parametrize(
    "schema, reason",
    [
        ({"type": "array"}, "is not of type 'array'"),
        (of(intent={"enum": ["buy"]}), "$.intent: 'track' is not one of ['buy']"),
        ({**of(intent={}), "additionalProperties": False}, "$.urgent: it may not be there"),
        ({"required": ["other"]}, "'other' is a required property"),
        (of(tones={"items": {"enum": ["angry"]}}), "$.tones[0]"),
        (of(intent={"oneOf": [{"type": "string"}, {"minLength": 2}]}), "is valid under each of"),
        ({"$ref": "https://example.com/schema"}, "the schema cannot be read"),
        ({"$ref": "#/$defs/none"}, "the schema cannot be read"),
        ({"$ref": "#"}, "the schema cannot be read"),
        (of(tones={"minItems": "many"}), "the schema cannot be read"),
    ],
)
def test_an_answer_that_does_not_fit(schema, reason):
    assert reason in why(schema)


def test_a_schema_that_multiplies_is_given_up():
    parts = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 9} for n in range(40)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**parts, "a40": {"type": "array"}}}
    assert why(schema) == "the schema cannot be read"


def test_other_forms():
    assert misfit({"type": "text"}, "track", manifest("label")) is None
    assert misfit({"type": "json_object"}, OBJECT, manifest()) is None
    assert "a JSON list" in misfit({"type": "json_object"}, '["a"]', manifest("labels"))
    assert why({"type": "array"}, '["a"]', "labels") is None
    assert "not with JSON" in why({"type": "string"}, "track", "label")
    assert "must be text" in misfit({"type": "xml"}, "track", manifest("label"))
