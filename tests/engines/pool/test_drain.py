"""When an engine is idle, by its metrics."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from freehold.engines.pool import drain
from freehold.engines.pool.drain import requests_in_flight, wait_until_idle
from freehold.types.endpoint import Endpoint

pytestmark = pytest.mark.anyio
LLAMACPP = "# HELP x\nllamacpp:requests_processing 2\nllamacpp:requests_deferred 1\nllamacpp:other 9\n"
VLLM = 'vllm:num_requests_running{model_name="m"} 1.0\nvllm:num_requests_waiting{model_name="m"} 4.0\n'


@contextlib.asynccontextmanager
async def engine(answers):
    """An engine whose metrics are `answers`, one after the other; the last one stays."""
    asked = []

    async def metrics(_):
        asked.append(1)
        return web.Response(text=answers[min(len(asked), len(answers)) - 1])

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield (
            Endpoint(name="e", engine="llamacpp", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}"),
            asked,
        )
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("text", "requests"),
    [(LLAMACPP, 3), (VLLM, 5), ("llamacpp:requests_processing 0\n", 0), ("other 7\n", None), ("", None)],
)
async def test_requests_are_read_from_an_engines_metrics(text, requests):
    async with engine([text]) as (endpoint, _):
        assert await requests_in_flight(endpoint) == requests


async def test_an_engine_that_is_gone_has_none():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert (
        await requests_in_flight(Endpoint(name="e", engine="vllm", base_url=f"http://127.0.0.1:{port}")) == 0
    )


async def test_it_waits_until_the_engine_was_idle_twice_in_a_row(monkeypatch):
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.001)
    idle, busy = LLAMACPP.replace("2", "0").replace("1", "0"), LLAMACPP
    async with engine([busy, idle, busy, idle, idle, busy]) as (endpoint, asked):
        await asyncio.wait_for(wait_until_idle(endpoint), 10)
        assert len(asked) == 5


async def test_an_engine_without_metrics_is_given_a_while(monkeypatch):
    monkeypatch.setattr(drain, "UNKNOWN_SECONDS", 0.1)
    async with engine(["nothing of use"]) as (endpoint, asked):
        await asyncio.wait_for(wait_until_idle(endpoint), 10)
        assert len(asked) >= 2


async def test_a_busy_engine_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(drain, "LONGEST_SECONDS", 0.2)
    async with engine([LLAMACPP]) as (endpoint, _):
        await asyncio.wait_for(wait_until_idle(endpoint), 10)
