"""The rules of deferral that a worker has: whether each may decide, and its router in memory.

A rule is proven for one candidate. One that is served another, that was changed after its proof, or whose router is not
the file it was made with, decides nothing: the incumbent answers, the operator is told once, and each request counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, Protocol

from freehold.errors import FreeholdError
from freehold.gateway.config import other_candidate, other_upper
from freehold.preparing.index import state_of
from freehold.types.deferral import DeferralRule, RouterFiles
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route

log = logging.getLogger("freehold.gateway")
AGAIN_AFTER_S = 5.0
"""When a router that could not be read is tried again."""
_KNOWN_MAX = 256

Refusal = Literal["other_version", "unreadable"]


class LoadedRouter(Protocol):
    """What decides by a request alone, in memory: a learned router, or the training messages."""

    def score_text(self, text: str) -> float:
        """How likely the candidate answers as well as the incumbent what `request_text` gave, before calibration."""


class _Held(NamedTuple):
    """A router, the state of its index's files then (None: it is a file of its own), and when they were looked at."""

    router: LoadedRouter
    state: tuple[int, int, int] | None
    looked_s: float


class _Found(NamedTuple):
    """What was found of a rule at an endpoint. Both are held, so that their identities stay theirs."""

    rule: DeferralRule
    endpoint: Endpoint
    refusal: Refusal | None
    upper: Endpoint | None


def open_router(files: RouterFiles) -> LoadedRouter:
    """A router from its file. Raises `FreeholdError` where that is not the one of its hash."""
    # Late: numbers are for those who have a rule.
    from freehold.deferring.router import Router

    return Router.load(files)


def _hash_of(rule: DeferralRule) -> str:
    files = rule.router or rule.index
    return "" if files is None else files.sha256


def _of_upper(rule: DeferralRule, upper: Endpoint | None) -> str | None:
    return other_upper(rule, None if upper is None else upper.base_url)


def open_rule(rule: DeferralRule) -> LoadedRouter:
    """What a rule decides by. Raises `FreeholdError` where it is not what was proven."""
    if rule.index is not None:
        from freehold.preparing.index import open_index

        return open_index(rule.index)
    if rule.router is None:
        raise FreeholdError("the rule of deferral names no router")
    return open_router(rule.router)


async def score(router: LoadedRouter, text: str) -> float:
    """What a router says of a text; in a thread where messages are compared by meaning, which is too long for the event
    loop."""
    if getattr(router, "quick", True):
        return router.score_text(text)
    return await asyncio.to_thread(router.score_text, text)


class Rules:
    """What a worker knows of its routes' rules."""

    def __init__(self, load: Callable[[DeferralRule], LoadedRouter] = open_rule) -> None:
        self._load = load
        self._found: dict[tuple[int, int, str, int], _Found] = {}
        self._routers: dict[str, _Held] = {}
        self._troubles: dict[str, tuple[float, str]] = {}
        self._loading = asyncio.Lock()
        self._told: set[str] = set()

    def refusal(
        self, rule: DeferralRule, endpoint: Endpoint, model: str, upper: Endpoint | None = None
    ) -> Refusal | None:
        """Why a rule may not decide for a model of an endpoint; None where it may. `upper` is the endpoint that the
        rule's upper model is at, where it has one."""
        key = (id(rule), id(endpoint), model, id(upper))
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _KNOWN_MAX:
                self._found.clear()
            found = self._found[key] = _Found(rule, endpoint, self._look(rule, endpoint, model, upper), upper)
        return found.refusal

    def _look(
        self, rule: DeferralRule, endpoint: Endpoint, model: str, upper: Endpoint | None
    ) -> Refusal | None:
        if (problem := rule.problem) is not None:
            self._tell(f"a rule of deferral decides nothing, and the incumbent answers: {problem}")
            return "unreadable"
        if (other := other_candidate(rule, endpoint, model) or _of_upper(rule, upper)) is not None:
            self._tell(f"the incumbent answers: {other}")
            return "other_version"
        return None

    def known(self, rule: DeferralRule) -> LoadedRouter | None:
        """What a rule decides by, where it is in memory. Training messages that were changed or forgotten on disk leave
        the memory within seconds."""
        held = self._routers.get(_hash_of(rule))
        if held is None or rule.index is None:
            return None if held is None else held.router
        now = time.monotonic()
        if now - held.looked_s >= AGAIN_AFTER_S:
            if state_of(rule.index) != held.state:
                del self._routers[_hash_of(rule)]
                return None
            self._routers[_hash_of(rule)] = held._replace(looked_s=now)
        return held.router

    async def router(self, rule: DeferralRule) -> LoadedRouter:
        """What a rule decides by, read from its files once. Raises `FreeholdError` where it cannot be."""
        key = _hash_of(rule)
        async with self._loading:
            known = self.known(rule)
            if known is not None:
                return known
            since, why = self._troubles.get(key, (0.0, ""))
            if why and time.monotonic() - since < AGAIN_AFTER_S:
                raise FreeholdError(why)
            state = None if rule.index is None else state_of(rule.index)
            try:
                router = await asyncio.to_thread(self._load, rule)
            except FreeholdError as error:
                self._troubles[key] = (time.monotonic(), error.message)
                self._tell(f"the incumbent answers: {error.message}")
                raise
            self._routers[key] = _Held(router, state, time.monotonic())
            return router

    async def warm(self, routes: Iterable[Route]) -> None:
        """Read the routers of routes before requests come. One that cannot be read is logged."""
        for route in routes:
            if route.deferral is not None and route.deferral.way == "router":
                try:
                    await self.router(route.deferral)
                except FreeholdError:
                    continue

    def _tell(self, why: str) -> None:
        if why not in self._told and len(self._told) < _KNOWN_MAX:
            self._told.add(why)
            log.error("%s", why)
