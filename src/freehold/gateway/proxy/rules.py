"""The rules of deferral that a worker has: whether each may decide, and its router in memory.

A rule is proven for one candidate. One that is served another, that was changed after its proof, or whose router is not
the file it was made with, decides nothing: the incumbent answers, the operator is told once, and each request counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from freehold.errors import FreeholdError
from freehold.gateway.config import other_candidate, other_upper
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route

if TYPE_CHECKING:
    from freehold.deferring.router import Router

log = logging.getLogger("freehold.gateway")
AGAIN_AFTER_S = 5.0
"""When a router that could not be read is tried again."""
_KNOWN_MAX = 256

Refusal = Literal["other_version", "unreadable"]


class _Found(NamedTuple):
    """What was found of a rule at an endpoint. Both are held, so that their identities stay theirs."""

    rule: DeferralRule
    endpoint: Endpoint
    refusal: Refusal | None
    upper: Endpoint | None


def _of_upper(rule: DeferralRule, upper: Endpoint | None) -> str | None:
    return other_upper(rule, None if upper is None else upper.base_url)


def open_router(rule: DeferralRule) -> Router:
    """A rule's router from its file. Raises `FreeholdError` where that is not the one that was proven."""
    # Late: numbers are for those who have a rule.
    from freehold.deferring.router import Router

    if rule.router is None:
        raise FreeholdError("the rule of deferral names no router")
    return Router.load(rule.router)


def _hash_of(rule: DeferralRule) -> str:
    return "" if rule.router is None else rule.router.sha256


class Rules:
    """What a worker knows of its routes' rules."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, str, int], _Found] = {}
        self._routers: dict[str, Router] = {}
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

    def known(self, rule: DeferralRule) -> Router | None:
        """What a rule decides by, where it is in memory."""
        return self._routers.get(_hash_of(rule))

    async def router(self, rule: DeferralRule) -> Router:
        """What a rule decides by, read from its file once. Raises `FreeholdError` where it cannot be."""
        key = _hash_of(rule)
        async with self._loading:
            known = self.known(rule)
            if known is not None:
                return known
            since, why = self._troubles.get(key, (0.0, ""))
            if why and time.monotonic() - since < AGAIN_AFTER_S:
                raise FreeholdError(why)
            try:
                router = await asyncio.to_thread(open_router, rule)
            except FreeholdError as error:
                self._troubles[key] = (time.monotonic(), error.message)
                self._tell(f"the incumbent answers: {error.message}")
                raise
            self._routers[key] = router
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
