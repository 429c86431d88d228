"""A candidate that is bad on purpose, with real parts: a gateway, two engines of the shipped fake, a store, a rollout
and the observer that ends it."""

import asyncio
import contextlib
import itertools
import random
import time
from datetime import UTC, datetime

import aiohttp
import pytest

from freehold import engines
from freehold.gateway import serve as gateway
from freehold.gateway.config import GatewayConfig
from freehold.processes import claim_port
from freehold.store import leases, open_store
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.workflows.shift import routes
from freehold.workflows.shift.following import LEASE, ObserverConfig, ObserverProcess
from freehold.workflows.shift.rollout import rollout

pytestmark = pytest.mark.process
NAME, GOOD, BAD = "rehearsal", "good", "bad"
DROP, SLOW_MS, MOST_REQUESTS, AFTERWARDS = 0.5, 200.0, 2000, 30


def question(number):
    return f"question {number}"


def options_of(fault):
    """What the bad engine does."""
    draw = random.Random(0)
    wrong = [number for number in range(MOST_REQUESTS + AFTERWARDS) if draw.random() < DROP]
    return {
        "none": {},
        "quality": {"answers": {question(number): "wrong" for number in wrong}},
        "errors": {"failure_rate": DROP},
        "slow": {"delay_ms": SLOW_MS},
    }[fault]


@contextlib.asynccontextmanager
async def engine(folder, name, options):
    session = engines.start(ServePlan(engine="echo", model=name, options=options), log_dir=folder, name=name)
    await session.start()
    try:
        yield session.running.endpoint
    finally:
        await session.stop()


def begin(store, fault):
    """All mirrored, where answers are wrong; half of the users on the candidate where it fails or is late."""
    mirrored = fault in ("quality", "none")
    route = Route(
        name=NAME, model="asked", incumbent=Target(endpoint=GOOD, model=GOOD),
        candidate=Target(endpoint=BAD, model=BAD), sticky="user",
    )  # fmt: skip
    terms = RolloutTerms(
        task=Task(name=NAME, scorer="exact", margin=0.1), stages=(0.5,), shadow_share=float(mirrored),
        max_p95_ms=SLOW_MS / 2 if fault == "slow" else None, requests_per_user=1,
    )  # fmt: skip
    at = datetime.now(UTC)
    rollout.start(store, route, terms, who="test", at=at)
    if not mirrored:
        rollout.advance(store, NAME, who="test", at=at, without=rollout.GATES)


async def until(claim):
    ends = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


async def played(folder, fault, most):
    """Ask until the route is rolled back, or `most` requests were answered: the rollout as it is then, the requests
    answered, and those that the candidate got later than a second after it was rolled back."""
    async with engine(folder, GOOD, {}) as good, engine(folder, BAD, options_of(fault)) as bad:
        url = f"sqlite:///{folder / 'freehold.sqlite3'}"
        config = GatewayConfig(
            endpoints=(good, bad), port=claim_port(), store_url=url, capture="raw", retries=0
        )
        running = await asyncio.to_thread(gateway.start, config, log=folder / "gateway.log")
        observer = None
        try:
            with open_store(url) as store:
                begin(store, fault)
                await asyncio.sleep(1)  # until the workers know of the route
                observer = ObserverProcess(ObserverConfig(store_url=url), folder / "observer.log")
                await until(lambda: leases.holder(store.database, LEASE) is not None)
                return await asked(store, running.base_url, most)
        finally:
            if observer is not None:
                await asyncio.to_thread(observer.stop)
            await asyncio.to_thread(running.stop)


async def asked(store, url, most):
    numbers = itertools.count()

    def now():
        return routes.find_rollout(store, NAME)

    async with aiohttp.ClientSession(url) as client:

        async def send():
            number = next(numbers)
            body = {"model": "asked", "messages": [{"role": "user", "content": question(number)}]}
            headers = {"x-freehold-user": f"user-{number}"}
            async with client.post("/v1/chat/completions", json=body, headers=headers) as answer:
                await answer.read()

        answered = 0
        while now().state != "rolled_back" and answered < most:
            await asyncio.gather(*(send() for _ in range(8)))
            await asyncio.sleep(0.05)
            answered += 8
        await asyncio.sleep(3)  # a look more, and the change has reached the workers
        ended, moment = now(), datetime.now(UTC)
        for _ in range(AFTERWARDS):
            await send()
    await asyncio.sleep(1)
    late = store.traces(route=NAME, since=moment, complete_only=False)
    return ended, answered, sum(trace.arm == "candidate" for trace in late)


@pytest.mark.parametrize(
    ("fault", "why"), [("quality", "quality"), ("errors", "errors"), ("slow", "latency")]
)
def test_a_bad_candidate_is_rolled_back_and_gets_nothing_afterwards(tmp_path, fault, why):
    ended, answered, late = asyncio.run(played(tmp_path, fault, MOST_REQUESTS))
    assert ended.state == "rolled_back" and why in ended.why
    assert answered < 1000 and late == 0


def test_a_good_candidate_stays(tmp_path):
    ended, _, late = asyncio.run(played(tmp_path, "none", 160))
    assert ended.state == "shadow" and late > 0
