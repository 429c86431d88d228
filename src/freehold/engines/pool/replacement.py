"""Putting a second engine in the place of a running one, without a failed request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from freehold.engines.engine import Session
from freehold.engines.pool.changes import Changes
from freehold.engines.pool.drain import wait_until_idle
from freehold.engines.pool.model_slot import ModelSlot
from freehold.types.endpoint import ServePlan

log = logging.getLogger("freehold.engines.pool")


class Replacements:
    """The engines that were replaced and still finish what they have."""

    def __init__(self, new_session: Callable[[ModelSlot, ServePlan], Session], changes: Changes) -> None:
        self._new_session = new_session
        self._changes = changes
        self._tasks: set[asyncio.Task[None]] = set()
        self._retiring: set[Session] = set()

    async def replace(self, slot: ModelSlot, plan: ServePlan, *, now: Callable[[], float]) -> None:
        """Serve `plan` by a second engine, started next to the loaded one of a slot.

        Once it has answered a request, new requests go to it, and the first one ends when it has finished what it has.
        """
        assert slot.session is not None
        slot.busy += 1  # it must not be unloaded meanwhile
        try:
            session = self._new_session(slot, msgspec.structs.replace(plan, port=0))
            await session.start()
            old, slot.session = slot.session, session
            slot.hosted = msgspec.structs.replace(slot.hosted, plan=plan)
            slot.loaded_at = now()
        finally:
            slot.busy -= 1
            await self._changes.notify()
        log.info("%s is served by a new engine; the old one finishes its requests", slot.name)
        self._retiring.add(old)
        task = asyncio.create_task(self._retire(old), name=f"retire {slot.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop them at once."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A task that was cancelled before its first step has not stopped its engine.
        await asyncio.gather(*(session.stop() for session in self._retiring))

    async def _retire(self, old: Session) -> None:
        try:
            await wait_until_idle(old.running.endpoint)
        finally:
            await old.stop()
            self._retiring.discard(old)
