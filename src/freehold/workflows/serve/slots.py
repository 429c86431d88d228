"""Engines that come and go while the gateway runs: a new generation is started beside the one that answers, and the one
that nothing names any more is let go once its last answers are given.

What is to be held another says (`SlotsWanted`); nothing here reads a store. An engine that can't be started is told and
left out, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from freehold.engines.engine import Session
from freehold.errors import FreeholdError
from freehold.types.endpoint import Endpoint, ServePlan

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
SETTLED_AFTER_S = 1.5
"""From then on every worker of the gateway has a configuration: they look for one four times a second."""
LEAVES_AFTER_S = 5.0
"""How long an engine that is not wanted stays where requests may find it: routes reach the workers meanwhile."""
AGAIN_AFTER_S = 60.0


class SlotsWanted(Protocol):
    """Who says what is to be held once the gateway runs."""

    def look(self, answering: Mapping[str, ServePlan]) -> Mapping[str, ServePlan] | None:
        """All that is to be held, by endpoint, what is asked by its model's name first; None where it isn't known now.
        It is told what answers, in every worker."""

    def failed(self, name: str, plan: ServePlan, why: str) -> None:
        """It could not be started, or not be brought back."""

    def attributions(self, plan: ServePlan) -> dict[str, str]:
        """The texts that the licence of what is held asks to be shown, by base model."""


class HeldEngine:
    """One engine under the name of its endpoint."""

    def __init__(self, name: str, session: Session) -> None:
        self.name, self.session = name, session
        self.state: Literal["starting", "ready", "leaving"] = "starting"
        self.since_s = 0.0
        self.unwanted_since_s: float | None = None
        self.task: asyncio.Task[None] | None = None
        """What brings it up, or to its end, in the background."""
        self.attributions: dict[str, str] = {}

    @property
    def plan(self) -> ServePlan:
        return self.session.plan

    @property
    def endpoint(self) -> Endpoint:
        """Under a name that stays, with what a rule of deferral must have been proven for."""
        loaded = self.session.running.endpoint
        models = tuple(
            msgspec.structs.replace(one, candidate_id=self.plan.candidate_id(one.name))
            for one in loaded.models
        )
        return msgspec.structs.replace(loaded, name=self.name, models=models)

    def become(self, state: Literal["ready", "leaving"]) -> None:
        self.state, self.since_s = state, time.monotonic()

    def answers(self, now_s: float) -> bool:
        """Whether it can be counted on: every worker knows it, and it is not about to leave."""
        unwanted_s = 0.0 if self.unwanted_since_s is None else now_s - self.unwanted_since_s
        settled = now_s - self.since_s >= SETTLED_AFTER_S
        return self.state == "ready" and settled and unwanted_s < LEAVES_AFTER_S / 2

    async def start(self) -> None:
        """Raises what starting raises."""
        await self.session.start()
        self.become("ready")
        log.info("loaded %s", self.plan.model)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.session.stop()


class SlotKeeper:
    """Starts and stops engines among those that are held, as `slots` says. `begin` makes one that is not started."""

    def __init__(
        self,
        slots: SlotsWanted,
        engines: dict[str, HeldEngine],
        begin: Callable[[str, ServePlan], HeldEngine],
    ) -> None:
        self._slots, self._engines, self._begin = slots, engines, begin
        self._next_look_s = 0.0
        self._again_s: dict[str, float] = {}

    async def drop(self, engine: HeldEngine, why: str) -> None:
        """Hold it no more, and tell."""
        log.error("%s (%s) is not held: %s", engine.plan.model, engine.name, why)
        del self._engines[engine.name]
        self._again_s[engine.name] = time.monotonic() + AGAIN_AFTER_S
        await engine.stop()
        await asyncio.to_thread(self._slots.failed, engine.name, engine.plan, why)

    async def tend(self, drain_s: float) -> bool:
        """Once a second: see what is wanted, start what is not there, let go what is not wanted. Whether it looked."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return False
        self._next_look_s = now_s + LOOK_EVERY_S
        for engine in [*self._engines.values()]:
            await self._see_state(engine)
        answering = {one.name: one.plan for one in self._engines.values() if one.answers(now_s)}
        wanted = await asyncio.to_thread(self._slots.look, answering)
        if wanted is None:
            return True
        for engine in self._engines.values():
            self._see_wanted(engine, wanted.get(engine.name), drain_s)
        self._again_s = {name: at_s for name, at_s in self._again_s.items() if name in wanted}
        for name, plan in wanted.items():
            if name not in self._engines and self._again_s.get(name, 0.0) <= now_s:
                log.info("starting %s as %s", plan.model, name)
                engine = self._engines[name] = self._begin(name, plan)
                engine.task = asyncio.create_task(engine.start())
        order = {name: place for place, name in enumerate(wanted)}
        for name in sorted(self._engines, key=lambda name: order.get(name, len(order))):
            self._engines[name] = self._engines.pop(name)
        return True

    async def _see_state(self, engine: HeldEngine) -> None:
        """Whether it came up, fell, or is gone."""
        if engine.task is not None and engine.task.done():
            if engine.state == "leaving":
                del self._engines[engine.name]
                log.info("%s (%s) is let go", engine.plan.model, engine.name)
                return
            error, engine.task = engine.task.exception(), None
            if error is not None:
                why = (
                    error.message if isinstance(error, FreeholdError) else f"{type(error).__name__}: {error}"
                )
                await self.drop(engine, why)
                return
            engine.attributions = await asyncio.to_thread(self._slots.attributions, engine.plan)
        elif engine.state == "ready" and (health := engine.session.running.health()).state == "failed":
            await self.drop(engine, f"its engine could not be brought back: {health.last_crash}")

    def _see_wanted(self, engine: HeldEngine, plan: ServePlan | None, drain_s: float) -> None:
        """Let it go where nothing wants it, or its name is wanted for another plan."""
        now_s = time.monotonic()
        if plan is not None and plan.key == engine.plan.key:
            engine.unwanted_since_s = None
        elif engine.unwanted_since_s is None:
            engine.unwanted_since_s = now_s
        elif engine.state == "ready" and now_s - engine.unwanted_since_s >= LEAVES_AFTER_S:
            engine.become("leaving")
            engine.task = asyncio.create_task(_end(engine, drain_s))


async def _end(engine: HeldEngine, drain_s: float) -> None:
    """Stop it once what it was asked last is answered; no worker asks it any more."""
    await asyncio.sleep(SETTLED_AFTER_S + drain_s)
    await engine.session.stop()
