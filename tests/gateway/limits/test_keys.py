"""Local keys: hashed, required where there are any, never sent on."""

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import KeyRing, hash_of, new_key
from freehold.store import open_store
from freehold.wire.errors import ApiError


def test_keys_are_hashed_required_and_never_sent_on(upstream, tmp_path):
    key, admin = new_key(), new_key()
    keys = (
        ApiKey(name="app", hash=hash_of(key)),
        ApiKey(name="boss", hash=hash_of(admin), admin=True),
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


def test_key_ring():
    assert KeyRing([]).check(None, None) is None
    ring = KeyRing([ApiKey(name="a", hash=hash_of("fh-1"))])
    assert ring.check("bearer fh-1", None).name == "a" and ring.check(None, "fh-1").name == "a"
    for shown in ((None, None), ("Bearer ", None), ("Basic fh-1", None), (None, "fh-2")):
        with pytest.raises(ApiError):
            ring.check(*shown)
