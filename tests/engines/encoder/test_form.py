"""Answers of the encoder: their form, their tokens and probabilities, and whether they fit a response format."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.encoders.runner import EncodedText, Span
from freehold.engines.encoder.answers import answer, probabilities
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
        of(tones={"type": "array", "items": {"type": "string"}, "maxItems": 3}),
        {"$ref": "#/$defs/a", "$defs": {"a": of(intent={"$ref": "#/$defs/b"}), "b": {"type": "string"}}},
        of(intent={"anyOf": [{"type": "null"}, {"type": "string", "minLength": 1}]}),
        {"allOf": [of(intent={"type": "string"}), {"required": ["intent", "count"]}]},
        of(intent={"type": "string", "pattern": "(a+)+$"}),
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
        ({"type": "array"}, "asks for array"),
        (of(intent={"enum": ["buy"]}), '$.intent is "track", which is not in the schema\'s enum'),
        (of(count={"const": True}), "asks for true"),
        ({**of(intent={}), "additionalProperties": False}, "$.urgent may not be there"),
        (of(tones={"items": {"enum": ["angry"]}}), "$.tones[0]"),
        (of(intent={"oneOf": [{"type": "string"}, {"minLength": 2}]}), "meets 2 parts"),
        ({"$ref": "https://example.com/schema"}, "the schema cannot be read"),
        ({"$ref": "#"}, "the schema cannot be read"),
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


def manifest_of(answer, *fields, **more):
    return EncoderManifest(base_model="b", base_sha256="0", width=2, answer=answer, fields=fields, **more)


def read(*logits, spans=()):
    rows = tuple(np.array(one, np.float32) for one in logits)
    return EncodedText(5, 0, np.zeros(2, np.float32), rows, tuple(Span(*one) for one in spans))


def one(labels, name="", **more):
    return FieldHead(name=name, kind="one", labels=labels, **more)


def several(labels, name="", **more):
    return FieldHead(name=name, kind="several", labels=labels, **more)


def test_a_temperature_flattens_and_keeps_the_order():
    sharp, flat = (probabilities(one(("a", "b"), temperature=t), np.array([2.0, 0.0])) for t in (1, 4))
    assert sharp.sum() == pytest.approx(1) and flat.sum() == pytest.approx(1)
    assert sharp[0] == pytest.approx(1 / (1 + math.exp(-2)))
    assert flat[0] == pytest.approx(1 / (1 + math.exp(-0.5)))


def test_logits_beyond_all_bounds_give_probabilities():
    for kind in (one(("a", "b", "c")), several(("a", "b", "c"))):
        shares = probabilities(kind, np.array([1e4, -1e4, 0], np.float32))
        assert np.isfinite(shares).all() and shares[0] == pytest.approx(1)


def test_values_are_json_of_their_own_type():
    made = answer(
        manifest_of("json", one((True, False), "urgent"), one((None, 3, "3"), "level")),
        read([1, 0], [0, 9, 1]),
        "x",
    )
    assert made.text == '{"urgent": true, "level": 3}'
    assert made.probability == pytest.approx(1 / (1 + math.exp(-1)) * 0.99954, abs=1e-4)


def test_names_and_labels_are_escaped_as_json_and_kept_readable():
    made = answer(manifest_of("json", one(('say "hi"', "ü"), 'a "b"')), read([0, 5]), "x")
    assert json.loads(made.text) == {'a "b"': "ü"} and "ü" in made.text


def test_a_label_of_several_is_given_from_its_threshold():
    fields = several(("a", "b"), threshold=0.2)
    assert answer(manifest_of("labels", fields), read([-1, -2]), "x").text == '["a"]'
    assert answer(manifest_of("labels", several(("a", "b"))), read([-1, -2]), "x").text == "[]"


def test_the_copied_piece_is_the_surest_run_of_inside_tokens():
    field = FieldHead(name="number", kind="copied", copied_as="upper")
    text = "see ab 1 and cd2"
    spans = [(0, 0), (0, 3), (4, 6), (7, 8), (9, 12), (13, 15), (15, 16), (0, 0)]
    logits = [[5, 0], [5, 0], [0, 1], [0, 1], [5, 0], [0, 4], [0, 3], [0, 9]]
    made = answer(manifest_of("json", field), read(logits, spans=spans), text, top=2)
    assert made.text == '{"number": "CD2"}'
    assert [one for one, _ in made.tokens[0].likeliest] == ['{"number": "CD2"}', '{"number": null}']
    nothing = answer(manifest_of("json", field), read([[5, 0]] * 8, spans=spans), text)
    assert nothing.text == '{"number": null}' and nothing.probability == pytest.approx(0.9933, abs=1e-3)


def test_digits_of_a_piece_may_be_the_value():
    field = FieldHead(name="n", kind="copied", copied_as="number")
    made = answer(
        manifest_of("json", field), read([[0, 4], [0, 4]], spans=[(0, 3), (4, 7)]), "12. 345", top=1
    )
    assert json.loads(made.text) == {"n": 12345}


LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3)


@given(LOGITS, LOGITS, LOGITS, st.integers(1, 5))
def test_tokens_join_to_json_and_their_probabilities_multiply(first, second, third, top):
    fields = (one(("a", "b", "c"), "x"), several((1, 2, 3), "y"), one((None, True, "z"), "w"))
    made = answer(
        manifest_of("json", *fields, separators=(",", ":")), read(first, second, third), "t", top=top
    )
    assert list(json.loads(made.text)) == ["x", "y", "w"]
    assert 0 <= made.probability <= 1
    if made.probability > 1e-25:
        assert math.exp(sum(one.logprob for one in made.tokens)) == pytest.approx(made.probability, rel=1e-4)
    for token in made.tokens:
        assert len(token.likeliest) <= max(1, top) and token.likeliest[0] == (token.text, token.logprob)
        assert [share for _, share in token.likeliest] == sorted(
            (share for _, share in token.likeliest), reverse=True
        )
