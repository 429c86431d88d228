import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import ConfigError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.store import default_url, open_store
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.types.route import Limits, Route, Target
from freehold.workflows.shift import keys, up

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


def test_a_cap_without_a_price_is_an_error_before_the_start(tmp_path):
    endpoint = Endpoint(name="incumbent", engine="remote", base_url="http://x")
    with open_store(default_url(tmp_path)) as store:
        route = Route(name="r", model="mystery", incumbent=Target(endpoint="incumbent"))
        store.save_route(route, who="ada", at=AT)
        up._check_prices(store, GatewayConfig(endpoints=(endpoint,)))
        keys.add(store, "app", limits=Limits(usd_per_day=Decimal(1)), who="ada", at=AT)
        with pytest.raises(ConfigError, match="no price of mystery is known"):
            up._check_prices(store, GatewayConfig(endpoints=(endpoint,)))
        price = {"incumbent": PriceConfig(prompt=Decimal(1), completion=Decimal(2))}
        up._check_prices(store, GatewayConfig(endpoints=(endpoint,), prices=price))
