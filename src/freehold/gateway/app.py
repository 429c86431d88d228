"""The application each worker runs: doors to models, pages, upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from freehold.gateway.admin import PREFIX as ADMIN_PREFIX
from freehold.gateway.admin import Admin
from freehold.gateway.capture.spool import TABLE, TOTALS, USE, Spool
from freehold.gateway.config import CONFIG_FILE, GatewayConfig, from_json
from freehold.gateway.http.request import ClientGone, Request
from freehold.gateway.http.upstreams import UpstreamFailure
from freehold.gateway.limits.keys import KeyRing
from freehold.gateway.messages import TableMessage, Totals
from freehold.gateway.proxy.forward import forward, refuse_other_origins, reply
from freehold.gateway.proxy.routing import RouteTable
from freehold.gateway.proxy.shadow import Shadows
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import DOORS
from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.request_log import Lines, Spans, Teller, Telling
from freehold.types.route import Route
from freehold.wire import anthropic, ollama
from freehold.wire.errors import ApiError, HttpReply, anthropic_error, ollama_error, openai_error

log = logging.getLogger("freehold.gateway")
TELL_USE_EVERY_S = 0.25
_JSON = [("content-type", "application/json")]
_MODEL_PAGE = "/v1/models/"


def merged_routes(config: GatewayConfig, stored: tuple[Route, ...]) -> list[Route]:
    """The routes in force: those of the store, and those of the configuration it has no change of."""
    names = {route.name for route in stored}
    known = {endpoint.name for endpoint in config.endpoints}
    usable = [route for route in stored if route.incumbent.endpoint in known]
    return [*usable, *(route for route in config.routes if route.name not in names)]


class GatewayApp:
    """One worker's application. `run_folder` is shared by the processes of one gateway."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        self.config = config
        self.run_folder = run_folder
        self.state: WorkerState | None = None
        self.shadows: Shadows | None = None
        self.admin = Admin(config)
        self._tasks: list[asyncio.Task[None]] = []
        self._routes: tuple[Route, ...] = ()
        self._config_seen = 0
        self._started_at = int(time.time())

    async def start(self) -> None:
        """Make ready to answer requests on the running loop."""
        config = self.config
        table = RouteTable(merged_routes(config, ()), config.endpoints, default_model=config.default_model)
        spool = None
        if config.store_url is not None:
            spool = Spool(
                str(self.run_folder / "recorder.sock"),
                max_items=config.capture_queue,
                max_bytes=config.capture_queue_bytes,
                on_message=self._on_message,
            )
        self.state = WorkerState(config, table, spool)
        self.state.limiter.share(self.run_folder)
        self.shadows = Shadows(self.state)
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._tick()))
        self._tasks.append(loop.create_task(self._tell_use()))
        self._tasks.append(loop.create_task(self._look_for_unreached()))
        tellings: list[Telling] = [Lines()] if config.log_requests else []
        if config.otel:
            tellings.append(Spans())
        if tellings:
            self.state.teller = Teller(tellings)
            self._tasks.append(loop.create_task(self._tell_seen(self.state.teller)))
        self._follow_config()
        if spool is not None:
            spool.start()

    async def stop(self) -> None:
        """Let go of everything; what was captured is sent on first."""
        assert self.state is not None and self.shadows is not None
        for task in self._tasks:
            task.cancel()
        await self.shadows.close()
        if self.state.spool is not None:
            await self.state.spool.close()
        if self.state.teller is not None:
            await asyncio.to_thread(self.state.teller.close)
        self._write_meters()
        await self.state.upstreams.close()

    async def __call__(self, request: Request) -> None:
        assert self.state is not None and self.shadows is not None
        door = DOORS.get(request.path)
        if door is not None and request.method == "POST":
            await forward(self.state, self.shadows, door, request)
            return
        error = openai_error if door is None else door.error
        if request.path.startswith("/api/"):
            error = ollama_error
        elif request.path.startswith("/v1/messages") or request.header("anthropic-version"):
            error = anthropic_error
        try:
            whole = await self._page(request)
        except ApiError as refused:
            whole = error(refused)
        except ClientGone:
            return
        reply(request, whole)

    async def _page(self, request: Request) -> HttpReply:
        assert self.state is not None
        page = GatewayApp.model if request.path.startswith(_MODEL_PAGE) else PAGES.get(request.path)
        if (origin := request.header("origin")) is not None:
            refuse_other_origins(origin, request.header("host"))
        if request.path == "/api/show" and request.method == "POST":
            return await self._ollama_show(request)
        if request.path.startswith(ADMIN_PREFIX):
            return await self.admin(request, self.state.keys, self.state.table.all_routes())
        if page is not None and request.method in ("GET", "HEAD"):
            return await page(self, request)
        if page is not None or request.path in DOORS:
            raise ApiError(405, f"{request.method} is not possible on {request.path}")
        raise ApiError(404, f"nothing is served at {request.path[:200]}", code="unknown_url")

    # Pages

    async def health(self, _request: Request) -> HttpReply:
        """The process is alive."""
        return HttpReply(200, _JSON, b'{"status":"ok"}')

    async def front(self, _request: Request) -> HttpReply:
        """For people who open the address, and for Ollama's command line, which looks here before anything else."""
        text = b"freehold is running. Ask under /v1 (OpenAI, Anthropic) or /api (Ollama).\n"
        return HttpReply(200, [("content-type", "text/plain; charset=utf-8")], text)

    async def ready(self, _request: Request) -> HttpReply:
        """Every endpoint that serves an incumbent answers. 503 with the names of those that do not."""
        assert self.state is not None
        state = self.state
        answers = await asyncio.gather(
            *(self._endpoint_answers(name) for name in state.table.endpoints), return_exceptions=False
        )
        endpoints = dict(zip(state.table.endpoints, answers, strict=True))
        ready = all(endpoints.values()) if endpoints else False
        body = {"status": "ready" if ready else "not ready", "endpoints": endpoints}
        return HttpReply(200 if ready else 503, _JSON, msgspec.json.encode(body))

    async def _endpoint_answers(self, name: str) -> bool:
        assert self.state is not None
        endpoint = self.state.table.endpoints[name]
        path = "/api/version" if endpoint.api == "ollama" else "/v1/models"
        try:
            status, _ = await self.state.upstreams.get(endpoint, path, timeout_s=2.0)
        except UpstreamFailure:
            return False
        return status < 500

    async def models(self, request: Request) -> HttpReply:
        """The names a client may ask for."""
        assert self.state is not None
        state = self.state
        state.keys.check(request.header("authorization"), request.header("x-api-key"))
        told = [self._told_model(name, request) for name in state.table.model_names()]
        if request.header("anthropic-version"):
            return HttpReply(200, _JSON, msgspec.json.encode(anthropic.listed_models(told)))
        return HttpReply(200, _JSON, msgspec.json.encode({"object": "list", "data": told}))

    async def model(self, request: Request) -> HttpReply:
        """One of these names. Raises `ApiError` (404) for others, where no endpoint takes any name."""
        assert self.state is not None
        state = self.state
        state.keys.check(request.header("authorization"), request.header("x-api-key"))
        name = urllib.parse.unquote(request.path.removeprefix(_MODEL_PAGE))
        if name not in state.table.model_names():
            state.table.direct(name)
        return HttpReply(200, _JSON, msgspec.json.encode(self._told_model(name, request)))

    def _told_model(self, name: str, request: Request) -> dict[str, Any]:
        if request.header("anthropic-version"):
            return anthropic.listed_model(name, self._started_at)
        return {"id": name, "object": "model", "created": self._started_at, "owned_by": "freehold"}

    async def ollama_tags(self, request: Request) -> HttpReply:
        """The same names, as Ollama lists them."""
        assert self.state is not None
        self.state.keys.check(request.header("authorization"), request.header("x-api-key"))
        listed = [ollama.tag(name, self._started_at) for name in self.state.table.model_names()]
        return HttpReply(200, _JSON, msgspec.json.encode({"models": listed}))

    async def ollama_version(self, _request: Request) -> HttpReply:
        """The version of Ollama's API that is spoken; not ours, which is nobody's business."""
        return HttpReply(200, _JSON, msgspec.json.encode({"version": ollama.API_VERSION}))

    async def _ollama_show(self, request: Request) -> HttpReply:
        assert self.state is not None
        self.state.keys.check(request.header("authorization"), request.header("x-api-key"))
        name = ollama.shown_model(await request.body(65_536))
        if name not in self.state.table.model_names():
            self.state.table.direct(name)
        return HttpReply(200, _JSON, msgspec.json.encode(ollama.show(name)))

    async def attribution(self, request: Request) -> HttpReply:
        """What the licences of the served models ask to be shown, to print beside their answers."""
        assert self.state is not None
        self.state.keys.check(request.header("authorization"), request.header("x-api-key"))
        text = "\n".join(self.config.attributions.values())
        return HttpReply(200, [("content-type", "text/plain; charset=utf-8")], text.encode())

    async def metrics(self, _request: Request) -> HttpReply:
        """The numbers of all workers, in Prometheus's text format."""
        self._write_meters()
        body = await asyncio.to_thread(self._exposed)
        return HttpReply(200, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], body)

    def _exposed(self) -> bytes:
        from freehold.gateway.telemetry.exposition import exposition

        return exposition(meters.read_all(self.run_folder))

    # Upkeep

    async def _tick(self) -> None:
        """Once a second: write the numbers."""
        while True:
            await asyncio.sleep(1.0)
            self._write_meters()

    async def _tell_seen(self, teller: Teller) -> None:
        """Once a second: log lines and spans of the requests that ended."""
        while True:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(teller.flush)

    async def _look_for_unreached(self) -> None:
        """Once a second: endpoints that could not be reached get their requests back as soon as they answer again."""
        assert self.state is not None
        while True:
            await asyncio.sleep(1.0)
            for name in self.state.unreached():
                if name in self.state.table.endpoints and await self._endpoint_answers(name):
                    self.state.breaker(name).succeeded()

    async def _tell_use(self) -> None:
        """Four times a second: tell the recorder what was used of limits, so that all workers know."""
        assert self.state is not None
        while True:
            await asyncio.sleep(TELL_USE_EVERY_S)
            self._follow_config()
            told = self.state.limiter.take_ours()
            if self.state.spool is not None and told is not None:
                self.state.spool.send(USE, msgspec.msgpack.encode(told))

    def _write_meters(self) -> None:
        assert self.state is not None
        if self.state.spool is not None:
            self.state.meters.set("freehold_traces_captured", self.state.spool.captured)
            self.state.meters.set("freehold_traces_dropped", self.state.spool.dropped)
        if self.state.teller is not None:
            self.state.meters.set("freehold_requests_untold", self.state.teller.dropped)
        # A full disk must not stop traffic; the numbers are simply older then.
        with contextlib.suppress(OSError):
            self.state.meters.write(self.run_folder)

    def _on_message(self, tag: int, payload: bytes) -> None:
        assert self.state is not None
        if tag == TOTALS:
            self.state.limiter.learn(msgspec.msgpack.decode(payload, type=Totals))
        if tag != TABLE:
            return
        message = msgspec.json.decode(payload, type=TableMessage)
        self._routes = message.routes
        self._make_table()
        self.state.keys = KeyRing((*self.config.api_keys, *message.keys))

    def _make_table(self) -> None:
        assert self.state is not None
        config = self.config
        self.state.table = RouteTable(
            merged_routes(config, self._routes), config.endpoints, default_model=config.default_model
        )

    def _follow_config(self) -> None:
        """Take over the endpoints of a configuration that came while the gateway ran."""
        path = self.run_folder / CONFIG_FILE
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return
        if changed != self._config_seen:
            self._config_seen = changed
            self.config = from_json(path.read_bytes())
            self.admin = Admin(self.config)
            self._make_table()


Page = Callable[[GatewayApp, Request], Awaitable[HttpReply]]
PAGES: dict[str, Page] = {
    "/": GatewayApp.front,
    "/health": GatewayApp.health,
    "/ready": GatewayApp.ready,
    "/v1/models": GatewayApp.models,
    "/attribution": GatewayApp.attribution,
    "/metrics": GatewayApp.metrics,
    "/api/tags": GatewayApp.ollama_tags,
    "/api/version": GatewayApp.ollama_version,
}
