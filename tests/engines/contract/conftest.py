"""One suite for all engines: a row here is all a new engine needs."""

import socket
from contextlib import asynccontextmanager

import numpy
import openai
import pytest

from freehold import engines
from freehold.settings import load
from freehold.types.endpoint import AdapterMount, ServePlan

CONTEXT_TOKENS = 512

ROWS = [
    pytest.param("echo", id="echo"),
    pytest.param("echo-in-process", id="echo-in-process"),
    pytest.param("remote", id="remote"),
    pytest.param("llamacpp", id="llamacpp", marks=pytest.mark.weights),
]


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def smollm2():
    """The real SmolLM2, out of its package; kept in the machine's weights store."""
    from freehold.workflows.pull import ensure_weights

    return ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())


@pytest.fixture(scope="session")
def loud_adapter(tmp_path_factory):
    """A GGUF adapter of noise for SmolLM2's shapes: it changes every answer, and that is all it does."""
    import gguf

    path = tmp_path_factory.mktemp("adapter") / "noise.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    random = numpy.random.default_rng(7)
    for block in range(0, 30, 5):
        name = f"blk.{block}.attn_output.weight"
        for part, shape in (("lora_a", (4, 576)), ("lora_b", (576, 4))):
            data = random.normal(0, 0.3, shape).astype(numpy.float32)
            writer.add_tensor(f"{name}.{part}", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make_plan(kind, request, tmp_path_factory):
    """A plan for each row: a model, and an adapter where the engine takes one."""
    if kind == "llamacpp":
        weights = request.getfixturevalue("smollm2")
        return ServePlan(
            engine="llamacpp",
            model="base",
            weights_path=weights.path,
            weights_sha256=weights.sha256,
            adapters=(AdapterMount(name="base:tuned", path=str(request.getfixturevalue("loud_adapter"))),),
            context_tokens=CONTEXT_TOKENS,
            parallel=2,
        )
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


@asynccontextmanager
async def running(kind, plan, log_dir):
    """The engine of a row, started; ``remote`` is a connection to an echo that somebody else runs."""
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
        openai.AsyncOpenAI(base_url=f"{endpoint.base_url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield session, endpoint, client
