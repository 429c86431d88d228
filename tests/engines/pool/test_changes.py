"""Waiting for the pool to change."""

import asyncio

import pytest

from freehold.engines.pool.changes import Changes

pytestmark = pytest.mark.anyio


async def test_a_claim_that_holds_is_not_waited_for():
    await asyncio.wait_for(Changes().wait_for(lambda: True), 1)


async def test_a_claim_is_looked_at_again_after_each_change():
    changes, looks, value = Changes(), [], []

    def claim():
        looks.append(1)
        return bool(value)

    waiting = asyncio.create_task(changes.wait_for(claim))
    await asyncio.sleep(0)
    await changes.notify()
    await asyncio.sleep(0.01)
    assert not waiting.done() and len(looks) == 2
    value.append(1)
    await changes.notify()
    await asyncio.wait_for(waiting, 1)


async def test_the_next_change_is_waited_for_or_the_time():
    changes = Changes()
    waiting = asyncio.create_task(changes.wait_for_next(seconds=60))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await changes.notify()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(changes.wait_for_next(seconds=0.01), 1)
