"""Upstreams that speak their API in odd ways: types, line ends, sockets closed on one side, endpoints that go."""

import asyncio
import contextlib
import json
import threading
from datetime import UTC, datetime

import openai
import pytest
from msgspec.structs import replace
from tests.gateway.asking import QUESTION, client, metric, post
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, plain, stream_of, trace_of

from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target

pytestmark = pytest.mark.process


def events(data, content_type):
    from aiohttp import web

    async def respond(request):
        response = web.StreamResponse(headers={"content-type": content_type})
        await response.prepare(request)
        for chunk in data:
            await response.write(chunk)
        await response.write_eof()
        return response

    return respond


def breaks_off(*data):
    """Events that stop where the connection breaks, in the middle of one as well."""
    from aiohttp import web

    async def respond(request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for chunk in data:
            await response.write(chunk)
            await asyncio.sleep(0.05)
        request.transport.abort()
        raise ConnectionResetError

    return respond


def test_a_stream_that_breaks_off_within_an_event_is_an_error_that_clients_read(shared, upstream):
    first, second = stream_of("on")[:2]
    upstream.answer = lambda seen: breaks_off(first, second[:30])
    with pytest.raises(openai.APIError, match="broke off"):
        list(client(shared).chat.completions.create(**QUESTION, stream=True))
    # Who asks for usage has every byte at once; what was half told stays apart from the error.
    asked = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    _, _, sent = post(shared, asked)
    assert sent.startswith(first + second[:30] + b"\n\ndata: {") and b"broke off" in sent


class Socket:
    """A server that answers every request with the same bytes, and then closes its side, or says no more."""

    def __init__(self, answer, *, closes):
        self.answer, self._closes = answer, closes
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks = []
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self):
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.append(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")
                ]
                if length:
                    await reader.readexactly(int(length[0][16:]))
                writer.write(self.answer)
                if self._closes:
                    writer.write_eof()
        writer.close()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


DATA = json.dumps(ANSWER).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(DATA),
    DATA,
)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files"])
def test_an_upstream_that_closes_its_side_is_whole_or_told_as_cut(upstream, tmp_path, path):
    odd = Socket(b"", closes=True)
    one = Endpoint(name="incumbent", engine="remote", base_url=odd.base_url, models=ANY_SERVED)
    changes = {"endpoints": (one,), "others_to": "incumbent", "retries": 0, "breaker_failures": 999}
    try:
        with gateway(upstream, tmp_path, **changes) as running:
            for answer, status in (
                (WHOLE, 200),
                (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + DATA, 200),
                (WHOLE[:-10], 502),
                (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", None),
                (b"HTTP/1.1 200", 502),
                (b"", 502),
            ):
                odd.answer = answer
                for _ in range(3):
                    got = asked(running, path)
                    # What has begun can only be broken off.
                    begun = answer[:12] == b"HTTP/1.1 200" and len(answer) > 12 and path == "/v1/files"
                    assert got == status or (got is None and (status is None or begun)), answer
    finally:
        odd.close()


def asked(running, path):
    """The status of an answer that is whole; None where it broke off."""
    try:
        return post(running, QUESTION, path=path)[0]
    except Exception:  # noqa: BLE001  # the library has many names for it
        return None


def test_an_endpoint_that_goes_leaves_its_routes_to_the_others(upstream, tmp_path):
    other = FakeUpstream()
    try:
        own = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url)
        away = Endpoint(name="away", engine="remote", base_url=other.base_url)
        route = Route(
            name="r",
            model="m",
            incumbent=Target(endpoint="incumbent"),
            candidate=Target(endpoint="away"),
            state="promoted",
        )
        with gateway(upstream, tmp_path, endpoints=(own, away)) as running:
            with open_store(running.config.store_url) as store:
                store.save_route(route, who="test", at=datetime.now(UTC), why="test")
            eventually(lambda: post(running, QUESTION)[0] == 200 and other.seen)
            running.update(replace(running.config, endpoints=(own,)))
            eventually(lambda: post(running, QUESTION)[0] == 200 and upstream.seen)
            assert metric(running, "freehold_fallbacks_total") >= 0
            running.update(replace(running.config, endpoints=(away,)))
            eventually(lambda: post(running, QUESTION)[0] == 404)
            with pytest.raises(openai.NotFoundError, match="does not exist here"):
                client(running).chat.completions.create(**QUESTION)
    finally:
        other.close()


