from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from freehold.errors import UsageError
from freehold.gateway.config import GatewayConfig
from freehold.store import default_url, open_store
from freehold.types.config import parse
from freehold.types.route import Limits, Target
from freehold.workflows.project import open_project
from freehold.workflows.shift import caps, keys, routes
from freehold.workflows.shift.endpoints import configured_endpoints

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


FILE = """
[app]
name = "a"
[incumbent]
model = "mystery"
base_url = "http://127.0.0.1:9/v1"
"""
PRICED = FILE + "price = { prompt = 1, completion = 2 }"
CAPPED = Limits(usd_per_day=Decimal(1))


def test_a_cap_that_cannot_be_held_is_refused_where_it_is_set_and_told_at_a_start(tmp_path):
    """What is accepted today must start tomorrow: the same question is asked wherever a cap or a route is set."""
    (tmp_path / "freehold.toml").write_text(FILE)
    project = open_project(tmp_path / "freehold.toml")
    config = parse(FILE)
    gateway = GatewayConfig(endpoints=configured_endpoints(config))
    note = routes.ChangeNote(who="ada", at=AT)
    going = {"model": "mystery", "incumbent": Target(endpoint="incumbent")}
    with open_store(default_url(tmp_path)) as store:
        routes.change(
            store, config, "r", {**going, "candidate": Target(endpoint="incumbent", model="x")}, note
        )
        keys.add(store, "app", limits=Limits(), who="ada", at=AT, project=project)
        told = r"has a spend cap, and no price of mystery is known, which route r asks"
        with pytest.raises(UsageError, match=f"key b {told}"):
            keys.add(store, "b", limits=CAPPED, who="ada", at=AT, project=project)
        with pytest.raises(UsageError, match=f"key app {told}"):
            keys.limit(store, "app", CAPPED, who="ada", at=AT, project=project)
        with pytest.raises(UsageError, match=f"label team {told}"):
            keys.limit_label(store, "team", CAPPED, who="ada", at=AT, project=project)
        with pytest.raises(UsageError, match=f"route r {told}"):
            routes.change(store, config, "r", {"limits": CAPPED}, note)
        elsewhere = keys.KeyScope(models=("other",))
        keys.add(store, "c", limits=CAPPED, scope=elsewhere, who="ada", at=AT, project=project)
        keys.add(store, "older", limits=CAPPED, who="ada", at=AT)
        assert [one.split(" has ")[0] for one in caps.unheld(store, gateway)] == ["key older"]
        with pytest.raises(UsageError, match=r"key older .* route s asks"):
            routes.change(store, config, "s", {**going, "match_keys": ("older",)}, note)
        (tmp_path / "freehold.toml").write_text(PRICED)
        priced = open_project(tmp_path / "freehold.toml")
        keys.limit(store, "app", CAPPED, who="ada", at=AT, project=priced)
        prices = caps.stated_prices(priced.config)
        assert not caps.unheld(store, msgspec.structs.replace(gateway, prices=prices))
