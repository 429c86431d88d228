"""What the gateway's own numbers tell of a route in every state: begun, going on, over."""

import socket
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway, plain
from tests.workflows.shift.shifting import ROUTE, START

from freehold.gateway.serve import free_port
from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.types.config import WatchConfig
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target
from freehold.types.serving.rollout import RouteAlarm
from freehold.workflows.shift import lookout
from freehold.workflows.shift.alerts import Alarm, send
from freehold.workflows.shift.lookout import Lookout, moves_back
from freehold.workflows.shift.observer_process import ObserverConfig, ObserverProcess

AT = datetime(2026, 11, 27, 3, tzinfo=UTC)


@pytest.fixture
def counted(tmp_path, store):
    """A gateway's run folder, its meters, and a function that looks at them some seconds later."""
    folder = tmp_path / "run"
    folder.mkdir()
    leave_word(tmp_path, folder)
    store.save_route(
        Route(**{name: getattr(ROUTE, name) for name in ROUTE.__struct_fields__} | {"state": "promoted"}),
        who="ada", at=AT, why="",
    )  # fmt: skip
    meters, lookout, clock = Meters(), Lookout(tmp_path), [AT]

    def look(seconds=2, **limits_ms):
        meters.write(folder)
        clock[0] += timedelta(seconds=seconds)
        return lookout.look(store, at=clock[0], limits_ms=limits_ms)

    look()
    return meters, look


def answers(meters, count, *, arm="candidate", status=200, seconds=0.1):
    for _ in range(count):
        meters.count_answer("support", "x", arm, status, seconds, seconds)


def failures(meters, count, arm="candidate"):
    meters.count("freehold_failures", "support", arm, "failure", by=count)


def test_a_candidate_that_dies_after_promotion_is_told_once_again_each_hour_and_when_it_is_over(counted):
    meters, look = counted
    answers(meters, 200)
    assert look() == []
    failures(meters, 20)
    (told,) = look()
    assert (told.trouble, told.arm, told.requests, told.failed) == ("failures", "candidate", 20, 20)
    assert told.gateway == socket.gethostname() and "promoted" in told.why
    failures(meters, 20)
    assert look() == []
    failures(meters, 20)
    (again,) = look(seconds=3601)
    assert again.since == told.since and again.over_at is None
    answers(meters, 10)
    assert look() == []
    answers(meters, 10)
    (over,) = look()
    assert over.over_at is not None and over.since == told.since
    answers(meters, 100)
    assert look() == []


def test_each_trouble_has_a_name(counted):
    meters, look = counted
    answers(meters, 100)
    answers(meters, 30, arm="incumbent", status=503)
    meters.count("freehold_fallbacks", "support", "schema", by=60)
    meters.count("freehold_shadows", "support", "failed", by=15)
    answers(meters, 40, seconds=3.0)
    told = {(one.trouble, one.arm) for one in look(support=900.0)}
    assert told == {
        ("failures", "incumbent"),
        ("schema", "candidate"),
        ("mirror", "candidate"),
        ("slow", "candidate"),
    }


def test_answers_that_hang_count_while_they_do_and_once(counted):
    meters, look = counted
    answers(meters, 50)
    assert look(support=900.0) == []
    for number in range(12):
        meters.candidates_requests[str(number)] = ("support", time.perf_counter() - 1.5)
    (told,) = look(support=900.0)
    assert (told.trouble, told.failed, moves_back(told)) == ("slow", 12, True)
    meters.candidates_requests.clear()
    answers(meters, 12, seconds=60.0)
    assert look(support=900.0) == [], "they are the same"


def test_refusals_of_an_endpoint_are_no_answers_and_have_a_name(counted):
    meters, look = counted
    answers(meters, 40, arm="incumbent", status=401)
    answers(meters, 40, status=429)
    meters.count("freehold_refusals", "invalid_api_key", "chat", by=900)
    meters.count("freehold_refusals", "spend_cap_reached", "chat", by=90)
    told = {(one.trouble, one.arm, one.route) for one in look()}
    assert told == {
        ("refused", "incumbent", "support"),
        ("limited", "candidate", "support"),
        ("flood", "incumbent", ""),
        ("cap", "incumbent", ""),
    }
    answers(meters, 40, arm="incumbent", status=401)
    over = look()
    assert {one.trouble for one in over} == {"flood", "cap"} and all(one.over_at for one in over)


def test_what_failed_is_named(counted):
    meters, look = counted
    meters.count("freehold_upstream_failures", "incumbent", "name", by=30)
    failures(meters, 30, arm="incumbent")
    (told,) = look()
    assert "endpoint incumbent: 30 × its host name cannot be resolved" in told.why


def test_what_comes_in_late_of_a_candidate_that_was_moved_away_from_is_no_second_incident(counted, store):
    meters, look = counted
    store.save_route(
        msgspec.structs.replace(store.routes()[0], state="rolled_back"), who="ada", at=AT, why=""
    )
    answers(meters, 40, seconds=60.0)
    failures(meters, 40)
    assert look(support=900.0) == []


