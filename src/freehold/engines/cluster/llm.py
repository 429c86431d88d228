"""A plan as Ray Serve's LLM support takes it: vLLM in Ray's own replicas, one model over several
machines where needed.

Adapters: Ray loads them by name (``base:adapter``, the same form as freehold's) from an object store,
and only from there.
"""

from __future__ import annotations

from typing import Any

from freehold.engines.options import read
from freehold.engines.vllm.options import KV_TYPES, VllmOptions
from freehold.engines.vllm.tools import with_parser
from freehold.engines.vllm.weights import template_of
from freehold.errors import UsageError
from freehold.types.serving.cluster import ClusterPlan
from freehold.types.units import GIB

REMOTE = ("s3://", "gs://", "abfss://", "azure://")
"""What Ray 2.60 takes for the place of adapters (`LoraConfig.dynamic_lora_loading_path`)."""
DEFAULT_RANK = 64


def llm_config(plan: ClusterPlan) -> dict[str, Any]:
    """The arguments of Ray's ``LLMConfig``. Raises `UsageError` for a plan it cannot serve."""
    serve, config = plan.serve, plan.config
    if serve.engine != "vllm":
        raise UsageError(
            f"Ray's LLM support runs vLLM, and the plan's engine is {serve.engine}",
            hint='[serve] engine = "vllm", or [cluster] via = "engine"',
        )
    options = with_parser(read(serve.options, VllmOptions, "vllm"), template_of(serve.weights_path))
    engine: dict[str, Any] = {
        "max_model_len": serve.context_tokens,
        "max_num_seqs": serve.parallel,
        "dtype": options.dtype,
        "kv_cache_dtype": KV_TYPES[serve.kv_type],
        "tensor_parallel_size": options.tensor_parallel,
        "pipeline_parallel_size": options.pipeline_parallel,
        "enable_prefix_caching": options.prefix_cache,
    }
    optional = {
        "quantization": options.quantization,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "max_num_batched_tokens": options.batch_tokens,
        "kv_cache_memory_bytes": round(options.kv_cache_gib * GIB) if options.kv_cache_gib else None,
    }
    engine |= {key: value for key, value in optional.items() if value is not None}
    if options.tool_parser is not None:
        engine |= {"enable_auto_tool_choice": True, "tool_call_parser": options.tool_parser}
    deployment: dict[str, Any] = {
        "autoscaling_config": {
            "min_replicas": config.min_replicas,
            "max_replicas": config.max_replicas,
            "target_ongoing_requests": plan.requests_per_replica,
        },
    }
    found: dict[str, Any] = {
        "model_loading_config": {"model_id": serve.model, "model_source": serve.weights_path},
        "engine_kwargs": engine,
        "deployment_config": deployment,
    }
    if config.accelerator is not None and config.gpus:
        found["accelerator_type"] = config.accelerator
    if not config.gpus:
        # One bundle a worker: Ray would ask for a GPU otherwise.
        found["placement_group_config"] = {"bundle_per_worker": {"CPU": config.cpus}}
    if config.adapters_url is not None:
        if not config.adapters_url.startswith(REMOTE):
            raise UsageError(
                f"cluster.adapters_url is {config.adapters_url!r}, and Ray's LLM support loads adapters from "
                f"{', '.join(REMOTE)} only",
                hint='[cluster] via = "engine" serves adapters from folders',
            )
        engine |= {"enable_lora": True, "max_lora_rank": options.max_rank or DEFAULT_RANK}
        found["lora_config"] = {
            "dynamic_lora_loading_path": config.adapters_url,
            "max_num_adapters_per_replica": options.max_adapters or 16,
        }
    elif serve.adapters:
        raise UsageError(
            "Ray's LLM support loads adapters from an object store, and cluster.adapters_url names none",
            hint='[cluster] adapters_url = "s3://…", or via = "engine", which serves adapters from folders',
        )
    return found
