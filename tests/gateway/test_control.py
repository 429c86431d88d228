"""Routes that change while traffic flows, and what users say of answers."""

import concurrent.futures
import json
import time
from datetime import UTC, datetime

import msgspec
import pytest
from tests.gateway.asking import FORM, QUESTION, TOOLS, call, get, post, structured
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, trace_of, traces_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.record import event_id
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process


@pytest.fixture
def endpoints(upstream, candidate):
    candidate.reset()
    candidate.answer = lambda seen: plain({**ANSWER, "model": "candidate"})
    adapter = ServedModel(
        name="base:ft", upstream_name="base", extra_body={"lora": [{"id": 0, "scale": 1.0}]}
    )
    return (
        Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=candidate.base_url, models=(adapter,)),
    )


ROUTE = Route(
    name="support",
    model="m",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="candidate", model="base:ft"),
    sticky="user",
)


def change(running, **changes):
    with open_store(running.config.store_url) as store:
        route = msgspec.structs.replace(ROUTE, **changes)
        return store.save_route(route, who="test", at=datetime.now(UTC))


def answered_by(running, **more):
    return json.loads(post(running, {**QUESTION, **more})[2])["model"]


def test_a_changed_route_is_live_in_every_worker(upstream, candidate, endpoints, tmp_path):
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=(ROUTE,), workers=2) as running:
        assert answered_by(running) == "m"
        for state, model in (("promoted", "candidate"), ("rolled_back", "m")):
            change(running, state=state)
            # Each request comes over a connection of its own, so both workers are asked.
            eventually(lambda wanted=model: {answered_by(running) for _ in range(30)} == {wanted})
        sent = candidate.seen[0].json
        assert (sent["model"], sent["lora"]) == ("base", [{"id": 0, "scale": 1.0}])
        assert "authorization" not in candidate.seen[0].headers


def test_a_canary_keeps_each_user_on_one_arm(module_gateway, upstream, endpoints):
    def said_by(user):
        return {answered_by(module_gateway, model="half", user=user) for _ in range(3)}

    arms = {user: said_by(user) for user in map(str, range(20))}
    assert all(len(seen) == 1 for seen in arms.values())
    assert {next(iter(seen)) for seen in arms.values()} == {"m", "candidate"}
    traces = eventually(
        lambda: (
            len(found := [one for one in traces_of(module_gateway) if one.route == "half"]) == 60 and found
        )
    )
    assert {trace.share for trace in traces} == {0.5}
    assert len({trace.assignment_key for trace in traces}) == 20
    assert {trace.endpoint for trace in traces if trace.arm == "candidate"} == {"candidate"}


@pytest.mark.parametrize(
    ("asked", "said", "model"),
    [
        ({"response_format": FORM}, structured('{"intent":"refund"}'), "candidate"),
        ({"response_format": FORM}, structured('{"intent":"poem"}'), "m"),
        ({"tools": TOOLS}, structured(None, tool_calls=call("find", '{"order":1}')), "candidate"),
        ({"tools": TOOLS}, structured(None, tool_calls=call("find", "{}")), "m"),
        ({"tools": TOOLS}, structured("no tool needed"), "candidate"),
    ],
)
def test_a_candidate_that_breaks_the_schema_is_not_shown(
    module_gateway, upstream, candidate, endpoints, asked, said, model
):
    candidate.answer = lambda seen: plain(said)
    assert answered_by(module_gateway, **asked) == model


@pytest.fixture(scope="module")
def module_gateway(_upstream, candidate, tmp_path_factory):
    """A promoted route and a canary, for tests that only change what the endpoints answer."""
    adapter = ServedModel(name="base:ft", upstream_name="base")
    endpoints = (
        Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=_upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=candidate.base_url, models=(adapter,)),
    )
    promoted = msgspec.structs.replace(ROUTE, state="promoted", first_byte_ms=1500)
    half = msgspec.structs.replace(ROUTE, name="half", model="half", state="canary", canary_share=0.5)
    with gateway(
        _upstream,
        tmp_path_factory.mktemp("control"),
        endpoints=endpoints,
        routes=(promoted, half),
        breaker_failures=99,
    ) as running:
        yield running


def test_feedback_joins_its_trace(shared, upstream):
    _, headers, _ = post(shared, QUESTION)
    trace_id = headers["x-freehold-trace-id"]
    path = "/freehold/v1/feedback"
    body = {"trace_id": trace_id, "thumb": "down", "gold": "refund", "comment": "wrong intent"}
    assert post(shared, body, path=path)[0] == 200
    trace = trace_of(shared, trace_id)
    assert trace.gold == "refund" and trace.metadata["feedback"]["thumb"] == "down"
    assert post(shared, {"trace_id": "nobody"}, path=path)[0] == 404
    assert post(shared, {"trace_id": trace_id, "thumb": "sideways"}, path=path)[0] == 400


def test_feedback_belongs_to_the_key_that_made_the_trace(upstream, tmp_path):
    roles = {"mine": "use", "other": "use", "boss": "admin"}
    keys = tuple(ApiKey(name=name, hash=hash_of(name), role=role) for name, role in roles.items())
    path = "/freehold/v1/feedback"
    with gateway(upstream, tmp_path, api_keys=keys) as running:
        _, headers, _ = post(running, QUESTION, headers={"x-api-key": "mine"})
        body = {"trace_id": headers["x-freehold-trace-id"], "gold": "refund"}
        assert trace_of(running, body["trace_id"]).api_key == "mine"
        for key, status in (("other", 404), ("mine", 200), ("boss", 200)):
            assert post(running, body, path=path, headers={"x-api-key": key})[0] == status
        assert trace_of(running, body["trace_id"]).metadata["feedback"]["key"] == "boss"
        with open_store(running.config.store_url) as store:
            assert "mine" in store.get_trace(body["trace_id"]).api_key


def test_ids_that_nobody_made_hold_nothing_up(shared):
    path = "/freehold/v1/feedback"
    now = event_id(int(time.time() * 1000))
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(post, shared, {"trace_id": now}, path=path, timeout=60) for _ in range(60)]
        assert get(shared, "/metrics"), "no thread is held by those that wait"
        assert {one.result()[0] for one in asked} == {404}
