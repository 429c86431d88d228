"""A worker process: one event loop, one application, a listening socket it shares with the other workers.

Run as ``python -m freehold.gateway.worker RUN_FOLDER FD`` with the configuration on stdin. It ends, running
answers first, on SIGTERM and when its stdin is closed, which is also what happens when the gateway's main process dies.
On SIGUSR2 it leaves: each of its clients is told so with the next answer, and others stay.

The application: requests for models go to the proxy, others to pages, feedback, the incumbent. Besides answering a
worker writes its numbers, counts what answers used and looks for changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

from freehold import files
from freehold.gateway.child_process import LEAVE_SIGNAL, Heartbeat, freeze_heap, read_config, run_on_fast_loop
from freehold.gateway.config import CONFIG_FILE, GatewayConfig, from_json
from freehold.gateway.feedback import PREFIX as OWN_PREFIX
from freehold.gateway.feedback import FeedbackHandler
from freehold.gateway.http.certificate import ServerCertificate
from freehold.gateway.http.request import ClientDisconnect, Request
from freehold.gateway.http.server import HttpServer
from freehold.gateway.lane.client import connecting
from freehold.gateway.pages import find_page, is_others, methods_at
from freehold.gateway.proxy.forward import check_host, check_origin, forward, send_reply
from freehold.gateway.proxy.passed import pass_on, report_refusal
from freehold.gateway.proxy.paths import model_route, spelled_out
from freehold.gateway.proxy.shadow import Shadows
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.gateway.telemetry.request_log import Reporter, log_as_json
from freehold.types.endpoint import Api
from freehold.types.record import event_id
from freehold.wire.errors import ApiError, HttpReply, anthropic_error, openai_error

log = logging.getLogger("freehold.gateway")
_ERRORS = {"openai": openai_error, "anthropic": anthropic_error}
_OPEN_PAGES = frozenset(("/metrics", "/ready"))


class GatewayApp:
    """One worker's application. Make it in a running loop."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        self.state = WorkerState(config, run_folder)
        self.shadows = Shadows(self.state)
        self._feedback = FeedbackHandler()

    def __call__(self, request: Request) -> Awaitable[None]:
        api_route = API_ROUTES.get(request.path)
        if api_route is not None and request.method == "POST":
            return forward(self.state, self.shadows, api_route, request)
        return self._other(request)

    async def _other(self, request: Request) -> None:
        """Answer anything but a request for a model at one of the usual paths."""
        path = spelled_out(request.path, self.state.table.others)
        api_route = model_route(path)
        if api_route is not None and request.method == "POST":
            await forward(self.state, self.shadows, api_route, request)
            return
        api: Api = "openai" if api_route is None else api_route.api
        if path.startswith("/v1/messages") or request.header("anthropic-version"):
            api = "anthropic"
        request_id = event_id(int(time.time() * 1000))
        try:
            reply = await self._answer(request, path)
        except ApiError as failure:
            report_refusal(self.state, request, path, failure, request_id=request_id)
            reply = _ERRORS[api](failure, request_id)
        except ClientDisconnect:
            return
        if reply is not None:
            send_reply(request, reply, request_id=request_id, api=api)

    async def _answer(self, request: Request, path: str) -> HttpReply | None:
        """What a page says, or to feedback; None for what was passed on. Raises `ApiError`."""
        state = self.state
        # What is told without a key is told to no other name; that the process lives is not a secret.
        if path in _OPEN_PAGES or (path != "/health" and (state.hosts.says or not state.keys.required)):
            check_host(state, request.header("host"))
        if (origin := request.header("origin")) is not None:
            check_origin(origin, request.header("host"))
        if path.startswith(OWN_PREFIX):
            return await self._feedback(request, state.config, state.keys)
        if is_others(state.table, request.method, path):
            await pass_on(state, request, path)
            return None
        allow = methods_at(path)
        if request.method == "OPTIONS":
            return HttpReply(200, [("allow", allow)], b"")
        if (page := find_page(request.method, path)) is not None:
            return await page(state, request)
        raise ApiError(405, f"{request.method} is not possible on {path}", allow=allow)


@contextlib.asynccontextmanager
async def running(config: GatewayConfig, run_folder: Path) -> AsyncIterator[GatewayApp]:
    """A worker's application with its upkeep. `run_folder` is shared by the processes of one gateway."""
    app = GatewayApp(config, run_folder)
    await app.state.preparer.warm(config.endpoints)
    await app.state.rules.warm(app.state.table.all_routes())
    async with upkeep(app.state):
        try:
            yield app
        finally:
            await app.shadows.close()


