"""A candidate that goes bad under traffic, with a real gateway and a real observer: how many users it hurts."""

import asyncio
import time

import httpx
import pytest
from tests.gateway.asking import structured
from tests.gateway.loopback import FakeUpstream, eventually, gateway, plain
from tests.workflows.shift.shifting import begun

from freehold.gateway.telemetry import meters
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target
from freehold.workflows.shift.observer_process import ObserverConfig, ObserverProcess

pytestmark = pytest.mark.process
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
}


@pytest.fixture
def candidate():
    fake = FakeUpstream()
    yield fake
    fake.close()


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


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("state", "fault"), [("canary", "hangs"), ("promoted", "empty"), ("promoted", "language")]
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
    assert hurt <= 60


def is_known_to_answer(endpoint, spool):
    taken = (one for snapshots in meters.read_running(spool).values() for one in snapshots)
    return any(one.answers.get(endpoint) for one in taken)


def route_time(store):
    return store.route_history("support")[-1].at
