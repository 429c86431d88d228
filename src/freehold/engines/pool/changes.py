"""Waiting for the pool to change."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


class Changes:
    """Wakes those that wait for a claim about the pool to become true."""

    def __init__(self) -> None:
        self._condition = asyncio.Condition()

    async def notify(self) -> None:
        """Something changed: every claim that is waited for is looked at again."""
        async with self._condition:
            self._condition.notify_all()

    async def wait_for(self, claim: Callable[[], bool]) -> None:
        """Wait until `claim` holds."""
        async with self._condition:
            await self._condition.wait_for(claim)

    async def wait_for_next(self, *, seconds: float) -> None:
        """Wait for one more change, at most for `seconds`."""
        async with self._condition:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._condition.wait()
