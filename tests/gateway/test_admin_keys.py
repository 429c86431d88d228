"""Keys over the admin API: who may, what is told, and that a key makes none that may do more."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of
from freehold.store import audit, open_store

pytestmark = pytest.mark.process

ENDS = datetime.now(UTC) + timedelta(days=30)
KEYS = (
    *(ApiKey(name=role, hash=hash_of(role), role=role) for role in ("use", "read", "operate", "admin")),
    ApiKey(name="narrow", hash=hash_of("narrow"), role="admin", models=("m", "n")),
    ApiKey(name="brief", hash=hash_of("brief"), role="admin", expires_at=ENDS),
)


@pytest.fixture(scope="module")
def running(_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    keys_file = str(folder / "keys.json")
    with gateway(_upstream, folder, api_keys=KEYS, workers=2, capture="off", keys_file=keys_file) as running:
        eventually(lambda: ask(running, "GET", "keys")[0] == 200)
        yield running


def ask(running, method, path, body=None, key="admin"):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{running.base_url}/freehold/v1/{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def entries(running):
    with open_store(running.config.store_url) as store:
        return list(audit.entries(store.database))


def test_a_key_for_a_route_that_there_is_not_is_refused(running):
    status, told = ask(running, "POST", "keys", {"name": "lost", "routes": ["nix"]})
    assert status == 400 and "no route 'nix'" in told["error"]["message"]


def test_a_key_is_made_used_limited_and_revoked(running, upstream):
    made = {"name": "app", "models": ["m"], "limits": {"concurrency": 3, "usd_per_day": "0.5"}}
    status, told = ask(running, "POST", "keys", made)
    assert status == 201 and told["secret"].startswith("fh-") and told["role"] == "use"
    shown = {"x-api-key": told["secret"]}
    eventually(
        lambda: post(running, QUESTION, headers=shown)[0] == 429
    )  # no price is known, and the cap holds
    assert post(running, {**QUESTION, "model": "other"}, headers=shown)[0] == 403
    assert ask(running, "PUT", "keys/app/limits?why=more%20load", {"concurrency": 5})[0] == 200
    eventually(lambda: post(running, QUESTION, headers=shown)[0] == 200)
    _, listed = ask(running, "GET", "keys")
    (line,) = [one for one in listed["keys"] if one["name"] == "app"]
    assert (line["limits"]["concurrency"], line["limits"]["usd_per_day"]) == (5, None)
    assert line["made_by"] == "admin"
    assert told["secret"] not in json.dumps(listed) and hash_of(told["secret"]) not in json.dumps(listed)
    assert ask(running, "DELETE", "keys/app?why=leaked") == (200, {"revoked": "app"})
    eventually(lambda: post(running, QUESTION, headers=shown)[0] == 401)
    assert ask(running, "DELETE", "keys/app")[0] == 404
    own = [one for one in entries(running) if one.subject == "app"]
    assert [one.action for one in own] == ["key.add", "key.limit", "key.revoke"]
    assert [one.why for one in own] == ["", "more load", "leaked"]
    assert {one.who for one in own} == {"admin"} and own[0].source.startswith("gateway, 127.0.0.1")
    assert told["secret"] not in str(own)


@pytest.mark.parametrize("key", [None, "use", "read", "operate"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "keys", None),
        ("POST", "keys", {"name": "mine", "role": "admin"}),
        ("PUT", "keys/admin/limits", {}),
        ("DELETE", "keys/admin", None),
    ],
)
def test_only_the_role_admin_may(running, key, method, path, body):
    assert ask(running, method, path, body, key=key)[0] == (401 if key is None else 403)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "truncated"),
        ({}, "name"),
        ({"name": "a/../b"}, "not a name for a key"),
        ({"name": "a\u001b[2J"}, "printable"),
        ({"name": "x" * 201}, "at most 200"),
        ({"name": "a", "role": "root"}, "role"),
        ({"name": "a", "limits": {"concurency": 2}}, "concurency"),
        ({"name": "a", "limits": {"usd_per_day": "Infinity"}}, "usd_per_day is Infinity"),
        (b'{"name": "a", "limits": {"usd_per_day": 1e999}}', "usd_per_day is 1E+999"),
        ({"name": "a", "limits": {"requests_per_minute": -1}}, "requests_per_minute is -1"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expired"),
    ],
)
def test_a_wrong_request_makes_no_key_and_says_why(running, body, said):
    status, told = ask(running, "POST", "keys", body)
    assert status == 400 and said in told["error"]["message"]
    assert "a" not in {one["name"] for one in ask(running, "GET", "keys")[1]["keys"]}


def test_a_name_that_is_in_force_is_not_taken_twice(running):
    assert ask(running, "POST", "keys", {"name": "twice"})[0] == 201
    for name in ("twice", "admin"):
        status, told = ask(running, "POST", "keys", {"name": name})
        assert (status, told["error"]["code"]) == (409, "key_exists")
    ask(running, "DELETE", "keys/twice")
    assert ask(running, "POST", "keys", {"name": "twice"})[0] == 201


def test_a_narrow_key_makes_none_that_may_do_more(running):
    for body in ({"name": "w"}, {"name": "w", "models": ["m", "z"]}):
        status, told = ask(running, "POST", "keys", body, key="narrow")
        assert (status, told["error"]["code"]) == (403, "not_allowed")
    assert ask(running, "POST", "keys", {"name": "n", "models": ["m"]}, key="narrow")[0] == 201
    later = (ENDS + timedelta(days=1)).isoformat()
    for body in ({"name": "b"}, {"name": "b", "expires_at": later}):
        assert ask(running, "POST", "keys", body, key="brief")[0] == 403
    sooner = (ENDS - timedelta(days=1)).isoformat()
    assert ask(running, "POST", "keys", {"name": "b", "expires_at": sooner}, key="brief")[0] == 201
