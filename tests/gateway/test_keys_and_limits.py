"""Keys, concurrency and money over several workers of a real gateway."""

import concurrent.futures
import contextlib
import http.client
import json
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import msgspec
import pytest
from tests.gateway.asking import QUESTION, post, ready
from tests.gateway.loopback import ANSWER, eventually, gateway, on_demand, plain, processes, stream, stream_of

from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import default_url, open_store
from freehold.store.shares import spent
from freehold.types.config import PriceConfig
from freehold.types.route import ApiKey, Limits, Route, Target
from freehold.workflows.shift.keys import limit_label

pytestmark = pytest.mark.process


def limited(**limits):
    return Route(name="support", model="m", incumbent=Target(endpoint="incumbent"), limits=Limits(**limits))


def burst(running, n, **more):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: post(running, {**QUESTION, **more}), range(n)))


def refused(running):
    """Ask now and then until the gateway says no."""

    def ask():
        time.sleep(0.3)
        answer = post(running, QUESTION)
        return answer[0] == 429 and answer

    return eventually(ask, timeout_s=15)


def test_concurrency_holds_over_workers_and_the_queue_has_a_deadline(upstream, tmp_path):
    running_now, most = [0], [0]
    slow = plain(ANSWER, delay=0.25)

    def answer(seen):
        async def respond(request):
            running_now[0] += 1
            most[0] = max(most[0], running_now[0])
            try:
                return await slow(request)
            finally:
                running_now[0] -= 1

        return respond

    upstream.answer = answer
    patient = msgspec.structs.replace(limited(concurrency=3, wait_ms=9000), name="patient", model="patient")
    routes = (limited(concurrency=3), patient)
    with gateway(upstream, tmp_path, routes=routes, workers=3, capture="off") as running:
        answers = burst(running, 12)
        statuses = [status for status, _, _ in answers]
        assert most[0] <= 3 and statuses.count(200) >= 3 and statuses.count(429) >= 3
        _, headers, body = next(one for one in answers if one[0] == 429)
        assert headers["retry-after"] == "1"
        assert json.loads(body)["error"]["code"] == "concurrency_limit_exceeded"
        most[0] = 0
        assert {status for status, _, _ in burst(running, 9, model="patient")} == {200} and most[0] == 3


def test_an_unknown_price_lets_nothing_through(upstream, tmp_path):
    routes = (limited(usd_per_day=Decimal(1)),)
    with gateway(upstream, tmp_path, routes=routes, capture="off") as running:
        assert "no price of m is known" in json.loads(refused(running)[2])["error"]["message"]
        assert upstream.seen == []


def test_the_streams_of_a_revoked_key_end_and_no_others_and_the_last_one_opens_nothing(upstream, tmp_path):
    url, secrets = default_url(tmp_path), {name: new_key() for name in ("lost", "good")}
    keys = {name: ApiKey(name=name, hash=hash_of(secret)) for name, secret in secrets.items()}
    words, go = stream_of(*("word" for _ in range(40))), threading.Semaphore(0)
    upstream.answer = lambda seen: on_demand(words, go, content_type="text/event-stream")

    def read(running, name):
        with httpx.stream(
            "POST",
            f"{running.base_url}/v1/chat/completions",
            json={**QUESTION, "stream": True},
            headers={"authorization": f"Bearer {secrets[name]}"},
            timeout=30,
        ) as answer:
            try:
                return "".join(answer.iter_text()).count("word")
            except httpx.RemoteProtocolError:
                return "cut"

    with open_store(url) as store, concurrent.futures.ThreadPoolExecutor(2) as clients:
        for key in keys.values():
            store.put(key)
        with gateway(upstream, tmp_path, store_url=url, capture="off") as running:
            ready(running)
            answers = {name: clients.submit(read, running, name) for name in secrets}
            eventually(lambda: len(upstream.seen) == 2)
            store.put(msgspec.structs.replace(keys["lost"], revoked_at=datetime.now(UTC)))
            assert answers["lost"].result(timeout=30) == "cut"
            assert eventually(lambda: upstream.aborted == 1), "the endpoint need not go on either"
            go.release(2 * len(words))
            assert answers["good"].result(timeout=30) == 40
            upstream.answer = lambda seen: plain(ANSWER)
            shown = {"authorization": f"Bearer {secrets['good']}"}
            assert post(running, QUESTION)[0] == 401
            store.put(msgspec.structs.replace(keys["good"], revoked_at=datetime.now(UTC)))

            def is_refused():
                with contextlib.suppress(OSError):  # one that is being answered is cut off
                    return post(running, QUESTION, headers=shown)[0] == 401

            eventually(is_refused)
            assert post(running, QUESTION)[0] == 401


