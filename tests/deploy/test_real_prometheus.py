"""Every query of dashboard and alerts, asked of a real Prometheus that scrapes real gateways under traffic."""

import contextlib
import json
import re
import time
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import psutil
import pytest
import trustme
from tests.deploy.monitoring_files import all_queries, filled, rules
from tests.deploy.scraping import prometheus
from tests.gateway.asking import FORM, QUESTION, post
from tests.gateway.loopback import (
    ANSWER,
    FakeUpstream,
    eventually,
    gateway,
    plain,
    processes,
    stream,
    stream_of,
)
from tests.gateway.proxy.mixtures import mixed, own, rule_for, told

from freehold.gateway.config import TlsFiles
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.config import PriceConfig
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import ApiKey, Limits, Route, Target

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
KEY, FREE, LOOKS = new_key(), new_key(), new_key()
NOT_MADE = {"Preparations A": "no model is prepared here"}
"""Queries that the traffic below makes no series for, each with the reason. Alerts are silent, but for `FIRING`."""
NO_SERIES = {"FreeholdRequestsRefusedUnchecked", "FreeholdRefusedByEndpoint"}
"""Alerts for what does not happen here."""
ROUNDS = 30
FIRING = {
    "FreeholdRouteUnanswered", "FreeholdErrorRate", "FreeholdRolledBack", "FreeholdBreakerOpen", "FreeholdEndpointDown",
    "FreeholdFallsBack", "FreeholdCostUnknown", "FreeholdCertificateExpires",
}  # fmt: skip
SIDES = {"incumbent": Target(endpoint="rented"), "candidate": Target(endpoint="own")}
CANARY = Route(
    name="half", model="half", state="canary", canary_share=0.5, sticky="user", shadow_share=1.0, **SIDES
)


def routes(candidate):
    dead = Target(endpoint="dead")
    return (
        CANARY,
        Route(name="shadowed", model="shadowed", state="shadow", shadow_share=1.0, **SIDES),
        Route(name="moved", model="moved", state="promoted", incumbent=SIDES["incumbent"], candidate=dead),
        Route(name="down", model="down", incumbent=Target(endpoint="broken")),
        mixed("mixed", candidate, rule_for(candidate), incumbent=Target(endpoint="rented", model="m")),
        mixed("would", candidate, rule_for(candidate), incumbent=Target(endpoint="rented", model="m"),
              state="shadow", shadow_share=1.0),
    )  # fmt: skip


def answers(seen):
    """What both upstreams say, by the model asked for."""
    asked = json.loads(seen.body) if seen.body else {}
    if "metadata" in asked:
        return stream(stream_of(*"abcdefgh"), pause=0.2)
    if asked.get("model") == "tuned":
        return plain(told("on its way", -0.5 if len(seen.body) % 2 else -8.0))
    if asked.get("stream"):
        return stream(stream_of("on", " its", " way", usage=True))
    return plain(ANSWER, delay=0.02)


def ask_everything(running, number):
    """One round of all that makes numbers; another user, and another question, each time."""
    shown = {"authorization": f"Bearer {KEY}"}

    def ask(model, *, user=None, **more):
        question = [{"role": "user", "content": f"Where is parcel {number}{'!' * (number % 5)}?"}]
        body = {"model": model, "messages": question, "temperature": 0, "max_tokens": 5, **more}
        if user is not None:
            body["user"] = user
        return post(running, body, headers=shown, timeout=30)[0]

    for model in ("shadowed", "moved", "down", "mixed", "would", "gpt-4o"):
        ask(model)
    ask("half", user=f"user {number}")
    ask("half")
    ask("half", user=f"user {number}", response_format=FORM)
    ask("gpt-4o", stream=True)
    post(running, {"input": "x"}, path="/v1/moderations", headers={"authorization": f"Bearer {FREE}"})
    post(running, QUESTION, headers={"authorization": "Bearer wrong"})
    left_early(running, shown)


