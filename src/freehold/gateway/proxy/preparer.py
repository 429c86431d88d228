"""A worker's side of prepared requests: the indexes it holds, and a body as a prepared model is sent it.

An index is opened in a thread, once, and checked against its hash. Where it cannot be, requests for its model fail with
the reason, or go to the next target of their route, and the endpoint is not ready: none is ever asked without examples
instead. Searching by words is done where it is; searching by meaning, and the reading of long bodies, elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import NamedTuple, cast

from freehold.errors import FreeholdError, UsageError
from freehold.gateway.proxy.reading import BodyReader, PreparedBody
from freehold.gateway.telemetry.meters import Meters
from freehold.preparing.conversation import UNPREPARED, Unprepared
from freehold.preparing.index import ExampleFinder, open_index, state_of
from freehold.preparing.request import must_prepare, tell_once
from freehold.types.endpoint import Endpoint, Example, ExampleIndex, Preparation, ServedModel
from freehold.wire.errors import ApiError

log = logging.getLogger("freehold.gateway")
NOT_PREPARED = ("examples_unavailable", "cannot_be_prepared")
"""Codes of the errors that clients get."""
AGAIN_AFTER_S = 5.0
"""How long an index is taken to be what it was: opened, or one that cannot be. What a person wants forgotten leaves the
memory of a running gateway within this time."""


class _Opened(NamedTuple):
    """An index in memory, the state of its files then, and when they were looked at last."""

    finder: ExampleFinder
    state: tuple[int, int, int] | None
    looked_s: float


class Preparer:
    """Prepares the bodies that a worker sends."""

    def __init__(self, reader: BodyReader, meters: Meters) -> None:
        self._reader = reader
        self._meters = meters
        self._opened: dict[str, _Opened] = {}
        self._troubles: dict[str, tuple[float, str]] = {}
        self._opening = asyncio.Lock()

    async def body(self, endpoint: Endpoint, served: ServedModel | None, path: str, body: bytes) -> bytes:
        """A body as a served model is sent it at `path`, the path of the endpoint's API.

        Raises `ApiError`: 503 where its examples cannot be had, 400 where such a request cannot be prepared.
        """
        if served is None or served.preparation is None:
            return body
        try:
            if not must_prepare(served, path):
                return body
        except UsageError as error:
            self._count(endpoint, "not_chat")
            raise ApiError(400, error.message, code="cannot_be_prepared") from None
        preparation = served.preparation
        why, (question,) = await self._reader.do("question", preparation, body)
        if why is not None:
            self._count(endpoint, why)
            if why in UNPREPARED:
                tell_once(preparation, cast("Unprepared", why))
            return body
        found = await self._found(endpoint, preparation, question)
        used, (changed,) = await self._reader.do("prepared", PreparedBody(preparation, tuple(found)), body)
        self._count(endpoint, "prepared" if used == len(found) else "fewer_examples")
        return changed

    async def trouble(self, endpoint: Endpoint) -> str | None:
        """Why requests for an endpoint cannot be prepared; None where they can, or need not be."""
        for index in _indexes(endpoint):
            try:
                await self._finder(index)
            except FreeholdError as error:
                return error.message
        return None

    async def warm(self, endpoints: Iterable[Endpoint]) -> None:
        """Open the indexes of endpoints before requests come. One that cannot be opened is logged."""
        for endpoint in endpoints:
            if (why := await self.trouble(endpoint)) is not None:
                log.error("endpoint %s is not asked: %s", endpoint.name, why)

    async def _found(self, endpoint: Endpoint, preparation: Preparation, question: bytes) -> list[Example]:
        index = preparation.examples
        if index is None:
            return []
        try:
            finder = await self._finder(index)
        except FreeholdError as error:
            self._count(endpoint, "no_index")
            message = f"requests for the endpoint {endpoint.name} cannot be prepared: {error.message}"
            raise ApiError(503, message, code="examples_unavailable") from None
        text = question.decode()
        if finder.quick:
            return finder.nearest(text, index.k)
        return await asyncio.to_thread(finder.nearest, text, index.k)

    async def _finder(self, index: ExampleIndex) -> ExampleFinder:
        """The index in memory. Raises what `open_index` raises."""
        now = time.monotonic()
        opened = self._opened.get(index.sha256)
        if opened is not None and now - opened.looked_s < AGAIN_AFTER_S:
            return opened.finder
        state = state_of(index)
        if opened is not None and state == opened.state:
            self._opened[index.sha256] = opened._replace(looked_s=now)
            return opened.finder
        self._opened.pop(index.sha256, None)
        async with self._opening:
            since, why = self._troubles.get(index.sha256, (0.0, ""))
            if why and time.monotonic() - since < AGAIN_AFTER_S:
                raise FreeholdError(why)
            try:
                finder = await asyncio.to_thread(open_index, index)
            except FreeholdError as error:
                self._troubles[index.sha256] = (time.monotonic(), error.message)
                raise
            self._opened[index.sha256] = _Opened(finder, state, time.monotonic())
            return finder

    def _count(self, endpoint: Endpoint, outcome: str) -> None:
        self._meters.count("freehold_preparations", endpoint.name, outcome)


def _indexes(endpoint: Endpoint) -> list[ExampleIndex]:
    prepared = [served.preparation for served in endpoint.models if served.preparation is not None]
    return [one.examples for one in prepared if one.examples is not None]
