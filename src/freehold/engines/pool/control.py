"""The API that controls a running server: what is served, add and remove adapters.

``GET    /control/v1/models``              every model as it is now
``POST   /control/v1/adapters``            ``{"model": …, "mount": {"name": …, "path": …, …}}``
``DELETE /control/v1/adapters/NAME``

Each needs ``Authorization: Bearer TOKEN``. The token is in a file only the server's user can read, next to the
address: a process that may read that file may do as much by other means.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from freehold.engines.pool.pool import ModelStatus, Pool
from freehold.errors import FreeholdError
from freehold.late import web
from freehold.processes import RunningProcess
from freehold.types.endpoint import AdapterMount
from freehold.types.record import Record

PREFIX = "/control/v1"


class Served(RunningProcess, frozen=True, kw_only=True):
    """The file that says where a running server is, and which process it is."""

    url: str
    control_url: str
    token: str


class AddBody(Record, frozen=True, kw_only=True):
    """What is sent to add an adapter."""

    model: str
    mount: AdapterMount


class StatusBody(Record, frozen=True, kw_only=True):
    """The answer to all of them: every model as it is now."""

    models: tuple[ModelStatus, ...]


class Control:
    """The handlers; each server has a `token` of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.token = secrets.token_urlsafe(24)

    def add_to(self, app: web.Application) -> None:
        """Add the paths to an application."""
        app.router.add_get(f"{PREFIX}/models", self._guarded(self._models))
        app.router.add_post(f"{PREFIX}/adapters", self._guarded(self._add))
        app.router.add_delete(f"{PREFIX}/adapters/{{name:.+}}", self._guarded(self._remove))

    def _guarded(
        self, work: Callable[[web.Request], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            authorization = request.headers.get("authorization", "")
            if not hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode()):
                return _json(401, {"error": {"message": "the token is missing or wrong"}})
            try:
                await work(request)
            except FreeholdError as error:
                return _json(409, {"error": {"message": error.message, "hint": error.hint}})
            except msgspec.MsgspecError as error:
                return _json(400, {"error": {"message": str(error)}})
            return _json(200, StatusBody(models=tuple(self._pool.status())))

        return handler

    async def _models(self, _: web.Request) -> None:
        return

    async def _add(self, request: web.Request) -> None:
        body = msgspec.json.decode(await request.read(), type=AddBody)
        await self._pool.add_adapter(body.model, body.mount)

    async def _remove(self, request: web.Request) -> None:
        await self._pool.remove_adapter(request.match_info["name"])


def _json(status: int, value: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
