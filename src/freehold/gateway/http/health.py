"""How endpoints are, as far as a health check can tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from freehold.gateway.http.upstreams import UpstreamFailure, Upstreams
from freehold.types.endpoint import Endpoint

WITHIN_S = 5.0
"""An endpoint that takes longer to answer a health check counts as one that does not."""
KEPT_S = 1.0
"""Probes come from everywhere and need no key: an endpoint is not asked more often than this."""
_CHAT_PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


class Health(NamedTuple):
    """What a check found. `why` says what is the matter; empty where nothing is."""

    answers: bool
    why: str = ""


class HealthChecks:
    """Checks of a worker's endpoints, each kept for `KEPT_S`; who asks meanwhile gets the one that is running.

    `trouble` says why requests for an endpoint cannot be prepared here, or None.
    """

    def __init__(self, upstreams: Upstreams, trouble: Callable[[Endpoint], Awaitable[str | None]]) -> None:
        self._upstreams = upstreams
        self._trouble = trouble
        self._kept: dict[str, tuple[float, Endpoint, asyncio.Task[Health]]] = {}

    async def all(self, endpoints: Iterable[Endpoint], *, wait_s: float = WITHIN_S) -> dict[str, Health]:
        """How each endpoint is, by name, as far as that can be told within `wait_s`."""
        checks = {one.name: self._checking(one) for one in endpoints}
        if checks:
            # What is broken off does not end the checks that others wait for.
            await asyncio.wait(checks.values(), timeout=wait_s)
        late = Health(False, f"it has not answered a health check within {wait_s:g} s")
        return {name: check.result() if check.done() else late for name, check in checks.items()}

    def _checking(self, endpoint: Endpoint) -> asyncio.Task[Health]:
        now = time.monotonic()
        kept = self._kept.get(endpoint.name)
        if kept is None or kept[1] != endpoint or (kept[2].done() and now - kept[0] > KEPT_S):
            task = asyncio.create_task(self._check(endpoint))
            kept = self._kept[endpoint.name] = (now, endpoint, task)
        return kept[2]

    async def _check(self, endpoint: Endpoint) -> Health:
        """Ask for its models; where it lists none, whether it knows the path of its API.

        A key that it refuses is a fault where the endpoint's own was sent; clients' keys are not known before they ask.
        """
        if (trouble := await self._trouble(endpoint)) is not None:
            return Health(False, trouble)
        path = "/api/version" if endpoint.api == "ollama" else "/v1/models"
        try:
            status = await self._upstreams.probe(endpoint, path, timeout_s=WITHIN_S)
            if status in (404, 405) and (chat := _CHAT_PATHS.get(endpoint.api)) is not None:
                # An empty question costs nothing: one that knows the path refuses it.
                status = await self._upstreams.probe(endpoint, chat, timeout_s=WITHIN_S, body=b"{}")
                if status in (404, 405):
                    return Health(False, f"its address seems wrong: {status} at {path} and at {chat}")
        except UpstreamFailure as error:
            return Health(False, str(error))
        if status in (401, 403) and endpoint.has_own_key:
            what = f"key in {endpoint.api_key_env}" if endpoint.api_key_env else "credentials that it is sent"
            return Health(False, f"it refuses the {what} ({status})")
        if status >= 500:
            return Health(False, f"it answers with the status {status}")
        return Health(True)
