"""A real gateway on loopback in front of a real upstream that does what a test tells it to."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable

import psutil
import pytest
from aiohttp import web

from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import started
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "on its way"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}


def stream_of(*words: str, usage: bool = False) -> list[bytes]:
    """The events of a chat completion stream."""

    def chunk(choices, **more):
        body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
        return b"data: " + json.dumps({**body, **more}, separators=(",", ":")).encode() + b"\n\n"

    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in words)]
    events = [chunk([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    events.append(chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    if usage:
        events.append(chunk([], usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}))
    return [*events, b"data: [DONE]\n\n"]


class ReceivedRequest:
    """A request as the upstream got it. `place` is its path and query as they were written."""

    def __init__(
        self, path: str, headers: dict[str, str], body: bytes, method: str = "POST", place: str = ""
    ) -> None:
        self.path, self.headers, self.body = path, headers, body
        self.method, self.place = method, place or path

    @property
    def json(self):
        return json.loads(self.body)


class FakeUpstream:
    """Answers with `answer`, a function from `ReceivedRequest` to a response (see `plain`, `stream`)."""

    def __init__(self) -> None:
        self.seen: list[ReceivedRequest] = []
        self.aborted = 0
        self.answer: Callable = lambda seen: plain(ANSWER)
        self.port = claim_port()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        self.seen.clear()
        self.aborted = 0
        self.answer = lambda seen: plain(ANSWER)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = ReceivedRequest(
            request.path,
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
            request.method,
            request.raw_path,
        )
        if request.method == "POST":
            self.seen.append(seen)
        try:
            return await self.answer(seen)(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.aborted += 1
            raise


def plain(body, *, status=200, headers=None, delay=0.0):
    """A whole answer, after `delay` seconds."""

    async def respond(request):
        if delay:
            await asyncio.sleep(delay)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(headers or {})}
        return web.Response(body=data, status=status, headers=sent)

    return respond


def stream(chunks, *, pause=0.0, cut=False):
    """Events one by one with a pause between; with `cut` the connection breaks instead of ending."""

    async def respond(request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
            if pause:
                await asyncio.sleep(pause)
        if cut:
            request.transport.abort()
            raise ConnectionResetError
        await response.write_eof()
        return response

    return respond


def on_demand(parts, go, **headers):
    """Each part but the first is sent when the test releases the semaphore `go`."""

    async def respond(request):
        response = web.StreamResponse(
            headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        await response.prepare(request)
        for number, part in enumerate(parts):
            if number and not await asyncio.to_thread(go.acquire, timeout=60):
                raise ConnectionResetError  # what came before was held back
            await response.write(part)
        await response.write_eof()
        return response

    return respond


@pytest.fixture(scope="session")
def _upstream():
    upstream = FakeUpstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(_upstream):
    _upstream.reset()
    return _upstream


@contextlib.contextmanager
def gateway(upstream, tmp_path, **changes):
    """A gateway before `upstream`, with capture to a store in `tmp_path`."""
    values = {
        "endpoints": (
            Endpoint(
                name="incumbent",
                engine="remote",
                base_url=upstream.base_url,
                models=ANY_SERVED,
                forward_client_key=True,
            ),
        ),
        "port": claim_port(),
        "store_url": f"sqlite:///{tmp_path / 'freehold.sqlite3'}",
        "capture": "raw",
        "capture_opt_out": True,
        "drain_s": 5.0,
        "connect_timeout_s": 1.0,
        **changes,
    }
    with started(GatewayConfig(**values), log=tmp_path / "gateway.log") as running:
        yield running


@pytest.fixture(scope="module")
def shared(_upstream, tmp_path_factory):
    """One gateway for all tests of a file that do not change it."""
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(_upstream, folder) as running:
        yield running


def eventually(claim, *, timeout_s=30.0):
    """Wait until `claim()` is true, and return what it returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = claim()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout_s} s: {claim}")
        time.sleep(0.02)


def traces_of(running, **wanted):
    with open_store(running.config.store_url) as store:
        return list(store.traces(complete_only=False, **wanted))


def trace_of(running, trace_id):
    """The trace of an exchange, once it is written."""

    def look():
        with open_store(running.config.store_url) as store:
            return store.get_trace(trace_id)

    return eventually(look)


def processes(running, mark):
    """The processes of a gateway: its recorder, or its workers."""
    found = []
    for process in psutil.Process(running.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # one that has just ended is none of them
            if ("freehold.gateway.capture.recorder" in process.cmdline()) == (mark == "recorder"):
                found.append(process)
    return found
