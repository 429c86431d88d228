"""Spend caps of a real gateway, while all goes well and while it does not."""

import asyncio
import concurrent.futures
import contextlib
import json
import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import psutil
import pytest
from aiohttp import web
from tests.gateway.asking import FORM, QUESTION, metric, post, structured
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, processes

from freehold.gateway.config import ApiKey, GatewayConfig
from freehold.gateway.limits.keys import hash_of
from freehold.gateway.limits.limiter import Limiter
from freehold.gateway.messages import UsageTotals
from freehold.gateway.proxy.spend import most_per_token, reserve
from freehold.gateway.spending import Charge
from freehold.store import open_store
from freehold.store.shares import spent
from freehold.types.config import PriceConfig
from freehold.types.endpoint import ANY_SERVED, Capabilities, Endpoint
from freehold.types.route import Limits, Route, Target
from freehold.types.trace import Usage
from freehold.wire.errors import ApiError

pytestmark = pytest.mark.process

PRICES = {"incumbent": PriceConfig(prompt=Decimal(1000), completion=Decimal(2000))}
EACH = Decimal("0.015")  # 9 prompt and 3 completion tokens
SHOWN = {"authorization": "Bearer k"}
BRIEF = {**QUESTION, "max_tokens": 3}


def key(cap):
    limits = Limits() if cap is None else Limits(usd_per_day=Decimal(cap))
    return ApiKey(name="app", hash=hash_of("k"), limits=limits)


def ask(running, body=BRIEF, **more):
    status, _, answer = post(running, body, headers=SHOWN, **more)
    return status, json.loads(answer).get("error", {}).get("code")


def capped(upstream, tmp_path, cap, **changes):
    keys = (key(cap), ApiKey(name="looks", hash=hash_of("looks"), role="read"))
    values = {"api_keys": keys, "prices": PRICES, "capture": "off", **changes}
    return gateway(upstream, tmp_path, **values)


def booked(tmp_path):
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    with open_store(f"sqlite:///{tmp_path / 'freehold.sqlite3'}") as store:
        rows = spent(store.database, day, day[:7])
    return rows["key:app"].day_usd if "key:app" in rows else Decimal(0)


PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}}
LARGE = {**ANSWER, "usage": {"prompt_tokens": 150_000, "completion_tokens": 100_000, "total_tokens": 250_000}}


@pytest.mark.parametrize(
    ("asked", "leaves"),
    [
        ({**BRIEF, "messages": [{"role": "user", "content": [PICTURE]}], "max_tokens": 100_000}, True),
        ({**QUESTION, "conversation": "c"}, False),
    ],
)
def test_what_is_not_in_the_body_passes_no_cap(upstream, tmp_path, asked, leaves):
    """20 at once, each billed 250,000 tokens that no word of the request shows; also where clients leave before the
    count: what the maker bills is beyond the cap by one answer at most, and what is booked is no less."""
    each = Decimal(350)
    with capped(upstream, tmp_path, "100") as running:
        eventually(lambda: ask(running)[0] == 200)
        upstream.seen.clear()
        upstream.answer = lambda seen: plain(LARGE, delay=4 if leaves else 0.5)

        def one(_):
            with contextlib.suppress(OSError):
                return ask(running, asked, **({"timeout": 1.5} if leaves else {}))

        def twenty():
            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                list(pool.map(one, range(20)))
            return upstream.seen

        eventually(twenty)  # until the request before is booked, all are refused
        eventually(lambda: booked(tmp_path) >= each * len(upstream.seen))
        twenty()
        assert each * len(upstream.seen) < 100 + each
        assert booked(tmp_path) >= each * len(upstream.seen)


def test_tools_that_a_maker_charges_by_the_call_are_refused_under_a_cap(upstream, tmp_path):
    with capped(upstream, tmp_path, "100") as running:
        eventually(lambda: ask(running)[0] == 200)
        seen = len(upstream.seen)
        assert ask(running, {**BRIEF, "web_search_options": {}}) == (200, None), "nothing is asked for"
        assert ask(running, {**BRIEF, "web_search_options": {"search_context_size": "low"}}) == (
            429,
            "price_unknown",
        )
        assert len(upstream.seen) == seen + 1


