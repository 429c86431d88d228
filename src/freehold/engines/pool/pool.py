"""Models that are loaded when they are asked for, within a budget of memory.

Covered: load on demand, requests that wait for a load, the least recently used one leaving, pinned ones, idle ones,
adapters that come and go without a failed request, engines that fail to load.
Not covered: memory that something else on the machine takes meanwhile; the budget is a number given at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from freehold.engines import crash
from freehold.engines.engine import EngineHealth, Session, TakesAdapters, check
from freehold.engines.engine import start as start_engine
from freehold.engines.pool.drain import until_quiet
from freehold.engines.pool.policy import Resident, idle, make_room
from freehold.engines.pool.seat import Hosted, ModelStatus, PoolBusyError, Seat
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount, Endpoint, ServePlan
from freehold.types.units import gib

STAY_SECONDS = 5.0
MEMORY_MARGIN = 1.25
"""A model that ran out of memory while loading is taken to need this much more than was thought."""


class Pool:
    """Holds engines. All methods belong to one event loop."""

    def __init__(
        self,
        hosted: Sequence[Hosted],
        *,
        budget_bytes: int | None,
        log_dir: Path,
        names: Sequence[str] = (),
        idle_seconds: float | None = None,
        queue: int = 256,
        wait_seconds: float = 600.0,
        stay_seconds: float = STAY_SECONDS,
        on_change: Callable[[], None] = lambda: None,
        on_memory: Callable[[ServePlan, int, str], None] = lambda plan, bytes, why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`budget_bytes` of None means that everything fits. `names` are the engines' names in logs and endpoints,
        in the order of `hosted`. `on_change` is called when an endpoint came, went or has other adapters;
        `on_memory` with plan, bytes now assumed and reason when a model did not fit though it should have.

        Raises `UsageError` for two models of one name, and for pinned ones that do not fit together.
        """
        self._seats = {one.plan.model: Seat(one) for one in hosted}
        if len(self._seats) != len(hosted):
            raise UsageError(
                "two models have one name: " + ", ".join(sorted(one.plan.model for one in hosted)),
                hint="name each model once; adapters are how one model answers to several names",
            )
        self._names = dict(zip(self._seats, names or [safe(name) for name in self._seats], strict=True))
        self._budget = budget_bytes
        self._log_dir = log_dir
        self._idle_seconds = idle_seconds
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._stay_seconds = stay_seconds
        self._on_change = on_change
        self._on_memory = on_memory
        self._clock = clock
        self._changed = asyncio.Condition()
        self._loads = asyncio.Lock()
        self._swaps = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._replaced: set[Session] = set()
        pinned = sum(one.bytes for one in hosted if one.pinned)
        if budget_bytes is not None and pinned > budget_bytes:
            raise UsageError(
                f"the pinned models need {_gib(pinned)}, {_gib(budget_bytes)} are available",
                hint="pin fewer of them, or give them less context: --context, --parallel, --kv-type q8_0",
            )

    # What is there

    @property
    def plans(self) -> list[ServePlan]:
        """The plans of all models, as they are now."""
        return [seat.hosted.plan for seat in self._seats.values()]

    def model_of(self, name: str) -> str | None:
        """The model a name belongs to: its own, or that of one of its adapters."""
        if name in self._seats:
            return name
        for seat in self._seats.values():
            if any(mount.name == name for mount in seat.hosted.plan.adapters):
                return seat.name
        return None

    def name_of(self, model: str) -> str:
        """The name of a model's engine in logs and endpoints."""
        return self._names[model]

    def endpoint(self, model: str) -> Endpoint | None:
        """The endpoint of a model, while it is loaded."""
        seat = self._seats[model]
        return seat.session.running.endpoint if seat.session is not None else None

    def health(self, model: str) -> EngineHealth | None:
        """How a model's engine is; None while it is not loaded."""
        return self._seats[model].health()

    def status(self) -> list[ModelStatus]:
        """Every model, in the order given."""
        now = self._clock()
        return [
            ModelStatus(
                model=seat.name,
                state=seat.state(),
                bytes=seat.hosted.bytes,
                pinned=seat.hosted.pinned,
                adapters=tuple(mount.name for mount in seat.hosted.plan.adapters),
                busy=seat.busy,
                restarts=health.restarts if (health := seat.health()) is not None else 0,
                idle_seconds=now - seat.last_used if seat.last_used else None,
                process_id=health.process_id if health is not None else None,
                trouble=(health.last_crash if health is not None else None) or seat.trouble,
            )
            for seat in self._seats.values()
        ]

    # Using

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Endpoint]:
        """The endpoint for a name, loaded first where needed; it stays loaded while the block runs.

        Raises `UsageError` for a name nobody has, `PoolBusyError` when the queue is full or the wait too long,
        and `EngineError` when the model cannot be loaded.
        """
        model = self.model_of(name)
        if model is None:
            raise UsageError(f"no model is called {name!r}", hint=f"models: {', '.join(self._seats)}")
        seat = self._seats[model]
        if seat.session is None or seat.leaving:
            await self._enter(seat)
        else:
            seat.busy += 1
        seat.last_used = self._clock()
        try:
            assert seat.session is not None
            yield seat.session.running.endpoint
        finally:
            seat.busy -= 1
            seat.last_used = self._clock()
            if seat.busy == 0:
                await self._tell()

    async def _enter(self, seat: Seat) -> None:
        """Wait for a load and take a place; nothing may come between the two."""
        if seat.waiting >= self._queue:
            raise PoolBusyError(
                f"{seat.waiting} requests wait for {seat.name} already", hint="try again in a moment"
            )
        seat.waiting += 1
        entered = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not entered:
                    session = await self._loaded(seat)
                    if session is seat.session:
                        seat.busy += 1
                        entered = True
        except TimeoutError:
            raise PoolBusyError(
                f"{seat.name} was not loaded within {self._wait_seconds:g} s", hint="try again in a moment"
            ) from None
        finally:
            seat.waiting -= 1
            seat.owed = max(0, seat.owed - 1)
            if not entered:
                await self._tell()

    async def load(self, model: str) -> Endpoint:
        """Load a model, or wait for its load that is under way. Raises `EngineError` when it cannot be."""
        return (await self._loaded(self._seat(model))).running.endpoint

    async def _loaded(self, seat: Seat) -> Session:
        if seat.session is not None and not seat.leaving:
            return seat.session
        if seat.loading is None:
            seat.loading = asyncio.create_task(self._load(seat), name=f"load {seat.name}")
            seat.loading.add_done_callback(seat.loaded)
        # A caller that gives up does not stop the load: others wait for it too.
        return await asyncio.shield(seat.loading)

    async def _load(self, seat: Seat) -> Session:
        async with self._loads:
            await self._until(lambda: not seat.leaving)
            if seat.session is not None:
                return seat.session
            await self._room_for(seat)
            plan = seat.hosted.plan
            session = self._session(seat, plan)
            try:
                await session.start()
            except EngineError as error:
                seat.trouble = error.message
                if crash.is_memory(error.message):
                    self._learn(seat, error.message)
                raise
            seat.session, seat.trouble, seat.owed = session, None, seat.waiting
            seat.loaded_at = seat.last_used = self._clock()
        self._on_change()
        await self._tell()
        return session

    def _session(self, seat: Seat, plan: ServePlan) -> Session:
        """An engine for a plan; the first of a model has the bare name, those that take its place a number."""
        number = f"-{seat.count}" if seat.count else ""
        seat.count += 1
        return start_engine(plan, log_dir=self._log_dir, name=f"{self._names[seat.name]}{number}")

    def _learn(self, seat: Seat, why: str) -> None:
        """The estimate was wrong: the model needs more than was thought."""
        more = round(seat.hosted.bytes * MEMORY_MARGIN)
        seat.hosted = msgspec.structs.replace(seat.hosted, bytes=more)
        self._on_memory(seat.hosted.plan, more, why)

    async def _room_for(self, seat: Seat) -> None:
        if self._budget is None:
            return
        while True:
            residents = self._residents()
            needed = seat.hosted.bytes
            room = make_room(
                residents, needed, self._budget, now=self._clock(), stay_seconds=self._stay_seconds
            )
            if not room.possible:
                pinned = sum(one.bytes for one in residents if one.pinned)
                raise EngineError(
                    f"{seat.name} needs {_gib(needed)}, {_gib(self._budget - pinned)} are available"
                    + (" beside the pinned models" if pinned else ""),
                    hint="give it less context (--context, --parallel), or a q8_0 cache (--kv-type q8_0)",
                )
            if room.fits:
                return
            for name in room.leave:
                await self._unload(self._seats[name])
            if not room.leave:
                await self._until(lambda: True, seconds=0.25, fresh=True)

    def _residents(self) -> list[Resident]:
        return [
            Resident(
                name=seat.name,
                bytes=seat.hosted.bytes,
                last_used=seat.last_used,
                loaded_at=seat.loaded_at,
                busy=seat.busy + seat.owed,
                pinned=seat.hosted.pinned,
            )
            for seat in self._seats.values()
            if seat.session is not None
        ]

    async def unload(self, model: str) -> None:
        """Let a model finish what it does and leave. Raises `UsageError` for a pinned one."""
        seat = self._seat(model)
        if seat.hosted.pinned:
            raise UsageError(
                f"{model} is pinned",
                hint="a server of one model keeps it; of several, leave out --pin at the start",
            )
        await self._unload(seat)

    async def _unload(self, seat: Seat) -> None:
        if seat.session is None:
            return
        if seat.leaving:
            await self._until(lambda: not seat.leaving)
            return
        seat.leaving = True
        try:
            await self._until(lambda: seat.busy == 0 and seat.owed == 0)
            session, seat.session = seat.session, None
            await session.stop()
        finally:
            seat.leaving = False
        self._on_change()
        await self._tell()

    # Adapters

    async def add_adapter(self, model: str, mount: AdapterMount) -> None:
        """Serve an adapter under its name, without a failed request: put on while the engine runs where it can do
        that, else by a second engine.

        Raises `UsageError` for a name that is taken, and what the engine's check raises for an adapter that
        cannot be put on this base.
        """
        async with self._swaps:
            seat = self._seat(model)
            if self.model_of(mount.name) is not None:
                raise UsageError(
                    f"{mount.name} is served already", hint="remove it first, or choose another name"
                )
            plan = seat.hosted.plan
            plan = msgspec.structs.replace(plan, adapters=(*plan.adapters, mount))
            running: object = seat.session.running if seat.session is not None else None
            if isinstance(running, TakesAdapters) and running.has_room:
                await running.add_adapter(mount)
                self._swapped(seat, plan)
            else:
                await self._replace(seat, plan)

    async def remove_adapter(self, name: str) -> None:
        """Serve an adapter no longer. Requests for it that are under way finish. Raises `UsageError`."""
        async with self._swaps:
            model = self.model_of(name)
            if model is None or model == name:
                raise UsageError(f"no adapter is served as {name!r}")
            seat = self._seats[model]
            plan = seat.hosted.plan
            kept = tuple(mount for mount in plan.adapters if mount.name != name)
            plan = msgspec.structs.replace(plan, adapters=kept)
            running: object = seat.session.running if seat.session is not None else None
            if isinstance(running, TakesAdapters):
                await running.remove_adapter(name)
                self._swapped(seat, plan)
            else:
                await self._replace(seat, plan)

    def _swapped(self, seat: Seat, plan: ServePlan) -> None:
        seat.hosted = msgspec.structs.replace(seat.hosted, plan=plan)
        self._on_change()

    async def _replace(self, seat: Seat, plan: ServePlan) -> None:
        """Run `plan` in the place of a model's present plan.

        llama.cpp takes adapters at its start only, so a second engine is started beside the first; once it has
        answered a request, new requests go to it, and the first one ends when it has finished what it has.
        """
        beside = msgspec.structs.replace(plan, port=0)
        check(beside)
        if seat.session is None:
            self._swapped(seat, plan)
            return
        seat.busy += 1  # nobody may unload it meanwhile
        try:
            session = self._session(seat, beside)
            await session.start()
            old, seat.session = seat.session, session
            seat.hosted = msgspec.structs.replace(seat.hosted, plan=plan)
            seat.loaded_at = self._clock()
        finally:
            seat.busy -= 1
            await self._tell()
        self._on_change()
        self._replaced.add(old)
        task = asyncio.create_task(self._retire(old), name=f"retire {seat.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retire(self, old: Session) -> None:
        try:
            await until_quiet(old.running.endpoint)
        finally:
            await old.stop()
            self._replaced.discard(old)

    # Upkeep

    async def sweep(self) -> None:
        """Let go of idle models, and of engines that are beyond restarting (the next request tries anew)."""
        for name in idle(self._residents(), now=self._clock(), idle_seconds=self._idle_seconds):
            await self._unload(self._seats[name])
        for seat in self._seats.values():
            health = seat.health()
            if health is not None and health.state == "failed" and seat.session:
                seat.trouble = health.last_crash
                session, seat.session = seat.session, None
                await session.stop()
                self._on_change()

    async def close(self) -> None:
        """Stop all engines."""
        for seat in self._seats.values():
            if seat.loading is not None:
                seat.loading.cancel()
                await asyncio.gather(seat.loading, return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A task that was cancelled before its first step has not stopped its engine.
        left = [seat.session for seat in self._seats.values() if seat.session is not None]
        await asyncio.gather(*(session.stop() for session in (*left, *self._replaced)))

    def _seat(self, model: str) -> Seat:
        seat = self._seats.get(model)
        if seat is None:
            raise UsageError(f"no model is called {model!r}", hint=f"models: {', '.join(self._seats)}")
        return seat

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(
        self, holds: Callable[[], bool], *, seconds: float | None = None, fresh: bool = False
    ) -> None:
        """Wait for a change after which `holds`; with `fresh` at least one change, or `seconds`."""
        async with self._changed:
            if holds() and not fresh:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
                    await self._changed.wait_for(holds)


def safe(name: str) -> str:
    """A model's name as part of a file's name."""
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in name).strip("-.") or "model"


def _gib(count: int) -> str:
    return gib(count, 2)
