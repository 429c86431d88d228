"""The route and endpoint a request goes to, the translation between, and the fields that reach an engine."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import gateway

from freehold.gateway.proxy.engine_fields import known_fields
from freehold.gateway.proxy.routing import RouteTable, decide, unit_position
from freehold.gateway.proxy.translation import API_ROUTES, translation_for
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.engine import ENGINE_KINDS
from freehold.types.route import Route, Target
from freehold.wire import openai
from freehold.wire.errors import ApiError


def route(**changes):
    values = {
        "name": "support",
        "model": "gpt-4o",
        "incumbent": Target(endpoint="openai"),
        "candidate": Target(endpoint="local", model="small"),
        **changes,
    }
    return Route(**values)


def endpoint(name, *models, **more):
    served = tuple(ServedModel(name=model, upstream_name=f"up-{model}") for model in models)
    return Endpoint(name=name, engine="echo", base_url="http://127.0.0.1:1", models=served, **more)


@given(st.text(min_size=1), st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.floats(0, 1))
def test_a_key_stays_on_the_candidate_when_the_share_grows(key, draw, one, other):
    small, large = sorted((one, other))
    first = decide(route(state="canary", canary_share=small), key, draw)
    later = decide(route(state="canary", canary_share=large), key, draw)
    assert not (first.arm == "candidate" and later.arm == "incumbent")
    assert first.share == pytest.approx(small if first.arm == "candidate" else 1 - small)


def test_keys_are_spread_evenly_and_differently_per_route():
    places = [unit_position("support", f"user-{number}") for number in range(4000)]
    assert sum(place < 0.1 for place in places) == pytest.approx(400, abs=80)
    others = [unit_position("sales", f"user-{number}") for number in range(4000)]
    both = sum(a < 0.1 and b < 0.1 for a, b in zip(places, others, strict=True))
    assert both == pytest.approx(40, abs=30)


def test_without_a_key_each_request_is_drawn():
    canary = route(state="canary", canary_share=0.25, shadow_share=0.5)
    arms = [decide(canary, None, draw / 1000) for draw in range(1000)]
    assert sum(found.arm == "candidate" for found in arms) == 250
    assert sum(found.shadow is not None for found in arms) == pytest.approx(375, abs=2)


def test_the_narrowest_route_wins():
    table = RouteTable(
        [
            route(name="all", model="*"),
            route(name="plain"),
            route(name="beta", match_headers={"x-beta": "1"}),
            route(name="team", match_keys=("team-a",)),
        ],
        [endpoint("openai"), endpoint("local")],
    )
    find = lambda model, headers, key: table.find(model, headers.get, key).name  # noqa: E731
    assert find("gpt-4o", {}, None) == "plain"
    assert find("gpt-4o", {"x-beta": "1"}, "team-a") == "beta"
    assert find("gpt-4o", {}, "team-a") == "team"
    assert find("anything", {}, None) == "all"


def test_models_without_a_route():
    table = RouteTable([], [endpoint("local", "base", "base:ft")])
    assert table.direct("base:ft").target.endpoint == "local"
    assert table.model_names() == ["base", "base:ft"]
    with pytest.raises(ApiError, match="does not exist here") as error:
        table.direct("../../etc/passwd" + "x" * 1000)
    assert error.value.status == 404 and len(error.value.message) < 250


def test_an_endpoint_answers_what_its_list_or_a_route_names_and_nothing_else():
    silent = RouteTable([], [endpoint("local", "base"), endpoint("candidate")])
    with pytest.raises(ApiError, match="does not exist here"):
        silent.direct("gpt-4o")
    table = RouteTable([], [endpoint("candidate"), endpoint("remote", "*", "named")])
    assert table.direct("anything").target.endpoint == table.direct("*").target.endpoint == "remote"
    assert table.model_names() == ["named"]


def between(path, engine="llamacpp", api="openai"):
    return translation_for(API_ROUTES[path], Endpoint(name="e", engine=engine, api=api, base_url="http://x"))


@pytest.mark.parametrize(
    ("path", "where", "upstream"),
    [
        ("/v1/messages", {}, "/v1/chat/completions"),
        ("/v1/chat/completions", {"engine": "remote", "api": "anthropic"}, "/v1/messages"),
        ("/v1/messages/count_tokens", {"engine": "vllm"}, "/tokenize"),
        ("/v1/messages/count_tokens", {"engine": "ollama"}, "/api/chat"),
    ],
)
def test_where_a_translated_request_goes(path, where, upstream):
    assert between(path, **where).path == upstream


@pytest.mark.parametrize(
    ("path", "where", "why"),
    [
        ("/v1/embeddings", {"engine": "remote", "api": "anthropic"}, "has no embeddings"),
        ("/v1/completions", {"engine": "remote", "api": "anthropic"}, "has no completions"),
        ("/v1/messages/count_tokens", {"engine": "remote"}, "cannot count tokens"),
    ],
)
def test_what_cannot_be_translated_is_refused(path, where, why):
    with pytest.raises(ApiError, match=why) as refused:
        between(path, **where)
    assert refused.value.status == 400


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


@pytest.mark.process
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
