import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.gateway.config import GatewayConfig
from freehold.store import default_url, open_store
from freehold.types.config import parse
from freehold.types.route import Limits, Target
from freehold.workflows.project import open_project
from freehold.workflows.shift import endpoints, keys, routes
from freehold.workflows.shift.endpoints import configured_endpoints

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    return lambda *words: CliRunner().invoke(cli, ["keys", *words])


def test_the_commands(run, tmp_path):
    assert "everybody who reaches the gateway may ask" in run("list").stderr
    made = run("add", "app-eu", "--limit", "concurrency=8", "--limit", "usd_per_day=0.50")
    secret = made.stdout.strip()
    assert secret.startswith("fh-") and "asks everybody for a key" in made.stderr
    assert secret not in (tmp_path / ".freehold" / "freehold.sqlite").read_bytes().decode("latin-1")
    second = json.loads(run("add", "boss", "--role", "admin", "--json").stdout)
    assert second["role"] == "admin" and second["secret"].startswith("fh-")
    run("limit", "app-eu", "concurrency=", "requests_per_minute=60")
    listed = json.loads(run("list", "--json").stdout)["items"]
    assert [one["name"] for one in listed] == ["app-eu", "boss"] and "hash" not in listed[0]
    assert listed[0]["limits"]["concurrency"] is None and listed[0]["limits"]["usd_per_day"] == "0.50"
    shown = run("list").stdout
    assert "requests_per_minute 60" in shown and "0.0000 USD" in shown and secret not in shown
    run("revoke", "app-eu")
    assert "refuses every request" in run("revoke", "boss").stderr and "revoked" in run("list").stdout
    assert "forgot 2 keys" in run("revoke", "--forget-all").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("revoke", "nix"), "no key named nix is in force"),
        (("limit", "nix", "concurrency=3"), "no key named nix"),
        (("add", "a:b"), "not a name for a key"),
        (("add", ""), "not a name for a key"),
        (("add", "a", "--limit", "concurrency=-3"), "concurrency is -3"),
        (("add", "a", "--limit", "usd_per_day=lots"), "usd_per_day is 'lots'"),
    ],
)
def test_embarrassing_input(run, words, message):
    result = run(*words)
    assert isinstance(result.exception, UsageError) and message in result.exception.message


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
        assert [one.split(" has ")[0] for one in endpoints.unheld_caps(store, gateway)] == ["key older"]
        with pytest.raises(UsageError, match=r"key older .* route s asks"):
            routes.change(store, config, "s", {**going, "match_keys": ("older",)}, note)
        (tmp_path / "freehold.toml").write_text(PRICED)
        priced = open_project(tmp_path / "freehold.toml")
        keys.limit(store, "app", CAPPED, who="ada", at=AT, project=priced)
        prices = endpoints.stated_prices(priced.config)
        assert not endpoints.unheld_caps(store, msgspec.structs.replace(gateway, prices=prices))
