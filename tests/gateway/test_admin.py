"""The API that looks at and changes a running gateway, and takes feedback."""

import concurrent.futures
import json
import time
import urllib.error
import urllib.request

import msgspec
import pytest
from tests.gateway.asking import QUESTION, get, post
from tests.gateway.loopback import eventually, gateway, trace_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import audit, open_store
from freehold.types.endpoint import Endpoint
from freehold.types.record import event_id
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process

ROUTE = Route(
    name="support",
    model="m",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="candidate", model="base:ft"),
    sticky="user",
)

ROUTE_ALONE = Route(name="support", model="m", incumbent=Target(endpoint="incumbent"))


def test_the_admin_api(upstream, tmp_path):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=upstream.base_url),
    )
    admin, plain_key = new_key(), new_key()
    keys = (
        ApiKey(name="boss", hash=hash_of(admin), role="admin"),
        ApiKey(name="app", hash=hash_of(plain_key)),
    )
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=(ROUTE,), api_keys=keys) as running:

        def ask(method, path, body=None, key=admin):
            request = urllib.request.Request(
                f"{running.base_url}/freehold/v1/{path}",
                None if body is None else json.dumps(body).encode(),
                {"authorization": f"Bearer {key}"},
                method=method,
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.status, json.load(error)

        assert ask("GET", "routes", key=plain_key)[0] == 403
        assert [route["name"] for route in ask("GET", "routes")[1]["routes"]] == ["support"]
        wanted = {**msgspec.to_builtins(ROUTE), "state": "promoted"}
        status, saved = ask(
            "PUT", "routes/support", {"route": wanted, "why": "looks good", "verdict_id": "v1"}
        )
        assert (status, saved["revision"]) == (200, 1)
        eventually(lambda: ask("GET", "routes")[1]["routes"][0]["state"] == "promoted")
        assert ask("PUT", "routes/support", {"route": wanted, "expected_revision": 0})[0] == 409
        assert ask("PUT", "routes/support", {"route": {**wanted, "canary_share": 7}})[0] == 400
        assert (
            ask("PUT", "routes/support", {"route": {**wanted, "incumbent": {"endpoint": "http://evil"}}})[0]
            == 400
        )
        for slip in ({"canary_shar": 0.5}, {"limits": {"concurency": 2}}):
            status, said = ask("PUT", "routes/support", {"route": {**wanted, **slip}})
            assert status == 400 and "a route has no field" in said["error"]["message"]
        twin = {"model": ROUTE.model, "incumbent": wanted["incumbent"]}
        status, said = ask("PUT", "routes/twin", {"route": twin})
        assert (status, said["error"]["code"]) == (409, "same_requests")
        history = ask("GET", "routes/support/history")[1]["history"]
        assert [(line["who"], line["why"], line["verdict_id"]) for line in history] == [
            ("boss", "looks good", "v1")
        ]
        assert (
            ask("DELETE", "routes/support?why=done")[0] == 200 and ask("DELETE", "routes/support")[0] == 404
        )
        assert ask("GET", "nothing")[0] == 404


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


def test_roles_of_the_admin_api(upstream, tmp_path):
    keys = tuple(ApiKey(name=role, hash=hash_of(role), role=role) for role in ("use", "read", "operate"))
    with gateway(upstream, tmp_path, routes=(ROUTE_ALONE,), api_keys=keys, capture="off") as running:

        def ask(method, key, body=None):
            request = urllib.request.Request(
                f"{running.base_url}/freehold/v1/routes" + ("/support" if method == "PUT" else ""),
                None if body is None else json.dumps(body).encode(),
                {"authorization": f"Bearer {key}"},
                method=method,
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                error.close()
                return error.code

        change = {"route": msgspec.to_builtins(ROUTE_ALONE), "why": "test"}
        assert [ask("GET", key) for key in ("use", "read", "operate")] == [403, 200, 200]
        assert [ask("PUT", key, change) for key in ("use", "read", "operate")] == [403, 403, 200]
        with open_store(running.config.store_url) as store:
            (entry,) = audit.entries(store.database)
        assert (entry.who, entry.why, entry.source) == ("operate", "test", "gateway, 127.0.0.1")