def keyed(tmp_path, limits, *names, shared=None):
    """A store with keys that carry one label, and what a client shows of each."""
    url, shown = default_url(tmp_path), []
    with open_store(url) as store:
        if shared is not None:
            limit_label(store, "t", shared, who="x", at=datetime.now(UTC))
        for name in names:
            secret = new_key()
            store.put(ApiKey(name=name, hash=hash_of(secret), limits=limits, label="t" if shared else None))
            shown.append({"authorization": f"Bearer {secret}"})
    return url, shown


def hammer(running, headers, count, threads=24, **more):
    """Statuses and the last refusal's headers, of requests sent as fast as these threads can."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        asked = [
            pool.submit(post, running, {**QUESTION, **more}, headers=headers[number % len(headers)])
            for number in range(count)
        ]
    answers = [one.result() for one in asked]
    refused = next((told for status, told, _ in answers if status == 429), {})
    return [status for status, _, _ in answers], refused


def test_sixty_a_minute_are_sixty_over_workers_and_keys_of_a_label(upstream, tmp_path):
    url, headers = keyed(tmp_path, Limits(), "a", "b", shared=Limits(requests_per_minute=60))
    with gateway(upstream, tmp_path, store_url=url, workers=3, capture="off") as running:
        eventually(lambda: post(running, QUESTION, headers=headers[0])[0] == 200)
        statuses, refused = hammer(running, headers, 200)
        assert statuses.count(200) == 59 and statuses.count(429) == 141
        assert refused["x-ratelimit-limit-requests"] == "60"
        assert refused["x-ratelimit-remaining-requests"] == "0"
        assert 1 <= int(refused["retry-after"]) <= 61
        assert len(upstream.seen) == 60


def test_a_cent_lets_a_cent_through_and_one_answer_and_is_kept_over_a_restart(upstream, tmp_path):
    prices = {"incumbent": PriceConfig(prompt=Decimal(100), completion=Decimal(200))}
    each = Decimal("0.0015")  # 9 prompt and 3 completion tokens
    url, headers = keyed(tmp_path, Limits(), "a", "b", shared=Limits(usd_per_day=Decimal("0.01")))
    changes = {"store_url": url, "workers": 3, "capture": "off", "prices": prices}
    upstream.answer = lambda seen: (
        stream(stream_of("on", "its", "way", usage=True)) if seen.json.get("stream") else plain(ANSWER)
    )
    with gateway(upstream, tmp_path, **changes) as running:
        eventually(lambda: post(running, {**QUESTION, "max_tokens": 3}, headers=headers[0])[0] == 200)
        for stream_it in (True, False, True):
            statuses, _ = hammer(running, headers, 60, max_tokens=3, stream=stream_it)
            assert set(statuses) <= {200, 429}
            time.sleep(1)
        assert 4 <= len(upstream.seen) <= 7, "no more than a cent and one answer"
        streamed = [seen.json for seen in upstream.seen if seen.json.get("stream")]
        assert streamed and all(one["stream_options"] == {"include_usage": True} for one in streamed)
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        with open_store(url) as store:

            def booked():
                money = spent(store.database, day, day[:7]).get("label:t")
                return money is not None and money.day_usd == each * len(upstream.seen)

            eventually(booked)
    with gateway(upstream, tmp_path, **changes) as again:
        eventually(lambda: post(again, {**QUESTION, "max_tokens": 3}, headers=headers[0])[0] == 429)
        statuses, _ = hammer(again, headers, 20, max_tokens=3)
        assert set(statuses) <= {200, 429} and len(upstream.seen) <= 7, "a restart gives nothing back"


def test_what_a_killed_worker_had_reserved_is_not_given_out_again(upstream, tmp_path):
    """Tokens that were reserved stay counted for their minute."""
    upstream.answer = lambda seen: plain(ANSWER, delay=20)
    url, headers = keyed(tmp_path, Limits(tokens_per_minute=1000), "a")
    with gateway(upstream, tmp_path, store_url=url, workers=1, capture="off") as running:

        def ask():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return post(running, {**QUESTION, "max_tokens": 900}, headers=headers[0])

        eventually(lambda: b"starting" not in post(running, {**QUESTION, "model": ""}, headers=headers[0])[2])
        asking = threading.Thread(target=lambda: ask())
        asking.start()
        eventually(lambda: upstream.seen)
        (worker,) = processes(running, "worker")
        worker.kill()
        asking.join()
        upstream.answer = lambda seen: plain(ANSWER)

        status, told, _ = eventually(lambda: (answer := ask()) and answer[0] in (200, 429) and answer)
        assert status == 429 and int(told["x-ratelimit-remaining-tokens"]) < 100
