"""Target of the client of upstreams: bytes of a hostile endpoint, in pieces, on their way to a client of the gateway.

What holds, for each of up to three requests that go out one after the other, over kept connections where they are kept:
a client that is told a whole answer is told the status and the body that a strict reader finds in the bytes sent for
this very request; an answer that broke off is never told as a whole one; and each request comes to its end.
The reader takes RFC 9112 without leniency: an answer whose end could be read in two ways is none.
"""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any, NamedTuple

from tests.fuzz.draw import Draw, flipped, pieces
from tests.fuzz.target import Target
from tests.fuzz.targets.http import _TOKEN, _Transport, _unchunked

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.request import Request
from freehold.gateway.http.response import TransportError
from freehold.gateway.http.upstream_client import Address, UpstreamClient, UpstreamConnection
from freehold.gateway.http.upstreams import UpstreamFailure
from freehold.gateway.proxy.exchange import Attempt, new_exchange
from freehold.gateway.proxy.relay import relay
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.types.endpoint import Endpoint
from freehold.wire.errors import ApiError

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
_ADDRESS = Address("upstream", 80)
_TURNS = 40
_endpoint = Endpoint(name="upstream", engine="remote", base_url="http://upstream")


class Answer(NamedTuple):
    """What a strict reader finds. `streamed`: as server-sent events."""

    status: int
    body: bytes
    streamed: bool = False


def read_answer(data: bytes, *, ended: bool) -> Answer | None:
    """The first final answer in some bytes; None where it is not whole, or not clear. `ended`: no more will come."""
    while True:
        head, end, data = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        first = _STATUS_LINE.fullmatch(lines[0])
        if not end or first is None or any(b"\n" in line or b"\r" in line for line in lines):
            return None
        fields: dict[bytes, list[bytes]] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.fullmatch(name) or b"\0" in value:
                return None
            fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
        status = int(first[2])
        if status == 101:
            return None
        if status >= 200:
            break
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    streamed = fields.get(b"content-type", [b""])[0].startswith(b"text/event-stream")
    if len(lengths) + len(codings) > 1 or (
        codings and (codings[0].lower() != b"chunked" or first[1] == b"0")
    ):
        return None
    if status in (204, 304):
        return Answer(status, b"", streamed)
    if codings:
        body, _ = _unchunked(data)
        return None if body is None else Answer(status, body, streamed)
    if lengths:
        if not lengths[0].isdigit() or len(data) < int(lengths[0]):
            return None
        return Answer(status, data[: int(lengths[0])], streamed)
    return Answer(status, data, streamed) if ended else None


class _Client:
    """A client's side of a request: takes what it is sent."""

    draining = False
    date = b"Thu, 01 Jan 1970 00:00:00 GMT"
    writing_paused = False

    def __init__(self) -> None:
        self.memory = MemoryBudget()
        self.server = self
        self.written = b""

    def peer(self) -> str:
        return "client"

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        return

    def resume_reading(self) -> None:
        return


class _Upstream(UpstreamClient):
    """A client of upstreams whose connections lead nowhere."""

    def __init__(self) -> None:
        super().__init__(connect_timeout_s=1, read_timeout_s=1000)

    async def _connect(self, address: Address) -> UpstreamConnection:
        connection = UpstreamConnection(self, address)
        connection.connection_made(_Transport())  # type: ignore[arg-type]
        return connection


class Told(NamedTuple):
    """What a client of the gateway is sent for a request, whether it is told that this is all, and what a trace of it
    would hold."""

    data: bytes
    whole: bool
    kept: bytes


class Play(NamedTuple):
    """What the endpoint does when it is asked: send `parts`, and then perhaps end or lose the connection."""

    parts: list[bytes]
    end: str
    hide_usage: bool


async def _ask(client: UpstreamClient, hide_usage: bool) -> Told:
    """One request of a client of the gateway."""
    asked = _Client()
    request = Request(asked, "POST", "/v1/chat/completions", "", [], {}, complete=True)
    state: Any = SimpleNamespace(memory=asked.memory, spool=None)
    exchange = new_exchange(state, API_ROUTES["/v1/chat/completions"], request)
    exchange.capturing = True
    try:
        response = await client.send(_ADDRESS, b"POST / HTTP/1.1\r\n\r\n", b"")
        try:
            attempt = Attempt(exchange, _endpoint, None, last=True, hide_usage=hide_usage)  # type: ignore[arg-type]
            await relay(attempt, response)
        finally:
            response.close()
            exchange.held.release()
    except (TransportError, UpstreamFailure, ApiError):
        return Told(b"", whole=False, kept=b"")
    whole = request.end_response()
    return Told(asked.written, whole, b"".join(exchange.chunks))


