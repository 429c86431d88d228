"""The API that looks at and changes a running gateway, and takes feedback."""

import json

import msgspec
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway, trace_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route, Target

ROUTE = Route(
    name="support",
    model="m",
    incumbent=Target(endpoint="incumbent"),
    candidate=Target(endpoint="candidate", model="base:ft"),
    sticky="user",
)


def test_the_admin_api(upstream, tmp_path):
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url),
        Endpoint(name="candidate", engine="llamacpp", base_url=upstream.base_url),
    )
    admin, plain_key = new_key(), new_key()
    keys = (
        ApiKey(name="boss", hash=hash_of(admin), admin=True),
        ApiKey(name="app", hash=hash_of(plain_key)),
    )
    with gateway(upstream, tmp_path, endpoints=endpoints, routes=(ROUTE,), api_keys=keys) as running:

        def ask(method, path, body=None, key=admin):
            import urllib.error
            import urllib.request

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
