"""How a worker and the recorder talk over their socket: messages of a length, a tag and a payload."""

from __future__ import annotations

import struct

FRAME = struct.Struct(">IB")
TAG_AT = 4
# A spool file keeps other bits next to the tag: no tag may be above 7.
TRACE, TABLE, TOTALS, ACK, CHARGE = 1, 3, 4, 5, 6
# Tag, outcome and count of the messages that are acknowledged, in the order they were sent.
_ACK = struct.Struct(">BBI")


def frame(tag: int, payload: bytes) -> bytes:
    """One message between worker and recorder: length, tag, payload."""
    return FRAME.pack(len(payload), tag) + payload


def ack(tag: int, count: int, outcome: int = 0) -> bytes:
    """The recorder acknowledges `count` more messages of a kind: they need not be sent again.

    For traces `outcome` says what became of them, see `spool.OUTCOMES`.
    """
    return frame(ACK, _ACK.pack(tag, outcome, count))


def ack_counts(payload: bytes) -> tuple[int, int, int]:
    """The tag, the outcome and the number of messages that an acknowledgement is about."""
    tag, outcome, count = _ACK.unpack(payload)
    return tag, outcome, count


class FrameReader:
    """Cuts a stream of bytes into `(tag, payload)` messages."""

    __slots__ = ("_needed", "_pending")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._needed = FRAME.size

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                # A long message in many pieces: nothing is parsed before it is complete.
                return []
            data = bytes(self._pending)
            self._pending.clear()
        messages, start, available = [], 0, len(data)
        self._needed = FRAME.size
        while available - start >= FRAME.size:
            size, tag = FRAME.unpack_from(data, start)
            end = start + FRAME.size + size
            if available < end:
                self._needed = end - start
                break
            messages.append((tag, data[start + FRAME.size : end]))
            start = end
        self._pending += data[start:] if start else data
        return messages
