"""Alarms to a webhook: what it gets, and what is said when it does not get it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.gateway.asking import QUESTION, post, structured
from tests.gateway.loopback import ANSWER, eventually, gateway, plain
from tests.workflows.shift.shifting import START

from freehold.gateway.limits.keys import hash_of
from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.types.config import PriceConfig, WatchConfig
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.rollout import RouteAlarm
from freehold.types.route import ApiKey, Limits, Route, Target
from freehold.workflows.shift import alarms
from freehold.workflows.shift.alarms import Alarm, send_alarm
from freehold.workflows.shift.following import ObserverConfig, ObserverProcess

ALARM = Alarm(kind="rolled_back", app="shop", route="support", at=START, why="too slow", action="rolled_back")
TOLD = {
    "kind": "rolled_back",
    "app": "shop",
    "route": "support",
    "at": "2026-03-01T12:00:00Z",
    "why": "too slow",
    "action": "rolled_back",
}
HOOK = WatchConfig(webhook_env="ALARM_URL")


@pytest.mark.process
def test_without_hooks_nothing_is_told():
    assert send_alarm(ALARM, WatchConfig()) == ()


@pytest.mark.process
def test_a_webhook_gets_the_alarm_as_json(hook):
    bodies, answer = hook
    assert send_alarm(ALARM, HOOK) == () and bodies == [TOLD]
    answer["status"] = 500
    assert send_alarm(ALARM, HOOK) == ("the alarm's webhook answered 500",)


@pytest.mark.process
@pytest.mark.parametrize(
    ("address", "trouble"),
    [
        (None, "ALARM_URL is not set"),
        ("ftp://secret", "ALARM_URL is not an http:// or https:// address"),
        ("http://127.0.0.1:1/secret", "cannot be reached: URLError"),
        ("http://[secret", "cannot be reached: ValueError"),
    ],
)
def test_a_webhook_that_cannot_be_told_is_named_without_its_address(monkeypatch, address, trouble):
    if address is None:
        monkeypatch.delenv("ALARM_URL", raising=False)
    else:
        monkeypatch.setenv("ALARM_URL", address)
    (said,) = send_alarm(ALARM, HOOK)
    assert trouble in said and "secret" not in said


FAULTS = {
    "broken": lambda: plain({}, status=500),
    "rotated": lambda: plain({"error": {}}, status=401),
    "limited": lambda: plain({"error": {}}, status=429, headers={"retry-after": "60"}),
    "late": lambda: plain(ANSWER, delay=4),
    "mute": lambda: plain(structured("")),
}
SAID = {
    "broken": "endpoint main: ",
    "rotated": "the incumbent's endpoint refused the key that it was sent (401 or 403)",
    "limited": "the incumbent's endpoint took no more requests (429)",
    "late": "endpoint slow begins to answer after",
    "mute": "the incumbent's answers were empty",
    "lost": "its host name cannot be resolved",
    "hangs": "the candidate did not answer",
    "flood": "clients showed no valid key",
    "spent": "requests were refused because a spend cap is reached",
}


@pytest.mark.process
@pytest.mark.timeout(300)
def test_each_incident_is_named_within_a_look(upstream, candidate, tmp_path):
    """All at once, each by a route of its own, as clients cause them."""
    endpoints = (
        Endpoint(name="main", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="slow", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="gone", engine="remote", base_url="http://no-such-host.invalid/v1"),
        Endpoint(name="new", engine="llamacpp", base_url=candidate.base_url, models=ANY_SERVED),
    )
    faulty = {name: Route(name=name, model=name, incumbent=Target(endpoint="main")) for name in FAULTS}
    faulty["late"] = Route(name="late", model="late", incumbent=Target(endpoint="slow"))
    faulty["lost"] = Route(name="lost", model="lost", incumbent=Target(endpoint="gone"))
    faulty["hangs"] = Route(
        name="hangs", model="hangs", incumbent=Target(endpoint="main"), candidate=Target(endpoint="new"),
        state="promoted",
    )  # fmt: skip
    upstream.answer = lambda seen: FAULTS.get(
        seen.json["model"] if seen.body else "", lambda: plain(ANSWER)
    )()
    candidate.answer = lambda seen: plain(ANSWER, delay=120 if "hangs" in watched else 0)
    watched = []
    keys = (
        ApiKey(name="app", hash=hash_of("app"), role="admin"),
        ApiKey(name="spent", hash=hash_of("spent"), limits=Limits(usd_per_day=Decimal("0.0000001"))),
    )
    prices = {"main": PriceConfig(prompt=Decimal(1000), completion=Decimal(1000))}
    url = f"sqlite:///{tmp_path / 'freehold.sqlite3'}"
    with open_store(url) as store:
        for route in faulty.values():
            store.save_route(route, who="ada", at=datetime.now(UTC), why="")
        options = {"endpoints": endpoints, "store_url": url, "api_keys": keys, "prices": prices, "retries": 0}
        with gateway(upstream, tmp_path, **options) as running, ThreadPoolExecutor(64) as clients:
            observer = ObserverProcess(
                ObserverConfig(store_url=url, config_path=None, spool_folder=str(tmp_path / "spool")),
                tmp_path / "observer.log",
            )

            def ask(model, key="app"):
                shown = {"authorization": f"Bearer {key}"}
                try:
                    return post(running, {**QUESTION, "model": model}, headers=shown, timeout=8)[0]
                except TimeoutError:
                    return 0

            try:
                assert eventually(lambda: ask("hangs") == 200)
                for _ in clients.map(ask, ["hangs"] * 40):
                    pass
                time.sleep(5)
                watched.append("hangs")
                asked = [clients.submit(ask, name) for name in faulty for _ in range(12)]
                asked += [clients.submit(ask, "m", "wrong") for _ in range(200)]
                asked += [clients.submit(ask, "m", "spent") for _ in range(30)]

                def named():
                    found = alarms.incidents(tmp_path, store.records(RouteAlarm))
                    told = "\n".join(one.text for one in found)
                    return {name for name, words in SAID.items() if words in told}

                seen = set()
                eventually(lambda: seen.update(named()) or seen == SAID.keys(), timeout_s=30)
            finally:
                missing = SAID.keys() - seen
                observer.stop()
    assert not missing


def test_a_full_disk_a_silent_recorder_and_a_refused_file_are_seen_without_the_store(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    leave_word(tmp_path / "spool", tmp_path / "run")
    meters = Meters()
    meters.write(tmp_path / "run")
    assert alarms.incidents(tmp_path, ()) == ()
    meters.stated["freehold_config_stale"] = 1.0
    meters.open_breakers = ("main",)
    meters.candidates_requests["x"] = ("r", time.perf_counter() - 31)
    meters.write(tmp_path / "run")
    monkeypatch.setattr(alarms, "recorder_silent_s", lambda folder: 60.0)
    monkeypatch.setattr(alarms, "_LEAST_FREE_BYTES", 1 << 80)
    told = [one.text for one in alarms.incidents(tmp_path, ())]
    for words in (
        "the disk of",
        "the recorder has been silent",
        "freehold.toml is not",
        "endpoint main",
        "candidate of route r",
    ):
        assert any(words in one for one in told), words
