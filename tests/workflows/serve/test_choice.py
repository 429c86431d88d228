"""``engine = "auto"``: the machine and the weights, and what binds a plan to llama.cpp."""

import struct

import msgspec
import pytest

from freehold.engines.vllm.environment import Installation
from freehold.errors import UsageError
from freehold.settings import load
from freehold.types.endpoint import AdapterMount
from freehold.types.machine import Accelerator, Machine
from freehold.types.model import Weights
from freehold.workflows.serve import choice
from freehold.workflows.serve.choice import choose


@pytest.fixture
def weights(tmp_path):
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    tensor = text("w") + struct.pack("<IQQIQ", 2, 64, 1000, 1, 0)  # 64,000 numbers in 16 bits
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + tensor + b"\0" * 128_200)
    return Weights(
        model_id="org/m", format="gguf", quantization="F16", bytes=1, sha256="a", source="", path=str(file)
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    """``here(device, isa, gpu_bytes)`` makes a machine that has vLLM on that device."""

    def make(device, gpu_bytes=0):
        installed = Installation(
            flavour="x", version="1", python="p", torch="", transformers="", device=device, bytes=0
        )
        gpus = (Accelerator(kind="nvidia", name="G", memory_bytes=gpu_bytes),) if gpu_bytes else ()
        machine = Machine(
            name="m", cores=2, memory_bytes=1, available_memory_bytes=1, cpu="c", isa=(), accelerators=gpus
        )
        monkeypatch.setattr(choice.vllm, "find", lambda home: installed)
        monkeypatch.setattr(choice, "probe_machine", lambda home: machine)
        return load({"FREEHOLD_HOME": str(tmp_path / "home")})

    return make


@pytest.mark.parametrize(
    ("device", "gpu_bytes", "engine", "why"),
    [
        ("cuda", 160_000, "vllm", "GPU holds"),
        ("cuda", 159_999, "llamacpp", "too small"),
        ("cpu", 0, "llamacpp", "for CPUs"),
    ],
)
def test_the_facts_are_those_of_the_machine_and_the_weights(weights, here, device, gpu_bytes, engine, why):
    chosen = choose("auto", weights, here(device, gpu_bytes))
    assert chosen.engine == engine and why in chosen.why


@pytest.mark.parametrize(
    "asked",
    [
        {"quantization": "Q4_0"},
        {"kv_type": "q8_0"},
        {"options": {"speculative": "ngram-simple"}},
    ],
)
def test_what_only_llamacpp_can_do_binds_to_it(weights, here, asked):
    assert choose("auto", weights, here("cuda", 999_999), **asked).engine == "llamacpp"


def test_an_adapter_that_vllm_cannot_read_binds_to_llamacpp(weights, here, tmp_path):
    mount = AdapterMount(name="org/m:a", path=str(tmp_path))
    settings = here("cuda", 999_999)
    assert choose("auto", weights, settings, adapters=[mount]).engine == "llamacpp"
    (tmp_path / "adapter_model.safetensors").touch()
    assert choose("auto", weights, settings, adapters=[mount]).engine == "vllm"


def test_without_vllm_nothing_changes_and_names_are_taken_as_they_are(weights, tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path / "home")})
    assert choose("auto", weights, settings).engine == "llamacpp"
    folder = msgspec.structs.replace(weights, format="safetensors")
    assert choose("auto", folder, settings).engine == "vllm"
    assert choose("ollama", weights, settings).engine == "ollama"
    with pytest.raises(UsageError, match="no engine is called 'llama'"):
        choose("llama", weights, settings)
