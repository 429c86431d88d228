"""The application each worker runs: requests for models go to the proxy, others to pages and the admin API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

from freehold.gateway.admin import PREFIX as ADMIN_PREFIX
from freehold.gateway.admin import Admin
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.request import ClientDisconnect, Request
from freehold.gateway.pages import find_page
from freehold.gateway.proxy.forward import check_host, check_origin, forward, send_reply
from freehold.gateway.proxy.shadow import Shadows
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import API_ROUTES, ApiRoute
from freehold.gateway.upkeep import upkeep
from freehold.wire.errors import ApiError, HttpReply, anthropic_error, ollama_error, openai_error

_OPEN_PAGES = frozenset(("/metrics", "/ready"))


class GatewayApp:
    """One worker's application. Make it in a running loop."""

    def __init__(self, config: GatewayConfig, run_folder: Path) -> None:
        self.state = WorkerState(config, run_folder)
        self.shadows = Shadows(self.state)
        self._admin = Admin()

    def __call__(self, request: Request) -> Awaitable[None]:
        api_route = API_ROUTES.get(request.path)
        if api_route is not None and request.method == "POST":
            return forward(self.state, self.shadows, api_route, request)
        return self._other(request, api_route)

    async def _other(self, request: Request, api_route: ApiRoute | None) -> None:
        """Answer anything but a request for a model."""
        error = openai_error if api_route is None else api_route.error
        if request.path.startswith("/api/"):
            error = ollama_error
        elif request.path.startswith("/v1/messages") or request.header("anthropic-version"):
            error = anthropic_error
        try:
            reply = await self._page(request)
        except ApiError as failure:
            self.state.meters.count("freehold_refusals", failure.code or str(failure.status))
            reply = error(failure)
        except ClientDisconnect:
            return
        send_reply(request, reply)

    async def _page(self, request: Request) -> HttpReply:
        state = self.state
        # What is told without a key is told to no other name; that the process lives is not a secret.
        if request.path in _OPEN_PAGES or (
            request.path != "/health" and (state.hosts.says or not state.keys.required)
        ):
            check_host(state, request.header("host"))
        if (origin := request.header("origin")) is not None:
            check_origin(origin, request.header("host"))
        if request.path.startswith(ADMIN_PREFIX):
            return await self._admin(request, state.config, state.keys, state.table.all_routes())
        page = find_page(request.method, request.path)
        if page is not None:
            return await page(state, request)
        if request.path in API_ROUTES:
            raise ApiError(405, f"{request.method} is not possible on {request.path}")
        raise ApiError(404, f"nothing is served at {request.path[:200]}", code="unknown_url")


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
