"""Which fields of a request reach an engine, and that a rented endpoint gets all of them."""

import json

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import gateway

from freehold.gateway.proxy.engine_fields import known_fields
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.engine import ENGINE_KINDS
from freehold.wire import openai
from freehold.wire.errors import ApiError

pytestmark = pytest.mark.process

LOCAL, RENTED = ENGINE_KINDS["llamacpp"], ENGINE_KINDS["remote"]


def deep(levels):
    schema = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def schema(**what):
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", **what}}}


def fields(kind=LOCAL, **more):
    return known_fields(kind, openai.raw_fields(json.dumps({**QUESTION, **more}).encode()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grammar", "root ::= " + "(" * 1000),
        ("json_schema", {"type": "object"}),
        ("n_discard", -1),
        ("n_probs", 1_000_000_000),
        ("max_tokens", 2**63),
        ("logit_bias", {"99999999999": 1}),
        ("stop", ["x"] * 100),
        ("response_format", deep(100)),
        ("response_format", schema(maxLength=10**9)),
    ],
)
def test_what_may_end_an_engine_is_refused_and_named(name, value):
    with pytest.raises(ApiError) as caught:
        fields(**{name: value})
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "unsupported_field", name)
    assert name in fields(RENTED, **{name: value})


def test_a_gateway_refuses_for_an_engine_and_passes_on_to_a_rented_endpoint(upstream, tmp_path):
    endpoints = (
        Endpoint(
            name="here",
            engine="llamacpp",
            base_url=upstream.base_url,
            models=(ServedModel(name="own", upstream_name="own"),),
        ),
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
    )
    with gateway(upstream, tmp_path, endpoints=endpoints) as running:
        body = {**QUESTION, "grammar": "root ::= x", "unknown": 1}
        status, _, said = post(running, {**body, "model": "own"})
        assert status == 400 and json.loads(said)["error"]["param"] == "grammar" and not upstream.seen
        assert post(running, {**QUESTION, "model": "own", "unknown": 1})[0] == 200
        assert post(running, body)[0] == 200
    assert "unknown" not in upstream.seen[0].json and upstream.seen[1].json["unknown"] == 1
