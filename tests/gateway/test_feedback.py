"""What users say of answers."""

import concurrent.futures
import time

import pytest
from tests.gateway.asking import QUESTION, get, post
from tests.gateway.loopback import gateway, trace_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of
from freehold.store import open_store
from freehold.types.record import event_id

pytestmark = pytest.mark.process


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
