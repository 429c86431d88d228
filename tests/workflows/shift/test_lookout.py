"""What the gateway's own numbers tell of a route in every state: begun, going on, over."""

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from tests.gateway.asking import QUESTION, post, structured
from tests.gateway.loopback import eventually, gateway, plain
from tests.workflows.shift.shifting import ROUTE, begun, trace

from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.rollout import RouteAlarm
from freehold.types.route import Route, Target
from freehold.workflows.shift import lookout
from freehold.workflows.shift.following import ObserverConfig, ObserverProcess
from freehold.workflows.shift.lookout import FreeChecks, Lookout, moves_back

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


def test_an_answer_that_a_person_does_not_wait_for_is_not_late(store):
    route = msgspec.structs.replace(ROUTE, state="promoted")
    for usual_ms, late_ms in ((5.0, 200.0), (500.0, 1_500.0)):
        before = [trace(n, arm="candidate", id=f"{usual_ms}-{n}", total_ms=usual_ms) for n in range(200)]
        store.add_traces(before)
        store.save_route(route, who="ada", at=before[-1].at + timedelta(seconds=1))
        (kept,) = store.routes()
        checks = FreeChecks()
        checks.look(store, [kept])
        assert checks.slow_ms("support") == late_ms


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
        Endpoint(name="local", engine="llamacpp", base_url=f"http://127.0.0.1:{claim_port()}"),
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
            ObserverConfig(store_url=url, config_path=str(config), spool_folder=str(tmp_path / "spool")),
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


ASKED = "Wie lange ist die Lieferung von der Bestellung an noch bei euch, und was ist mit dem Paket das ich suche?"
GERMAN = structured(
    "Das Paket ist auf dem Weg zu dir, und die Lieferung ist morgen bei dir, wie es bestellt ist."
)
ENGLISH = structured(
    "The package is on the way to you and it is in that van for the day as you have said to us."
)
PER_SECOND, USERS = 20, 600
FAULTS = {
    "hangs": lambda seen: plain(GERMAN, delay=300),
    "empty": lambda seen: plain(structured("")),
    "language": lambda seen: plain(ENGLISH),
    "slow": lambda seen: plain(GERMAN, delay=3),
}


async def users(running, route, *, most, until):
    """Ask as one user after the other; returns what each got: its text and how long it took."""
    got = []

    async def ask(client, number):
        began = time.monotonic()
        body = {
            "model": "m",
            "user": f"u{number}",
            "messages": [{"role": "user", "content": f"{ASKED} {number}"}],
        }
        try:
            answer = await client.post("/v1/chat/completions", json=body)
            text = (
                answer.json()["choices"][0]["message"]["content"] if answer.status_code == 200 else "failed"
            )
        except httpx.HTTPError:
            text = "failed"
        got.append((text, time.monotonic() - began))

    async with httpx.AsyncClient(base_url=running.base_url, timeout=20) as client:
        asked = []
        for number in range(most):
            asked.append(asyncio.create_task(ask(client, number)))
            await asyncio.sleep(1 / PER_SECOND)
            if until():
                break
        await asyncio.gather(*asked)
    return got


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ("canary", "hangs"),
        ("promoted", "empty"),
        ("promoted", "language"),
        ("promoted", "slow"),
        ("promoted", "hangs"),
    ],
)
def test_few_users_are_hurt_by_a_candidate_that_goes_bad(upstream, candidate, tmp_path, state, fault):
    config = tmp_path / "freehold.toml"
    config.write_text('[app]\nname = "x"\n')
    endpoints = (
        Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED),
        Endpoint(name="local", engine="remote", base_url=candidate.base_url, models=ANY_SERVED),
    )
    upstream.answer = candidate.answer = lambda seen: plain(GERMAN)
    url = f"sqlite:///{tmp_path / 'freehold.sqlite3'}"
    with open_store(url) as store, gateway(upstream, tmp_path, endpoints=endpoints, store_url=url) as running:
        begun(store, endpoint="local", max_p95_ms=1000.0, requests_per_user=1)
        (route,) = store.routes()
        moved = {"model": "m", "state": state, "canary_share": 0.5, "sticky": "user", "shadow_share": 0.0}
        fields = {name: getattr(route, name) for name in Route.__struct_fields__} | moved
        fields["candidate"] = Target(endpoint="local")
        store.save_route(Route(**fields), who="ada", at=route_time(store), why="")
        observer = ObserverProcess(
            ObserverConfig(store_url=url, config_path=str(config), spool_folder=str(tmp_path / "spool")),
            tmp_path / "observer.log",
        )
        try:
            well = asyncio.run(users(running, route.name, most=100, until=lambda: False))
            assert sum(took > 1 or not text for text, took in well) <= 5
            if state == "promoted":
                eventually(lambda: is_known_to_answer("incumbent", tmp_path / "spool"), timeout_s=30)
            candidate.answer = FAULTS[fault]
            began = time.monotonic()

            def is_back():
                return store.routes()[0].state == "rolled_back" and time.monotonic() - began > 6

            got = asyncio.run(users(running, route.name, most=USERS, until=is_back))
            eventually(lambda: store.routes()[0].state == "rolled_back")
        finally:
            observer.stop()
    bad = {"empty": "", "language": ENGLISH["choices"][0]["message"]["content"]}.get(fault, "failed")
    hurt = sum(text == bad or took > 1.5 for text, took in got)
    # Late answers are known to be late when they are.
    assert hurt <= (90 if state == "promoted" and fault in ("slow", "hangs") else 60)


def is_known_to_answer(endpoint, spool):
    taken = (one for snapshots in meters.read_running(spool).values() for one in snapshots)
    return any(one.answers.get(endpoint) for one in taken)


def route_time(store):
    return store.route_history("support")[-1].at
