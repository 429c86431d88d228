"""`/ready` follows routes: it goes red where somebody would get no answer, and for nothing else."""

import json
import time
import urllib.error

import pytest
from tests.gateway.asking import get
from tests.gateway.loopback import eventually, gateway, plain
from tests.gateway.proxy.mixtures import own, rule_for

from freehold.gateway.http.health import Health
from freehold.gateway.readiness import unanswered
from freehold.gateway.serve import free_port
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

UP, DOWN = Health(True), Health(False, "down")


def route(state, **more):
    values = {"name": "r", "model": "m", "incumbent": Target(endpoint="old"), "state": state, **more}
    return Route(**{"candidate": Target(endpoint="new"), **values})


def red(one, *, old, new, spare=UP):
    return "r" in unanswered([one], {"old": old, "new": new, "spare": spare})


@pytest.mark.parametrize(
    ("state", "share", "old_down", "new_down"),
    [
        ("incumbent", 0.0, True, False),
        ("shadow", 0.0, True, False),
        ("rolled_back", 0.0, True, False),
        ("canary", 0.0, True, False),
        ("canary", 0.1, True, False),
        ("canary", 1.0, False, False),
        ("promoted", 0.0, False, False),
    ],
)
def test_a_route_needs_whoever_answers_it_now(state, share, old_down, new_down):
    one = route(state, canary_share=share)
    assert not red(one, old=UP, new=UP)
    assert red(one, old=DOWN, new=UP) is old_down
    assert red(one, old=UP, new=DOWN) is new_down
    assert red(one, old=DOWN, new=DOWN)
    assert not red(route(state, canary_share=share, fallback=(Target(endpoint="spare"),)), old=DOWN, new=DOWN)


@pytest.mark.parametrize(("down", "is_red"), [("error", True), ("candidate", False)])
def test_a_mixture_needs_the_incumbent_unless_its_rule_has_another_way(down, is_red):
    rule = rule_for(own("new", "http://127.0.0.1:1"), incumbent_down=down)
    assert red(route("promoted", deferral=rule), old=DOWN, new=UP) is is_red


def readiness(running):
    try:
        return 200, json.loads(get(running, "/ready"))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_candidate_that_is_down_does_not_take_the_gateway_out(upstream, tmp_path):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="new", engine="llamacpp", base_url=f"http://127.0.0.1:{free_port()}"),
    )
    routes = (route("canary", canary_share=0.5, incumbent=Target(endpoint="incumbent")),)
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=routes) as running:
        status, told = readiness(running)
        assert status == 200 and told["endpoints"] == {"incumbent": True, "new": False}
        assert told["why"] == {"new": "endpoint new cannot be reached"}
        upstream.answer = lambda seen: plain({}, status=500)
        began = time.monotonic()
        status, told = eventually(lambda: (seen := readiness(running))[0] == 503 and seen)
        assert time.monotonic() - began < 5
        assert (
            told["status"] == "not ready" and "incumbent: it answers with" in told["unanswered_routes"]["r"]
        )


def test_a_wrong_key_of_the_incumbent_is_not_ready(upstream, tmp_path, monkeypatch):
    monkeypatch.setenv("READY_KEY", "sk-revoked")
    endpoint = Endpoint(
        name="incumbent",
        engine="remote",
        base_url=upstream.base_url,
        models=ANY_SERVED,
        api_key_env="READY_KEY",
    )
    upstream.answer = lambda seen: plain({}, status=401)
    with gateway(upstream, tmp_path, endpoints=(endpoint,)) as running:
        status, told = readiness(running)
        assert status == 503 and told["why"] == {"incumbent": "it refuses the key in READY_KEY (401)"}
