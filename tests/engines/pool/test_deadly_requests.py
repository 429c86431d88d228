"""What a pool knows of requests that end engines."""

import asyncio

import pytest

from freehold.engines.pool import deadly_requests
from freehold.engines.pool.deadly_requests import KNOWN_MAX, DeadlyRequestError, DeadlyRequests

pytestmark = pytest.mark.anyio
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def is_refused(fatal, body, name="m"):
    try:
        async with fatal.turn(name, body):
            return False
    except DeadlyRequestError:
        return True


async def test_two_deaths_are_too_many_and_copies_count_once():
    fatal = DeadlyRequests()
    for _ in range(3):
        fatal.add("m", BODY, process_id=1)
    assert not await is_refused(fatal, BODY)
    fatal.add("m", BODY, process_id=2)
    assert await is_refused(fatal, BODY)
    assert not await is_refused(fatal, BODY, "another") and not await is_refused(fatal, {**BODY, "seed": 1})


async def test_an_answer_clears_a_suspect():
    fatal = DeadlyRequests()
    fatal.add("m", BODY, process_id=1)
    fatal.clear("m", BODY)
    fatal.add("m", BODY, process_id=2)
    assert not await is_refused(fatal, BODY)


async def test_it_is_bounded_and_forgotten(monkeypatch):
    fatal = DeadlyRequests()
    for seed in range(KNOWN_MAX + 1):
        fatal.add("m", {"seed": seed}, process_id=2 * seed)
        fatal.add("m", {"seed": seed}, process_id=2 * seed + 1)
    assert [await is_refused(fatal, {"seed": seed}) for seed in (0, 1, KNOWN_MAX)] == [False, True, True]
    monkeypatch.setattr(deadly_requests, "REMEMBERED_SECONDS", 0.0)
    assert not await is_refused(fatal, {"seed": 1})


async def test_suspects_take_turns_and_others_do_not_wait():
    fatal = DeadlyRequests()
    fatal.add("m", BODY, process_id=1)
    async with fatal.turn("m", BODY):
        second = asyncio.create_task(is_refused(fatal, BODY))
        await asyncio.sleep(0.05)
        assert not second.done()
        assert not await is_refused(fatal, {"seed": 1})
        fatal.add("m", BODY, process_id=2)
    assert await second, "while it waited it was found out"
