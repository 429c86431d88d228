"""What a pool knows of one model: its plan, its engine while it is loaded, who uses it and who waits."""

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


class Hosted(Record, frozen=True, kw_only=True):
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


class Seat:
    """What the pool knows of one model."""

    def __init__(self, hosted: Hosted) -> None:
        self.hosted = hosted
        self.session: Session | None = None
        self.loading: asyncio.Task[Session] | None = None
        self.busy = 0
        self.waiting = 0
        self.owed = 0
        """Requests that waited for the last load and have not begun: it may not leave before they had their turn."""
        self.leaving = False
        self.last_used = self.loaded_at = 0.0
        self.count = 0
        self.trouble: str | None = None

    @property
    def name(self) -> str:
        return self.hosted.plan.model

    def health(self) -> EngineHealth | None:
        return self.session.running.health() if self.session is not None else None

    def loaded(self, task: asyncio.Task[Session]) -> None:
        """The end of a load. Whoever waited has its error; when nobody did any more, it is in `trouble`."""
        self.loading = None
        if not task.cancelled():
            task.exception()

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
