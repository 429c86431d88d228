"""What a gateway answers itself: health, models, attributions, metrics."""

import json
import time
import urllib.error
import urllib.request

import anthropic
import ollama
import openai
import pytest
from tests.gateway.asking import QUESTION, client, get, post, ready
from tests.gateway.loopback import ANSWER, eventually, gateway, plain
from tests.gateway.proxy.mixtures import own, rule_for

from freehold import __version__
from freehold.gateway.config import ApiKey
from freehold.gateway.http.health import Health
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.pages import unanswered
from freehold.gateway.serve import free_port
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process


def test_models_health_ready_metrics(shared, upstream):
    assert json.loads(get(shared, "/health")) == {"status": "ok"}
    assert ready(shared)["status"] == "ready"
    assert client(shared).models.list().object == "list"
    post(shared, QUESTION)
    text = get(shared, "/metrics").decode()
    assert 'freehold_requests_total{arm="incumbent",endpoint="incumbent",route="",status="200"}' in text
    assert "freehold_in_flight 0.0" in text


@pytest.fixture
def llama(shared):
    client = ollama.Client(host=shared.base_url)
    yield client
    client._client.close()


def test_ollama_lists_and_shows(llama, shared):
    assert llama.list().models == []
    assert "completion" in llama.show("m").capabilities


def test_licences_and_one_model_are_told_as_each_client_reads_them(upstream, tmp_path):
    served = (ServedModel(name="Some/Model-1", upstream_name="x"),)
    endpoint = Endpoint(name="one", engine="remote", base_url=upstream.base_url, models=served)
    licences = {"a/b": "a/b\nBuilt with A\n", "c/d": "c/d\n"}
    with gateway(upstream, tmp_path, endpoints=(endpoint,), attributions=licences) as running:
        assert get(running, "/attribution").decode() == "a/b\nBuilt with A\n\nc/d\n"
        with openai.OpenAI(base_url=f"{running.base_url}/v1", api_key="x", max_retries=0) as client:
            assert client.models.retrieve("Some/Model-1").id == "Some/Model-1"
            with pytest.raises(openai.NotFoundError, match="'Some/Other' does not exist here"):
                client.models.retrieve("Some/Other")
        with anthropic.Anthropic(base_url=running.base_url, api_key="x", max_retries=0) as client:
            assert client.models.retrieve("Some/Model-1").type == "model"
            with pytest.raises(anthropic.NotFoundError) as error:
                client.models.retrieve("Some/Other")
        assert error.value.body["error"]["type"] == "not_found_error"


def test_who_opens_the_address_is_told_where_to_ask(shared):
    for method in ("GET", "HEAD"):  # Ollama's command line asks with HEAD
        request = urllib.request.Request(f"{shared.base_url}/", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
            assert (b"/v1" in answer.read()) == (method == "GET")


def test_a_key_is_told_of_the_models_it_may_ask_for_only(upstream, tmp_path):
    served = tuple(ServedModel(name=name, upstream_name=name) for name in ("one", "two"))
    endpoint = Endpoint(name="e", engine="remote", base_url=upstream.base_url, models=served)
    routes = tuple(
        Route(name=f"to-{name}", model=name, incumbent=Target(endpoint="e")) for name in ("three", "four")
    )
    scopes = {"all": {}, "model": {"models": ("two", "three")}, "route": {"routes": ("to-four",)}}
    keys = tuple(ApiKey(name=name, hash=hash_of(name), **scope) for name, scope in scopes.items())
    with gateway(upstream, tmp_path, endpoints=(endpoint,), routes=routes, api_keys=keys) as running:
        told = {}
        for name in scopes:
            with openai.OpenAI(base_url=f"{running.base_url}/v1", api_key=name, max_retries=0) as client:
                told[name] = {one.id for one in client.models.list()}
                seen = told[name] & {"one"}
                if seen:
                    assert client.models.retrieve("one").id == "one"
                else:
                    with pytest.raises(openai.PermissionDeniedError):
                        client.models.retrieve("one")
    assert told == {"all": {"one", "two", "three", "four"}, "model": {"two", "three"}, "route": {"four"}}


def test_metrics_say_how_the_endpoints_are_and_where_the_time_went(upstream, tmp_path):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url),
        Endpoint(name="gone", engine="llamacpp", base_url=f"http://127.0.0.1:{free_port()}"),
    )
    routes = (
        Route(name="r", model="m", incumbent=Target(endpoint="incumbent")),
        Route(name="moved", model="moved", state="promoted", incumbent=Target(endpoint="incumbent"),
              candidate=Target(endpoint="gone")),
    )  # fmt: skip
    upstream.answer = lambda seen: plain(ANSWER, delay=0.3)
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=routes) as running:
        for model in ("m", "moved"):
            assert post(running, {**QUESTION, "model": model})[0] == 200
        lines = get(running, "/metrics").decode().splitlines()
        for line in (
            'freehold_endpoint_up{endpoint="incumbent"} 1.0',
            'freehold_endpoint_up{endpoint="gone"} 0.0',
            'freehold_endpoint_info{endpoint="gone",engine="llamacpp",place="own"} 1.0',
            "freehold_ready 1.0",
            'freehold_upstream_seconds_count{endpoint="incumbent"} 2.0',
            # What the upstream takes is not the gateway's: a fallback's first try is before it is asked.
            'freehold_upstream_seconds_bucket{endpoint="incumbent",le="0.25"} 0.0',
            'freehold_added_seconds_count{route="moved"} 1.0',
            'freehold_rollbacks_total{route="r"} 0.0',
            f'freehold_build_info{{version="{__version__}"}} 1.0',
        ):
            assert line in lines, line
        assert not [
            line for line in lines if line.startswith('freehold_upstream_seconds_count{endpoint="gone"')
        ]


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
