"""One address for all models of a pool."""

import asyncio
import os
import signal

import msgspec
import pytest
from tests.engines.pool.echo_pool import ask, plan_of, pool_of, served

pytestmark = pytest.mark.anyio


@pytest.mark.process
async def test_an_engine_killed_under_load_costs_waiting_not_answers(tmp_path):
    plan = msgspec.structs.replace(plan_of("a"), options={"delay_ms": 30})
    async with pool_of(tmp_path, plan) as pool, served(pool) as (front, http):
        asked = [asyncio.create_task(ask(http, front, "a")) for _ in range(8)]
        await asyncio.sleep(0.05)
        os.kill(pool.health("a").process_id, signal.SIGKILL)
        asked += [asyncio.create_task(ask(http, front, "a")) for _ in range(8)]
        assert {status for status, _ in await asyncio.gather(*asked)} == {200}
        assert pool.health("a").restarts == 1


async def test_the_front_lists_refuses_and_streams(tmp_path):
    async with pool_of(tmp_path, plan_of("a"), plan_of("b")) as pool, served(pool) as (front, http):
        async with http.get(f"{front.base_url}/v1/models") as reply:
            assert [one["id"] for one in (await reply.json())["data"]] == ["a", "b"]
        for body, status in (("[1]", 400), ("{}", 400), ('{"model": "x"}', 404)):
            async with http.post(f"{front.base_url}/v1/chat/completions", data=body) as reply:
                assert reply.status == status and "message" in (await reply.json())["error"]
        body = {"model": "b", "stream": True, "messages": [{"role": "user", "content": "one two"}]}
        async with http.post(f"{front.base_url}/v1/chat/completions", json=body) as reply:
            assert reply.content_type == "text/event-stream"
            assert (await reply.text()).rstrip().endswith("data: [DONE]")
