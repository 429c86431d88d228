"""What another machine needs to serve a plan: the command, room for its files, time to start."""

from __future__ import annotations

import math

from freehold.engines.ports import is_loopback
from freehold.types.serving.cluster import ClusterPlan
from freehold.types.units import GIB

GATEWAY_PORT = 8420
SMALLEST_VOLUME_GIB = 10
STARTUP_SECONDS = 1800
"""How long a machine may pull weights and load them before it is given up."""
VLLM_GIB = 20
"""What an environment of vLLM takes of the volume."""


def serve_command(plan: ClusterPlan, *, adapters: str, host: str = "0.0.0.0") -> list[str]:  # noqa: S104 (compared, or chosen by the user)
    """`freehold serve` with the plan's own settings but its options, which come with `freehold.toml`. Each adapter is
    in a folder of its name in the folder `adapters`."""
    serve = plan.serve
    command = [
        "freehold", "serve", serve.model, "--engine", serve.engine, "--context", str(serve.context_tokens),
        "--parallel", str(serve.parallel), "--kv-type", serve.kv_type, "--host", host, "--port", str(GATEWAY_PORT),
    ]  # fmt: skip
    if not is_loopback(host):
        command.append(
            "--without-keys"
        )  # the cluster's network, or what stands in front of it, lets clients in
    for name, (full, _) in adapters_of(plan).items():
        command += ["--adapter", f"{full}={adapters}/{name}"]
    return command


def adapters_of(plan: ClusterPlan) -> dict[str, tuple[str, str]]:
    """The folder's name of each adapter there, the name it is served by, and where it is here."""
    return {mount.name.rpartition(":")[2]: (mount.name, mount.path) for mount in plan.serve.adapters}


def volume_gib(plan: ClusterPlan) -> int:
    """GiB of disk: what was asked for, else twice the plan's memory, and an environment of vLLM."""
    storage_gib = plan.config.storage_gib
    if storage_gib is not None:
        return storage_gib
    engine = VLLM_GIB if plan.serve.engine_kind.installs_apart else 0
    return engine + max(SMALLEST_VOLUME_GIB, math.ceil(2 * plan.memory_bytes / GIB))
