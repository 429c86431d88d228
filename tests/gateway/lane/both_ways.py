"""A worker in this process before an upstream that says what a test tells it to, asked by the long way alone, or by
either: what clients, upstream, recorder and meters see is to be the same."""

import asyncio
import contextlib
import json
import random
import re
import socket
import tempfile
from pathlib import Path

import msgspec

from freehold.gateway.capture.spool import Spool
from freehold.gateway.config import GatewayConfig
from freehold.gateway.http.server import HttpServer
from freehold.gateway.lane.client import LaneExchange
from freehold.gateway.limits.keys import KeyRing, hash_of
from freehold.gateway.worker import running, serving
from freehold.types.endpoint import ANY_SERVED, Endpoint, ServedModel
from freehold.types.route import ApiKey, Limits, Route, Target

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Wo ist mein Paket?"}]}
ANSWER = (
    b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"da"},"finish_reason":"stop"}]}'
)
_PAIR = {"incumbent": Target(endpoint="incumbent"), "candidate": Target(endpoint="engine", model="tuned")}
_WRITTEN = {
    "freehold_traces_captured", "freehold_traces_stored", "freehold_traces_lost", "freehold_traces_dropped",
    "freehold_requests_untold", "freehold_uploads_evicted",
}  # fmt: skip
"""Taken from elsewhere each second; some runs are over before the first."""
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATE = re.compile(rb"\r\n(?:date|retry-after|x-ratelimit-reset-\w+): [^\r]*")


def ask(body=CHAT, *, key="fh-plain", more="", path="/v1/chat/completions", apart=False, version="1.1"):
    """The pieces of a request, as a client writes them."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/{version}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n{more}"
        f"Content-Length: {len(data)}\r\n\r\n"
    ).encode()
    return [head, data] if apart else [head + data]


def whole(body=ANSWER, *, status="200 OK", more="", type="application/json"):
    """The pieces of an answer with a length."""
    return [
        f"HTTP/1.1 {status}\r\ncontent-type: {type}\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
        + body
    ]


class Upstream:
    """Gives each request the next of its answers; what it saw is kept. `None` in an answer closes the connection, a
    number waits."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.seen = []
        self.writers = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head)[1])
                self.seen.append(head + await reader.readexactly(length))
                for piece in self.answers.pop(0) if self.answers else whole():
                    if piece is None:
                        return writer.close()
                    if isinstance(piece, bytes):
                        writer.write(piece)
                    await asyncio.sleep(0.01 if isinstance(piece, bytes) else piece)


