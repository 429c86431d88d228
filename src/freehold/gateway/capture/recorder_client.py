"""A worker's side of the recorder: a bounded queue of messages, sent on in batches off the request path.

Each message is written to the worker's spool (`spool`) first and forgotten when the recorder acknowledges it: written
to the store, or given up and counted. So nothing is lost when a recorder dies, for what it had not acknowledged is sent
again to the next one, and nothing when the worker dies, for the recorder drains its spool. A trace or a bill that was
written just before is recognised by its id and not written twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec

from freehold.gateway.capture.frames import ACK, CHARGE, FRAME, TRACE, FrameReader, ack_counts, frame
from freehold.gateway.capture.spool import DROPS, Drop, Spool, SpoolSegment
from freehold.gateway.messages import CapturedExchange

FLUSH_EVERY_S = 0.05
RECONNECT_EVERY_S = 0.5
# Above this the recorder is behind: what follows waits in the spool, and in the end there is no room.
_IN_FLIGHT_BYTES = 4 * 1024 * 1024
_encode_into = msgspec.msgpack.Encoder().encode_into
Place = tuple[SpoolSegment, int, int, int]
"""Where a message stands in the spool: its segment, where it begins, its size; and its tag."""


class RecorderClient(asyncio.Protocol):
    """Takes traces without ever waiting, and counts those there was no room for.

    `max_items` and `max_bytes` bound what waits to be sent, or was sent and not acknowledged. `on_message` gets what
    the recorder sends: route tables and usage totals; `on_charged` is called once for each bill that is in the store.
    """

    def __init__(
        self,
        path: str,
        spool: Spool,
        *,
        max_items: int,
        max_bytes: int,
        on_message: Callable[[int, bytes], None],
        on_charged: Callable[[], None] = lambda: None,
    ) -> None:
        self.spool = spool
        self._path = path
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._on_message = on_message
        self._on_charged = on_charged
        self._queue: deque[Place] = deque()
        self._unacknowledged: dict[int, deque[Place]] = {TRACE: deque(), CHARGE: deque()}
        self._bytes = 0
        self._traces = 0
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._task: asyncio.Task[None] | None = None

    @property
    def captured(self) -> int:
        """Traces taken so far; each is stored or lost in the end, or still on its way."""
        return self._traces + sum(self.spool.settled)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def offer(self, captured: CapturedExchange) -> bool:
        """Keep one trace; False when there is no room. When this returns, the worker may die."""
        size = len(captured.request) + len(captured.response)
        if self._traces >= self._max_items or self._bytes + size > self._max_bytes:
            self.drop("queue")
            return False
        # Encoded behind the room for its frame, so that nothing is copied.
        message = bytearray(FRAME.size)
        _encode_into(captured, message, FRAME.size)
        FRAME.pack_into(message, 0, len(message) - FRAME.size, TRACE)
        if not self._append(message, TRACE):
            self.drop("disk")
            return False
        self._traces += 1
        return True

    def drop(self, why: Drop) -> None:
        """Count a trace that is not kept."""
        self.spool.drop(DROPS.index(why))

    def charge(self, payload: bytes) -> bool:
        """Keep one bill; False when there is no space on the disk. When this returns, the worker may die."""
        return self._append(frame(CHARGE, payload), CHARGE)

    def _append(self, message: bytes | bytearray, tag: int) -> bool:
        place = self.spool.append(message)
        if place is None:
            return False
        self._queue.append((*place, len(message), tag))
        self._bytes += len(message)
        return True

    async def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued and wait until it is acknowledged, then hang up. What is left stays in the spool."""
        if self._task is not None:
            self._task.cancel()
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._transport is not None and asyncio.get_running_loop().time() < deadline:
            self._flush()
            if self._bytes == 0:
                break
            await asyncio.sleep(0.01)
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._queue.clear()
        for places in self._unacknowledged.values():
            places.clear()
        self.spool.close()

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
        # Messages that stand one behind the other are taken in one piece.
        current, begun, ended = self._queue[0][0], self._queue[0][1], self._queue[0][1]
        while self._queue and room > 0:
            place = self._queue.popleft()
            segment, at, size, tag = place
            room -= size
            if segment is not current or at != ended:
                batch.append(current.data[begun:ended])
                current, begun = segment, at
            ended = at + size
            self._unacknowledged[tag].append(place)
        if ended > begun:
            batch.append(current.data[begun:ended])
            transport.write(batch[0] if len(batch) == 1 else b"".join(batch))

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

    def _acknowledged(self, tag: int, outcome: int, count: int) -> None:
        places = self._unacknowledged[tag]
        for _ in range(min(count, len(places))):
            segment, at, size, _ = places.popleft()
            self.spool.done(segment, at, outcome=outcome, counts=tag == TRACE)
            self._bytes -= size
            if tag == TRACE:
                self._traces -= 1
            else:
                self._on_charged()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        # In the order they were written, whatever their kind: bills are numbered.
        for places in self._unacknowledged.values():
            self._queue.extendleft(reversed(places))
            places.clear()
