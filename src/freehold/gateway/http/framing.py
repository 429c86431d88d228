"""Where a request ends, and what it says of its connection."""

from __future__ import annotations

from httptools import HttpParserError

from freehold.gateway.http.request import Headers, Request


def check_framing(version: str, headers: Headers) -> None:
    """Raises `HttpParserError` for a request whose end may be read in two ways, though the parser takes it."""
    if version not in ("1.1", "1.0"):
        # llhttp takes a line without a version for HTTP/0.9, and one of HTTP/2 as it stands.
        raise HttpParserError(f"HTTP/{version}")
    if any(name == "transfer-encoding" for name, _ in headers) and not is_chunked(headers):
        # Another coding would be taken for the body itself, and a proxy before may see it end elsewhere.
        raise HttpParserError("a transfer coding that is not decoded here")


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
