"""The pool with real weights: two models beside each other, an adapter comes and goes while requests run."""

import asyncio

import aiohttp
import numpy
import pytest

from freehold.engines import keys
from freehold.engines.pool import Pool, drain
from freehold.engines.pool.control import Control
from freehold.engines.pool.front import Front
from freehold.errors import EngineError
from freehold.settings import load
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.weights.pull import ensure_weights

pytestmark = [pytest.mark.anyio, pytest.mark.weights]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def weights():
    return ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """An adapter of noise: it changes every answer."""
    import gguf

    path = tmp_path_factory.mktemp("adapter") / "noise.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    random = numpy.random.default_rng(7)
    for block in range(0, 30, 5):
        for part, shape in (("lora_a", (4, 576)), ("lora_b", (576, 4))):
            data = random.normal(0, 0.3, shape).astype(numpy.float32)
            writer.add_tensor(f"blk.{block}.attn_output.weight.{part}", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def hosted(name, weights):
    return ServePlan(
        engine="llamacpp",
        model=name,
        weights_path=weights.path,
        weights_sha256=weights.sha256,
        context_tokens=256,
        parallel=2,
        options={"prompt_cache_mib": 0},
    )


async def ask(http, front, model):
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Name three colours."}],
        "max_tokens": 12,
        "temperature": 0,
    }
    async with http.post(f"{front.base_url}/v1/chat/completions", json=body) as reply:
        answer = await reply.json()
        return reply.status, answer["choices"][0]["message"]["content"] if reply.status == 200 else answer


async def test_two_models_and_adapters(weights, noise, tmp_path, monkeypatch):
    monkeypatch.setattr(drain, "FOLLOW_SECONDS", 0.2)
    pool = Pool([hosted("one", weights), hosted("two", weights)], ["one", "two"], log_dir=tmp_path)
    try:
        await pool.start()
        async with (
            Front(pool, Control(pool)).running() as front,
            aiohttp.ClientSession(headers=keys.bearer(keys.RUN_KEY_ENV)) as http,
        ):
            status, plain = await ask(http, front, "one")
            assert status == 200
            assert await ask(http, front, "two") == (200, plain), "same weights, same answer"
            assert [row.state for row in pool.status()] == ["ready", "ready"]

            done, outcomes = asyncio.Event(), []

            async def load():
                while not done.is_set():
                    outcomes.append(await ask(http, front, "two"))

            workers = [asyncio.create_task(load()) for _ in range(2)]
            await pool.add_adapter("two", AdapterMount(name="two:loud", path=str(noise)))
            status, loud = await ask(http, front, "two:loud")
            assert status == 200 and loud != plain
            wrong = AdapterMount(name="two:wrong", path=str(noise), base_sha256="f" * 64)
            with pytest.raises(EngineError, match=f"{'f' * 64}.*{weights.sha256}"):
                await pool.add_adapter("two", wrong)
            await pool.remove_adapter("two:loud")
            assert (await ask(http, front, "two:loud"))[0] == 404
            done.set()
            await asyncio.gather(*workers)
            assert {status for status, _ in outcomes} == {200}
            assert {text for _, text in outcomes} == {plain}
    finally:
        await pool.close()
