"""The fake upstream of the benchmarks: answers at once, or streams chunks with a pause between them.

    python benchmarks/gateway/upstream.py PORT

A body with ``"stream":true`` is answered by 100 server-sent events. The model's name sets the pause between
them, in milliseconds (``stream-5``), or the pause before a plain answer (``slow-50``); 0 without a number. Events of
``stamped-5`` also say when they were written; a stream of ``brief-5`` has only the last five of the events.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

import uvloop

ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Your parcel is on its way and will arrive tomorrow between '
    b'nine and eleven."},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":17,'
    b'"total_tokens":217}}'
)
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNKS, BRIEF_CHUNKS = 100, 5


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(number: int) -> bytes:
    finish = b'"stop"' if number == CHUNKS - 1 else b"null"
    return _chunk(
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o",'
        b'"choices":[{"index":0,"delta":{"content":" token%d"},"finish_reason":%b}]}\n\n' % (number, finish)
    )


EVENTS = [_event(number) for number in range(CHUNKS)]
STREAM_END = _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_PAUSE = re.compile(rb'"model": ?"(?:stream|slow|stamped|brief)-(\d+)"')


class Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.open = True

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(self.buffer) < end + 4 + size:
                return
            body = self.buffer[end + 4 : end + 4 + size]
            self.buffer = self.buffer[end + 4 + size :]
            self.answer(body)

    def answer(self, body: bytes) -> None:
        pause = _PAUSE.search(body)
        seconds = int(pause[1]) / 1000 if pause else 0.0
        if b'"stream":true' in body or b'"stream": true' in body:
            self.transport.write(STREAM_HEAD)
            first = CHUNKS - BRIEF_CHUNKS if b'"brief-' in body else 0
            self.stream(first, seconds, stamped=b'"stamped-' in body)
        elif seconds:
            asyncio.get_running_loop().call_later(seconds, self.write, PLAIN)
        else:
            self.transport.write(PLAIN)

    def write(self, data: bytes) -> None:
        if self.open:
            self.transport.write(data)

    def stream(self, number: int, seconds: float, stamped: bool) -> None:
        if not self.open:
            return
        if number == CHUNKS:
            self.transport.write(STREAM_END)
            return
        event = EVENTS[number]
        if stamped:
            event = _chunk(b'data: {"sent_ns":%d,"choices":[{}]}\n\n' % time.monotonic_ns())
        self.transport.write(event)
        asyncio.get_running_loop().call_later(seconds, self.stream, number + 1, seconds, stamped)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(
        Upstream, "127.0.0.1", int(sys.argv[1]), backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