async def _played(plays: list[Play], *, turns: int = 1) -> list[Told]:
    client = _Upstream()
    told = []
    for play in plays:
        asking = asyncio.ensure_future(_ask(client, play.hide_usage))
        await asyncio.sleep(0)
        (connection,) = client.busy
        for part in play.parts:
            if not connection.transport.is_closing():
                connection.data_received(part)
                for _ in range(turns):
                    await asyncio.sleep(0)
        if play.end != "stays" and not connection.transport.is_closing():
            connection.transport.close()
            connection.connection_lost(None if play.end == "ends" else ConnectionResetError())
        elif connection.transport.is_closing():
            connection.connection_lost(None)
        for _ in range(_TURNS):
            if asking.done():
                break
            await asyncio.sleep(0)
        if not asking.done() and connection in client.busy:
            connection.time_out()  # nothing more comes
            connection.connection_lost(None)
        for _ in range(_TURNS):
            if asking.done():
                break
            await asyncio.sleep(0)
        if not asking.done():
            asking.cancel()
            raise AssertionError("a request never ends")
        told.append(await asking)
    await client.close()
    return told


def check(play: Play, told: Told) -> None:
    """Compare what a client was told with what the endpoint said."""
    data, whole, kept = told
    said = read_answer(b"".join(play.parts), ended=play.end == "ends")
    got = read_answer(data, ended=False)
    if got is None:
        if whole:
            raise AssertionError(f"the client is told this is whole: {data!r}")
        return
    if said is None:
        if not (got.streamed and b'"error"' in got.body):
            raise AssertionError(f"the client is told {got}, and the endpoint said nothing whole")
    elif got.streamed and b'"error"' in got.body:
        return  # in the place of a part that cannot be read
    elif got != said and not (said.streamed and play.hide_usage and got[::2] == said[::2]):
        raise AssertionError(f"the client is told {got}, the endpoint said {said}")
    elif kept != said.body:
        raise AssertionError(f"a trace would hold {kept!r}, the endpoint said {said}")


_STATUSES = (
    b"200 OK",
    b"200 OK",
    b"200",
    b"204 No",
    b"304 No",
    b"400 Bad",
    b"500 \xff",
    b"302 F",
    b"99 x",
    b"1000 x",
    b"101 S",
)
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"ICY")
_LINES = (
    b"content-type: application/json", b"content-type: text/event-stream", b"Content-Type: text/event-stream; x",
    b"content-length: 0", b"content-length: 5", b"Content-Length: +5", b"content-length: 5, 5", b"content-length : 5",
    b"content-length: 99999999999999999999", b"content-length: -1", b"transfer-encoding: chunked",
    b"Transfer-Encoding: Chunked", b"transfer-encoding: gzip, chunked", b"transfer-encoding: chunked, identity",
    b"transfer-encoding: xchunked", b"transfer-encoding : chunked", b"transfer-encoding: gzip", b"connection: close",
    b"connection: keep-alive", b"connection: upgrade", b"upgrade: h2c", b"content-encoding: gzip", b"trailer: x",
    b"set-cookie: a=b", b"x: a\r\n b", b"x: \0", b"x: a\nb: c", b"x: a\rb", b"x", b": x", b"\xff: \xff",
    b"x: " + b"y" * 300, b"access-control-allow-origin: *",
)  # fmt: skip
_EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n", b": x\n\n", b"data:\n\n",
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n', b"data: {\n\n", b"event: x\r\n\r\n",
    b'{"error":{"message":"x"}}', b"hello", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"\xff\xfe", b"",
)  # fmt: skip
_CHUNK_ENDS = (
    b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"0\r\ncontent-length: 5\r\n\r\n",
    b"0\r\ncontent-type: text/event-stream\r\n\r\n",
    b"00\r\n\r\n", b"0\n\n", b"-1\r\n", b"", b"ffffffffffffffff\r\n", b"0;a=b\r\n\r\n",
)  # fmt: skip
_SURPLUS = (
    b"", b"", b"", b"\r\n", b"H", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstolen"[:-1], b"x",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"HTTP/1.1 100 Continue\r\n\r\n",
)  # fmt: skip
_EARLY = (b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nlink: x\r\n\r\n", b"\r\n")
_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\n ")


def _answer(draw: Draw) -> bytes:
    lines = [draw.one_of(_VERSIONS) + b" " + draw.one_of(_STATUSES)]
    lines += [draw.one_of(_LINES) for _ in range(draw.below(4))]
    body = b"".join(draw.one_of(_EVENTS) for _ in range(draw.below(4)))
    match draw.below(5):
        case 0 | 1:
            lines.append(b"content-length: %d" % max(0, len(body) + draw.one_of((0, 0, 0, 3, -3))))
        case 2 | 3:
            lines.append(b"transfer-encoding: chunked")
            chunks = [part for part in pieces(draw, body) if part][:8]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks) + draw.one_of(_CHUNK_ENDS)
    end = draw.one_of(_ENDS)
    return draw.one_of(_EARLY) + end.join(lines) + end + end + body + draw.one_of(_SURPLUS)