_KEEP_UP_EVERY_S = 0.25
_RECORDED_WITHIN_S = 5.0


@contextlib.asynccontextmanager
async def upkeep(state: WorkerState) -> AsyncIterator[None]:
    """Keep a worker up to date while the block runs; at the end, send what was captured."""
    config_changed_ns = _follow_config(state, 0)
    jobs = [
        _write_meters(state),
        _keep_up(state, config_changed_ns),
        _check_failing(state),
        _flush_request_log(state.telling),
    ]
    if state.spool is not None:
        jobs.append(state.follow_recorder())
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        patience_s = _RECORDED_WITHIN_S if state.hears_recorder else 0.0
        for task in tasks:
            task.cancel()
        state.limiter.settle()
        if state.spool is not None:
            await state.spool.close(patience_s)
        await asyncio.to_thread(state.telling.close)
        state.write_meters()
        await state.upstreams.close()
        state.reader.close()
        state.checker.close()


async def _write_meters(state: WorkerState) -> None:
    """Once a second: renew credentials, and write the numbers; twice where a candidate has requests under way, which
    may hang."""
    while True:
        await asyncio.sleep(0.5 if state.meters.candidates_requests else 1.0)
        state.upstreams.signer.tend(state.table.endpoints.values())
        state.write_meters()


async def _flush_request_log(reporter: Reporter) -> None:
    """Once a second: log lines and spans of the requests that ended."""
    while True:
        await asyncio.sleep(1.0)
        if reporter.is_due:
            await asyncio.to_thread(reporter.flush)


async def _check_failing(state: WorkerState) -> None:
    """Once a second: endpoints that kept failing get their requests back as soon as they answer a health check."""
    while True:
        await asyncio.sleep(1.0)
        await state.check_failing()


async def _keep_up(state: WorkerState, config_changed_ns: int) -> None:
    """Four times a second: count what answers used, so that all workers know, and look for a new configuration."""
    while True:
        await asyncio.sleep(_KEEP_UP_EVERY_S)
        config_changed_ns = _follow_config(state, config_changed_ns)
        state.keep_bills()
        state.limiter.settle()


def _follow_config(state: WorkerState, known_ns: int) -> int:
    """Take over a configuration that is newer than `known_ns`; returns the time of change of the one in force."""
    path = state.run_folder / CONFIG_FILE
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError:
        return known_ns
    if changed_ns != known_ns:
        config = from_json(path.read_bytes())
        log.debug(
            "new configuration with the endpoints %s",
            ", ".join(endpoint.name for endpoint in config.endpoints),
        )
        state.update_config(config)
    return changed_ns


_RING_WITHIN_S = 3.0


async def work(config: GatewayConfig, run_folder: Path, listener: socket.socket) -> None:
    """Serve until told to stop or to leave."""
    loop = asyncio.get_running_loop()
    Heartbeat(run_folder)
    stopping, ending = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        stopping.set()
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(LEAVE_SIGNAL, ending.set)

    def on_stdin() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop()

    loop.add_reader(0, on_stdin)
    async with running(config, run_folder) as app:
        # Until the keys are known every request would be refused: connections wait in the socket instead, for a while.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(app.state.ring_known.wait(), _RING_WITHIN_S)
        server = serving(app)
        certificate = None if config.tls is None else ServerCertificate(config.tls)
        app.state.certificate = certificate
        await server.listen(listener, certificate)
        following = None if certificate is None else loop.create_task(certificate.follow())
        freeze_heap()
        log.info("serving")
        await ending.wait()
        log.info("draining")
        drain_s = app.state.config.drain_s  # as the file says now
        if not stopping.is_set():
            await server.leave(drain_s, stopping)
        await server.drain(drain_s)
        if following is not None:
            following.cancel()


def serving(app: GatewayApp) -> HttpServer:
    """The server of an application's clients. A revoked key ends what it began."""
    server = HttpServer(app, app.state.memory, connecting(app.state))
    app.state.on_revoked = lambda: server.end(lambda request: app.state.keys.refuses(request.header))
    return server


def main() -> None:
    files.keep_private()
    log_as_json()
    # Each client and each upstream is an open file.
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    config = read_config()
    listener = socket.socket(fileno=int(sys.argv[2]))
    run_on_fast_loop(work(config, Path(sys.argv[1]), listener))


if __name__ == "__main__":
    main()
