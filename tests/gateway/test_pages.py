"""What a gateway answers itself: health, models, attributions, metrics."""

import json
import time
import urllib.error
import urllib.request

import anthropic
import openai
import pytest
from tests.gateway.asking import QUESTION, get, metric, post
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, trace_of
from tests.gateway.proxy.mixtures import own, rule_for

from freehold import __version__
from freehold.gateway.config import ApiKey
from freehold.gateway.http.health import Health
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.pages import unanswered
from freehold.gateway.proxy.relay import ARM_HEADER
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.store.search import search
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.route import Route, Target
from freehold.types.trace import TraceQuery

pytestmark = pytest.mark.process


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
        Endpoint(name="gone", engine="llamacpp", base_url=f"http://127.0.0.1:{claim_port()}"),
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


def test_a_mixture_needs_the_incumbent():
    rule = rule_for(own("new", "http://127.0.0.1:1"))
    assert red(route("promoted", deferral=rule), old=DOWN, new=UP)


def readiness(running):
    try:
        return 200, json.loads(get(running, "/ready"))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_candidate_that_is_down_does_not_take_the_gateway_out(upstream, tmp_path):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="new", engine="llamacpp", base_url=f"http://127.0.0.1:{claim_port()}"),
    )
    routes = (route("canary", canary_share=0.5, incumbent=Target(endpoint="incumbent")),)
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=routes) as running:
        status, told = readiness(running)
        assert status == 200 and told["endpoints"] == {"incumbent": True, "new": False}
        assert told["why"] == {"new": "endpoint new cannot be reached"}
        upstream.answer = lambda seen: plain({}, status=500)
        began = time.monotonic()
        told = eventually(lambda: (seen := readiness(running)[1]).get("unanswered_routes") and seen)
        assert time.monotonic() - began < 5
        assert told["status"] == "ready" and "incumbent: it answers with" in told["unanswered_routes"]["r"]
        assert metric(running, 'freehold_route_unanswered{route="r"}') == 1


def test_a_provider_that_is_slow_or_gone_takes_no_gateway_out(upstream, tmp_path):
    """It is the same for every replica, and all of them would leave the service at once."""
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="niche", engine="remote", base_url=f"http://127.0.0.1:{claim_port()}"),
    )
    routes = (route("incumbent", candidate=None, incumbent=Target(endpoint="niche")),)
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=routes) as running:
        assert eventually(lambda: readiness(running)[0] == 200)
        upstream.answer = lambda seen: plain(ANSWER, delay=4)
        began = time.monotonic()
        status, told = readiness(running)
        assert status == 200 and told["unanswered_routes"] == {"r": "niche: endpoint niche cannot be reached"}
        assert time.monotonic() - began < 3, "a probe of this process waits for no other host"


def test_a_gateway_of_engines_alone_is_out_while_none_of_them_answers(upstream, tmp_path):
    own = Endpoint(name="local", engine="llamacpp", base_url=upstream.base_url, models=ANY_SERVED)
    with gateway(upstream, tmp_path, endpoints=(own,)) as running:
        assert eventually(lambda: readiness(running)[0] == 200)
        upstream.answer = lambda seen: plain({}, status=503)
        assert eventually(lambda: readiness(running)[0] == 503)


def test_a_wrong_key_of_the_incumbent_is_told(upstream, tmp_path, monkeypatch):
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
        assert status == 200 and told["why"] == {"incumbent": "it refuses the key in READY_KEY (401)"}


@pytest.fixture(scope="module")
def seen(_upstream, candidate, tmp_path_factory):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=_upstream.base_url, models=ANY_SERVED),
        Endpoint(name="own", engine="remote", base_url=candidate.base_url),
    )
    sides = {"incumbent": Target(endpoint="incumbent"), "candidate": Target(endpoint="own")}
    routes = (
        Route(name="half", model="half", state="canary", canary_share=0.5, sticky="user", **sides),
        Route(name="all", model="all", state="promoted", **sides),
    )
    folder = tmp_path_factory.mktemp("seen")
    with gateway(_upstream, folder, endpoints=endpoints, routes=routes, workers=2) as running:
        yield running


def asked(model, **more):
    return {**QUESTION, "model": model, **more}


MESSAGES = {"model": "all", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ASKED = {
    "/v1/chat/completions": asked("all"),
    "/v1/messages": MESSAGES,
    "/v1/responses": {"model": "all", "input": "hi"},
}


@pytest.mark.parametrize("path", ASKED)
def test_an_answer_says_whose_it_is_in_every_api(seen, upstream, candidate, path):
    status, headers, _ = post(seen, ASKED[path], path=path)
    assert (status, headers[ARM_HEADER]) == (200, "candidate")
    status, headers, _ = post(seen, {**ASKED[path], "model": "m"}, path=path)
    assert (status, headers[ARM_HEADER]) == (200, "incumbent")
    _, headers, _ = post(seen, ASKED[path], path=path, headers={ARM_HEADER: "off"})
    assert ARM_HEADER not in headers


@pytest.mark.parametrize("name", ["x-request-id", "apim-request-id"])
def test_a_trace_is_found_by_what_the_upstream_calls_it(seen, upstream, name):
    upstream.answer = lambda seen: plain(ANSWER, headers={name: f"req-{name}"})
    _, headers, _ = post(seen, asked("m", user="ada"))
    trace = trace_of(seen, headers["x-freehold-trace-id"])
    assert trace.upstream_id == f"req-{name}"

    def found():
        with open_store(seen.config.store_url) as store:
            query = TraceQuery(upstream_id=f"req-{name}", user="ada", text="way", status="200")
            return search(store.database, query).traces

    (one,) = eventually(found)
    assert (one.id, one.endpoint, one.user) == (trace.id, "incumbent", "ada")


def test_a_request_without_a_user_stays_on_its_conversations_arm(seen, upstream, candidate):
    arms = []
    for number in range(12):
        said = [{"role": "user", "content": f"conversation {number}"}]
        turns = []
        for _ in range(4):
            turns.append(post(seen, asked("half", messages=said))[1][ARM_HEADER])
            said = [*said, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and?"}]
        assert len(set(turns)) == 1
        arms.append(turns[0])
    assert set(arms) == {"incumbent", "candidate"}
    named = {post(seen, asked("half", user="ada"))[1][ARM_HEADER] for _ in range(4)}
    assert len(named) == 1
    text = get(seen, "/metrics").decode()
    # The other worker's numbers are a second late.
    eventually(
        lambda: 'freehold_requests_without_user_total{route="half"} 48.0' in get(seen, "/metrics").decode()
    )
    log = seen.log.read_text()
    assert 1 <= log.count("sticky by") <= 2 and text  # once a worker
