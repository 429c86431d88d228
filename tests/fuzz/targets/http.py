"""Target of the HTTP server: bytes of a client, in pieces, against a simple model of what they say.

The same bytes go to a connection that tries the short way, which knows the heads that came before.

What holds: the requests that reach the handler whole are the first of those the model reads, no more and in order.
The model reads RFC 9112 without leniency: where a message's end could be read in two ways it reads nothing more, so
what the server reads beyond it would be a smuggled request.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import WeakSet

from tests.fuzz.draw import Draw, flipped, pieces
from tests.fuzz.target import Target

from freehold.gateway.http.connection import Connection
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.request import ClientDisconnect, Request
from freehold.gateway.lane.client import LaneConnection
from freehold.gateway.lane.plans import ClientHead, Heads
from freehold.wire.errors import ApiError

_MOST_BYTES = 4096
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEX = re.compile(rb"[0-9A-Fa-f]+")


class Seen(NamedTuple):
    method: bytes
    path: bytes
    body: bytes


class _Transport:
    """A socket's transport: takes what is written, and says when reading is paused."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.paused = self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


class _Server:
    """What a connection needs of its server; its handler reads each request to the end and answers."""

    draining = leaving = False
    date = b"Thu, 01 Jan 1970 00:00:00 GMT"
    has_room = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.memory = MemoryBudget()
        self.connections: set[Connection] = set()
        self.opening: WeakSet[Connection] = WeakSet()
        self.seen: list[Seen] = []

    async def handler(self, request: Request) -> None:
        try:
            body = await request.body(_MOST_BYTES)
        except ApiError as error:
            request.respond(error.status, [], b"")
            return
        except ClientDisconnect:
            return
        self.seen.append(Seen(request.method.encode("latin-1"), request.path.encode("latin-1"), body))
        request.respond(200, [("content-type", "text/plain")], b"ok")


_loop = asyncio.new_event_loop()
_errors: list[BaseException] = []
_loop.set_exception_handler(
    lambda _loop, context: _errors.append(context.get("exception") or AssertionError(context))
)


class _ShortWay(LaneConnection):
    """Takes what the short way would ask an endpoint."""

    def _tries(self, head: ClientHead, length: bytes, body: bytes) -> bool:
        if len(body) != int(length) or len(body) > _MOST_BYTES:
            return False
        server: Any = self.server
        server.seen.append(Seen(b"POST", head.api_route.path.encode("latin-1"), body))
        self._in_head = False
        if not head.keep_alive:
            self._transport.close()
        return True


def _short(server: _Server) -> Connection:
    state: Any = SimpleNamespace(table=None, keys=None)
    return _ShortWay(state, Heads(state), server)


async def _serve(parts: list[bytes], connect: Callable[[_Server], Connection] = Connection) -> list[Seen]:
    server = _Server(asyncio.get_running_loop())
    connection = connect(server)
    transport = _Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    waiting = deque(parts)
    idle = 0
    while waiting and idle < 20 and not transport.closing:
        if transport.paused:
            idle += 1
        else:
            connection.data_received(waiting.popleft())
            idle = 0
        await asyncio.sleep(0)
    for _ in range(12):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    for _ in range(4):
        await asyncio.sleep(0)
    return server.seen


def modelled(stream: bytes) -> list[Seen]:
    """What a strict reader finds, up to a request whose end could be read in two ways,
    or that ends the connection."""
    found: list[Seen] = []
    while True:
        stream = stream.lstrip(b"\r\n")
        head, end, stream = stream.partition(b"\r\n\r\n")
        if not end:
            return found
        lines = head.split(b"\r\n")
        parts = lines[0].split(b" ")
        bare = any(b"\n" in line or b"\r" in line for line in lines)
        if bare or len(parts) != 3 or not re.fullmatch(rb"HTTP/1\.[01]", parts[2]):
            return found
        old = parts[2] == b"HTTP/1.0"
        lengths, codings, options = [], [], b""
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.fullmatch(name) or b"\0" in value:
                return found
            name, value = name.lower(), value.strip(b" \t").lower()
            if name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                codings.append(value)
            elif name == b"connection":
                options += b"," + value
        if len(lengths) > 1 or (codings and (lengths or codings != [b"chunked"])):
            return found
        body: bytes | None = b""
        if codings:
            body, stream = _unchunked(stream)
        elif lengths:
            if not lengths[0].isdigit():
                return found
            count = int(lengths[0])
            body, stream = (stream[:count], stream[count:]) if len(stream) >= count else (None, b"")
        if body is None:
            return found
        path = parts[1].partition(b"?")[0]
        if b"://" in path and not path.startswith(b"/"):
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        found.append(Seen(parts[0], path, body))
        listed = [option.strip() for option in options.split(b",")]
        if b"close" in listed or (old and (codings or b"keep-alive" not in listed)):
            return found


