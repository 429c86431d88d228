"""Who may ask engines of freehold's own: programs that have their key, under this machine's names."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from freehold.late import web
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
