"""Tokens and dollars of answers: what one costs, counted, and billed once."""

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
from freehold.gateway.spending import Charge, charge_of, usd_of
from freehold.gateway.telemetry.meters import Meters
from freehold.store import open_store
from freehold.store.shares import spent
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.types.trace import Usage


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
        [answered(), answered(), answered(endpoint="local", arm="candidate"), answered(parent_id="x")]
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
@pytest.mark.parametrize("model", ["gpt-5", "claude-sonnet-4-5"])
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


USAGE = (
    b'"usage":{"prompt_tokens":1000,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":400}}}'
)


CLAUDE = [
    b'event: message_start\ndata: {"message":{"usage":{"input_tokens":600,"cache_read_input_tokens":400}}}\n\n',
    *[b'data: {"delta":{"text":"word"}}\n\n'] * 9,
    b'data: {"type":"message_delta","usage":{"output_tokens":50}}\n\n',
]


@pytest.mark.parametrize(
    ("api", "answer", "tokens", "estimated"),
    [
        ("openai", [b'{"choices":[],', USAGE], (1000, 400, 50), False),
        ("openai", [b'{"data":[],"usage":{"prompt_tokens":9,"total_tokens":9}}'], (9, 0, 0), False),
        ("openai", [b"data: {}\n\n"] * 50 + [b"data: {" + USAGE + b"\n\n"], (1000, 400, 50), False),
        ("anthropic", CLAUDE, (1000, 400, 50), False),
        ("openai", [b'data: {"delta":1}\n\n'] * 7, (25, 0, 7), True),
        ("openai", [b"x" * 400], (25, 0, 100), True),
        ("openai", [], (25, 0, 0), True),
    ],
)
def test_a_bill_has_the_tokens_an_answer_reports_or_an_estimate(api, answer, tokens, estimated):
    charge = charge_of(["key:a"], "incumbent", "gpt-4o", api, b"q" * 100, answer)
    assert (charge.prompt_tokens, charge.cached_tokens, charge.completion_tokens) == tokens
    assert charge.estimated is estimated


def test_a_report_beyond_what_is_seen_is_billed_and_told_and_one_that_is_no_count_is_not_believed():
    def told(count):
        report = b'"usage":{"prompt_tokens":5,"completion_tokens":%d}}' % count
        return charge_of(["key:a"], "incumbent", "gpt-4o", "openai", b"q" * 1000, [report])

    seen = told(250_000)
    assert (seen.implausible, seen.estimated, seen.completion_tokens) == (True, False, 250_000)
    none = told(999_999_999)
    assert none.implausible and none.estimated and none.prompt_tokens == 250


def test_dollars_come_from_the_stated_price_or_the_list():
    endpoint = Endpoint(name="incumbent", engine="remote", base_url="http://x")
    stated = PriceConfig(prompt=Decimal(2), completion=Decimal(10), cached_prompt=Decimal(1))
    config = GatewayConfig(endpoints=(endpoint,), prices={"incumbent": stated})
    one = charge_of([], "incumbent", "anything", "openai", b"", [USAGE])
    assert usd_of(one, config, at=datetime.now(UTC)) == Decimal("0.0021") and config.charges("incumbent")
    bare = GatewayConfig(endpoints=(endpoint,))
    assert usd_of(one, bare, at=datetime.now(UTC)) is None
    free = PriceConfig(prompt=Decimal(0), completion=Decimal(0))
    assert not GatewayConfig(endpoints=(endpoint,), prices={"incumbent": free}).charges("incumbent")
    pytest.importorskip("genai_prices")
    real = charge_of([], "incumbent", "gpt-4o", "openai", b"", [USAGE])
    assert usd_of(real, bare, at=datetime.now(UTC)) == Decimal("0.0025")


THOUGHT = (
    b'{"object":"response","service_tier":"flex","output":[],"usage":{"input_tokens":1000,"input_tokens_details":'
    b'{"cached_tokens":400,"cache_write_tokens":100},"output_tokens":50,"output_tokens_details":'
    b'{"reasoning_tokens":40},"total_tokens":1050},"user":null,"metadata":{"note":"' + b"x" * 9000 + b'"}}'
)
WRITTEN = [
    b'data: {"type":"message_start","message":{"usage":{"input_tokens":100,"cache_read_input_tokens":400,'
    b'"cache_creation_input_tokens":500,"cache_creation":{"ephemeral_5m_input_tokens":200,'
    b'"ephemeral_1h_input_tokens":300},"output_tokens":1}}}\n\n',
    *[b'data: {"delta":{"text":"word"}}\n\n'] * 9,
    b'data: {"type":"message_delta","usage":{"input_tokens":0,"output_tokens":50}}\n\n',
]


def test_what_is_written_to_a_cache_and_the_tier_have_their_own_price():
    pytest.importorskip("genai_prices")
    config = GatewayConfig(endpoints=(Endpoint(name="incumbent", engine="remote", base_url="http://x"),))
    flex = charge_of([], "incumbent", "gpt-5", "openai", b"", [THOUGHT])
    assert not flex.estimated and flex.usage is not None
    assert (flex.usage.service_tier, flex.usage.cache_write_tokens, flex.usage.reasoning_tokens) == (
        "flex", 100, 40,
    )  # fmt: skip
    told = charge_of([], "incumbent", "claude-haiku-4-5", "anthropic", b"", WRITTEN)
    assert (told.prompt_tokens, told.cached_tokens, told.completion_tokens) == (1000, 400, 50)
    # By hand, in dollars a million: 100 x 1 + 400 x 0.10 + 200 x 1.25 + 300 x 2 + 50 x 5
    assert usd_of(told, config, at=datetime.now(UTC)) == Decimal("0.00124")
    stated = PriceConfig(
        prompt=Decimal(1), completion=Decimal(5), cached_prompt=Decimal(0), cache_write=Decimal(3)
    )
    assert usd_of(
        told, GatewayConfig(endpoints=config.endpoints, prices={"incumbent": stated}), at=datetime.now(UTC)
    ) == Decimal("0.00185")
