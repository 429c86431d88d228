"""The server over HTTP on this machine: streamable HTTP behind a token, under loopback's own names only."""

from __future__ import annotations

import errno
import hmac
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server

from freehold.errors import PortInUseError, UsageError

PATH = "/mcp"
_REFUSED = b'{"error":{"message":"a token is needed: Authorization: Bearer TOKEN","code":"unauthorized"}}'


class TokenGate:
    """An ASGI application that lets requests with the token through, and nothing else."""

    def __init__(self, inner: Any, token: str) -> None:
        self._inner, self._wanted = inner, f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if scope["type"] == "http" and len(given) == 1 and hmac.compare_digest(given[0], self._wanted):
            await self._inner(scope, receive, send)
            return
        if scope["type"] == "http":
            headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSED})


def application(server: Server[Any], token: str) -> TokenGate:
    """The server's application. It answers to loopback's names only, so that no page of a browser gets to it."""
    return TokenGate(server.streamable_http_app(streamable_http_path=PATH, host="127.0.0.1"), token)


def serve_http(server: Server[Any], *, port: int, token: str, ready: Any) -> None:
    """Serve on loopback until interrupted; port 0 takes a free one. `ready` is called with the address.

    Raises `PortInUseError`, `UsageError` for a port that cannot be listened on.
    """
    config = uvicorn.Config(
        application(server, token), host="127.0.0.1", port=port, log_level="warning", access_log=False
    )
    listening = _bound(port)
    told = f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
    _TellingServer(config, lambda: ready(told)).run([listening])


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError("127.0.0.1", port) from None
        raise UsageError(
            f"cannot listen on port {port}: {error.strerror}",
            hint="choose another one, or a free one: --port 0",
        ) from None


class _TellingServer(uvicorn.Server):
    """A server that says when it listens.

    Not by a task beside it: uvicorn gives a signal that ended it again, which would be raised in the middle of a task
    group and told as an exception that was not handled.
    """

    def __init__(self, config: uvicorn.Config, listens: Callable[[], None]) -> None:
        super().__init__(config)
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listens()