@pytest.mark.parametrize(
    "size",
    [1, 5],
)
@pytest.mark.parametrize(
    "empty_line",
    [b"\r\n\r\n", b"\r\r", b"\n\r\n"],
)
def test_a_stream_is_read_whole_wherever_its_pieces_end_and_however_its_lines_do(
    shared, upstream, size, empty_line
):
    whole = b"".join(stream_of("on", " its", " way", usage=True)).replace(b"\n\n", empty_line)
    pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
    upstream.answer = lambda seen: events(pieces, "text/event-stream")
    ask = {"model": "m", "max_tokens": 5, "messages": QUESTION["messages"], "stream": True}
    for path in ("/v1/messages", "/api/chat", "/v1/chat/completions"):
        _, headers, body = post(shared, ask, path=path)
        trace = trace_of(shared, headers["x-freehold-trace-id"])
        assert trace.response["choices"][0]["message"]["content"] == "on its way"
        assert trace.completeness == "complete" and trace.usage.completion_tokens == 3
        if path == "/v1/messages":
            told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]
            said = [one["delta"].get("text", "") for one in told if one["type"] == "content_block_delta"]
            assert "".join(said) == "on its way" and told[-1]["type"] == "message_stop"
        elif path == "/api/chat":
            lines = [json.loads(line) for line in body.splitlines()]
            assert "".join(one["message"]["content"] for one in lines) == "on its way" and lines[-1]["done"]


def test_a_redirect_to_another_host_reaches_it_with_nothing(upstream, tmp_path):
    stranger = FakeUpstream()
    visits = []

    def visited(seen):
        visits.append((seen.method, seen.place, seen.headers))
        return plain(ANSWER)

    stranger.answer = visited
    sent = {"authorization": "Bearer sk-theirs", "x-api-key": "sk-theirs", "openai-organization": "org"}
    asked = {**QUESTION, "max_tokens": 5}
    own = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
    changes = {"endpoints": (own,), "others_to": "incumbent", "retries": 0, "breaker_failures": 999}
    try:
        with gateway(upstream, tmp_path, **changes) as running:
            for status in (301, 302, 303, 307, 308):
                upstream.answer = lambda seen, status=status: plain(
                    b"", status=status, headers={"location": f"{stranger.base_url}{seen.path}"}
                )
                for path in (
                    "/v1/chat/completions",
                    "/v1/messages",
                    "/api/chat",
                    "/v1/responses",
                    "/v1/files",
                ):
                    for stream in (False, True):
                        about = {"model": "m", "input": "x"} if path == "/v1/responses" else asked
                        got, headers, body = post(
                            running, {**about, "stream": stream}, path=path, headers=sent
                        )
                        assert got == 502 and "location" not in headers, (path, body)
            assert upstream.seen and not visits
    finally:
        stranger.close()


def test_an_error_under_the_status_200_is_passed_over_where_another_endpoint_can_answer(upstream, tmp_path):
    error = json.dumps({"error": {"message": "Provider returned error", "code": 502}}).encode()
    spare = FakeUpstream()
    spare.answer = lambda seen: (
        events(stream_of("on"), "text/event-stream") if seen.json.get("stream") else plain(ANSWER)
    )
    upstream.answer = lambda seen: (
        events([b"data: " + error + b"\n\n"], "text/event-stream")
        if seen.json.get("stream")
        else plain(error)
    )
    endpoints = tuple(
        Endpoint(name=name, engine="remote", base_url=url, models=ANY_SERVED)
        for name, url in (("incumbent", upstream.base_url), ("spare", spare.base_url))
    )
    route = Route(
        name="r", model="m", incumbent=Target(endpoint="incumbent"), fallback=(Target(endpoint="spare"),)
    )
    changes = {"endpoints": endpoints, "routes": (route,), "retries": 0, "breaker_failures": 99}
    try:
        with gateway(upstream, tmp_path, **changes) as running:
            for path in ("/v1/chat/completions", "/v1/messages"):
                for streamed in (False, True):
                    asked = {**QUESTION, "max_tokens": 5, "stream": streamed}
                    status, headers, body = post(running, asked, path=path)
                    assert status == 200 and b"on" in body and b"error" not in body
                    assert headers["x-freehold-arm"] == "fallback"
            assert metric(running, 'freehold_fallbacks_total{route="r",why="failure"}') == 4
    finally:
        spare.close()
