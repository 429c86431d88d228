import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.proxy.routing import (
    RouteTable,
    decide,
    unit_position,
)
from freehold.types.endpoint import Endpoint, ServedModel
from freehold.types.route import Route, Target
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
