"""Gateways on one PostgreSQL: stateless beside it, so any number of them is one."""

import concurrent.futures
import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, plain, traces_of

from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import open_store
from freehold.types.config import PriceConfig
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, Limits, Route, Target

pytestmark = pytest.mark.postgres

ROUTE = Route(
    name="support", model="m", incumbent=Target(endpoint="incumbent"), candidate=Target(endpoint="candidate")
)


@contextlib.contextmanager
def two_gateways(upstream, folder, **shared):
    for name in ("one", "two"):
        (folder / name).mkdir()
    with (
        gateway(upstream, folder / "one", **shared) as one,
        gateway(upstream, folder / "two", **shared) as two,
    ):
        yield one, two


def test_two_gateways_share_routes_and_traces(upstream, database, tmp_path):
    other = FakeUpstream()
    other.answer = lambda seen: plain({**ANSWER, "model": "candidate"})
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url),
        Endpoint(name="candidate", engine="remote", base_url=other.base_url),
    )
    shared = {"endpoints": endpoints, "routes": (ROUTE,), "store_url": database}
    try:
        with two_gateways(upstream, tmp_path, **shared) as (one, two):

            def models():
                return {
                    json.loads(post(running, QUESTION)[2])["model"]
                    for running in (one, two)
                    for _ in range(4)
                }

            assert models() == {"m"}
            with open_store(database) as store:
                store.save_route(
                    msgspec.structs.replace(ROUTE, state="promoted"), who="test", at=datetime.now(UTC)
                )
            # Changed once, followed by both; how soon is measured in test_control, on one gateway.
            eventually(lambda: models() == {"candidate"}, timeout_s=20)

            def answered(endpoint):
                return sum(trace.endpoint == endpoint for trace in traces_of(two))

            eventually(lambda: min(answered("incumbent"), answered("candidate")) >= 8, timeout_s=20)
            one.process.kill()
            one.process.wait()
            assert json.loads(post(two, QUESTION)[2])["model"] == "candidate", "one gone, the other goes on"
    finally:
        other.close()


def test_two_gateways_keep_to_one_budget(upstream, database, tmp_path):
    secret, cap = new_key(), Decimal("0.10")
    each = Decimal("0.0015")  # 9 prompt and 3 completion tokens
    with open_store(database) as store:
        store.put(ApiKey(name="app", hash=hash_of(secret), limits=Limits(usd_per_day=cap)))
    upstream.answer = lambda seen: plain(ANSWER, delay=0.3)
    prices = {"incumbent": PriceConfig(prompt=Decimal(100), completion=Decimal(200))}
    shared = {"store_url": database, "capture": "off", "workers": 2, "prices": prices}
    shown = {"authorization": f"Bearer {secret}"}
    with two_gateways(upstream, tmp_path, **shared) as (one, two):

        def ask(number):
            running = two if number % 3 == 0 else one
            return post(running, {**QUESTION, "max_tokens": 3}, headers=shown, timeout=30)[0]

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            statuses = [*pool.map(ask, range(400))]
        assert 200 in statuses and set(statuses) <= {200, 429, 503}
        most = int((cap + each) / each)
        assert len(upstream.seen) <= most, "a cap and one answer, of both together"
