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
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, gateway, stream_of, trace_of

from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Route, Target


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


@pytest.mark.parametrize(
    "content_type", ["Text/Event-Stream", "text/event-stream;charset=UTF-8", "TEXT/EVENT-STREAM"]
)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_a_stream_is_known_by_its_type_however_it_is_spelt_and_its_lines_end(
    shared, upstream, content_type, ends
):
    upstream.answer = lambda seen: events(
        [chunk.replace(b"\n", ends) for chunk in stream_of("on", " its", " way", usage=True)], content_type
    )
    raw = client(shared).chat.completions.with_raw_response.create(**QUESTION, stream=True)
    words = [part.choices[0].delta.content or "" for part in raw.parse() if part.choices]
    assert "".join(words) == "on its way"
    trace = trace_of(shared, raw.headers["x-freehold-trace-id"])
    assert trace.streamed and trace.response["choices"][0]["message"]["content"] == "on its way"
    ask = {"model": "m", "max_tokens": 5, "messages": QUESTION["messages"], "stream": True}
    _, headers, body = post(shared, ask, path="/v1/messages")
    assert headers["content-type"] == "text/event-stream"
    told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]
    said = [one["delta"].get("text", "") for one in told if one["type"] == "content_block_delta"]
    assert "".join(said) == "on its way" and told[-1]["type"] == "message_stop"


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", "nonsense"])
def test_an_answer_of_a_wrong_type_is_passed_on_as_it_came_or_told(shared, upstream, content_type):
    upstream.answer = lambda seen: events([b"<html>busy</html>"], content_type)
    status, headers, body = post(shared, QUESTION)
    assert (status, body) == (200, b"<html>busy</html>") and headers["content-type"] == content_type
    ask = {"model": "m", "max_tokens": 5, "messages": QUESTION["messages"]}
    status, _, body = post(shared, ask, path="/v1/messages")
    assert status == 502 and b"cannot be read" in body


class Socket:
    """A server that answers every request with the same bytes, and then closes its side, or says no more."""

    def __init__(self, answer, *, closes):
        self._answer, self._closes = answer, closes
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
                writer.write(self._answer)
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


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (WHOLE, 200),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + DATA, 200),
        (WHOLE[:-10], 502),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", None),
        (b"HTTP/1.1 200", 502),
        (b"", 502),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files"])
def test_an_upstream_that_closes_its_side_is_whole_or_told_as_cut(upstream, tmp_path, path, answer, status):
    odd = Socket(answer, closes=True)
    one = Endpoint(name="incumbent", engine="remote", base_url=odd.base_url, models=ANY_SERVED)
    try:
        with gateway(
            upstream, tmp_path, endpoints=(one,), others_to="incumbent", retries=0, breaker_failures=99
        ) as running:
            for _ in range(3):
                got = asked(running, path)
                # What has begun can only be broken off.
                begun = answer[:12] == b"HTTP/1.1 200" and len(answer) > 12 and path == "/v1/files"
                assert got == status or (got is None and (status is None or begun))
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
