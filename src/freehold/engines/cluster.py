"""One plan on several machines: replicas on a Ray cluster, each any of freehold's engines, started on the node Ray
chose, behind Ray Serve's HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from freehold import engines
from freehold.engines import keys
from freehold.errors import EngineError, FreeholdError, MissingExtraError, UsageError
from freehold.late import aiohttp
from freehold.preparing.request import CHAT
from freehold.preparing.request import asked as prepared_for
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.serving import ClusterPlan, ClusterState, Replica

DROPPED = frozenset(
    {
        "host",
        "authorization",
        "content-length",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "accept-encoding",
    }
)
"""Headers of one hop, which the next hop writes itself."""
REPLICA_HEADER = "x-freehold-replica"
"""Header of each answer: which replica gave it."""
ENDPOINT_PATH = "/freehold/endpoint"
"""Where a replica tells what its engine can do."""


class EngineReplica:
    """The class Ray Serve makes replicas of. `plan` is a `ServePlan` as JSON: no class of freehold is pickled."""

    def __init__(self, plan: bytes, log_dir: str) -> None:
        self._plan = msgspec.json.decode(plan, type=ServePlan)
        self._log_dir = Path(log_dir).expanduser()
        self._session: engines.Session | None = None
        self._endpoint: Endpoint | None = None
        self._http: aiohttp.ClientSession | None = None
        self._name = name_of_replica()

    async def _ready(self) -> Endpoint:
        """Start the engine on first use; Ray's first health check is that, before any traffic comes."""
        if self._endpoint is None:
            session = engines.start(self._plan, log_dir=self._log_dir, name=self._name)
            self._endpoint = await session.start()
            self._session = session
            self._http = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
            )
        return self._endpoint

    async def check_health(self) -> None:
        """Ray calls this all the time; raising replaces the replica."""
        await self._ready()
        assert self._session is not None
        health = self._session.running.health()
        if health.state in ("failed", "stopped"):
            raise EngineError(f"engine {self._name} is {health.state}: {health.last_crash}")

    async def __call__(self, request: Any) -> Any:
        """Answer one HTTP request (Starlette's, which Ray Serve hands over)."""
        from starlette.responses import JSONResponse, StreamingResponse

        endpoint = await self._ready()
        body = await request.body()
        if request.url.path == ENDPOINT_PATH:
            return JSONResponse(msgspec.to_builtins(endpoint), headers={REPLICA_HEADER: self._name})
        if request.url.path.rstrip("/").endswith("/v1/models"):
            return JSONResponse(models_of(endpoint), headers={REPLICA_HEADER: self._name})
        try:
            body = await asyncio.to_thread(rewrite, body, endpoint, request.url.path)
        except UnknownNameError as error:
            return JSONResponse(error.body(endpoint), status_code=404, headers={REPLICA_HEADER: self._name})
        except FreeholdError as error:
            kind, status = (
                ("invalid_request_error", 400) if isinstance(error, UsageError) else ("unavailable", 503)
            )
            said = {"error": {"message": error.message, "type": kind}}
            return JSONResponse(said, status_code=status, headers={REPLICA_HEADER: self._name})
        assert self._http is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in DROPPED}
        headers |= keys.headers(endpoint)
        url = f"{endpoint.base_url}{request.url.path}"
        try:
            reply = await self._http.request(request.method, url, data=body, headers=headers)
        except aiohttp.ClientError as error:
            # The engine is being restarted: 503 tells gateway and client to try again.
            message = {
                "error": {"message": f"the engine of {self._name} is away: {error}", "type": "unavailable"}
            }
            return JSONResponse(message, status_code=503, headers={REPLICA_HEADER: self._name})
        passed = {key: value for key, value in reply.headers.items() if key.lower() not in DROPPED}
        return StreamingResponse(
            _stream(reply), status_code=reply.status, headers={**passed, REPLICA_HEADER: self._name}
        )


class UnknownNameError(Exception):
    """A request names a model that is not served here."""

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        """The error as OpenAI writes it."""
        names = ", ".join(model.name for model in endpoint.models)
        message = f"The model `{self.args[0]}` is not served here. Served: {names}"
        return {"error": {"message": message, "type": "invalid_request_error", "code": "model_not_found"}}


def rewrite(body: bytes, endpoint: Endpoint, path: str = CHAT) -> bytes:
    """The body with the engine's name of the model and the fields that choose its adapter.

    A body that is not a JSON object, or names no model, goes through as it is: the engine says what is wrong with it.
    Raises `UnknownNameError`, and what `freehold.preparing.request.asked` raises.
    """
    try:
        asked = json.loads(body) if body else None
    except ValueError:
        return body
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        return body
    served = endpoint.served(asked["model"])
    if served is None:
        raise UnknownNameError(asked["model"])
    applied = prepared_for(served, asked, path=path)
    return body if applied == asked else msgspec.json.encode(applied)


def models_of(endpoint: Endpoint) -> dict[str, Any]:
    """The list of models by the names they are asked for."""
    rows = [
        {"id": model.name, "object": "model", "created": 0, "owned_by": "freehold"}
        for model in endpoint.models
    ]
    return {"object": "list", "data": rows}


async def _stream(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in reply.content.iter_any():
            yield chunk
    finally:
        reply.close()  # a client that leaves ends the engine's work too


def name_of_replica() -> str:
    """The replica's id as Ray gives it; the process id outside Ray (tests)."""
    with contextlib.suppress(Exception):
        from ray import serve

        return str(serve.get_replica_context().replica_id.unique_id)
    return f"process-{os.getpid()}"


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
