"""Local keys: hashed, required where there are any, never sent on."""

import json
import urllib.error
from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.asking import QUESTION, get, post, ready
from tests.gateway.loopback import eventually, gateway

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import KeyRing, check_may, check_scope, hash_of, new_key
from freehold.store import open_store
from freehold.wire.errors import ApiError

pytestmark = pytest.mark.process


def test_keys_are_hashed_required_and_never_sent_on(upstream, tmp_path):
    key, admin = new_key(), new_key()
    keys = (
        ApiKey(name="app", hash=hash_of(key)),
        ApiKey(name="boss", hash=hash_of(admin), role="admin"),
    )
    with gateway(upstream, tmp_path, api_keys=keys, capture="off") as running:
        assert post(running, QUESTION)[0] == 401
        assert post(running, QUESTION, headers={"authorization": "Bearer fh-wrong"})[0] == 401
        assert post(running, QUESTION, headers={"authorization": f"Bearer {key}"})[0] == 200
        assert post(running, QUESTION, headers={"x-api-key": key})[0] == 200
        assert "authorization" not in upstream.seen[0].headers
        assert "x-api-key" not in upstream.seen[1].headers
        with open_store(running.config.store_url) as store:
            later = new_key()
            store.put(ApiKey(name="later", hash=hash_of(later)))
        shown = {"authorization": f"Bearer {later}"}
        eventually(lambda: post(running, QUESTION, headers=shown)[0] == 200)


def refusal(check, *arguments):
    with pytest.raises(ApiError) as error:
        check(*arguments)
    return error.value.status, error.value.code


def test_a_ring_without_its_keys_lets_nobody_in():
    keys = [ApiKey(name="a", hash=hash_of("fh-1"))]
    assert refusal(KeyRing([], waiting=True).check, None, None) == (503, "starting")
    assert refusal(KeyRing(keys, problem="lost").check, None, "fh-1") == (503, "keys_unavailable")
    assert refusal(KeyRing([], required=True).check, None, None) == (401, "invalid_api_key")


def test_an_expired_key_is_refused():
    old = ApiKey(name="old", hash=hash_of("fh-1"), expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    new = ApiKey(name="new", hash=hash_of("fh-2"), expires_at=datetime.now(UTC) + timedelta(hours=1))
    ring = KeyRing([old, new])
    assert refusal(ring.check, None, "fh-1") == (401, "expired_api_key")
    assert ring.check(None, "fh-2").name == "new"


def test_a_role_allows_what_it_says():
    def may(role):
        key = ApiKey(name="k", hash="x", role=role)
        return {what for what in ("ask", "look", "change", "keys") if key.may(what)}

    assert may("use") == {"ask"} and may("read") == {"look"} and may("operate") == {"look", "change"}
    assert may("admin") == {"ask", "look", "change", "keys"}
    assert refusal(check_may, ApiKey(name="k", hash="x", role="read"), "ask") == (403, "not_allowed")
    check_may(None, "ask")


def test_a_key_is_good_for_its_models_and_routes():
    key = ApiKey(name="k", hash="x", models=("a",), routes=("r",))
    check_scope(key, "a", "r")
    assert refusal(check_scope, key, "b", "r") == (403, "model_not_allowed")
    assert refusal(check_scope, key, "a", None) == (403, "route_not_allowed")


def test_roles_and_scopes_of_a_running_gateway(upstream, tmp_path):
    keys = (
        ApiKey(name="read", hash=hash_of("read"), role="read"),
        ApiKey(name="one", hash=hash_of("one"), models=("m",)),
        ApiKey(name="other", hash=hash_of("other"), models=("n",)),
    )
    with gateway(upstream, tmp_path, api_keys=keys, capture="off") as running:

        def ask(key, path="/v1/chat/completions"):
            status, _, body = post(running, QUESTION, headers={"x-api-key": key}, path=path)
            return status, None if status == 200 else json.loads(body)["error"]["code"]

        assert ask("read") == (403, "not_allowed") and ask("one") == (200, None)
        assert ask("other") == (403, "model_not_allowed")
        assert b"freehold_refusals_total" in get(running, "/metrics", key="read")
        for key, code in ((None, 401), ("one", 403)):
            with pytest.raises(urllib.error.HTTPError) as error:
                get(running, "/metrics", key=key)
            error.value.close()
            assert error.value.code == code
        assert ready(running) == {"status": "ready"}
        assert ready(running, key="read")["endpoints"] == {"incumbent": True}
