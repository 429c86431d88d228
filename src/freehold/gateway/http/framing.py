"""Where a request ends, and what it says of its connection."""

from __future__ import annotations

from freehold.gateway.http.request import Headers, Request


def framing_header(request: Request) -> bytes:
    """The header that says where a request's body ends; empty when it has none."""
    for name in ("transfer-encoding", "content-length"):
        if (value := request.header(name)) is not None:
            return f"{name}: {value}".encode("latin-1")
    return b""


def ends_connection(headers: Headers) -> bool:
    """Whether nothing may follow a request of HTTP/1.0, although it asks to be kept alive (RFC 9112, 6.1 and 9.3).

    HTTP/1.0 knows no chunks, so a proxy before may see it end elsewhere; and a word to close outweighs others.
    """
    return any(
        name == "transfer-encoding" or (name == "connection" and "close" in value.lower())
        for name, value in headers
    )


def is_chunked(headers: Headers) -> bool:
    """Whether chunks are the one transfer coding of a request, said once."""
    return [value.strip().lower() for name, value in headers if name == "transfer-encoding"] == ["chunked"]


def first_upgrade(request: Request) -> str | None:
    """The protocol that a request offers to continue in, where that is one that can be passed on: ``websocket``."""
    offered = (request.header("upgrade") or "").strip().lower()
    return (
        offered
        if offered == "websocket" and request.method == "GET" and not framing_header(request)
        else None
    )
