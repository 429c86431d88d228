"""Ray Serve: join or start a cluster, deploy a plan's replicas on it, say how they are, take them away.

Ray reports its use to its makers unless told not to; freehold tells it not to. Its dashboard is off. HTTP is
on loopback of the head node unless the plan says otherwise.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines.cluster.replica import EngineReplica
from freehold.errors import EngineError, MissingExtraError
from freehold.types.serving import ClusterPlan, ClusterState, Replica

DEPLOYMENT = "engine"
SPARE_REQUESTS = 4
"""Requests a replica may hold for each it works on: the engine queues them better than Ray's router does."""
CONNECT_SECONDS = 5.0
START_HINT = "start one: ray start --head (and ray start --address=HOST:6379 on the other machines)"
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def require() -> None:
    """Raise `MissingExtraError` when Ray Serve is not installed."""
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("ray.serve") is None:
        raise MissingExtraError("serving on a cluster", "cluster")


def connect(address: str | None) -> None:
    """Join the cluster at `address`, or start one on this machine that ends with this process. Raises `EngineError`."""
    require()
    import ray

    os.environ.update(QUIET)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    if ray.is_initialized():
        return
    _require_reachable(address)
    options: dict[str, Any] = {"namespace": "freehold", "log_to_driver": False, "configure_logging": False}
    if address is None:
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(f"no Ray cluster answers at {address}: {said}", hint=START_HINT) from None


def _require_reachable(address: str | None) -> None:
    """Raise `EngineError` when nothing listens at ``HOST:PORT``: Ray itself would try for many minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"no Ray cluster answers at {address}: {error}", hint=START_HINT) from None


def disconnect() -> None:
    """Leave the cluster; one that `connect` started ends."""
    import ray

    ray.shutdown()


def options_of(plan: ClusterPlan) -> dict[str, Any]:
    """Ray Serve's options for the deployment: replicas, resources, health."""
    config = plan.config
    actor: dict[str, Any] = {"num_cpus": config.cpus, "num_gpus": config.gpus, "memory": plan.memory_bytes}
    return {
        "num_replicas": config.replicas,
        "ray_actor_options": actor,
        "max_ongoing_requests": max(1, round(plan.serve.parallel * SPARE_REQUESTS)),
        "health_check_period_s": 2.0,
        "health_check_timeout_s": 30.0,
        "graceful_shutdown_timeout_s": 30.0,
    }


def http_options(plan: ClusterPlan) -> dict[str, Any]:
    """Where the cluster answers: on loopback of the head, or on every machine."""
    return {"host": plan.config.host, "port": plan.config.port}


def proxy_location(plan: ClusterPlan) -> str:
    """Which nodes answer: the head alone on loopback, else each."""
    return "HeadOnly" if plan.config.host in ("127.0.0.1", "::1", "localhost") else "EveryNode"


def _application(plan: ClusterPlan, log_dir: Path) -> Any:
    """The Serve application of a plan's engine."""
    from ray import serve

    made: Any = serve.deployment(EngineReplica, name=DEPLOYMENT)
    return made.options(**options_of(plan)).bind(msgspec.json.encode(plan.serve), str(log_dir))


def deploy(plan: ClusterPlan, *, log_dir: Path) -> None:
    """Deploy, and return once every first replica has answered a real completion. Raises `EngineError`."""
    from ray import serve
    from ray.exceptions import RayError

    try:
        serve.start(proxy_location=proxy_location(plan), http_options=http_options(plan))
        serve.run(_application(plan, log_dir), name=plan.name, route_prefix="/")
    except (RuntimeError, RayError) as error:  # the second: the cluster's own controller refused
        why = state(plan.name).message or str(error)
        raise EngineError(
            f"{plan.name} could not be deployed: {_first_cause(why)}", hint=f"logs of engines: {log_dir}"
        ) from None


def state(name: str) -> ClusterState:
    """How an application is, replica by replica."""
    import ray
    from ray import serve
    from ray.serve.context import _get_global_client

    listed: Any = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = len([node for node in listed if node["Alive"]])
    found = serve.status().applications.get(name)
    if found is None:
        return ClusterState(status="NOT_DEPLOYED", replicas=(), nodes=nodes)
    client: Any = _get_global_client()
    # The public status counts replicas; only the details say which node each is on.
    details = client.get_serve_details()["applications"].get(name, {}).get("deployments", {})
    replicas = [
        Replica(id=str(row["replica_id"]), node=str(row.get("node_id") or ""), state=_word(row["state"]))
        for deployment in details.values()
        for row in deployment.get("replicas", ())
    ]
    message = found.message or next((one.message for one in found.deployments.values() if one.message), "")
    return ClusterState(
        status=_word(found.status),
        replicas=tuple(sorted(replicas, key=lambda one: one.id)),
        nodes=nodes,
        message=message,
    )


def remove(name: str) -> None:
    """Take an application away; what it works on is finished first."""
    from ray import serve

    serve.delete(name)


def _word(value: object) -> str:
    return str(getattr(value, "value", value))


def _first_cause(text: str) -> str:
    """The error behind Ray's traceback: its last line that names one."""
    lines = [
        line.strip() for line in text.splitlines() if "Error" in line and not line.startswith("Traceback")
    ]
    last = lines[-1] if lines else (text.strip().splitlines() or ["no reason was given"])[0]
    return last.rpartition("freehold.errors.")[2][:400] or last[:400]