def left_early(running, shown):
    """A client that goes away within a stream."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", running.config.port, timeout=10)
    body = json.dumps({**QUESTION, "model": "gpt-4o", "stream": True, "metadata": {"slow": "yes"}})
    connection.request("POST", "/v1/chat/completions", body, {**shown, "content-type": "application/json"})
    connection.getresponse().read(1)
    connection.close()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    with scene(tmp_path_factory.mktemp("scraped"), tmp_path_factory.mktemp("secure")) as asked:
        yield asked


@contextlib.contextmanager
def scene(folder, secure_folder):
    """Prometheus after some seconds of traffic at one gateway, and another one over TLS."""
    rented, candidate_upstream, broken = FakeUpstream(), FakeUpstream(), FakeUpstream()
    rented.answer = candidate_upstream.answer = answers
    broken.answer = lambda seen: plain(b"{}", status=500)
    candidate = own("own", candidate_upstream.base_url)
    endpoints = (
        Endpoint(name="rented", engine="remote", base_url=rented.base_url, models=ANY_SERVED),
        candidate,
        Endpoint(name="dead", engine="llamacpp", base_url=f"http://127.0.0.1:{claim_port()}"),
        Endpoint(name="broken", engine="remote", base_url=broken.base_url),
    )
    with open_store(f"sqlite:///{folder / 'freehold.sqlite3'}") as store:
        store.put(ApiKey(name="app", hash=hash_of(KEY), limits=Limits(usd_per_day=Decimal(1000))))
        store.put(ApiKey(name="free", hash=hash_of(FREE)))
        store.put(ApiKey(name="monitoring", hash=hash_of(LOOKS), role="read"))
        for route in routes(candidate):
            store.save_route(route, who="test", at=datetime.now(UTC))
    price = PriceConfig(prompt=Decimal(10), completion=Decimal(20))
    prices = {"rented": price, "broken": price}
    changes = {
        "endpoints": endpoints, "others_to": "rented", "prices": prices, "workers": 2,
        "breaker_pause_s": 120.0, "retries": 1,
    }  # fmt: skip
    try:
        with (
            gateway(rented, folder, **changes) as running,
            gateway(rented, secure_folder, tls=certificate(secure_folder)) as secure,
            prometheus(folder, jobs(running, secure)) as asked,
        ):
            eventually(lambda: all(one["health"] == "up" for one in asked.targets().values()))
            for number in range(ROUNDS):
                ask_everything(running, number)
                if number in (0, ROUNDS // 2):
                    asked.wait_for_scrapes()  # an increase needs a first number
                if number == ROUNDS // 2:
                    psutil.Process(processes(running, "worker")[0].pid).kill()
                    roll_back(running)
                    running.update(msgspec.structs.replace(running.config, hosts=("freehold.example",)))
            eventually(lambda: asked.ask("max(freehold_rollbacks_total) == 1"))
            asked.wait_for_scrapes()
            yield asked
    finally:
        for one in (rented, candidate_upstream, broken):
            one.close()


def certificate(folder):
    """One that ends in a week."""
    made = trustme.CA().issue_cert(
        "localhost", not_after=datetime.fromtimestamp(time.time() + 7 * 86_400, UTC)
    )
    files = {"certificate": folder / "chain.pem", "key": folder / "key.pem"}
    files["certificate"].write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    files["key"].write_bytes(made.private_key_pem.bytes())
    return TlsFiles(**{name: str(path) for name, path in files.items()})


def jobs(running, secure):
    def job(name, gateway, **more):
        target = f"127.0.0.1:{gateway.config.port}"
        return {"job_name": name, "static_configs": [{"targets": [target]}], **more}

    return [
        job("freehold", running, authorization={"credentials": LOOKS}),
        job("secure", secure, scheme="https", tls_config={"insecure_skip_verify": True}),
    ]


def roll_back(running):
    with open_store(running.config.store_url) as store:
        (before,) = [route for route in store.routes() if route.name == "half"]
        store.save_route(
            msgspec.structs.replace(before, state="rolled_back"), who="test", at=datetime.now(UTC)
        )


def test_each_query_of_the_dashboard_finds_something(scraped):
    wrong = {}
    for name, query in all_queries().items():
        if name.startswith("alert "):
            continue
        values = [float(one["value"][1]) for one in scraped.ask(filled(query))]
        if name in NOT_MADE:
            assert not values, f"{name} is made now: strike it from the list"
        elif not any(value == value for value in values):
            wrong[name] = filled(query), values
    assert not wrong


def test_an_alert_finds_what_it_is_for_and_no_other_does(scraped):
    """At any time of the traffic: a breaker opens and closes again."""
    named = {rule["alert"]: rule["expr"] for rule in rules()}
    now = {name for name, expr in named.items() if scraped.ask(expr)}
    ever = {name for name in FIRING if scraped.ask(f"count_over_time(({named[name]})[5m:1s])")}
    assert (now - FIRING, FIRING - ever) == (set(), set())


def test_what_an_alert_compares_is_there(scraped):
    """Without its comparisons each alert finds series: silence is health, not a wrong name."""
    for rule in rules():
        if rule["alert"] not in ("FreeholdNotScraped", *NO_SERIES):
            bare = re.sub(r"\s(?:==|>=|<=|>|<) [0-9.]+(?: \* 86400)?", "", rule["expr"])
            assert bare != rule["expr"] and scraped.ask(bare), bare


def test_prometheus_took_the_rules_and_tells_alerts_in_words(scraped):
    (group,) = scraped.get("/api/v1/rules")["data"]["groups"]
    assert [rule["health"] for rule in group["rules"]] == ["ok"] * len(rules())
    (rolled_back,) = eventually(
        lambda: [
            one
            for one in scraped.get("/api/v1/alerts")["data"]["alerts"]
            if one["labels"]["alertname"] == "FreeholdRolledBack"
        ]
    )
    assert rolled_back["annotations"]["summary"] == 'Route "half" was rolled back to the incumbent'


def test_variables_are_filled(scraped):
    assert set(scraped.get("/api/v1/label/route/values")["data"]) >= {"half", "mixed", "moved"}
    assert "app" in scraped.get("/api/v1/label/key/values")["data"]
