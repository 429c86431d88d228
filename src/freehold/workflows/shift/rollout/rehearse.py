"""`freehold rollout rehearse`: a candidate that is bad on purpose, to see that rollback fires.

Real parts in a folder that is thrown away: a gateway, two engines of the shipped fake (one of them bad), a store,
a rollout and the observer that ends it. No model is asked, and nothing of the project is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec

from freehold import engines
from freehold.errors import EngineError
from freehold.gateway import serve as gateway
from freehold.gateway.config import GatewayConfig
from freehold.late import aiohttp
from freehold.processes import claim_port
from freehold.progress import Progress, Silent
from freehold.store import Store, leases, open_store, rollouts
from freehold.store.database import default_url
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.evaluation import Task
from freehold.types.record import Record
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.workflows.shift import routes
from freehold.workflows.shift.following import LEASE, ObserverConfig, ObserverProcess
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.decision import Tests

Fault = Literal["quality", "errors", "slow"]
ROUTE = "rehearsal"
_GOOD, _BAD = "good", "bad"
_CONCURRENCY = 8
_PAUSE_S = 0.05
_SLOW_MS = 200.0
_PROPAGATION_S = 1.0
_REQUESTS_AFTERWARDS = 30
_TIMEOUT_S = 30.0
_SHADOW_SHARE = 1.0
_CANARY_SHARE = 0.5
_LOOK_SECONDS = 0.25


class RehearsalResult(Record, frozen=True, kw_only=True):
    """What happened to a candidate that fails `drop` of the requests.

    `requests` and `seconds` are how long it took until the route was rolled back. `late_requests` are those the
    candidate still got later than a second after that; None when it was not rolled back.
    """

    fault: Fault
    drop: float
    margin: float
    requests: int
    seconds: float
    rolled_back: bool
    why: str
    late_requests: int | None = None

    @property
    def passed(self) -> bool:
        return self.rolled_back and self.late_requests == 0


def rehearse(
    *,
    margin: float,
    drop: float,
    fault: Fault = "quality",
    most_requests: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> RehearsalResult:
    """Send requests until the route is rolled back, or `most_requests` have been answered.

    It shows that the parts work, in seconds: all is mirrored, a canary is half, a user asks once, and requests come as
    fast as they are answered. `fault` is what is bad: answers (seen by mirrored requests), errors, or slowness (both
    seen in a canary).
    """
    with tempfile.TemporaryDirectory(prefix="freehold-rehearsal-") as folder:
        rehearsal = _Rehearsal(Path(folder), margin, drop, fault, most_requests, seed, progress or Silent())
        return anyio.run(rehearsal.run)


class _Rehearsal:
    def __init__(
        self,
        folder: Path,
        margin: float,
        drop: float,
        fault: Fault,
        most_requests: int,
        seed: int,
        progress: Progress,
    ) -> None:
        self._folder = folder
        self._margin, self._drop, self._fault = margin, drop, fault
        self._most_requests = most_requests
        self._progress = progress
        draw = random.Random(seed)
        self._wrong = [draw.random() < drop for _ in range(most_requests + _REQUESTS_AFTERWARDS)]
        self._numbers = itertools.count()

    async def run(self) -> RehearsalResult:
        self._progress.step("start a gateway, two engines and an observer")
        async with self._engine(_GOOD, {}) as good, self._engine(_BAD, self._fault_options()) as bad:
            config = GatewayConfig(
                endpoints=(good, bad),
                port=claim_port(),
                store_url=default_url(self._folder),
                capture="raw",
                drain_s=1.0,
                retries=0,
            )
            log = self._folder / "gateway.log"
            running = await asyncio.to_thread(gateway.start, config, log=log)
            try:
                with open_store(default_url(self._folder)) as store:
                    self._start_rollout(store)
                    await asyncio.sleep(_PROPAGATION_S)
                    return await self._send_until_rolled_back(store, running.base_url)
            finally:
                await asyncio.to_thread(running.stop)

    def _fault_options(self) -> dict[str, Any]:
        if self._fault == "errors":
            return {"failure_rate": self._drop}
        if self._fault == "slow":
            return {"delay_ms": _SLOW_MS}
        return {"answers": {_question(n): "wrong" for n, wrong in enumerate(self._wrong) if wrong}}

    @contextlib.asynccontextmanager
    async def _engine(self, name: str, options: dict[str, Any]) -> AsyncIterator[Endpoint]:
        plan = ServePlan(engine="echo", model=name, options=options)
        session = engines.start(plan, log_dir=self._folder, name=name)
        await session.start()
        try:
            yield session.running.endpoint
        finally:
            await session.stop()

    def _start_rollout(self, store: Store) -> None:
        at = datetime.now(UTC)
        route = Route(
            name=ROUTE,
            model="asked",
            incumbent=Target(endpoint=_GOOD, model=_GOOD),
            candidate=Target(endpoint=_BAD, model=_BAD),
            sticky="user",
        )
        rollout.start(
            store,
            route,
            RolloutTerms(
                task=Task(name=ROUTE, scorer="exact", margin=self._margin),
                stages=(_CANARY_SHARE,),
                shadow_share=_SHADOW_SHARE if self._fault == "quality" else 0.0,
                max_p95_ms=_SLOW_MS / 2 if self._fault == "slow" else None,
                requests_per_user=1,
            ),
            who=ROUTE,
            at=at,
        )
        if self._fault != "quality":
            rollout.advance(store, ROUTE, who=ROUTE, at=at, without=rollout.GATES)

    async def _send_until_rolled_back(self, store: Store, url: str) -> RehearsalResult:
        config = ObserverConfig(store_url=store.url, look_seconds=_LOOK_SECONDS)
        observer = await asyncio.to_thread(ObserverProcess, config, self._folder / "observer.log")
        answered = 0
        try:
            await self._wait_until(lambda: leases.holder(store.database, LEASE) is not None, _TIMEOUT_S)
            began = time.monotonic()
            async with aiohttp.ClientSession(url) as client:
                state = "running"
                while state != "rolled_back" and answered < self._most_requests:
                    await asyncio.gather(*(self._send(client) for _ in range(_CONCURRENCY)))
                    await asyncio.sleep(_PAUSE_S)
                    answered += _CONCURRENCY
                    state = (await asyncio.to_thread(routes.find_rollout, store, ROUTE)).state
                    self._progress.update(answered, self._most_requests, unit="requests", note=state)
                if state != "rolled_back":
                    await self._wait_until(lambda: self._caught_up(store), _TIMEOUT_S)
                    state = (await asyncio.to_thread(routes.find_rollout, store, ROUTE)).state
                seconds = time.monotonic() - began
                late = await self._late_requests(store, client) if state == "rolled_back" else None
        finally:
            await asyncio.to_thread(observer.stop)
        ended = routes.find_rollout(store, ROUTE)
        return RehearsalResult(
            fault=self._fault,
            drop=self._drop,
            margin=self._margin,
            requests=answered,
            seconds=round(seconds, 2),
            rolled_back=state == "rolled_back",
            why=ended.why,
            late_requests=late,
        )

    async def _wait_until(self, claim: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(claim):
            if time.monotonic() > deadline:
                raise EngineError(
                    "the observer does not keep up", hint="is the machine busy with something else?"
                )
            await asyncio.sleep(0.1)

    def _caught_up(self, store: Store) -> bool:
        """Whether the observer has taken in every trace there is."""
        current = routes.find_rollout(store, ROUTE)
        body = rollouts.state_of(store.database, current.id).body
        cursor = 0 if body is None else msgspec.json.decode(body, type=Tests).cursor
        return current.state == "rolled_back" or not store.traces_after(cursor, most=1, complete_only=False)

    async def _late_requests(self, store: Store, client: aiohttp.ClientSession) -> int:
        """Requests the candidate got, itself or mirrored, later than a second after the rollback."""
        await asyncio.sleep(_PROPAGATION_S)
        moment = datetime.now(UTC)
        for _ in range(_REQUESTS_AFTERWARDS):
            await self._send(client)
        await asyncio.sleep(_PROPAGATION_S)
        return sum(
            trace.arm == "candidate" for trace in store.traces(route=ROUTE, since=moment, complete_only=False)
        )

    async def _send(self, client: aiohttp.ClientSession) -> None:
        number = next(self._numbers)
        body = {"model": "asked", "messages": [{"role": "user", "content": _question(number)}]}
        headers = {"x-freehold-user": f"user-{number}"}
        async with client.post("/v1/chat/completions", json=body, headers=headers) as answer:
            await answer.read()


def _question(number: int) -> str:
    return f"question {number}"
