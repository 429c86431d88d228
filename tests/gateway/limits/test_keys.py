"""Local keys: hashed, required where there are any or were, never sent on; another store or an older one is refused."""

import json
import urllib.error
from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.asking import QUESTION, get, post, ready
from tests.gateway.loopback import eventually, gateway

from freehold.errors import KeysUnavailableError
from freehold.gateway.config import ApiKey
from freehold.gateway.limits import key_requirement as requirement
from freehold.gateway.limits.keys import KeyRing, check_may, check_scope, hash_of, new_key
from freehold.store import open_store
from freehold.wire.errors import ApiError

KEY = new_key()


@pytest.fixture(scope="module")
def keyed(_upstream, tmp_path_factory):
    keys = (
        ApiKey(name="app", hash=hash_of(KEY)),
        ApiKey(name="boss", hash=hash_of(new_key()), role="admin"),
        ApiKey(name="read", hash=hash_of("read"), role="read"),
        ApiKey(name="one", hash=hash_of("one"), models=("m",)),
        ApiKey(name="other", hash=hash_of("other"), models=("n",)),
    )
    with gateway(_upstream, tmp_path_factory.mktemp("keyed"), api_keys=keys, capture="off") as running:
        yield running


@pytest.mark.process
def test_keys_are_hashed_required_and_never_sent_on(keyed, upstream):
    assert post(keyed, QUESTION)[0] == 401
    assert post(keyed, QUESTION, headers={"authorization": "Bearer fh-wrong"})[0] == 401
    assert post(keyed, QUESTION, headers={"authorization": f"Bearer {KEY}"})[0] == 200
    assert post(keyed, QUESTION, headers={"x-api-key": KEY})[0] == 200
    assert "authorization" not in upstream.seen[0].headers
    assert "x-api-key" not in upstream.seen[1].headers
    with open_store(keyed.config.store_url) as store:
        later = new_key()
        store.put(ApiKey(name="later", hash=hash_of(later)))
    eventually(lambda: post(keyed, QUESTION, headers={"authorization": f"Bearer {later}"})[0] == 200)


def showing(key=None):
    return {"x-api-key": key}.get


def refusal(check, *arguments):
    with pytest.raises(ApiError) as error:
        check(*arguments)
    return error.value.status, error.value.code


@pytest.mark.process
def test_a_ring_without_its_keys_lets_nobody_in():
    keys = [ApiKey(name="a", hash=hash_of("fh-1"))]
    assert refusal(KeyRing([], waiting=True).admit, showing()) == (503, "starting")
    assert refusal(KeyRing(keys, problem="lost").admit, showing("fh-1")) == (503, "keys_unavailable")
    assert refusal(KeyRing([], required=True).admit, showing()) == (401, "invalid_api_key")


@pytest.mark.process
def test_an_expired_key_is_refused():
    old = ApiKey(name="old", hash=hash_of("fh-1"), expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    new = ApiKey(name="new", hash=hash_of("fh-2"), expires_at=datetime.now(UTC) + timedelta(hours=1))
    ring = KeyRing([old, new])
    assert refusal(ring.admit, showing("fh-1")) == (401, "expired_api_key")
    assert ring.admit(showing("fh-2")).name == "new"


@pytest.mark.process
def test_a_role_allows_what_it_says():
    def may(role):
        key = ApiKey(name="k", hash="x", role=role)
        return {what for what in ("ask", "look", "change", "keys") if key.may(what)}

    assert may("use") == {"ask"} and may("read") == {"look"} and may("operate") == {"look", "change"}
    assert may("admin") == {"ask", "look", "change", "keys"}
    assert refusal(check_may, ApiKey(name="k", hash="x", role="read"), "ask") == (403, "not_allowed")
    check_may(None, "ask")


@pytest.mark.process
def test_a_key_is_good_for_its_models_and_routes():
    key = ApiKey(name="k", hash="x", models=("a",), routes=("r",))
    check_scope(key, "a", "r")
    assert refusal(check_scope, key, "b", "r") == (403, "model_not_allowed")
    assert refusal(check_scope, key, "a", None) == (403, "route_not_allowed")


@pytest.mark.process
def test_roles_and_scopes_of_a_running_gateway(keyed, upstream):
    def ask(key, path="/v1/chat/completions"):
        status, _, body = post(keyed, QUESTION, headers={"x-api-key": key}, path=path)
        return status, None if status == 200 else json.loads(body)["error"]["code"]

    assert ask("read") == (403, "not_allowed") and ask("one") == (200, None)
    assert ask("other") == (403, "model_not_allowed")
    assert b"freehold_refusals_total" in get(keyed, "/metrics", key="read")
    for key, code in ((None, 401), ("one", 403)):
        with pytest.raises(urllib.error.HTTPError) as error:
            get(keyed, "/metrics", key=key)
        error.value.close()
        assert error.value.code == code
    assert ready(keyed) == {"status": "ready"}
    assert ready(keyed, key="read")["endpoints"] == {"incumbent": True}


AT = datetime(2026, 3, 1, tzinfo=UTC)


def look(path, **changes):
    values = {"store_id": "a", "changes": 3, "has_keys": True, "forgotten": False, **changes}
    return requirement.reconcile(path, at=AT, **values)


def test_a_gateway_that_sees_keys_keeps_that_they_are_required(tmp_path):
    path = tmp_path / "state" / "keys.json"
    assert not look(path, has_keys=False, changes=0) and not path.exists()
    assert look(path)
    kept = requirement.read(path)
    assert (kept.store_id, kept.changes, kept.since) == ("a", 3, AT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert look(path, changes=5) and requirement.read(path).changes == 5
    assert look(path, changes=5, has_keys=False), "a store that lost its keys opens nothing"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"store_id": "b"}, "not the store that held them"),
        ({"store_id": ""}, "not the store that held them"),
        ({"changes": 2}, "older copy"),
        ({"changes": 2, "has_keys": False, "forgotten": True}, "older copy"),
    ],
)
def test_another_or_an_older_store_is_refused(tmp_path, found, message):
    path = tmp_path / "keys.json"
    look(path)
    with pytest.raises(KeysUnavailableError, match=message) as error:
        look(path, **found)
    assert "freehold keys accept" in error.value.hint


def test_forgetting_every_key_on_purpose_opens_the_gateway(tmp_path):
    path = tmp_path / "keys.json"
    look(path)
    assert look(path, changes=3, has_keys=False, forgotten=True), "not news: accepted after it"
    assert not look(path, changes=4, has_keys=False, forgotten=True) and not path.exists()


def test_a_file_that_cannot_be_read_opens_nothing(tmp_path):
    path = tmp_path / "keys.json"
    for content in (b"", b"{}", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(KeysUnavailableError, match="cannot be read"):
            look(path)


def test_a_store_that_is_gone_is_not_made_newly(tmp_path):
    path, store = tmp_path / "keys.json", tmp_path / "store"
    requirement.check_file(path, store)
    look(path)
    with pytest.raises(KeysUnavailableError, match="is gone"):
        requirement.check_file(path, store)
    store.touch()
    with pytest.raises(KeysUnavailableError, match="is empty"):
        requirement.check_file(path, store)
    store.write_bytes(b"x")
    requirement.check_file(path, store)
    requirement.forget(path)
    assert requirement.read(path) is None and requirement.read(None) is None
