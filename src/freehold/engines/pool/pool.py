"""Engines of several models, loaded at the start, and adapters that come and go without a failed request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from freehold.engines import crash, keys
from freehold.engines.engine import EngineHealth, Session, TakesAdapters, check
from freehold.engines.engine import start as start_engine
from freehold.engines.pool.drain import wait_until_idle
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount, Endpoint, ServePlan
from freehold.types.record import Record

log = logging.getLogger("freehold.engines.pool")
MEMORY_MARGIN = 1.25
"""A model that ran out of memory while loading is taken to need this much more than was thought."""

ModelState = Literal["loading", "ready", "restarting", "failed"]


class ModelStatus(Record, frozen=True, kw_only=True):
    """One model as it is now. `trouble` is why its engine went down last."""

    model: str
    state: ModelState
    bytes: int
    adapters: tuple[str, ...]
    busy: int
    restarts: int = 0
    process_id: int | None = None
    trouble: str | None = None


class _Slot:
    """One model: its plan, its engine once it is loaded, the requests under way."""

    def __init__(self, plan: ServePlan, name: str) -> None:
        self.plan = plan
        self.name = name
        self.session: Session | None = None
        self.engines_started = 0
        self.busy = 0

    def health(self) -> EngineHealth | None:
        return self.session.running.health() if self.session is not None else None

    def status(self) -> ModelStatus:
        health = self.health()
        state: ModelState = "loading"
        if health is not None:
            state = "ready" if health.state in ("ready", "starting") else "restarting"
            state = "failed" if health.state == "failed" else state
        return ModelStatus(
            model=self.plan.model,
            state=state,
            bytes=self.plan.memory_bytes,
            adapters=tuple(mount.name for mount in self.plan.adapters),
            busy=self.busy,
            restarts=health.restarts if health is not None else 0,
            process_id=health.process_id if health is not None else None,
            trouble=health.last_crash if health is not None else None,
        )


class Pool:
    """Holds engines. All methods belong to one event loop."""

    def __init__(
        self,
        plans: Sequence[ServePlan],
        names: Sequence[str],
        *,
        log_dir: Path,
        on_change: Callable[[], None] = lambda: None,
        on_memory: Callable[[ServePlan, int, str], None] = lambda plan, bytes, why: None,
        key_env: str | None = keys.RUN_KEY_ENV,
    ) -> None:
        """`names` are the engines' names in logs, in the order of `plans`. `on_change` is called when a model has
        other adapters; `on_memory` with plan, bytes now assumed and reason when a model did not fit though it should
        have. Engines ask for the key in `key_env` (see `engines.start`).

        Raises `UsageError` for two models of one name.
        """
        self._slots = {plan.model: _Slot(plan, name) for plan, name in zip(plans, names, strict=True)}
        if len(self._slots) != len(plans):
            raise UsageError(
                "two models have one name: " + ", ".join(sorted(plan.model for plan in plans)),
                hint="name each model once; adapters are how one model answers to several names",
            )
        self._log_dir = log_dir
        self._on_change = on_change
        self._on_memory = on_memory
        self._key_env = key_env
        self._adapters_lock = asyncio.Lock()
        self._retiring: dict[Session, asyncio.Task[None]] = {}

    @property
    def plans(self) -> list[ServePlan]:
        """The plans of all models, as they are now."""
        return [slot.plan for slot in self._slots.values()]

    def model_of(self, name: str) -> str | None:
        """The model a name belongs to: its own, or that of one of its adapters."""
        for model, slot in self._slots.items():
            if name == model or any(mount.name == name for mount in slot.plan.adapters):
                return model
        return None

    def endpoint(self, model: str) -> Endpoint:
        """The endpoint of a model. Raises `EngineError` before it is loaded."""
        session = self._slots[model].session
        if session is None:
            raise EngineError(f"{model} is being loaded", hint="try again in a moment")
        return session.running.endpoint

    def health(self, model: str) -> EngineHealth | None:
        """How a model's engine is; None while it is not loaded."""
        return self._slots[model].health()

    def status(self) -> list[ModelStatus]:
        """Every model, in the order given."""
        return [slot.status() for slot in self._slots.values()]

    async def start(self) -> None:
        """Load every model, one after another. Raises what the start of an engine raises."""
        for slot in self._slots.values():
            session = self._new_session(slot, slot.plan)
            try:
                await session.start()
            except EngineError as error:
                if crash.is_memory(error.message):
                    more = round(slot.plan.memory_bytes * MEMORY_MARGIN)
                    self._on_memory(slot.plan, more, error.message)
                raise
            slot.session = session
            log.info("loaded %s", slot.plan.model)

    @contextlib.asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Endpoint]:
        """The endpoint for a name, counted as busy while the block runs.

        Raises `UsageError` for an unknown name and `EngineError` for a model that is not loaded yet.
        """
        model = self.model_of(name)
        if model is None:
            raise UsageError(f"no model is called {name!r}", hint=f"models: {', '.join(self._slots)}")
        endpoint = self.endpoint(model)
        slot = self._slots[model]
        slot.busy += 1
        try:
            yield endpoint
        finally:
            slot.busy -= 1

    def _new_session(self, slot: _Slot, plan: ServePlan) -> Session:
        """An engine for a plan; the first of a model has the bare name, those that replace it a number."""
        number = f"-{slot.engines_started}" if slot.engines_started else ""
        slot.engines_started += 1
        return start_engine(plan, log_dir=self._log_dir, name=f"{slot.name}{number}", key_env=self._key_env)

    async def add_adapter(self, model: str, mount: AdapterMount) -> None:
        """Serve an adapter under its name, without a failed request: attached while the engine runs where it can do
        that, else by a second engine.

        Raises `UsageError` for a name that is taken, and what the engine's check raises for an adapter that
        does not fit this base.
        """
        async with self._adapters_lock:
            slot = self._slots.get(model)
            if slot is None:
                raise UsageError(f"no model is called {model!r}", hint=f"models: {', '.join(self._slots)}")
            if self.model_of(mount.name) is not None:
                raise UsageError(
                    f"{mount.name} is served already", hint="remove it first, or choose another name"
                )
            plan = slot.plan.with_adapters((*slot.plan.adapters, mount))
            running: object = slot.session.running if slot.session is not None else None
            if isinstance(running, TakesAdapters) and running.has_room:
                await running.add_adapter(mount)
                slot.plan = plan
            else:
                await self._replace(slot, plan)
            self._on_change()

    async def remove_adapter(self, name: str) -> None:
        """Stop serving an adapter. Requests for it that are under way finish. Raises `UsageError`."""
        async with self._adapters_lock:
            model = self.model_of(name)
            if model is None or model == name:
                raise UsageError(f"no adapter is served as {name!r}")
            slot = self._slots[model]
            remaining = tuple(mount for mount in slot.plan.adapters if mount.name != name)
            plan = msgspec.structs.replace(slot.plan, adapters=remaining)
            running: object = slot.session.running if slot.session is not None else None
            if isinstance(running, TakesAdapters):
                await running.remove_adapter(name)
                slot.plan = plan
            else:
                await self._replace(slot, plan)
            self._on_change()

    async def _replace(self, slot: _Slot, plan: ServePlan) -> None:
        """Serve `plan` by a second engine, started next to the running one: llama.cpp takes adapters at its start only.

        Once it has answered a request, new requests go to it, and the first one ends when it has finished what it has.
        """
        plan = msgspec.structs.replace(plan, port=0)
        check(plan)
        old = slot.session
        if old is None:
            raise EngineError(f"{plan.model} is being loaded", hint="try again in a moment")
        session = self._new_session(slot, plan)
        await session.start()
        slot.session, slot.plan = session, plan
        log.info("%s is served by a new engine; the old one finishes its requests", plan.model)
        self._retiring[old] = asyncio.create_task(self._retire(old), name=f"retire {plan.model}")

    async def _retire(self, old: Session) -> None:
        try:
            await wait_until_idle(old.running.endpoint)
        finally:
            await old.stop()
            self._retiring.pop(old, None)

    async def close(self) -> None:
        """Stop all engines."""
        retiring = dict(self._retiring)
        for task in retiring.values():
            task.cancel()
        await asyncio.gather(*retiring.values(), return_exceptions=True)
        # A task that was cancelled before its first step has not stopped its engine.
        sessions = [slot.session for slot in self._slots.values() if slot.session is not None]
        await asyncio.gather(*(session.stop() for session in (*retiring, *sessions)))
