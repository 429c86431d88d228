"""Probes of an engine, against a server that answers as it is told."""

import aiohttp
import pytest
from aiohttp import web

from freehold.engines import supervisor

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(anyio_backend):
    """``(answers, url, bodies)``: a path's status and body, the server's address, what it was sent."""
    answers, bodies = {}, []

    async def answer(request):
        if request.method == "POST":
            bodies.append(await request.json())
        status, text = answers.get(request.path, (404, "not here"))
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield answers, f"http://127.0.0.1:{runner.addresses[0][1]}", bodies
    await runner.cleanup()


async def test_alive_is_a_good_answer_with_json(server):
    answers, url, _ = server
    assert not await supervisor.is_alive(f"{url}/health")
    answers["/health"] = (200, "not json")
    assert not await supervisor.is_alive(f"{url}/health")
    answers["/health"] = (200, "{}")
    assert await supervisor.is_alive(f"{url}/health")
    assert not await supervisor.is_alive("http://127.0.0.1:9/health", seconds=2)


async def test_a_completion_is_one_token_and_an_embedding_one_text(server):
    answers, url, bodies = server
    answers["/v1/chat/completions"] = answers["/v1/embeddings"] = (200, "{}")
    await supervisor.ask_completion(url, "m", seconds=5)
    await supervisor.ask_completion(url, "m", path="/v1/embeddings", seconds=5)
    assert bodies[0]["max_tokens"] == 1 and bodies[0]["messages"][0]["role"] == "user"
    assert bodies[1] == {"model": "m", "input": "Hi"}


@pytest.mark.parametrize(("status", "retry"), [(503, True), (429, True), (400, False), (404, False)])
async def test_an_engine_that_loads_is_asked_again_and_one_that_refuses_is_not(server, status, retry):
    answers, url, _ = server
    answers["/v1/chat/completions"] = (status, "why" * 200)
    with pytest.raises(supervisor.ProbeError, match=f"^{status}: why") as caught:
        await supervisor.ask_completion(url, "m", seconds=5)
    assert caught.value.retry is retry and len(str(caught.value)) < 320


async def test_nothing_there_is_an_error_of_the_connection():
    with pytest.raises(aiohttp.ClientError):
        await supervisor.ask_completion("http://127.0.0.1:9", "m", seconds=2)
