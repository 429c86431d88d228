"""`freehold cluster`: one plan on several machines."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec

from freehold import engines
from freehold.engines import cluster, supervisor
from freehold.engines.cluster import ENDPOINT_PATH
from freehold.errors import EngineError, UsageError
from freehold.late import aiohttp
from freehold.progress import Progress
from freehold.types.config import ClusterConfig
from freehold.types.endpoint import Endpoint, ServedModel, ServePlan
from freehold.types.engine import ENGINE_KINDS
from freehold.types.serving import ClusterPlan, ClusterState
from freehold.workflows.project import Project

WORKING_SHARE = 1.2
"""Memory of an engine over its weights, where its cache is not known: code, buffers, the cache of a small model."""
BASE_BYTES = 512 << 20
LOOK_SECONDS = 2.0


def plan(project: Project, serve: ServePlan, config: ClusterConfig | None = None) -> ClusterPlan:
    """How a `ServePlan` runs on the project's `[cluster]`. Raises `UsageError` for what a cluster cannot serve."""
    config = config or project.config.cluster
    if not serve.engine_kind.runs_here:
        raise UsageError(
            f"engine {serve.engine} runs elsewhere already, so a cluster has nothing to start",
            hint=f"engines of a cluster: {', '.join(kind.name for kind in ENGINE_KINDS.values() if kind.runs_here)}",
        )
    name = re.sub(r"[^a-z0-9-]+", "-", project.config.app.name.lower()).strip("-")[:40] or "app"
    return ClusterPlan(
        name=f"freehold-{name}",
        # A replica sees all cores of its machine, and may use those that are its own.
        serve=msgspec.structs.replace(serve, port=0, threads=serve.threads or max(1, int(config.cpus))),
        config=config,
        memory_bytes=memory_bytes(serve),
    )


def memory_bytes(serve: ServePlan) -> int:
    """Memory one replica is given by default: what `freehold fit` computes, cache included; where it cannot, from the
    size of the weights."""
    if serve.weights_path is None:
        return BASE_BYTES
    path = Path(serve.weights_path)
    files = [path] if path.is_file() else list(path.glob("*.safetensors"))
    size = sum(file.stat().st_size for file in files if file.exists())
    return max(serve.memory_bytes, BASE_BYTES + round(WORKING_SHARE * size))


def up(
    project: Project,
    cluster_plan: ClusterPlan,
    *,
    ready: Callable[[ClusterState], None],
    progress: Progress,
    hold: Callable[[], None] | None = None,
) -> None:
    """Deploy a plan and return; without an address the cluster is this process, so it is held until Ctrl-C.

    Raises `EngineError` (no cluster, a replica that does not start), `UsageError`, `MissingExtraError`.
    """
    cluster.require()
    engines.check(cluster_plan.serve)
    log_dir = (project.state / "engines").absolute()
    progress.step("join the cluster", note=cluster_plan.config.address or "on this machine alone")
    cluster.connect(cluster_plan.config.address)
    try:
        serve = cluster_plan.serve
        progress.step(
            "start the replicas",
            note=f"{serve.model} on {serve.engine}, {cluster_plan.config.replicas} times",
        )
        cluster.deploy(cluster_plan, log_dir=log_dir)
        ready(look(cluster_plan))
        if cluster_plan.config.address is None:
            (hold or until_interrupted)()
            cluster.remove(cluster_plan.name)
    finally:
        cluster.disconnect()


def status(project: Project) -> ClusterState:
    """How the project's application is on its cluster. Raises `EngineError` when there is no cluster."""
    config = project.config.cluster
    cluster.connect(_address(config))
    try:
        state = cluster.state(_name(project))
        return state if not state.replicas else msgspec.structs.replace(state, endpoint=endpoint_of(config))
    finally:
        cluster.disconnect()


def down(project: Project) -> bool:
    """Take the project's application off its cluster; False when it was not there."""
    cluster.connect(_address(project.config.cluster))
    try:
        if cluster.state(_name(project)).status == "NOT_DEPLOYED":
            return False
        cluster.remove(_name(project))
        return True
    finally:
        cluster.disconnect()


def look(cluster_plan: ClusterPlan) -> ClusterState:
    """The state with the endpoint that answers."""
    state = cluster.state(cluster_plan.name)
    return msgspec.structs.replace(state, endpoint=endpoint_of(cluster_plan.config))


def base_url(config: ClusterConfig) -> str:
    """Address of the cluster as this machine reaches it."""
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104 (compared, or chosen by the user)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"


def endpoint_of(config: ClusterConfig) -> Endpoint:
    """The endpoint as a replica tells it, at the cluster's address. Raises `EngineError`."""

    async def ask() -> Endpoint:
        raw = await supervisor.get_json(f"{base_url(config)}{ENDPOINT_PATH}")
        return msgspec.convert(raw, Endpoint)

    try:
        endpoint = anyio.run(ask)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.ValidationError) as error:
        raise EngineError(f"no server of freehold answers at {base_url(config)}: {error}") from None
    # Names are turned into the engine's by the replica, which has the engine's key; a client uses the plain ones.
    models = tuple(
        ServedModel(name=model.name, upstream_name=model.name, adapter_id=model.adapter_id)
        for model in endpoint.models
    )
    return msgspec.structs.replace(endpoint, base_url=base_url(config), models=models, api_key_env=None)


def until_interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    import signal

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        while True:
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _name(project: Project) -> str:
    return plan(project, ServePlan(engine="echo", model="echo"), ClusterConfig()).name


def _address(config: ClusterConfig) -> str:
    address = config.address or os.environ.get("RAY_ADDRESS")
    if address is None:
        raise UsageError(
            "the project names no cluster",
            hint='[cluster] address = "auto" for one on this machine, or HOST:6379. '
            "Without it freehold cluster up serves until Ctrl-C, and then all is gone",
        )
    return address