def test_a_clock_that_is_set_is_told(counted, monkeypatch):
    _, look = counted
    monkeypatch.setattr(lookout, "_clock_s", lambda: time.time() + 3600)
    assert [one.trouble for one in look()] == ["clock"]
    assert [one.over_at is not None for one in look()] == [True]


def test_what_is_borne_and_what_is_not_a_routes_is_not_told(counted):
    meters, look = counted
    answers(meters, 1000)
    failures(meters, 20)
    meters.count("freehold_failures", "another", "candidate", "failure", by=50)
    answers(meters, 500, seconds=0.2)
    assert look(support=900.0) == []


def test_another_gateway_counts_from_nothing_and_an_open_trouble_outlives_the_observer(
    counted, tmp_path, store
):
    meters, look = counted
    failures(meters, 30)
    assert len(look()) == 1
    second = Lookout(tmp_path)
    assert second.look(store, at=AT, limits_ms={}) == []  # what came before is of the one before
    answers(meters, 25)
    meters.write(tmp_path / "run")
    (over,) = second.look(store, at=AT, limits_ms={})
    assert over.over_at is not None
    assert store.get(RouteAlarm, over.key).over_at is not None


def test_of_two_observers_one_tells(counted, tmp_path, store):
    meters, look = counted
    second = Lookout(tmp_path)
    second.look(store, at=AT, limits_ms={})
    failures(meters, 30)
    assert len(look()) == 1
    assert second.look(store, at=AT, limits_ms={}) == []
    answers(meters, 25)
    assert len(look()) == 1
    assert second.look(store, at=AT, limits_ms={}) == []


def test_one_gateway_that_ends_does_not_hide_what_another_counts(counted, tmp_path):
    meters, look = counted
    other = Meters()
    (tmp_path / "other").mkdir()
    answers(other, 5000)
    other.write(tmp_path / "other")
    leave_word(tmp_path, tmp_path / "other")
    assert look() == []
    (tmp_path / "other.run").unlink()
    failures(meters, 30)
    assert len(look()) == 1


def test_a_candidate_that_is_asked_no_more_is_no_trouble(counted, store):
    meters, look = counted
    failures(meters, 30)
    assert len(look()) == 1
    store.save_route(
        msgspec.structs.replace(store.routes()[0], state="rolled_back"), who="ada", at=AT, why=""
    )
    (over,) = look()
    assert over.over_at is not None and look() == []


def test_numbers_that_are_half_written_or_go_while_they_are_read_are_left_for_the_next_look(
    counted, tmp_path
):
    meters, look = counted
    (tmp_path / "run" / "meters-0-broken.msgpack").write_bytes(b"half")
    failures(meters, 30)
    assert look() == []
    (tmp_path / "run" / "meters-0-broken.msgpack").unlink()
    assert look() == []  # begins again: what was counted meanwhile is not known
    failures(meters, 30)
    assert len(look()) == 1


@pytest.mark.process
def test_an_outage_after_promotion_reaches_the_hook_within_ten_seconds(upstream, tmp_path, hook):
    """The real thing: capture is off, the candidate is gone, every request is answered, and the hook hears of it."""
    config = tmp_path / "freehold.toml"
    config.write_text('[app]\nname = "x"\n[watch]\nwebhook_env = "ALARM_URL"\n')
    url = f"sqlite:///{tmp_path / 'freehold.sqlite3'}"
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="local", engine="llamacpp", base_url=f"http://127.0.0.1:{free_port()}"),
    )
    with open_store(url) as store:
        store.save_route(
            Route(
                name="support", model="m", incumbent=Target(endpoint="incumbent"),
                candidate=Target(endpoint="local"), state="promoted",
            ),
            who="ada", at=AT, why="",
        )  # fmt: skip
    with gateway(upstream, tmp_path, endpoints=endpoints, capture="off") as running:
        observer = ObserverProcess(
            ObserverConfig(
                store_url=url, config_path=str(config), look_seconds=0.5, spool_folder=str(tmp_path / "spool")
            ),
            tmp_path / "observer.log",
        )
        try:
            upstream.answer = lambda seen: plain({"choices": []})

            def told():
                assert post(running, {**QUESTION, "model": "m"})[0] == 200
                return hook[0]

            (alarm, *_) = eventually(told)
        finally:
            observer.stop()
    assert alarm["kind"] == "trouble" and alarm["route"] == "support" and alarm["action"] == "none"
    assert "the candidate did not answer" in alarm["why"]


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
    assert send(ALARM, WatchConfig()) == ()


@pytest.mark.process
def test_a_webhook_gets_the_alarm_as_json(hook):
    bodies, answer = hook
    assert send(ALARM, HOOK) == () and bodies == [TOLD]
    answer["status"] = 500
    assert send(ALARM, HOOK) == ("the alarm's webhook answered 500",)


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
    (said,) = send(ALARM, HOOK)
    assert trouble in said and "secret" not in said