def _unchunked(stream: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while True:
        line, end, stream = stream.partition(b"\r\n")
        size, _, _extension = line.partition(b";")
        if not end or not _HEX.fullmatch(size.rstrip(b" \t")):
            return None, b""
        count = int(size, 16)
        if count == 0:
            while True:
                trailer, end, stream = stream.partition(b"\r\n")
                if not end or b"\n" in trailer or b"\r" in trailer:
                    return None, b""
                if not trailer:
                    return body, stream
        if len(stream) < count + 2 or stream[count : count + 2] != b"\r\n":
            return None, b""
        body, stream = body + stream[:count], stream[count + 2 :]


_METHODS = (b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"CONNECT", b"PRI", b"post", b"X")
_TARGETS = (
    b"/v1/chat/completions",
    b"/health?x=1",
    b"*",
    b"http://h/a",
    b"h:443",
    b"/" + b"a" * 300,
    b"/%2e%2e",
    b"//x",
)
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ")
_LINES = (
    b"host: x", b"Host: x", b"connection: close", b"connection: keep-alive", b"connection: Upgrade",
    b"upgrade: h2c", b"upgrade: websocket", b"expect: 100-continue", b"content-length: 0", b"content-length: 5",
    b"Content-Length: +5", b"content-length: 5, 5", b"content-length : 5", b"content-length: 0x5",
    b" content-length: 5",
    b"transfer-encoding: chunked", b"Transfer-Encoding: Chunked", b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: chunked, identity", b"transfer-encoding: xchunked", b"transfer-encoding:\tchunked",
    b"transfer-encoding : chunked", b"x: a\r\n b", b"x: \0", b"x: a\nb: c", b"x: a\rb", b"x", b": x",
    b"content-length: 99999999999999999999", b"x: " + b"y" * 300, b"\xff: \xff",
)  # fmt: skip
_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n ")
_INNER = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


def _request(draw: Draw) -> bytes:
    lines = [b" ".join((draw.one_of(_METHODS), draw.one_of(_TARGETS), draw.one_of(_VERSIONS)))]
    lines += [draw.one_of(_LINES) for _ in range(draw.below(5))]
    body = draw.one_of((b"", b"hello", _INNER, b"5;x=y", b"x" * 5000))
    match draw.below(5):
        case 0:
            lines.append(b"content-length: %d" % len(body))
        case 1:
            lines.append(b"transfer-encoding: chunked")
            chunks = [part for part in pieces(draw, body) if part][:8]
            framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks)
            body = framed + draw.one_of(
                (b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"00\r\n\r\n", b"0\n\n", b"-1\r\n", b"")
            )
        case 2:
            lines.append(b"content-length: %d" % (len(body) + draw.below(40)))
        case 3:
            lines.append(b"content-length: %d" % max(0, len(body) - draw.below(40)))
    if draw.below(8) == 0:
        lines = [lines[0], *reversed(lines[1:])]
    end = draw.one_of(_ENDS)
    return end.join(lines) + end + end + body


def connection(data: bytes) -> None:
    draw = Draw(data)
    if draw.below(4) == 0:
        stream = draw.rest()
        parts = [stream]
    else:
        stream = flipped(draw, b"".join(_request(draw) for _ in range(1 + draw.below(3))))
        parts = pieces(draw, stream)
    parts = [part for part in parts if part]
    _check(parts, Connection)
    known = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b"
    body = draw.one_of((b"{}", _INNER, b"hello"))
    whole = known % (len(body), body)
    cut = draw.below(len(whole))
    _check([known % (2, b"{}"), whole[:cut], whole[cut:], *parts, *parts], _short)
    _check([*parts, *parts, whole + b"".join(parts)], _short)


def _check(parts: list[bytes], connect: Callable[[_Server], Connection]) -> None:
    _errors.clear()
    seen = _loop.run_until_complete(_serve([part for part in parts if part], connect))
    if _errors:
        raise _errors[0]
    expected = modelled(b"".join(parts))
    wanted = [one for one in expected if len(one.body) <= _MOST_BYTES]
    if seen != wanted[: len(seen)]:
        raise AssertionError(f"the server read {seen}, a strict reader {expected}")


TARGETS = (
    Target(
        "http",
        connection,
        "requests of clients, against a strict reader",
        (
            b"\0POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi",
            b"\0POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" + _INNER,
            *(bytes([1, count, *(n for _ in range(12))]) for count in range(3) for n in range(5)),
        ),
    ),
)
