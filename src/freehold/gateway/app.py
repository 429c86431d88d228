"""The application each worker runs: requests for models go to the proxy, others to pages, admin, incumbent."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

from freehold.gateway.admin import PREFIX as ADMIN_PREFIX
from freehold.gateway.admin import Admin
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.request import ClientDisconnect, Request
from freehold.gateway.pages import find_page, is_others
from freehold.gateway.proxy.forward import check_host, check_origin, forward, send_reply
from freehold.gateway.proxy.passing.passed import pass_on, report_refusal
from freehold.gateway.proxy.passing.paths import model_route, spelled_out
from freehold.gateway.proxy.shadow import Shadows
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.gateway.upkeep import upkeep
from freehold.wire.errors import ApiError, anthropic_error, ollama_error, openai_error

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
        return self._other(request)

    async def _other(self, request: Request) -> None:
        """Answer anything but a request for a model at one of the usual paths."""
        path = spelled_out(request.path, self.state.table.others)
        api_route = model_route(path)
        if api_route is not None and request.method == "POST":
            await forward(self.state, self.shadows, api_route, request)
            return
        error = openai_error if api_route is None else api_route.error
        if path.startswith("/api/"):
            error = ollama_error
        elif path.startswith("/v1/messages") or request.header("anthropic-version"):
            error = anthropic_error
        try:
            await self._answer(request, path)
        except ApiError as failure:
            report_refusal(self.state, request, path, failure)
            send_reply(request, error(failure))
        except ClientDisconnect:
            return

    async def _answer(self, request: Request, path: str) -> None:
        """Answer with a page, by the admin API, or pass the request on. Raises `ApiError`."""
        state = self.state
        # What is told without a key is told to no other name; that the process lives is not a secret.
        if path in _OPEN_PAGES or (path != "/health" and (state.hosts.says or not state.keys.required)):
            check_host(state, request.header("host"))
        if (origin := request.header("origin")) is not None:
            check_origin(origin, request.header("host"))
        if path.startswith(ADMIN_PREFIX):
            table = state.table
            send_reply(request, await self._admin(request, state.config, state.keys, table.all_routes()))
        elif is_others(state.table, request.method, path):
            await pass_on(state, request, path)
        elif (page := find_page(request.method, path)) is not None:
            send_reply(request, await page(state, request))
        else:
            raise ApiError(405, f"{request.method} is not possible on {path}")


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
