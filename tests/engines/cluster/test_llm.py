"""A plan in the words of Ray Serve's LLM support."""

import msgspec
import pytest

from freehold.engines.cluster.llm import llm_config
from freehold.errors import UsageError
from freehold.types.config import ClusterConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.serving.cluster import ClusterPlan


def plan(*, engine="vllm", options=None, adapters=(), **config):
    serve = ServePlan(
        engine=engine, model="base", weights_path="/nowhere", context_tokens=2048, parallel=4,
        options=options or {}, adapters=adapters,
    )  # fmt: skip
    return ClusterPlan(name="x", serve=serve, config=ClusterConfig(**config), memory_bytes=1)


def test_sizes_options_and_replicas_are_said_in_rays_words():
    options = {"tensor_parallel": 2, "kv_cache_gib": 0.5, "quantization": "awq", "tool_parser": "hermes"}
    found = llm_config(plan(options=options, min_replicas=2, max_replicas=5, gpus=1, accelerator="L4"))
    engine = found["engine_kwargs"]
    assert (engine["max_model_len"], engine["max_num_seqs"], engine["tensor_parallel_size"]) == (2048, 4, 2)
    assert (engine["kv_cache_memory_bytes"], engine["quantization"]) == (1 << 29, "awq")
    assert (engine["enable_auto_tool_choice"], engine["tool_call_parser"]) == (True, "hermes")
    assert "gpu_memory_utilization" not in engine, "what is not said is left to vLLM"
    scaling = found["deployment_config"]["autoscaling_config"]
    assert scaling == {"min_replicas": 2, "max_replicas": 5, "target_ongoing_requests": 4.0}
    assert found["accelerator_type"] == "L4" and "placement_group_config" not in found


def test_without_gpus_a_worker_asks_for_cores():
    found = llm_config(plan(gpus=0, cpus=3, accelerator="L4"))
    assert found["placement_group_config"] == {"bundle_per_worker": {"CPU": 3}}
    assert "accelerator_type" not in found


def test_adapters_come_from_an_object_store_and_nowhere_else():
    found = llm_config(plan(adapters_url="s3://bucket/adapters", options={"max_rank": 32}))
    assert found["lora_config"]["dynamic_lora_loading_path"] == "s3://bucket/adapters"
    assert found["engine_kwargs"]["max_lora_rank"] == 32
    with pytest.raises(UsageError, match="'/adapters'"):
        llm_config(plan(adapters_url="/adapters"))
    with pytest.raises(UsageError, match="names none"):
        llm_config(plan(adapters=(AdapterMount(name="base:x", path="/x"),)))


def test_only_vllm_runs_there():
    with pytest.raises(UsageError, match="the plan's engine is echo"):
        llm_config(msgspec.structs.replace(plan(engine="echo")))
