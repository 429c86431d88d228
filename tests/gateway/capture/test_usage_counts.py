"""Tokens and dollars of what was written: counted, and billed once."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from tests.store.examples import trace

from freehold.gateway.capture.limit_accounts import Billing
from freehold.gateway.capture.usage_counts import UsageCounts
from freehold.gateway.config import GatewayConfig
from freehold.gateway.messages import NumberedCharge
from freehold.gateway.spending import Charge
from freehold.gateway.telemetry.meters import Meters
from freehold.store import open_store
from freehold.store.usage import spent
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.types.trace import REPEATED, Usage


@pytest.fixture
def counts():
    rented = Endpoint(name="openai", engine="remote", base_url="http://127.0.0.1:9")
    own = Endpoint(name="local", engine="llamacpp", base_url="http://127.0.0.1:8")
    return UsageCounts(
        GatewayConfig(endpoints=(rented, own), capture="raw", store_url="sqlite:///s"), Meters()
    )


def numbers(counts, name):
    return {labels: value for (one, labels), value in counts._meters.counters.items() if one == name}


def answered(**changes):
    values = {"source": "gateway", "route": "r", "endpoint": "openai", "api_key": "app", "model": "gpt-4o-mini",
              "usage": Usage(prompt_tokens=1000, completion_tokens=500), **changes}  # fmt: skip
    return trace(1, **values)


def test_tokens_and_dollars_of_what_was_written(counts):
    counts.count(
        [
            answered(),
            answered(),
            answered(endpoint="local", arm="candidate"),
            answered(parent_id="x"),
            answered(decision=REPEATED),
        ]
    )
    assert numbers(counts, "freehold_tokens") == {
        ("r", "incumbent", "gpt-4o-mini", "app", "prompt"): 2000,
        ("r", "incumbent", "gpt-4o-mini", "app", "completion"): 1000,
        ("r", "candidate", "gpt-4o-mini", "app", "prompt"): 1000,
        ("r", "candidate", "gpt-4o-mini", "app", "completion"): 500,
        ("r", "mirrored", "gpt-4o-mini", "app", "prompt"): 1000,
        ("r", "mirrored", "gpt-4o-mini", "app", "completion"): 500,
    }
    cost = numbers(counts, "freehold_cost_usd")
    assert set(cost) == {("r", arm, "gpt-4o-mini", "app") for arm in ("incumbent", "mirrored")}
    assert cost["r", "incumbent", "gpt-4o-mini", "app"] == pytest.approx(
        2 * cost["r", "mirrored", "gpt-4o-mini", "app"]
    )


def test_what_is_not_known_is_counted_as_that(counts):
    counts.count([answered(usage=None), answered(model="nothing-known-1"), answered(model="nothing-known-1")])
    assert numbers(counts, "freehold_cost_unknown") == {
        ("openai", "gpt-4o-mini"): 1,
        ("openai", "nothing-known-1"): 2,
    }
    assert numbers(counts, "freehold_cost_usd") == {}


@pytest.mark.parametrize(
    "usage",
    [
        Usage(prompt_tokens=16_000, completion_tokens=90_000),
        Usage(prompt_tokens=16_000, completion_tokens=5, cached_prompt_tokens=12_000),
        Usage(prompt_tokens=150_000, completion_tokens=5),
        Usage(prompt_tokens=900, completion_tokens=500, service_tier="batch"),
        Usage(prompt_tokens=900, completion_tokens=500, cache_write_tokens=300),
    ],
)
@pytest.mark.parametrize(
    "model",
    ["gpt-5", "claude-sonnet-4-5"],
)
def test_a_kept_price_is_the_price_that_is_looked_up(counts, model, usage):
    exact = counts._price("openai", model, usage)
    assert exact is not None and exact > 0
    assert counts._usd("openai", model, usage) == pytest.approx(exact, rel=Decimal("1e-9"))


def test_with_capture_off_what_is_charged_is_counted(counts):
    charge = Charge(["key:app", "route:r"], "openai", "gpt-4o-mini", 1000, 0, 500)
    counts.count_charge(charge)
    assert counts._meters.counters == {}
    counts.follow(msgspec.structs.replace(counts._config, capture="off"))
    counts.count_charge(charge)
    counts.count_charge(msgspec.structs.replace(charge, estimated=True))
    assert numbers(counts, "freehold_tokens") == {
        ("r", "", "gpt-4o-mini", "app", "prompt"): 1000,
        ("r", "", "gpt-4o-mini", "app", "completion"): 500,
    }
    assert numbers(counts, "freehold_cost_unknown") == {("openai", "gpt-4o-mini"): 1}


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bill(number, *, endpoint="paid", worker="w"):
    charge = Charge(["key:a"], endpoint, "m", 1000, 0, 0)
    return msgspec.msgpack.encode(NumberedCharge(worker, number, int(NOW.timestamp() * 1000), charge))


def test_a_bill_that_is_sent_again_is_booked_once(tmp_path):
    endpoint = Endpoint(name="paid", engine="remote", base_url="http://x")
    prices = {"paid": PriceConfig(prompt=Decimal(1000), completion=Decimal(0))}
    url = f"sqlite:///{tmp_path / 's.sqlite3'}"
    config, meters = GatewayConfig(endpoints=(endpoint,), store_url=url, prices=prices), Meters()
    with open_store(url) as store:
        billing = Billing(config, meters)
        for payload in (bill(1), bill(2), bill(2), bill(1, worker="other"), b"not a bill"):
            billing.add("source", payload)
        assert Counter(billing.book(store, at=NOW)) == {"source": 5}, "all are done with"
        again = Billing(config, meters)  # as after a recorder's death
        again.add("source", bill(2))
        again.add("source", bill(3))
        assert len(again.book(store, at=NOW)) == 2
        assert spent(store.database, "2026-03-01", "2026-03")["key:a"].day_usd == Decimal(4)
    assert meters.counters["freehold_spend_usd", ("key:a",)] == 4.0
    assert meters.counters["freehold_bills", ("unreadable",)] == 1