def exchanges(data: bytes) -> None:
    """Up to three requests and what the endpoint does with each."""
    draw = Draw(data)
    plays = []
    if draw.below(4) == 0:
        end, hide_usage = draw.one_of(("stays", "ends", "breaks")), draw.below(2) == 1
        plays.append(Play([part for part in (draw.rest(),) if part], end, hide_usage))
    else:
        for _ in range(1 + draw.below(3)):
            end, hide_usage = draw.one_of(("stays", "stays", "ends", "breaks")), draw.below(2) == 1
            sent = flipped(draw, _answer(draw))
            plays.append(Play([part for part in pieces(draw, sent) if part], end, hide_usage))
    for play, told in zip(plays, _loop.run_until_complete(_played(plays)), strict=True):
        check(play, told)


def streams(data: bytes) -> None:
    """A long stream, most of it in reads that end where a chunk does: those pass on without a parser. A second one
    follows on the same connection."""
    draw = Draw(data)
    plays = []
    for _ in range(2):
        sent = [draw.one_of(_STREAM_HEADS)]
        for _ in range(draw.below(24)):
            events = b"".join(draw.one_of(_EVENTS) for _ in range(1 + draw.below(2))) or b"x"
            chunk = b"%x\r\n%b\r\n" % (len(events), events)
            match draw.below(12):
                case 0:
                    sent += [part for part in pieces(draw, chunk) if part]
                case 1:
                    sent[-1] += chunk
                case 2:
                    sent.append(flipped(draw, chunk))
                case _:
                    sent.append(chunk)
        sent += draw.one_of(((b"0\r\n\r\n",), (b"0\r\n", b"\r\n"), (b"0\r\nx: y\r\n\r\n",), ()))
        end, hide_usage = draw.one_of(("stays", "ends", "breaks")), draw.below(2) == 1
        plays.append(Play([part for part in sent if part], end, hide_usage))
    for play, told in zip(plays, _loop.run_until_complete(_played(plays, turns=4)), strict=True):
        check(play, told)


_STREAM_HEADS = tuple(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%btransfer-encoding: chunked\r\n\r\n" % more
    for more in (b"", b"", b"connection: close\r\n", b"content-encoding: gzip\r\n")
)
_loop = asyncio.new_event_loop()

TARGETS = (
    Target(
        "streams",
        streams,
        "long streams of an endpoint, in reads of all kinds, on their way to a client",
        tuple(bytes([n, 23, *((n * m) % 256 for m in range(60))]) for n in range(12)),
    ),
    Target(
        "upstream",
        exchanges,
        "answers of a hostile endpoint, against a strict reader, on their way to a client",
        (
            b"\0\0\0HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            b"\0\1\0HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: [DONE]\n\n",
            b"\0\0\1HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n",
            b"\0\0\0HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhimore",
            *(bytes([1, count, *(n for _ in range(14))]) for count in range(3) for n in range(6)),
        ),
    ),
)
