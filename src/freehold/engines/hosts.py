"""Engines of freehold's own answer to this machine's names only: they ask for no key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from freehold.wire.hosts import HostPolicy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_POLICY = HostPolicy()


@web.middleware
async def own_hosts_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request that a page of another name made (421)."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) > 1 or not _POLICY.accepts(hosts[0] if hosts else None):
        message = "this engine does not answer to that host name"
        return web.json_response(
            {"error": {"message": message, "type": "invalid_request_error", "code": "host_not_allowed"}},
            status=421,
        )
    return await handler(request)
