"""What a pool knows of one model: its plan, its engine while it is loaded, the requests that use it or wait."""

from __future__ import annotations

import asyncio
from typing import Literal

from freehold.engines.engine import EngineHealth, Session
from freehold.errors import EngineError
from freehold.types.endpoint import ServePlan
from freehold.types.record import Record

ModelState = Literal["unloaded", "loading", "ready", "restarting", "leaving", "failed"]


class PoolBusyError(EngineError):
    """Too many requests wait for a model, or one waited too long."""

    retryable = True


class HostedModel(Record, frozen=True, kw_only=True):
    """A model the pool may load. `bytes` is the memory it takes; a `pinned` one is never unloaded."""

    plan: ServePlan
    bytes: int
    pinned: bool = False


class ModelStatus(Record, frozen=True, kw_only=True):
    """One model as it is now. `idle_seconds` is None for one that was never used."""

    model: str
    state: ModelState
    bytes: int
    pinned: bool
    adapters: tuple[str, ...]
    busy: int
    restarts: int = 0
    idle_seconds: float | None = None
    process_id: int | None = None
    trouble: str | None = None


class ModelSlot:
    """What the pool knows of one model."""

    def __init__(self, hosted: HostedModel) -> None:
        self.hosted = hosted
        self.session: Session | None = None
        self.loading: asyncio.Task[Session] | None = None
        self.busy = 0
        self.waiting = 0
        self.owed = 0
        """Requests that waited for the last load and have not begun: it is not unloaded before they had their turn."""
        self.leaving = False
        self.last_used = self.loaded_at = 0.0
        self.engines_started = 0
        self.trouble: str | None = None

    @property
    def name(self) -> str:
        return self.hosted.plan.model

    def health(self) -> EngineHealth | None:
        return self.session.running.health() if self.session is not None else None

    def load_ended(self, task: asyncio.Task[Session]) -> None:
        """Forget the load. The requests that waited have its error; it is in `trouble` as well."""
        self.loading = None
        if not task.cancelled():
            task.exception()

    def status(self, now: float) -> ModelStatus:
        """How it is at a time of the pool's clock."""
        health = self.health()
        return ModelStatus(
            model=self.name,
            state=self.state(),
            bytes=self.hosted.bytes,
            pinned=self.hosted.pinned,
            adapters=tuple(mount.name for mount in self.hosted.plan.adapters),
            busy=self.busy,
            restarts=health.restarts if health is not None else 0,
            idle_seconds=now - self.last_used if self.last_used else None,
            process_id=health.process_id if health is not None else None,
            trouble=(health.last_crash if health is not None else None) or self.trouble,
        )

    def state(self) -> ModelState:
        """How it is, in one word."""
        if self.loading is not None:
            return "loading"
        health = self.health()
        if health is None:
            return "failed" if self.trouble else "unloaded"
        if self.leaving:
            return "leaving"
        if health.state in ("ready", "starting"):
            return "ready"
        return "failed" if health.state == "failed" else "restarting"
