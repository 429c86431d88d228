"""A second engine in the place of a running one."""

import asyncio

import pytest
from tests.engines.pool.echo_pool import ask, hosted, pool_of, served

from freehold.errors import UsageError
from freehold.types.endpoint import AdapterMount

pytestmark = pytest.mark.anyio


async def test_adapters_come_and_go_without_a_failed_request(tmp_path):
    answers = tmp_path / "tuned.json"
    answers.write_text('{"ping": "tuned pong"}')
    changes = []
    plan = hosted("a", token_delay_ms=5, default="one two three four five six")
    async with (
        pool_of(tmp_path, plan, on_change=lambda: changes.append(1)) as pool,
        served(pool) as (front, http),
    ):
        await pool.load("a")
        done = asyncio.Event()
        outcomes = []

        async def load():
            while not done.is_set():
                outcomes.append(await ask(http, front, "a"))

        workers = [asyncio.create_task(load()) for _ in range(4)]
        assert (await ask(http, front, "a:t"))[0] == 404
        await pool.add_adapter("a", AdapterMount(name="a:t", path=str(answers)))
        status, text = await ask(http, front, "a:t", "ping")
        assert (status, text) == (200, "tuned pong")
        with pytest.raises(UsageError, match="served already"):
            await pool.add_adapter("a", AdapterMount(name="a:t", path=str(answers)))
        await pool.remove_adapter("a:t")
        assert (await ask(http, front, "a:t"))[0] == 404
        with pytest.raises(UsageError, match="no adapter is served as 'a'"):
            await pool.remove_adapter("a")
        await asyncio.sleep(0.2)
        done.set()
        await asyncio.gather(*workers)
        assert {status for status, _ in outcomes} == {200} and len(outcomes) > 4
        assert len(changes) == 3
