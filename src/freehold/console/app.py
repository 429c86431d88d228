"""The console's server: one page, its screens as JSON, and the buttons.

``GET  /``                          the page; it shows nothing without a token
``POST /api/login``                 ``{"key": "…"}``: a token for a key of the gateway; ``/api/logout`` ends it
``GET  /api/visitor``               who shows a token, what they may do, and the screens they may see
``GET  /api/screens/NAME?…``        the record of one of `screens.SCREENS`; each has its own typed parameters
``POST /api/actions/NAME``          one of `screens.ACTIONS`, its body as JSON: ``{"route": "…", "why": "…"}``
``POST /api/reports/FILE``          a ticket for ``GET /reports/FILE?ticket=…``, a report that was written

All but the page itself, its scripts and the login ask for a token, whose role says who may do what;
`guard` is what every request passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from freehold.console.guard import (
    Sessions,
    Visitor,
    error_response,
    guard,
    plain_errors,
    refusal,
    shown_token,
    visitor_now,
)
from freehold.console.screens import ACTIONS, SCREENS, Action, ProjectStore, RecordCache, query_of
from freehold.errors import PortInUseError, UsageError
from freehold.late import web
from freehold.types.audit import change_source, change_why
from freehold.types.record import Record
from freehold.wire.hosts import HostPolicy, check_host_names
from freehold.workflows.project import Project
from freehold.workflows.tell.buttons import ButtonBody

MEDIA_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
SCRIPTS_AND_STYLES = re.compile(r"(?:(?:pieces|screens)/)?[a-z_]+\.(?:js|css)")
TOKENS = re.compile(r"(?:\s*(?::root|@media \(prefers-color-scheme: dark\)) \{.*?\n\})+", re.DOTALL)


def folder() -> Traversable:
    """Where they lie."""
    return resources.files("freehold.console") / "static"


def page() -> web.Response:
    """The one page."""
    return _response("page.html")


def script_or_style(name: str) -> web.Response:
    """A file by its name below the folder. Raises `aiohttp.web.HTTPNotFound`."""
    if not SCRIPTS_AND_STYLES.fullmatch(name) or not folder().joinpath(*name.split("/")).is_file():
        raise web.HTTPNotFound
    return _response(name)


def design_tokens() -> str:
    """The colours and typefaces that the report has, light and dark: one set for both."""
    style = resources.files("freehold.report") / "templates" / "style.css"
    found = TOKENS.match(style.read_text(encoding="utf-8"))
    return found[0] + "\n" if found else ""


def _response(name: str) -> web.Response:
    text = folder().joinpath(*name.split("/")).read_text(encoding="utf-8")
    if name == "console.css":
        text = design_tokens() + text
    return web.Response(text=text, content_type=MEDIA_TYPES[name.rpartition(".")[2]], charset="utf-8")


LOGIN_BYTES = 16 * 1024
# A report is one file with its own styles inside; it has no scripts.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Console:
    """What the server needs: the project, its visitors, the hosts it answers to."""

    project: Project
    sessions: Sessions
    hosts: HostPolicy


def application(console: Console) -> web.Application:
    """The server for one project. The store is opened with the first request that needs it, and closed at the end."""
    server = _Server(console)
    passed = [plain_errors, guard(console.sessions, console.hosts, server.store)]
    app = web.Application(client_max_size=LOGIN_BYTES, middlewares=passed)
    app.cleanup_ctx.append(server.closing)
    app.router.add_get("/", server.page)
    app.router.add_get("/static/{name:.+}", server.static)
    app.router.add_get("/api/screens/{screen}", server.screen)
    app.router.add_post("/api/actions/{action}", server.action)
    app.router.add_get("/api/visitor", server.visitor)
    app.router.add_post("/api/login", server.login)
    app.router.add_post("/api/logout", server.logout)
    app.router.add_post("/api/reports/{name}", server.ticket)
    app.router.add_get("/reports/{name}", server.report)
    return app


class _Server:
    def __init__(self, console: Console) -> None:
        self._console = console
        self.store = ProjectStore(console.project.store_url)
        self._records = RecordCache()

    async def closing(self, app: web.Application) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self.store.close)

    async def page(self, request: web.Request) -> web.StreamResponse:
        return page()

    async def static(self, request: web.Request) -> web.StreamResponse:
        return script_or_style(request.match_info["name"])

    async def visitor(self, request: web.Request) -> web.StreamResponse:
        visitor = visitor_now.get()
        screens = [
            {
                "name": name,
                "title": screen.title,
                "group": screen.group,
                "shortcut": screen.shortcut,
                "command": screen.command,
                "refresh_seconds": screen.refresh_seconds,
                "parameters": [field.name for field in msgspec.structs.fields(screen.query)],
            }
            for name, screen in SCREENS.items()
            if visitor.may(screen.needs)
        ]
        return web.json_response(
            {
                "who": visitor.who,
                "role": visitor.role,
                "may": sorted(visitor.permissions),
                "actions": sorted(name for name, action in ACTIONS.items() if visitor.may(*action.needs)),
                "app": self._console.project.config.app.name,
                "screens": screens,
            }
        )

    async def login(self, request: web.Request) -> web.StreamResponse:
        key = (await _texts(request)).get("key", "").strip()
        sessions = self._console.sessions
        try:
            token, visitor = await asyncio.to_thread(lambda: sessions.begin(self.store.get(), key))
        except UsageError as error:
            return error_response(403, error.message, hint=error.hint)
        return web.json_response({"token": token, "who": visitor.who, "role": visitor.role})

    async def logout(self, request: web.Request) -> web.StreamResponse:
        self._console.sessions.end(shown_token(request))
        return web.json_response({"done": "logout"})

    async def screen(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["screen"]
        screen = SCREENS.get(name)
        if screen is None:
            raise web.HTTPNotFound
        if (refused := refusal(screen.needs)) is not None:
            return refused
        try:
            query = query_of(screen, dict(request.query))
        except UsageError as error:
            return error_response(400, error.message, hint=error.hint)
        if query.asks_for_content and (refused := refusal("content")) is not None:
            return refused

        def make() -> bytes:
            project, store = self._console.project, self.store.get()
            return msgspec.json.encode(screen.view(project, store, query, at=datetime.now(UTC)))

        data = await self._records.get((name, msgspec.json.encode(query)), make)
        return web.Response(body=data, content_type="application/json")

    async def action(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["action"]
        action = ACTIONS.get(name)
        if action is None:
            raise web.HTTPNotFound
        if (refused := refusal(*action.needs)) is not None:
            return refused
        try:
            given = await request.clone(client_max_size=action.body_bytes).read()
            body = msgspec.json.decode(given, type=action.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return error_response(400, f"the body is not what {name} takes: {error}")
        try:
            done = await asyncio.to_thread(self._act, action, body, request.remote)
        finally:
            self._records.clear()  # what is refused may have moved something: a step forward takes in what is new
        return web.Response(
            body=msgspec.json.encode({"done": name, "result": done}), content_type="application/json"
        )

    def _act(self, action: Action, body: ButtonBody, remote: str | None) -> Record | None:
        """In a thread, with the context of its request."""
        change_source.set(f"console, {remote}")
        change_why.set(body.why)
        project, who = self._console.project, visitor_now.get().who
        return action.act(project, self.store.get(), body, who=who, at=datetime.now(UTC))

    async def ticket(self, request: web.Request) -> web.StreamResponse:
        if (refused := refusal("content")) is not None:
            return refused
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


async def _texts(request: web.Request) -> dict[str, str]:
    try:
        return msgspec.json.decode(await request.read(), type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise web.HTTPBadRequest(reason="the body is not a JSON object of texts") from None


def serve(
    project: Project,
    *,
    host: str,
    port: int,
    hosts: Sequence[str] = (),
    token: str | None,
    visitor: Visitor,
    ready: Callable[[str], None],
) -> None:
    """Serve until told to stop; `ready` is called with the address once it answers. `hosts` are names it is reached by
    besides the machine's own. With a `token`, who has it is `visitor`; without, all who come show a key. Raises
    `PortInUseError` and `ConfigError`."""
    check_host_names(hosts)
    asyncio.run(
        run(project, host=host, port=port, hosts=hosts, token=token, visitor=visitor, ready=ready, stop=None)
    )


async def run(
    project: Project,
    *,
    host: str,
    port: int,
    hosts: Sequence[str] = (),
    token: str | None,
    visitor: Visitor,
    ready: Callable[[str], None],
    stop: asyncio.Event | None,
) -> None:
    """`serve` in a running loop, until a signal or `stop`."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only a main thread on a Unix may take signals; elsewhere Ctrl-C or `stop` ends it.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
    # The port is bound first: the host names the console answers to are known only then.
    try:
        server_socket = await asyncio.to_thread(_bind, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(host, port) from None
        raise
    bound = server_socket.getsockname()[1]
    policy = HostPolicy(hosts, listens=host, port=bound)
    app = application(Console(project=project, sessions=Sessions(token, visitor), hosts=policy))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.SockSite(runner, server_socket).start()
        ready(f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{bound}")  # noqa: S104 (compared, or chosen by the user)
        await stop.wait()
    finally:
        await runner.cleanup()


def _bind(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
