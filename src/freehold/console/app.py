"""The console's server: one page, its state as JSON, and the buttons.

``GET  /``                          the page; it shows nothing without a token
``POST /api/login``                 ``{"key": "…"}``: a token for a key of the gateway; ``/api/logout`` ends it
``GET  /api/visitor``               who shows a token, and what they may do
``GET  /api/screens/NAME?window=SECONDS``  the record of one of `screens.SCREENS`
``POST /api/routes/NAME/ACTION``    ``{"why": "…"}``: advance, pause, promote, rollback
``POST /api/reports/FILE``          a ticket for ``GET /reports/FILE?ticket=…``, a report that was written

All but the page itself and the login ask for a token (`sessions`), whose role says who may move traffic. Loopback
unless configured otherwise, the token never in a page, an address that is sent, a cookie or a log, requests under
another host name refused (DNS rebinding), changes only from this page's own origin, and nothing but this server's own
files runs in the page (content security policy).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from freehold.console.screens import SCREENS
from freehold.console.sessions import Sessions, Visitor
from freehold.errors import FreeholdError, StorageError, UsageError
from freehold.store import Store, open_store
from freehold.types.audit import change_source
from freehold.wire.hosts import HostPolicy
from freehold.workflows.project import Project
from freehold.workflows.tell.views.rollout import ACTIONS, act

_STORE = web.AppKey("store", Store)
_visitor: ContextVar[Visitor] = ContextVar("visitor")
"""Who made the request that is being answered."""
WINDOW_S, LEAST_WINDOW_S, MOST_WINDOW_S = 900.0, 60.0, 7 * 86_400.0
BODY_MAX = 16 * 1024
RECORD_SECONDS = 1.5
"""How long a computed record answers for: several open pages cost no more than one."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "freehold",
}
# A report is one file with its own styles inside; it has no scripts.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
MEDIA_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
SCRIPTS_AND_STYLES = re.compile(r"[a-z_]+\.(?:js|css)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Console:
    """What the server needs: the project, its visitors, the hosts it answers to."""

    project: Project
    sessions: Sessions
    hosts: HostPolicy


def application(console: Console) -> web.Application:
    """The server for one project. The store is opened when it starts and closed when it ends."""
    app = web.Application(client_max_size=BODY_MAX, middlewares=[_plain_errors, _guard(console)])
    server = _Server(console)
    app.cleanup_ctx.append(server.with_store)
    app.router.add_get("/", server.page)
    app.router.add_get("/static/{name}", server.static)
    app.router.add_get("/api/screens/{screen}", server.screen)
    app.router.add_post("/api/routes/{route}/{action}", server.action)
    app.router.add_get("/api/visitor", server.visitor)
    app.router.add_post("/api/login", server.login)
    app.router.add_post("/api/logout", server.logout)
    app.router.add_post("/api/reports/{name}", server.ticket)
    app.router.add_get("/reports/{name}", server.report)
    return app


class _Server:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = asyncio.Lock()
        self._records: dict[tuple[str, float], tuple[float, bytes]] = {}

    async def with_store(self, app: web.Application) -> AsyncIterator[None]:
        store = app[_STORE] = await asyncio.to_thread(open_store, self._console.project.store_url)
        yield
        await asyncio.to_thread(store.close)

    async def page(self, request: web.Request) -> web.StreamResponse:
        return _file("page.html")

    async def visitor(self, request: web.Request) -> web.StreamResponse:
        visitor = _visitor.get()
        return web.json_response({"who": visitor.who, "role": visitor.role, "changes": visitor.may("change")})

    async def login(self, request: web.Request) -> web.StreamResponse:
        key = (await _texts(request)).get("key", "")
        try:
            token, visitor = await asyncio.to_thread(
                self._console.sessions.begin, request.app[_STORE], key.strip()
            )
        except UsageError as error:
            return _error(403, error.message, hint=error.hint)
        return web.json_response({"token": token, "who": visitor.who, "role": visitor.role})

    async def logout(self, request: web.Request) -> web.StreamResponse:
        self._console.sessions.end(_shown(request))
        return web.json_response({"done": "logout"})

    async def static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if not SCRIPTS_AND_STYLES.fullmatch(name) or not (_static() / name).is_file():
            raise web.HTTPNotFound
        return _file(name)

    async def screen(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["screen"]
        view = SCREENS.get(name)
        if view is None:
            raise web.HTTPNotFound
        window_s = WINDOW_S
        with suppress(ValueError):
            window_s = float(request.query.get("window", ""))
        window_s = max(LEAST_WINDOW_S, min(MOST_WINDOW_S, window_s))
        now = asyncio.get_running_loop().time()
        async with self._lock:
            made_at, data = self._records.get((name, window_s), (-RECORD_SECONDS, b""))
            if now - made_at > RECORD_SECONDS or not data:
                record = await asyncio.to_thread(
                    view,
                    self._console.project,
                    request.app[_STORE],
                    at=datetime.now(UTC),
                    window_s=window_s,
                )
                data = msgspec.json.encode(record)
                self._records = {(name, window_s): (now, data)}
        return web.Response(body=data, content_type="application/json")

    async def action(self, request: web.Request) -> web.StreamResponse:
        action = request.match_info["action"]
        if action not in ACTIONS:
            raise web.HTTPNotFound
        visitor = _visitor.get()
        if not visitor.may("change"):
            return _error(403, f"the role {visitor.role} may look, and not move traffic")
        body = await _texts(request)
        change_source.set(f"console, {request.remote}")
        await asyncio.to_thread(
            act,
            request.app[_STORE],
            request.match_info["route"],
            action,
            who=visitor.who,
            why=body.get("why", "")[:500],
            at=datetime.now(UTC),
        )
        self._records.clear()
        return web.json_response({"done": action})

    async def ticket(self, request: web.Request) -> web.StreamResponse:
        name = self._report(request).name
        return web.json_response({"ticket": self._console.sessions.ticket(name)})

    def _report(self, request: web.Request) -> Path:
        folder = self._console.project.state / "reports"
        name = request.match_info["name"]
        # A name that is not one of the folder's own pages leads nowhere, whatever dots and slashes are in it.
        if name not in {path.name for path in folder.glob("*.html")}:
            raise web.HTTPNotFound
        return folder / name

    async def report(self, request: web.Request) -> web.StreamResponse:
        page = await asyncio.to_thread(Path.read_bytes, self._report(request))
        response = web.Response(body=page, content_type="text/html", charset="utf-8")
        response.headers["Content-Security-Policy"] = REPORT_POLICY
        return response


def _guard(console: Console) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not console.hosts.accepts(hosts[0]):
            return _error(421, "this console does not answer to that host name")
        # TLS, if any, ends at a proxy that passes the name on.
        if request.method != "GET" and request.headers.get("Origin") not in {
            f"http://{hosts[0]}",
            f"https://{hosts[0]}",
        }:
            return _error(403, "changes are taken from the console's own page only")
        path = request.path
        if path.startswith("/reports/"):
            name, _, _ = path.removeprefix("/reports/").partition("/")
            if not console.sessions.redeem(name, request.query.get("ticket", "")):
                return _error(401, "open reports from the console's page: a link to one is good once")
        elif path not in ("/", "/api/login") and not path.startswith("/static/"):
            visitor = await asyncio.to_thread(console.sessions.visitor, request.app[_STORE], _shown(request))
            if visitor is None:
                return _error(
                    401, "open the address that freehold console printed, or show a key of the gateway"
                )
            _visitor.set(visitor)
        return await handler(request)

    return guard


def _shown(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _texts(request: web.Request) -> dict[str, str]:
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise web.HTTPBadRequest(reason="the body is not a JSON object of texts") from None


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """freehold's errors as JSON a page can show, and the same headers on every response."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = error if error.status < 400 else _error(error.status, error.reason)
    except FreeholdError as error:
        status = 503 if isinstance(error, StorageError) else 409
        response = _error(status, error.message, hint=error.hint)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if isinstance(response, web.HTTPException):
        raise response
    return response


def _error(status: int, message: str, *, hint: str | None = None) -> web.Response:
    return web.json_response({"error": message, "hint": hint}, status=status, headers=HEADERS)


def _static() -> Traversable:
    return resources.files("freehold.console") / "static"


def _file(name: str) -> web.Response:
    text = (_static() / name).read_text(encoding="utf-8")
    if name == "console.css":  # one set of design tokens for the report and the console
        tokens = resources.files("freehold.report") / "templates" / "style.css"
        text = tokens.read_text(encoding="utf-8") + text
    return web.Response(text=text, content_type=MEDIA_TYPES[name.rpartition(".")[2]], charset="utf-8")
