"""Changes of keys in the store."""

import concurrent.futures
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import update

from freehold.errors import RevisionError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.keys import KeyRing, hash_of
from freehold.store import open_store
from freehold.store.database import default_url
from freehold.store.routes import stored_keys
from freehold.store.shares import BilledCost, book
from freehold.store.tables import records
from freehold.types.config_file import parse
from freehold.types.route import ApiKey, LabelLimits, Limits, Target
from freehold.workflows.project import open_project
from freehold.workflows.shift import endpoints, keys, routes
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
    note = {"who": "ada", "at": AT}
    going = {"model": "mystery", "incumbent": Target(endpoint="incumbent")}
    with open_store(default_url(tmp_path)) as store:
        routes.change(
            store, config, "r", {**going, "candidate": Target(endpoint="incumbent", model="x")}, **note
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
            routes.change(store, config, "r", {"limits": CAPPED}, **note)
        elsewhere = keys.KeyScope(models=("other",))
        keys.add(store, "c", limits=CAPPED, scope=elsewhere, who="ada", at=AT, project=project)
        keys.add(store, "older", limits=CAPPED, who="ada", at=AT)
        assert [one.split(" has ")[0] for one in endpoints.unheld_caps(store, gateway)] == ["key older"]
        with pytest.raises(UsageError, match=r"key older .* route s asks"):
            routes.change(store, config, "s", {**going, "match_keys": ("older",)}, **note)
        (tmp_path / "freehold.toml").write_text(PRICED)
        priced = open_project(tmp_path / "freehold.toml")
        keys.limit(store, "app", CAPPED, who="ada", at=AT, project=priced)
        prices = endpoints.stated_prices(priced.config)
        assert not endpoints.unheld_caps(store, msgspec.structs.replace(gateway, prices=prices))


def test_a_name_stays_with_its_key_after_revoking(tmp_path):
    """What goes by the name (traces, feedback, spending) does not come to another holder."""
    with open_store(default_url(tmp_path)) as store:
        first = keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        book(store.database, [BilledCost("w", 1, "2026-03-01", ["key:app"], Decimal("1.25"))], at=AT)
        for told in ("there is a key named app", "there was a key named app"):
            with pytest.raises(UsageError, match=told):
                keys.add(store, "app", limits=Limits(), who="bob", at=AT)
            if "is" in told:
                keys.revoke(store, "app", at=AT)
        assert store.get(ApiKey, "app").hash == hash_of(first.secret)
        assert keys.listed(store, at=AT)[0].spent_day_usd == Decimal("1.25")


def test_a_key_that_is_revoked_while_it_is_changed_stays_revoked(tmp_path, monkeypatch):
    with open_store(default_url(tmp_path)) as store:
        keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        put = store.put

        def meanwhile(key, *, change, **more):
            if change.action != "key.revoke":
                keys.revoke(store, "app", who="bob", at=AT)
            put(key, change=change, **more)

        monkeypatch.setattr(store, "put", meanwhile)
        with pytest.raises(RevisionError, match="the api key app was changed meanwhile"):
            keys.limit(store, "app", Limits(concurrency=1), who="ada", at=AT)
        assert store.get(ApiKey, "app").revoked_at == AT


def test_a_key_that_is_changed_while_it_is_revoked_is_revoked(tmp_path, monkeypatch):
    with open_store(default_url(tmp_path)) as store:
        keys.add(store, "app", limits=Limits(), who="ada", at=AT)
        put, changed = store.put, []

        def meanwhile(key, **more):
            if not changed:
                changed.append(1)
                keys.limit(store, "app", Limits(concurrency=1), who="ada", at=AT)
            put(key, **more)

        monkeypatch.setattr(store, "put", meanwhile)
        keys.revoke(store, "app", at=AT)
        kept = store.get(ApiKey, "app")
        assert (kept.revoked_at, kept.limits.concurrency) == (AT, 1)


def test_of_two_that_make_the_same_key_at_once_one_is_refused(tmp_path):
    """The other's secret would be of no use from the start."""
    url = default_url(tmp_path)
    with open_store(url) as store:

        def make(number):
            try:
                return keys.add(store, "app", limits=Limits(), who=f"w{number}", at=AT)
            except (RevisionError, UsageError):
                return None

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            made = [one for one in pool.map(make, range(8)) if one is not None]
        assert len(made) == 1 and store.get(ApiKey, "app").hash == hash_of(made[0].secret)


def test_keys_that_carry_a_label_share_its_limits(tmp_path):
    budget = Limits(usd_per_month=Decimal(5), requests_per_minute=60)
    with open_store(default_url(tmp_path)) as store:
        keys.add(
            store, "app", limits=Limits(concurrency=2), scope=keys.KeyScope(label="search"), who="ada", at=AT
        )
        before = stored_keys(store.database)
        assert KeyRing(before.keys, before.labels).limits_of(before.keys[0]) == [
            ("key:app", Limits(concurrency=2))
        ]
        keys.limit_label(store, "search", budget, who="ada", at=AT)
        found = stored_keys(store.database)
        assert found.changes == before.changes + 1
        limits = KeyRing(found.keys, found.labels).limits_of(found.keys[0])
        assert limits == [("key:app", Limits(concurrency=2)), ("label:search", budget)]
        (line,) = keys.listed(store, at=AT)
        assert (line.label, line.label_limits) == ("search", budget)
        for wrong in ({"label": "a/b", "limits": budget}, {"label": "a", "limits": Limits(concurrency=-1)}):
            with pytest.raises(UsageError):
                keys.limit_label(store, who="ada", at=AT, **wrong)


def test_keys_of_a_label_whose_limits_cannot_be_read_may_use_nothing(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        keys.add(store, "app", limits=Limits(), scope=keys.KeyScope(label="search"), who="ada", at=AT)
        keys.limit_label(store, "search", Limits(requests_per_minute=60), who="ada", at=AT)
        with store.database.writing() as connection:
            connection.execute(
                update(records).where(records.c.kind == LabelLimits.kind).values(body=b"broken")
            )
        found = stored_keys(store.database)
        ((_, limits),) = KeyRing(found.keys, found.labels).limits_of(found.keys[0])
        assert limits.requests_per_minute == 0
