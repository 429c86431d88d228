"""Speeds by the engine's own timings."""

import contextlib

import pytest
from aiohttp import web

from freehold.errors import EngineError
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan
from freehold.workflows.serve import engines as measure

pytestmark = pytest.mark.anyio

PLAN = ServePlan(engine="llamacpp", model="tiny", parallel=4, port=1234)


@pytest.fixture
async def engines(monkeypatch, anyio_backend):
    """Engines that only answer; ``(asked, started, timings)``. Timings are by model, one taken each request."""
    asked, started, timings = [], [], {}

    async def answer(request):
        body = await request.json()
        asked.append(body)
        return web.json_response({"timings": timings[body["model"]].pop(0)} if timings else {"no": "timings"})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    @contextlib.asynccontextmanager
    async def start(plan, **_):
        started.append(plan)
        yield Endpoint(
            name=plan.model, engine="llamacpp", base_url=f"http://127.0.0.1:{runner.addresses[0][1]}",
            models=(ServedModel(name=plan.model, upstream_name=plan.model),), capabilities=Capabilities(),
            context_tokens=512,
        )  # fmt: skip

    monkeypatch.setattr(measure, "start", start)
    yield asked, started, timings
    await runner.cleanup()


def took(prompt, completion):
    return {"prompt_per_second": prompt, "predicted_per_second": completion}


async def test_the_median_of_the_rounds_after_the_first_is_taken(engines, tmp_path):
    asked, started, timings = engines
    timings["tiny"] = [took(1, 1), took(10, 5), took(30, 7), took(20, 6)]
    speed = await measure.measure(PLAN, log_dir=tmp_path, rounds=3)
    assert (speed.prompt_tokens_per_second, speed.completion_tokens_per_second) == (20, 6)
    assert not any(body["cache_prompt"] for body in asked)
    assert [(plan.parallel, plan.port) for plan in started] == [(1, 0)]


async def test_an_engine_without_timings_is_an_error(engines, tmp_path):
    with pytest.raises(EngineError, match=r"did not tell how long it took: .*timings"):
        await measure.measure(PLAN, log_dir=tmp_path, rounds=1)
