"""The rules of deferral that a worker has: whether each may decide, and its router in memory.

A rule is proven for its tiers. One that is served another model, that was changed after its proof, or whose router is
not the file it was made with, decides nothing: the incumbent answers, the operator is told once, and each request
counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from freehold.errors import FreeholdError
from freehold.gateway.config import other_tier
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route, Target

if TYPE_CHECKING:
    from freehold.deferring.router import Router

log = logging.getLogger("freehold.gateway")
AGAIN_AFTER_S = 5.0
"""When a router that could not be read is tried again."""
_KNOWN_MAX = 256

Refusal = Literal["other_version", "unreadable"]


class Rules:
    """What a worker knows of its routes' rules."""

    def __init__(self) -> None:
        # By the identities of a rule and of its tiers' endpoints, which are held so that these stay theirs.
        self._found: dict[tuple[object, ...], tuple[Refusal | None, object]] = {}
        self._routers: dict[str, Router] = {}
        self._troubles: dict[str, tuple[float, str]] = {}
        self._loading = asyncio.Lock()
        self._told: set[str] = set()

    def refusal(
        self, rule: DeferralRule, candidate: Target, model: str, endpoints: Mapping[str, Endpoint]
    ) -> Refusal | None:
        """Why a rule may not decide for a route's candidate, asked for by the name `model`; None where it may."""
        served = tuple(endpoints.get(one.endpoint or candidate.endpoint) for one in rule.tiers)
        key = (id(rule), candidate.model or model, *map(id, served))
        known = self._found.get(key)
        if known is None:
            if len(self._found) >= _KNOWN_MAX:
                self._found.clear()
            found = self._look(rule, candidate, model, endpoints)
            known = self._found[key] = (found, (rule, served))
        return known[0]

    def _look(
        self, rule: DeferralRule, candidate: Target, model: str, endpoints: Mapping[str, Endpoint]
    ) -> Refusal | None:
        if (problem := rule.problem) is not None:
            self._tell(f"a rule of deferral decides nothing, and the incumbent answers: {problem}")
            return "unreadable"
        if (other := other_tier(rule, candidate, model, endpoints)) is not None:
            self._tell(f"the incumbent answers: {other}")
            return "other_version"
        return None

    async def router(self, rule: DeferralRule) -> Router:
        """What a rule decides by, read from its file once. Raises `FreeholdError` where that is not the one that was
        proven."""
        files = rule.candidate.router
        if files is None:
            raise FreeholdError("the rule of deferral names no router")
        if (known := self._routers.get(files.sha256)) is not None:
            return known
        async with self._loading:
            if (known := self._routers.get(files.sha256)) is not None:
                return known
            since, why = self._troubles.get(files.sha256, (0.0, ""))
            if why and time.monotonic() - since < AGAIN_AFTER_S:
                raise FreeholdError(why)
            # Late: numbers are for those who have a rule.
            from freehold.deferring.router import Router

            try:
                router = self._routers[files.sha256] = await asyncio.to_thread(Router.load, files)
            except FreeholdError as error:
                self._troubles[files.sha256] = (time.monotonic(), error.message)
                self._tell(f"the incumbent answers: {error.message}")
                raise
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