def test_a_name_that_was_billed_at_an_unknown_price_pays_for_nothing_more(tmp_path):
    limiter = Limiter(tmp_path)
    limiter.learn(UsageTotals(day="2026-12-01", unpriced={"key:app": "mystery"}))
    state = SimpleNamespace(limiter=limiter, config=SimpleNamespace(charges=lambda _: True))
    exchange = SimpleNamespace(state=state, capped=[("key:app", Limits(usd_per_day=Decimal(1)))])
    with pytest.raises(ApiError, match="key app has a spend cap, and no price of mystery is known"):
        asyncio.run(reserve(exchange, SimpleNamespace(name="incumbent"), "m"))


@pytest.mark.parametrize("fault", ["store locked", "recorder stopped, worker killed"])
def test_what_was_spent_is_unknown_so_nothing_is_let_through(upstream, tmp_path, fault):
    with capped(upstream, tmp_path, "0.10") as running:
        eventually(lambda: ask(running)[0] == 200)
        holder = sqlite3.connect(tmp_path / "freehold.sqlite3", isolation_level=None)
        recorder = processes(running, "recorder")[0]
        if fault == "store locked":
            holder.execute("BEGIN IMMEDIATE")
        else:
            recorder.suspend()
        if fault.endswith("killed"):
            (worker,) = (
                one for one in processes(running, "worker") if "freehold.gateway.worker" in one.cmdline()
            )
            worker.kill()
        began, outcomes = time.monotonic(), []
        while time.monotonic() - began < 3 or not outcomes:
            try:
                outcomes.append(ask(running))
            except OSError:
                time.sleep(0.05)
        # A recorder that is stopped is replaced before long, and what was spent is known again: on a busy machine
        # before a new worker has answered once.
        replaced = recorder.pid not in [one.pid for one in processes(running, "recorder")]
        assert (503, "spend_unknown") in outcomes or (replaced and "worker" in fault)
        assert outcomes[-1][0] in (429, 503)
        assert EACH * len(upstream.seen) < Decimal("0.10") + EACH
        with contextlib.suppress(psutil.NoSuchProcess):
            recorder.resume()
        if fault == "store locked":
            holder.execute("ROLLBACK")
        holder.close()
        assert metric(running, "freehold_refusals_total", key="looks") > 0
        eventually(lambda: ask(running)[1] != "spend_unknown")
        eventually(lambda: booked(tmp_path) >= EACH * len(upstream.seen))


def test_what_a_killed_worker_was_being_answered_counts_as_spent(upstream, tmp_path):
    with capped(upstream, tmp_path, "100") as running:
        eventually(lambda: ask(running)[0] == 200)
        eventually(lambda: booked(tmp_path) == EACH)
        upstream.answer = lambda seen: plain(ANSWER, delay=5)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, running)
            eventually(lambda: len(upstream.seen) == 2)
            for worker in processes(running, "worker"):
                if "freehold.gateway.worker" in worker.cmdline():
                    worker.kill()
            assert asked.exception(timeout=10) is not None
        eventually(lambda: booked(tmp_path) > EACH)
        eventually(lambda: metric(running, 'freehold_bills_total{outcome="orphaned"}', key="looks") == 1)


def test_a_client_that_leaves_is_billed_what_was_reserved_an_error_nothing_and_nonsense_little(
    upstream, tmp_path
):
    with capped(upstream, tmp_path, "100") as running:
        upstream.answer = lambda seen: plain({"error": {"message": "no"}}, status=400)
        eventually(lambda: ask(running)[0] == 400)
        time.sleep(0.5)
        assert booked(tmp_path) == 0
        # An absurd report does not shut the key.
        usage = {"prompt_tokens": 9, "completion_tokens": 10**8, "total_tokens": 10**8 + 9}
        upstream.answer = lambda seen: plain({**ANSWER, "usage": usage})
        assert ask(running)[0] == 200
        eventually(lambda: metric(running, 'freehold_bills_total{outcome="implausible"}', key="looks") == 1)
        assert booked(tmp_path) < 1 and ask(running)[0] == 200
        eventually(lambda: metric(running, 'freehold_bills_total{outcome="implausible"}', key="looks") == 2)
        before = booked(tmp_path)
        upstream.answer = lambda seen: plain(ANSWER, delay=3)
        with pytest.raises(OSError):
            ask(running, timeout=0.3)
        eventually(lambda: booked(tmp_path) > before + EACH)


