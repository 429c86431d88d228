"""One replica on a Ray cluster: any of freehold's engines, started on the node Ray chose, behind Ray Serve's HTTP.

A request names its model as everywhere (``base`` or ``base:adapter``); the replica writes the engine's own name and
fields into it and passes everything else through, byte for byte, streams as they come.

Covered: start by a real completion, health (Ray replaces a replica whose engine is beyond restarting), streams, a
client that leaves, an end with the replica's process however it ends.
Not covered: retries of a request that was under way on a replica that died: the gateway in front decides that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from freehold import engines
from freehold.engines import keys
from freehold.errors import EngineError, FreeholdError, UsageError
from freehold.late import aiohttp
from freehold.preparing.request import CHAT
from freehold.preparing.request import asked as prepared_for
from freehold.types.endpoint import Endpoint, ServePlan

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
