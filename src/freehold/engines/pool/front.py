"""One address for all models of a pool: the bytes of a request are forwarded to the engine of its model.

``POST /v1/…``, ``/tokenize``      forwarded to the engine of the model it names
``GET  /v1/models``                all names
``GET  /health``                   alive
``…    /control/v1/…``             see `freehold.engines.pool.control`; needs the token

Only for loopback. All but ``/health`` needs the key of this run, which the gateway has, unless it was left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from freehold.engines import keys
from freehold.engines.guard import keyed, own_hosts_only
from freehold.engines.pool.control import PREFIX, Control
from freehold.engines.pool.deadly_requests import DeadlyRequestError, DeadlyRequests
from freehold.engines.pool.pool import Pool
from freehold.errors import EngineError, FreeholdError, UsageError
from freehold.late import aiohttp, web
from freehold.preparing.request import asked
from freehold.types.endpoint import Endpoint, ServedModel

log = logging.getLogger("freehold.engines.pool")
TRIES = 4
RETRY_SECONDS = 0.25
CONNECT_SECONDS = 10.0
READ_SECONDS = 600.0
_HTTP = web.AppKey("http", aiohttp.ClientSession)
_RETURNED_HEADERS = ("content-type", "retry-after", "cache-control", "x-request-id")


class Front:
    """The application, which asks for the key in `key_env`. `base_url` is set once it runs."""

    def __init__(self, pool: Pool, control: Control, key_env: str | None = keys.RUN_KEY_ENV) -> None:
        self._pool = pool
        self._control = control
        self._key_env = key_env
        self._fatal = DeadlyRequests()
        self.base_url = ""

    def application(self, http: aiohttp.ClientSession) -> web.Application:
        """The aiohttp application; `http` is its client to the engines."""
        guard = keyed(keys.value_of(self._key_env), other_keys_under=f"{PREFIX}/")
        app = web.Application(client_max_size=64 << 20, middlewares=[own_hosts_only, guard])
        app[_HTTP] = http
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/{path:.+}", self._proxy)
        app.router.add_post("/tokenize", self._proxy)
        self._control.add_to(app)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, _: web.Request) -> web.Response:
        names = [
            name
            for plan in self._pool.plans
            for name in (plan.model, *(mount.name for mount in plan.adapters))
        ]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "freehold"} for name in names]
        return web.json_response({"object": "list", "data": data})

    async def _proxy(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        try:
            body = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            return error_response(400, f"the body is not a JSON object: {error}", "invalid_request_error")
        name = body.get("model")
        if not isinstance(name, str):
            return error_response(400, "you must provide a model parameter", "invalid_request_error")
        if self._pool.model_of(name) is None:
            return error_response(404, f"the model '{name[:200]}' does not exist here", "model_not_found")
        try:
            return await self._answer(request, name, body)
        except DeadlyRequestError as error:
            return error_response(422, error.message, "request_ends_engine")
        except UsageError as error:
            return error_response(404, error.message, "model_not_found")
        except EngineError as error:
            return error_response(503, error.message, "model_unavailable", retry_after="30")

    async def _answer(self, request: web.Request, name: str, body: dict[str, Any]) -> web.StreamResponse:
        """Ask the engine, once more where it was down and nothing has been answered yet.

        One that dies twice on a request is not asked it again.
        """
        for attempt in range(TRIES):
            async with self._pool.use(name) as endpoint, self._fatal.turn(name, body):
                before = self._process_of(name)
                try:
                    answer = await self._forward(request, endpoint, name, body)
                    self._fatal.clear(name, body)
                    return answer
                except TimeoutError:
                    return error_response(
                        504, f"{name} did not answer in {READ_SECONDS:g} s", "upstream_timeout"
                    )
                except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, ConnectionError) as error:
                    # Not an answer that was cut off: `_forward` handles those.
                    if attempt == TRIES - 1:
                        raise EngineError(f"the engine of {name} is down: {error}") from None
                    log.debug("the engine of %s is down: the request is tried again", name)
                await self._wait_for_restart(name)
                if before is not None and self._process_of(name) != before:
                    self._fatal.add(name, body, process_id=before)
        raise AssertionError("unreachable")

    def _process_of(self, name: str) -> int | None:
        """The process that answers a name now."""
        model = self._pool.model_of(name)
        health = self._pool.health(model) if model is not None else None
        return health.process_id if health is not None else None

    async def _wait_for_restart(self, name: str) -> None:
        """Wait for an engine that crashed, as long as it is being restarted."""
        model = self._pool.model_of(name)
        await asyncio.sleep(RETRY_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_SECONDS):
                while model is not None and (health := self._pool.health(model)) is not None:
                    if health.state not in ("restarting", "starting"):
                        return
                    await asyncio.sleep(RETRY_SECONDS)

    async def _forward(
        self, request: web.Request, endpoint: Endpoint, name: str, body: dict[str, Any]
    ) -> web.StreamResponse:
        served = endpoint.served(name)
        if served is None:
            raise UsageError(f"the model '{name}' was just removed")
        try:
            data = msgspec.json.encode(await _asked(served, body, request.path))
        except UsageError as error:
            return error_response(400, error.message, "cannot_be_prepared")
        except FreeholdError as error:
            raise EngineError(error.message) from None
        sent = {"content-type": "application/json", **keys.headers(endpoint)}
        async with request.app[_HTTP].post(
            f"{endpoint.base_url}{request.path}", data=data, headers=sent
        ) as response:
            headers = {key: response.headers[key] for key in _RETURNED_HEADERS if key in response.headers}
            if not response.content_type.startswith("text/event-stream"):
                return web.Response(status=response.status, body=await response.read(), headers=headers)
            answer = web.StreamResponse(status=response.status, headers=headers)
            await answer.prepare(request)
            try:
                async for piece in response.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
            except aiohttp.ClientError:
                # Half an answer has been sent: only a broken connection shows the client that it is incomplete.
                if request.transport is not None:
                    request.transport.abort()
            return answer

    @contextlib.asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Front]:
        """Serve while the block runs. Raises `OSError` when the port cannot be bound."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, auto_decompress=False
        ) as http:
            runner = web.AppRunner(
                self.application(http),
                access_log=None,
                handle_signals=False,
                handler_cancellation=True,
                shutdown_timeout=2.0,
            )
            await runner.setup()
            try:
                await web.TCPSite(runner, host, port).start()
                shown = f"[{host}]" if ":" in host else host
                self.base_url = f"http://{shown}:{runner.addresses[0][1]}"
                yield self
            finally:
                await runner.cleanup()


async def _asked(served: ServedModel, body: dict[str, Any], path: str) -> dict[str, Any]:
    """The request as the engine is sent it. Raises as `asked` does."""
    if served.preparation is None:
        return asked(served, body, path=path)
    # An index of examples may have to be opened, and a search by meaning takes longer than a loop should wait.
    return await asyncio.to_thread(asked, served, body, path=path)


def error_response(status: int, message: str, code: str, *, retry_after: str | None = None) -> web.Response:
    """An error as OpenAI's API words it."""
    return web.json_response(
        {"error": {"message": message, "type": code, "code": code, "param": None}},
        status=status,
        headers={"retry-after": retry_after} if retry_after else None,
    )