def cut(seen):
    """A whole answer whose length lies."""

    async def respond(request):
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "9000"})
        await response.prepare(request)
        await response.write(json.dumps(ANSWER).encode())
        await asyncio.sleep(0.05)
        request.transport.abort()
        raise ConnectionResetError

    return respond


@pytest.mark.parametrize(
    ("path", "answer"), [("/v1/chat/completions", cut), ("/v1/messages", lambda seen: plain({"ok": True}))]
)
def test_an_answer_that_came_and_cannot_be_told_is_billed_what_was_reserved(upstream, tmp_path, path, answer):
    """The endpoint may charge for it; for nothing, a cap would never be reached."""
    upstream.answer = answer
    with capped(upstream, tmp_path, "0.10") as running:
        eventually(lambda: ask(running, path=path)[0] == 502)
        for _ in range(30):
            if ask(running, path=path)[0] == 429:
                break
        assert ask(running, path=path) in ((429, "spend_cap_reached"), (429, None))
        assert Decimal(0) < eventually(lambda: booked(tmp_path)) < Decimal("0.30")


def test_and_its_tokens_count_as_those_that_were_reserved(upstream, tmp_path):
    upstream.answer = lambda seen: plain({"ok": True})
    limited = ApiKey(name="app", hash=hash_of("k"), limits=Limits(tokens_per_minute=2_000))
    body = {**QUESTION, "max_tokens": 600}
    with gateway(upstream, tmp_path, api_keys=(limited,), capture="off") as running:
        statuses = [ask(running, body, path="/v1/messages")[0] for _ in range(4)]
    assert statuses == [502, 502, 502, 429]


def test_an_answer_that_breaks_its_schema_has_its_price_beside_the_next_one(upstream, tmp_path):
    """A second answer was billed alone, and is not asked for once the cap is reached."""
    words = iter(["Sure! A refund.", '{"intent":"refund"}', "Sure!", '{"intent":"refund"}'])
    # Health checks have no body, and take no answer.
    upstream.answer = lambda seen: plain(structured(next(words)) if seen.body else {})
    can = Capabilities(json_schema=True)
    rented = Endpoint(
        name="rented", engine="remote", models=ANY_SERVED, base_url=upstream.base_url, capabilities=can
    )
    own = Endpoint(name="own", engine="llamacpp", base_url=upstream.base_url)
    route = Route(
        name="m",
        model="m",
        incumbent=Target(endpoint="own"),
        candidate=Target(endpoint="rented"),
        state="promoted",
    )
    changes = {"endpoints": (rented, own), "routes": (route,), "prices": {"rented": PRICES["incumbent"]}}
    body = {**BRIEF, "response_format": FORM}
    with capped(upstream, tmp_path, "0.30", **changes) as running:
        eventually(lambda: ask(running, body)[0] == 200)
        assert len(upstream.seen) == 2
        eventually(lambda: booked(tmp_path) == 2 * EACH)


@pytest.mark.parametrize(
    ("model", "usage", "per_token"),
    [
        # In billionths of a dollar a token, by hand from the list: 1 and 5 dollars a million; written for an hour 2.
        ("claude-haiku-4-5", Usage(prompt_tokens=10, completion_tokens=10), (1000, 5000)),
        (
            "claude-haiku-4-5",
            Usage(prompt_tokens=10, completion_tokens=10, cache_write_tokens=10),
            (1250, 5000),
        ),
        (
            "claude-haiku-4-5",
            Usage(prompt_tokens=10, completion_tokens=10, cache_write_tokens=10, cache_write_1h_tokens=10),
            (2000, 5000),
        ),
        # A prompt of more than 200,000 tokens costs twice, its answer half as much again.
        ("claude-sonnet-4-5", Usage(prompt_tokens=10, completion_tokens=10), (6000, 22_500)),
        ("gpt-5", Usage(prompt_tokens=10, completion_tokens=10, service_tier="priority"), (2500, 20_000)),
        ("house", Usage(prompt_tokens=10, completion_tokens=10), None),
    ],
)
def test_what_is_reserved_covers_the_dearest_way_to_be_billed(model, usage, per_token):
    pytest.importorskip("genai_prices")
    most = Charge([], "incumbent", model, 10, 0, 10, estimated=True, usage=usage)
    assert most_per_token(most, GatewayConfig(endpoints=()), datetime(2026, 11, 20, tzinfo=UTC)) == per_token
