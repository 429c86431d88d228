"""A worker's side of the recorder: a bounded queue of traces, sent on in batches off the request path.

What was sent is held until the recorder acknowledges it: written, or given up and counted. Nothing is lost when a
recorder dies; what it had not acknowledged is sent again to the next one. A trace that was written just before is
recognised by its id and not written twice. Money may then be counted twice, on the side of the cap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec

from freehold.gateway.capture.frames import ACK, FRAME, TAG_AT, TRACE, USE, FrameReader, ack_counts, frame
from freehold.gateway.messages import CapturedExchange

FLUSH_EVERY_S = 0.05
RECONNECT_EVERY_S = 0.5
# Above this the recorder is behind: what follows waits in the bounded queue here, and then is dropped.
_IN_FLIGHT_BYTES = 4 * 1024 * 1024
_encode_into = msgspec.msgpack.Encoder().encode_into


class RecorderClient(asyncio.Protocol):
    """Takes traces without ever waiting; `dropped` counts those there was no room for.

    `max_items` and `max_bytes` bound what waits to be sent, or was sent and not acknowledged. `on_message` gets what
    the recorder sends: route tables and usage totals.
    """

    def __init__(
        self, path: str, *, max_items: int, max_bytes: int, on_message: Callable[[int, bytes], None]
    ) -> None:
        self._path = path
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._on_message = on_message
        self._queue: deque[bytes | bytearray] = deque()
        self._unacknowledged: dict[int, deque[bytes | bytearray]] = {TRACE: deque(), USE: deque()}
        self._bytes = 0
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._task: asyncio.Task[None] | None = None
        self.captured = 0
        self.dropped = 0

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, captured: CapturedExchange) -> bool:
        """Queue one trace; False when there is no room."""
        size = len(captured.request) + len(captured.response)
        waiting = len(self._queue) + len(self._unacknowledged[TRACE])
        if waiting >= self._max_items or self._bytes + size > self._max_bytes:
            self.dropped += 1
            return False
        # Encoded behind the room for its frame, so that nothing is copied.
        message = bytearray(FRAME.size)
        _encode_into(captured, message, FRAME.size)
        FRAME.pack_into(message, 0, len(message) - FRAME.size, TRACE)
        self._push(message)
        self.captured += 1
        return True

    def send(self, tag: int, payload: bytes) -> None:
        """Queue another message; there are few of them, so they always find room."""
        self._push(frame(tag, payload))

    def _push(self, message: bytes | bytearray) -> None:
        self._queue.append(message)
        self._bytes += len(message)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued, then hang up."""
        if self._task is not None:
            self._task.cancel()
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._transport is not None and asyncio.get_running_loop().time() < deadline:
            self._flush()
            if not self._queue and self._transport.get_write_buffer_size() == 0:
                break
            await asyncio.sleep(0.01)
        if self._transport is not None:
            self._transport.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._transport is None:
                try:
                    await loop.create_unix_connection(lambda: self, self._path)
                except OSError:
                    # The recorder is starting, or is being started again; the queue holds what it can.
                    await asyncio.sleep(RECONNECT_EVERY_S)
                    continue
            self._flush()
            await asyncio.sleep(FLUSH_EVERY_S)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or not self._queue:
            return
        room = _IN_FLIGHT_BYTES - transport.get_write_buffer_size()
        batch = []
        while self._queue and room > 0:
            message = self._queue.popleft()
            room -= len(message)
            self._unacknowledged[message[TAG_AT]].append(message)
            batch.append(message)
        if batch:
            transport.write(b"".join(batch))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's, but have the same methods.
        self._transport = cast("asyncio.Transport", transport)
        self._reader = FrameReader()

    def data_received(self, data: bytes) -> None:
        for tag, payload in self._reader.feed(data):
            if tag == ACK:
                self._acknowledged(*ack_counts(payload))
            else:
                self._on_message(tag, payload)

    def _acknowledged(self, tag: int, count: int) -> None:
        messages = self._unacknowledged[tag]
        for _ in range(min(count, len(messages))):
            self._bytes -= len(messages.popleft())

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        for messages in self._unacknowledged.values():
            self._queue.extendleft(reversed(messages))
            messages.clear()
