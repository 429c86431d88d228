"""Models that are loaded when a request asks for them, within a budget of memory.

Covered: load on demand, requests that wait for a load, unloading the least recently used model, pinned models, idle
models, adapters that come and go without a failed request, engines that fail to load.
Not covered: memory that something else on the machine takes meanwhile; the budget is a number given at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from freehold.engines import crash, keys
from freehold.engines.engine import EngineHealth, Session, TakesAdapters, check
from freehold.engines.engine import start as start_engine
from freehold.engines.pool.changes import Changes
from freehold.engines.pool.model_slot import HostedModel, ModelSlot, ModelStatus, PoolBusyError
from freehold.engines.pool.policy import PoolLimits, Resident, idle_models, plan_eviction
from freehold.engines.pool.replacement import Replacements
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount, Endpoint, ServePlan
from freehold.types.units import gib

log = logging.getLogger("freehold.engines.pool")
MEMORY_MARGIN = 1.25
"""A model that ran out of memory while loading is taken to need this much more than was thought."""


class Pool:
    """Holds engines. All methods belong to one event loop."""

    def __init__(
        self,
        hosted: Sequence[HostedModel],
        limits: PoolLimits,
        *,
        log_dir: Path,
        names: Sequence[str] = (),
        on_change: Callable[[], None] = lambda: None,
        on_memory: Callable[[ServePlan, int, str], None] = lambda plan, bytes, why: None,
        clock: Callable[[], float] = time.monotonic,
        key_env: str | None = keys.RUN_KEY_ENV,
    ) -> None:
        """`names` are the engines' names in logs and endpoints, in the order of `hosted`. `on_change` is called when
        an endpoint came, went or has other adapters; `on_memory` with plan, bytes now assumed and reason when a model
        did not fit though it should have. Engines ask for the key in `key_env` (see `engines.start`).

        Raises `UsageError` for two models of one name, and for pinned ones that do not fit together.
        """
        self._slots = {model.plan.model: ModelSlot(model) for model in hosted}
        if len(self._slots) != len(hosted):
            raise UsageError(
                "two models have one name: " + ", ".join(sorted(model.plan.model for model in hosted)),
                hint="name each model once; adapters are how one model answers to several names",
            )
        self._names = dict(zip(self._slots, names or [safe(name) for name in self._slots], strict=True))
        self._limits = limits
        self._log_dir = log_dir
        self._on_change = on_change
        self._on_memory = on_memory
        self._clock = clock
        self._key_env = key_env
        self._changes = Changes()
        self._load_lock = asyncio.Lock()
        self._adapters_lock = asyncio.Lock()
        self._replacements = Replacements(self._new_session, self._changes)
        pinned = sum(model.bytes for model in hosted if model.pinned)
        if limits.budget_bytes is not None and pinned > limits.budget_bytes:
            raise UsageError(
                f"the pinned models need {_gib(pinned)}, {_gib(limits.budget_bytes)} are available",
                hint="pin fewer of them, or give them less context: --context, --parallel, --kv-type q8_0",
            )

    # What the pool holds

    @property
    def plans(self) -> list[ServePlan]:
        """The plans of all models, as they are now."""
        return [slot.hosted.plan for slot in self._slots.values()]

    def model_of(self, name: str) -> str | None:
        """The model a name belongs to: its own, or that of one of its adapters."""
        if name in self._slots:
            return name
        for slot in self._slots.values():
            if any(mount.name == name for mount in slot.hosted.plan.adapters):
                return slot.name
        return None

    def name_of(self, model: str) -> str:
        """The name of a model's engine in logs and endpoints."""
        return self._names[model]

    def endpoint(self, model: str) -> Endpoint | None:
        """The endpoint of a model, while it is loaded."""
        slot = self._slots[model]
        return slot.session.running.endpoint if slot.session is not None else None

    def health(self, model: str) -> EngineHealth | None:
        """How a model's engine is; None while it is not loaded."""
        return self._slots[model].health()

    def status(self) -> list[ModelStatus]:
        """Every model, in the order given."""
        now = self._clock()
        return [slot.status(now) for slot in self._slots.values()]

    # Using

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Endpoint]:
        """The endpoint for a name, loaded first where needed; it stays loaded while the block runs.

        Raises `UsageError` for an unknown name, `PoolBusyError` when the queue is full or the wait too long,
        and `EngineError` when the model cannot be loaded.
        """
        model = self.model_of(name)
        if model is None:
            raise UsageError(f"no model is called {name!r}", hint=f"models: {', '.join(self._slots)}")
        slot = self._slots[model]
        if slot.session is None or slot.leaving:
            await self._enter(slot)
        else:
            slot.busy += 1
        slot.last_used = self._clock()
        try:
            assert slot.session is not None
            yield slot.session.running.endpoint
        finally:
            slot.busy -= 1
            slot.last_used = self._clock()
            if slot.busy == 0:
                await self._changes.notify()

    async def _enter(self, slot: ModelSlot) -> None:
        """Wait for a load and count the request as busy, with nothing in between that could unload the model."""
        if slot.waiting >= self._limits.queue:
            raise PoolBusyError(
                f"{slot.waiting} requests wait for {slot.name} already", hint="try again in a moment"
            )
        slot.waiting += 1
        entered = False
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                while not entered:
                    session = await self._loaded(slot)
                    if session is slot.session:
                        slot.busy += 1
                        entered = True
        except TimeoutError:
            raise PoolBusyError(
                f"{slot.name} was not loaded within {self._limits.wait_seconds:g} s",
                hint="try again in a moment",
            ) from None
        finally:
            slot.waiting -= 1
            slot.owed = max(0, slot.owed - 1)
            if not entered:
                await self._changes.notify()

    async def load(self, model: str) -> Endpoint:
        """Load a model, or wait for its load that is under way. Raises `EngineError` when it cannot be."""
        return (await self._loaded(self._slot(model))).running.endpoint

    async def _loaded(self, slot: ModelSlot) -> Session:
        if slot.session is not None and not slot.leaving:
            return slot.session
        if slot.loading is None:
            slot.loading = asyncio.create_task(self._load(slot), name=f"load {slot.name}")
            slot.loading.add_done_callback(slot.load_ended)
        # A caller that gives up does not stop the load: others wait for it too.
        return await asyncio.shield(slot.loading)

    async def _load(self, slot: ModelSlot) -> Session:
        async with self._load_lock:
            await self._changes.wait_for(lambda: not slot.leaving)
            if slot.session is not None:
                return slot.session
            await self._make_room(slot)
            plan = slot.hosted.plan
            session = self._new_session(slot, plan)
            log.debug("loading %s", slot.name)
            try:
                await session.start()
            except EngineError as error:
                log.info("%s could not be loaded: %s", slot.name, error.message)
                slot.trouble = error.message
                if crash.is_memory(error.message):
                    self._correct_memory(slot, error.message)
                raise
            slot.session, slot.trouble, slot.owed = session, None, slot.waiting
            slot.loaded_at = slot.last_used = self._clock()
        log.info("loaded %s", slot.name)
        self._on_change()
        await self._changes.notify()
        return session

    def _new_session(self, slot: ModelSlot, plan: ServePlan) -> Session:
        """An engine for a plan; the first of a model has the bare name, those that replace it a number."""
        number = f"-{slot.engines_started}" if slot.engines_started else ""
        slot.engines_started += 1
        name = f"{self._names[slot.name]}{number}"
        return start_engine(plan, log_dir=self._log_dir, name=name, key_env=self._key_env)

    def _correct_memory(self, slot: ModelSlot, why: str) -> None:
        """The estimate was wrong: the model needs more memory than was assumed."""
        more = round(slot.hosted.bytes * MEMORY_MARGIN)
        slot.hosted = msgspec.structs.replace(slot.hosted, bytes=more)
        self._on_memory(slot.hosted.plan, more, why)

    async def _make_room(self, slot: ModelSlot) -> None:
        budget = self._limits.budget_bytes
        if budget is None:
            return
        while True:
            residents = self._residents()
            needed = slot.hosted.bytes
            eviction = plan_eviction(
                residents, needed, budget, now=self._clock(), stay_seconds=self._limits.stay_seconds
            )
            if not eviction.possible:
                pinned = sum(resident.bytes for resident in residents if resident.pinned)
                raise EngineError(
                    f"{slot.name} needs {_gib(needed)}, {_gib(budget - pinned)} are available"
                    + (" next to the pinned models" if pinned else ""),
                    hint="give it less context (--context, --parallel), or a q8_0 cache (--kv-type q8_0)",
                )
            if eviction.fits:
                return
            for name in eviction.evict:
                await self._unload(self._slots[name])
            if not eviction.evict:
                await self._changes.wait_for_next(seconds=0.25)

    def _residents(self) -> list[Resident]:
        return [
            Resident(
                name=slot.name,
                bytes=slot.hosted.bytes,
                last_used=slot.last_used,
                loaded_at=slot.loaded_at,
                busy=slot.busy + slot.owed,
                pinned=slot.hosted.pinned,
            )
            for slot in self._slots.values()
            if slot.session is not None
        ]

    async def unload(self, model: str) -> None:
        """Unload a model once it has finished its requests. Raises `UsageError` for a pinned one."""
        slot = self._slot(model)
        if slot.hosted.pinned:
            raise UsageError(
                f"{model} is pinned",
                hint="a server of one model keeps it; of several, leave out --pin at the start",
            )
        await self._unload(slot)

    async def _unload(self, slot: ModelSlot) -> None:
        if slot.session is None:
            return
        if slot.leaving:
            await self._changes.wait_for(lambda: not slot.leaving)
            return
        slot.leaving = True
        try:
            await self._changes.wait_for(lambda: slot.busy == 0 and slot.owed == 0)
            session, slot.session = slot.session, None
            await session.stop()
        finally:
            slot.leaving = False
        log.info("unloaded %s", slot.name)
        self._on_change()
        await self._changes.notify()

    # Adapters

    async def add_adapter(self, model: str, mount: AdapterMount) -> None:
        """Serve an adapter under its name, without a failed request: attached while the engine runs where it can do
        that, else by a second engine.

        Raises `UsageError` for a name that is taken, and what the engine's check raises for an adapter that
        does not fit this base.
        """
        async with self._adapters_lock:
            slot = self._slot(model)
            if self.model_of(mount.name) is not None:
                raise UsageError(
                    f"{mount.name} is served already", hint="remove it first, or choose another name"
                )
            plan = slot.hosted.plan
            plan = plan.with_adapters((*plan.adapters, mount))
            running: object = slot.session.running if slot.session is not None else None
            if isinstance(running, TakesAdapters) and running.has_room:
                await running.add_adapter(mount)
                self._update_plan(slot, plan)
            else:
                await self._replace(slot, plan)

    async def remove_adapter(self, name: str) -> None:
        """Stop serving an adapter. Requests for it that are under way finish. Raises `UsageError`."""
        async with self._adapters_lock:
            model = self.model_of(name)
            if model is None or model == name:
                raise UsageError(f"no adapter is served as {name!r}")
            slot = self._slots[model]
            plan = slot.hosted.plan
            remaining = tuple(mount for mount in plan.adapters if mount.name != name)
            plan = msgspec.structs.replace(plan, adapters=remaining)
            running: object = slot.session.running if slot.session is not None else None
            if isinstance(running, TakesAdapters):
                await running.remove_adapter(name)
                self._update_plan(slot, plan)
            else:
                await self._replace(slot, plan)

    def _update_plan(self, slot: ModelSlot, plan: ServePlan) -> None:
        slot.hosted = msgspec.structs.replace(slot.hosted, plan=plan)
        self._on_change()

    async def _replace(self, slot: ModelSlot, plan: ServePlan) -> None:
        """Serve `plan` in the place of a model's present plan; llama.cpp takes adapters at its start only."""
        check(msgspec.structs.replace(plan, port=0))
        if slot.session is None:
            self._update_plan(slot, plan)
        else:
            await self._replacements.replace(slot, plan, now=self._clock)
            self._on_change()

    # Upkeep

    async def sweep(self) -> None:
        """Unload idle models, and engines that are beyond restarting (the next request tries again)."""
        idle = idle_models(self._residents(), now=self._clock(), idle_seconds=self._limits.idle_seconds)
        for name in idle:
            await self._unload(self._slots[name])
        for slot in self._slots.values():
            health = slot.health()
            if health is not None and health.state == "failed" and slot.session:
                log.warning("giving up the engine of %s: %s", slot.name, health.last_crash)
                slot.trouble = health.last_crash
                session, slot.session = slot.session, None
                await session.stop()
                self._on_change()

    async def close(self) -> None:
        """Stop all engines."""
        for slot in self._slots.values():
            if slot.loading is not None:
                slot.loading.cancel()
                await asyncio.gather(slot.loading, return_exceptions=True)
        sessions = [slot.session for slot in self._slots.values() if slot.session is not None]
        await asyncio.gather(self._replacements.close(), *(session.stop() for session in sessions))

    def _slot(self, model: str) -> ModelSlot:
        slot = self._slots.get(model)
        if slot is None:
            raise UsageError(f"no model is called {model!r}", hint=f"models: {', '.join(self._slots)}")
        return slot


def safe(name: str) -> str:
    """A model's name as part of a file's name."""
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in name).strip("-.") or "model"


def _gib(count: int) -> str:
    return gib(count, 2)
