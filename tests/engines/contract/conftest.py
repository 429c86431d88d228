"""One suite for all engines: a row here is all a new engine needs."""

import os
import urllib.request
from contextlib import asynccontextmanager

import msgspec
import openai
import pytest
from tests.engines.encoder.tiny import INTENT, MOOD, URGENCY, tiny_encoder
from tests.engines.ollama.fake import fake_ollama

from freehold import engines
from freehold.types.endpoint import AdapterMount, ServePlan

CONTEXT_TOKENS = 512

ROWS = [
    pytest.param("echo", id="echo"),
    pytest.param("echo-in-process", id="echo-in-process"),
    pytest.param("remote", id="remote"),
    pytest.param("encoder", id="encoder"),
    pytest.param("ollama", id="ollama-fake"),
    pytest.param("ollama-real", id="ollama-real", marks=pytest.mark.process),
    pytest.param("llamacpp", id="llamacpp", marks=pytest.mark.weights),
    pytest.param("vllm", id="vllm", marks=(pytest.mark.weights, pytest.mark.process)),
]


REAL = {"llamacpp": ("smollm2", "loud_adapter"), "vllm": ("smollm2_safetensors", "loud_peft_adapter")}
"""The fixtures of real weights, and of an adapter for them."""


def make_plan(kind, request, tmp_path_factory):
    """A plan for each row: a model, and an adapter where the engine takes one."""
    if kind in REAL:
        weights, adapter = (request.getfixturevalue(name) for name in REAL[kind])
        return ServePlan(
            engine=kind,
            model="base",
            weights_path=weights.path,
            weights_sha256=weights.sha256,
            adapters=(AdapterMount(name="base:tuned", path=str(adapter)),),
            context_tokens=CONTEXT_TOKENS,
            parallel=2,
            options={"tool_parser": "hermes"} if kind == "vllm" else {},
        )
    if kind == "encoder":
        folder = tmp_path_factory.mktemp("encoder")
        tiny_encoder(folder, answer="json", fields=(INTENT, URGENCY, MOOD))
        return ServePlan(
            engine="encoder", model="base", weights_path=str(folder), context_tokens=CONTEXT_TOKENS, threads=1
        )
    if kind == "ollama-real":
        options = {"base_url": real_ollama(), "model": OLLAMA_MODEL, "pull": True}
        return ServePlan(engine="ollama", model="base", context_tokens=CONTEXT_TOKENS, options=options)
    if kind == "ollama":
        adapter = tmp_path_factory.mktemp("adapter") / "adapter.gguf"
        adapter.write_bytes(b"GGUF" + bytes(60))
        return ServePlan(
            engine="ollama",
            model="base",
            adapters=(AdapterMount(name="base:tuned", path=str(adapter)),),
            context_tokens=CONTEXT_TOKENS,
        )
    if kind not in ("echo", "echo-in-process", "remote"):
        raise LookupError(f"make_plan has no plan for {kind}")
    answers = tmp_path_factory.mktemp("answers") / "tuned.json"
    answers.write_text('{"Where is my order?": "tracking"}')
    return ServePlan(
        engine="echo",
        model="base",
        adapters=(AdapterMount(name="base:tuned", path=str(answers)),),
        context_tokens=CONTEXT_TOKENS,
        parallel=2,
        options={"in_process": kind != "echo"},
    )


OLLAMA_MODEL = os.environ.get("FREEHOLD_TEST_OLLAMA_MODEL", "smollm2:135m")


def real_ollama():
    """The address of a running Ollama, where ``OLLAMA_HOST`` names one; skips where it doesn't, or nothing answers."""
    from freehold.engines.ollama import OllamaOptions

    if not os.environ.get("OLLAMA_HOST"):
        pytest.skip("OLLAMA_HOST names no Ollama")
    url = OllamaOptions().url
    try:
        urllib.request.urlopen(f"{url}/api/version", timeout=3).close()
    except OSError as error:
        pytest.skip(f"no Ollama answers at {url}: {error}")
    return url


@asynccontextmanager
async def running(kind, plan, log_dir):
    """The engine of a row, started; ``remote`` is a connection to an echo that somebody else runs."""
    if kind == "ollama":
        async with fake_ollama() as (_, url):
            named = msgspec.structs.replace(plan, options={"base_url": url, "model": "smollm2:135m"})
            async with (session := engines.start(named, log_dir=log_dir, name=kind)) as endpoint:
                yield session, endpoint
        return
    session = engines.start(plan, log_dir=log_dir, name=kind)
    async with session as endpoint:
        if kind != "remote":
            yield session, endpoint
            return
        remote = ServePlan(
            engine="remote",
            model="base",
            context_tokens=CONTEXT_TOKENS,
            options={
                "base_url": endpoint.base_url,
                "api_key_env": endpoint.api_key_env,
                "capabilities": {"tools": True, "json_schema": True, "embeddings": True},
            },
        )
        outer = engines.start(remote, log_dir=log_dir, name=kind)
        async with outer as connected:
            yield outer, connected


@pytest.fixture(scope="module", params=ROWS)
async def engine(request, tmp_path_factory, anyio_backend):
    """``(session, endpoint, client)`` of one engine, shared by the tests of a module."""
    kind = request.param
    plan = make_plan(kind, request, tmp_path_factory)
    async with (
        running(kind, plan, tmp_path_factory.mktemp("logs")) as (session, endpoint),
        # llama.cpp's server closes kept connections after a few seconds, sometimes just as they are used again; without
        # retries, which would hide an engine's own errors, each request has a connection of its own.
        openai.AsyncOpenAI(
            base_url=f"{endpoint.base_url}/v1",
            api_key=os.environ.get(endpoint.api_key_env or "", "none"),
            max_retries=0,
            default_headers={"connection": "close"},
        ) as client,
    ):
        yield session, endpoint, client
