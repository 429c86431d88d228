"""What the recorder reads of routes and keys, and leaves for workers that start."""

from datetime import UTC, datetime

import msgspec
import pytest

from freehold.errors import KeysUnavailableError, StoreError
from freehold.gateway.capture import ring as rings
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits import key_requirement
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.messages import RING_FILE, TableMessage
from freehold.store.keys import forget_keys
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Route, Target


@pytest.fixture
def config(tmp_path):
    endpoint = Endpoint(name="i", engine="remote", base_url="http://127.0.0.1:9")
    return GatewayConfig(endpoints=(endpoint,), store_url=f"sqlite:///{tmp_path / 's.sqlite3'}")


def message(data):
    return msgspec.json.decode(data, type=TableMessage)


def test_each_ring_is_told_once_and_left_for_new_workers(config, tmp_path):
    ring = rings.Ring(config, tmp_path)
    with ring.opened() as store:
        assert not message(ring.read(store)).required and ring.read(store) is None
        store.put(ApiKey(name="a", hash=hash_of("x")))
        told = message(ring.read(store))
        assert told.required and [key.name for key in told.keys] == ["a"]
        store.save_route(
            Route(name="r", model="m", incumbent=Target(endpoint="i")), who="t", at=datetime.now(UTC)
        )
        assert message(ring.read(store)).routes[0].name == "r"
        left = tmp_path / RING_FILE
        assert message(left.read_bytes()).routes[0].name == "r" and left.stat().st_mode & 0o777 == 0o600
        forget_keys(store.database, who="t", at=datetime.now(UTC))
        assert not message(ring.read(store)).required
        assert key_requirement.read(rings.requirement_file(config)) is None


def test_a_lost_store_is_refused_before_a_gateway_starts(config, tmp_path):
    ring = rings.Ring(config, tmp_path)
    rings.check(config)
    with ring.opened() as store:
        store.put(ApiKey(name="a", hash=hash_of("x")))
        ring.read(store)
    rings.check(config)
    for file in tmp_path.glob("s.sqlite3*"):
        if file != rings.requirement_file(config):
            file.unlink()
    with pytest.raises(KeysUnavailableError, match="is gone"):
        rings.check(config)
    assert not (tmp_path / "s.sqlite3").exists(), "nothing new is made in its place"
    refused = message(ring.refusal(KeysUnavailableError("gone")))
    assert refused.required and refused.problem == "gone" and refused.keys == ()


def test_the_file_of_the_project_comes_first_and_a_change_of_it_is_news(config, tmp_path):
    mine = tmp_path / "keys.json"
    config = msgspec.structs.replace(config, keys_file=str(mine))
    assert rings.requirement_file(config) == mine
    ring = rings.Ring(config, tmp_path)
    assert not ring.requirement_changed()
    mine.write_text("{}")
    assert ring.requirement_changed() and not ring.requirement_changed()
    remote = msgspec.structs.replace(config, store_url="postgresql://db/x", keys_file=None)
    assert rings.requirement_file(remote) is None


def test_a_store_that_goes_away_while_the_gateway_runs_is_waited_for(config, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with rings.Ring(config, run).opened():
        pass
    away = tmp_path / "away"
    away.mkdir()
    for file in [*tmp_path.glob("s.sqlite3*")]:
        file.rename(away / file.name)
    # Also a recorder that is started again must not begin a new store, which the old one would replace.
    with pytest.raises(StoreError, match="is gone: what is recorded waits"):
        rings.Ring(config, run).opened()
    assert not (tmp_path / "s.sqlite3").exists()
    for file in [*away.iterdir()]:
        file.rename(tmp_path / file.name)
    rings.Ring(config, run).opened().close()
