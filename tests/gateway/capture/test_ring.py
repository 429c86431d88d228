"""What the recorder reads of routes and keys, and leaves for workers that start."""

import msgspec
import pytest

from freehold.errors import KeysUnavailableError, StoreError
from freehold.gateway.capture import ring as rings
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.messages import TableMessage
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey


@pytest.fixture
def config(tmp_path):
    endpoint = Endpoint(name="i", engine="remote", base_url="http://127.0.0.1:9")
    return GatewayConfig(endpoints=(endpoint,), store_url=f"sqlite:///{tmp_path / 's.sqlite3'}")


def message(data):
    return msgspec.json.decode(data, type=TableMessage)


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
