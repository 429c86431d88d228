"""What is read of a request, whatever stands in it, and whether an answer fits its response format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.engines.encoder.form import misfit
from freehold.engines.encoder.requests import read_chat, read_json
from freehold.types.encoder import EncoderManifest, FieldHead
from freehold.wire.errors import ApiError

MANIFEST = EncoderManifest(
    base_model="b",
    base_sha256="0",
    width=2,
    answer="label",
    fields=(FieldHead(name="", kind="one", labels=("a",)),),
)


def test_the_users_last_message_is_read():
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Sort it."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "last"}]},
        ],
    }
    assert read_chat(body, MANIFEST).texts == ("last",)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["role", "content", "type", "text", "model"]), inner, max_size=3
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        [
            "messages",
            "stop",
            "tools",
            "n",
            "max_tokens",
            "logprobs",
            "top_logprobs",
            "response_format",
            "stream_options",
            "modalities",
            "logit_bias",
        ]
    ),
)
def test_whatever_stands_in_a_field_is_read_or_refused(value, name):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: value}
    try:
        read_chat(body, MANIFEST)
    except ApiError as error:
        assert error.status == 400


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_an_error(data):
    try:
        assert isinstance(read_json(data), dict)
    except ApiError as error:
        assert error.status == 400


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
        {"type": "object"},
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
        (of(count={"const": True}), "$.count: True was expected"),
        (of(urgent={"type": "integer"}), "$.urgent: True is not of type"),
        ({**of(intent={}), "additionalProperties": False}, "$.urgent: it may not be there"),
        ({"required": ["other"]}, "'other' is a required property"),
        (of(tones={"items": {"enum": ["angry"]}}), "$.tones[0]"),
        (of(tones={"maxItems": 0}), "expected to be empty"),
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