async def _read(reader):
    """One answer, as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    if length := re.search(rb"content-length: (\d+)", head):
        return head + await reader.readexactly(int(length[1]))
    if b"transfer-encoding: chunked" in head:
        return head + await reader.readuntil(b"0\r\n\r\n")
    return head if b" 204 " in head else head + await reader.read()


class Seen(msgspec.Struct):
    """What all sides saw. `short` counts the requests that the short way answered."""

    answers: list = []
    asked: list = []
    traces: list = []
    bills: list = []
    counters: dict = {}
    held: int = 0
    in_flight: int = 0
    short: int = 0


def config(port, folder, *, tls=False, **changes):
    """A configuration with an incumbent, an engine and keys of several kinds."""
    url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    tuned = ServedModel(name="tuned", upstream_name="base")
    values = {
        "endpoints": (
            Endpoint(name="incumbent", engine="remote", models=ANY_SERVED, base_url=url),
            Endpoint(name="engine", engine="llamacpp", base_url=url, models=(tuned,)),
        ),
        "routes": (
            Route(name="support", model="m", incumbent=Target(endpoint="incumbent")),
            Route(name="own", model="own", incumbent=Target(endpoint="engine", model="tuned")),
            Route(name="promoted", model="promoted", state="promoted", **_PAIR),
            Route(name="canary", model="canary", state="canary", canary_share=0.5, **_PAIR),
            Route(name="users", model="users", state="canary", canary_share=0.5, sticky="user", **_PAIR),
            Route(name="mirror", model="mirror", state="canary", canary_share=0.3, shadow_share=0.5, **_PAIR),
            Route(
                name="bounded",
                model="bounded",
                limits=Limits(requests_per_minute=5),
                incumbent=_PAIR["incumbent"],
            ),
            Route(name="renamed", model="renamed", incumbent=Target(endpoint="incumbent", model="other")),
        ),
        "store_url": f"sqlite:///{folder}/store.sqlite3",
        "capture": "raw",
        "capture_opt_out": True,
        "read_timeout_s": 1.0,
        "api_keys": (
            ApiKey(name="plain", hash=hash_of("fh-plain")),
            ApiKey(name="narrow", hash=hash_of("fh-narrow"), models=("own",)),
            ApiKey(name="limited", hash=hash_of("fh-limited"), limits=Limits(requests_per_minute=3)),
            ApiKey(name="tokens", hash=hash_of("fh-tokens"), limits=Limits(tokens_per_minute=150)),
            ApiKey(name="capped", hash=hash_of("fh-capped"), limits=Limits(usd_per_day=1.0)),
            ApiKey(name="one", hash=hash_of("fh-one"), limits=Limits(concurrency=1)),
        ),
        **changes,
    }
    return GatewayConfig(**values)


async def _scene(requests, answers, *, lane, changes, during, tls):
    seen, traces = Seen(), []
    offered, answered = Spool.offer, LaneExchange.answer
    Spool.offer = lambda self, captured: traces.append(captured) or offered(self, captured)

    def count(self, head, body):
        seen.short += 1
        answered(self, head, body)

    LaneExchange.answer = count
    upstream = Upstream(answers)
    asked = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    try:
        with tempfile.TemporaryDirectory() as folder:
            set_up = config(asked.sockets[0].getsockname()[1], folder, tls=tls is not None, **changes)
            async with running(set_up, Path(folder)) as app:
                app.state.keys = KeyRing(set_up.api_keys, required=True)
                app.state.draw = random.Random(2).random
                booked = app.state.bill
                app.state.bill = lambda *bill: seen.bills.append(bill) or booked(*bill)
                listener = socket.create_server(("127.0.0.1", 0))
                server = serving(app) if lane else HttpServer(app, app.state.memory)
                await server.listen(listener)
                reader, writer = None, None
                for number, pieces in enumerate(requests):
                    if reader is None or reader.at_eof():
                        if writer is not None:
                            writer.close()
                        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
                    if during is not None:
                        await during(number, app, server)
                    for piece in pieces:
                        writer.write(piece)
                        await asyncio.sleep(0.01)
                    for _ in range(b"".join(pieces).count(b"POST /")):
                        try:
                            answer = await asyncio.wait_for(_read(reader), 5)
                        except asyncio.IncompleteReadError as error:
                            answer = b"CUT " + error.partial
                        seen.answers.append(_DATE.sub(b"", _ID.sub(b"ID", answer)))
                        if answer.startswith(b"CUT") or b"connection: close" in answer:
                            reader = None
                writer.close()
                await asyncio.sleep(0.05)
                seen.asked = sorted(re.sub(rb"host: [^\r]*", b"", one) for one in upstream.seen)
                timeless = {"id": "", "at_ms": 0, "ttft_ms": None, "total_ms": None}
                timeless |= {"parent_id": None}
                seen.traces = sorted((msgspec.structs.replace(one, **timeless) for one in traces), key=repr)
                taken = app.state.meters.snapshot()
                counters = taken.counters.items()
                seen.counters = {name: sorted(values) for name, values in counters if name not in _WRITTEN}
                seen.counters["histograms"] = [
                    (name, labels, sum(counts))
                    for name, rows in sorted(taken.histograms.items())
                    for labels, counts, _ in sorted(rows)
                ]
                seen.held, seen.in_flight = app.state.memory.used_bytes, app.state.meters.in_flight
                await server.drain(0.1)
    finally:
        Spool.offer, LaneExchange.answer = offered, answered
        asked.close()
        for open_one in upstream.writers:
            open_one.close()
        await asyncio.sleep(0.01)
    return seen


def both_ways(requests, answers=(), *, during=None, tls=None, **changes):
    """What is seen where all requests go the long way, and where those go the short way that may."""
    seen = []
    for lane in (False, True):
        seen.append(
            asyncio.run(_scene(requests, answers, lane=lane, changes=changes, during=during, tls=tls))
        )
    return seen
