"""Engines of freehold's own as processes, and who may ask them: programs that have their key, under this machine's
names."""

from __future__ import annotations

import asyncio
import hmac
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from freehold.engines.lifeline import watch_parent
from freehold.late import web
from freehold.types.endpoint import ServePlan
from freehold.wire.hosts import HostPolicy

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_POLICY = HostPolicy()
OPEN_PATHS = ("/health",)
"""Asked without a key: whether the engine is alive need not be hidden."""


@web.middleware
async def own_hosts_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request that a page of another name made (421)."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) > 1 or not _POLICY.accepts(hosts[0] if hosts else None):
        message = "this engine does not answer to that host name"
        return _error(421, message, "invalid_request_error", "host_not_allowed")
    return await handler(request)


def keyed(key: str | None) -> Middleware:
    """Refuse a request without `key` (401); everything is let through where that is None."""
    expected = None if key is None else f"Bearer {key}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if expected is not None and request.path not in OPEN_PATHS:
            said = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(said, expected):
                message = "this engine answers to the program that started it; ask the gateway"
                return _error(401, message, "authentication_error", "invalid_api_key")
        return await handler(request)

    return check


def _error(status: int, message: str, kind: str, code: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind, "code": code}}, status=status)


def read_plan() -> tuple[ServePlan, str | None]:
    """What an engine's process is given: the plan on the first line of stdin, the key it asks for on the second."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServePlan)
    return plan, sys.stdin.buffer.readline().decode().strip() or None


async def serve(app: web.Application, plan: ServePlan, **options: Any) -> None:
    """Serve an application on the plan's host and port until the parent closes stdin or sends SIGTERM."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0, **options)
    await runner.setup()
    await web.TCPSite(runner, plan.host, plan.port).start()
    print(f"{plan.engine} listens on {plan.host}:{plan.port}", file=sys.stderr, flush=True)  # noqa: T201
    gone = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: gone.set())
    watch_parent(gone)
    await asyncio.to_thread(gone.wait)
    await runner.cleanup()
