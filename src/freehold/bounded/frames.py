"""Messages between the caller, the nursery and the runner: a short head and some parts, each as long as it likes."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import msgspec

_SIZES = struct.Struct(">IQ")
PREFIX_BYTES = _SIZES.size
_PIECE_BYTES = 1024 * 1024


class Head(msgspec.Struct, array_like=True):
    """Of a job: its name and limits. Of a reply: how it ended (`outcome`), and what went wrong."""

    sizes: list[int]
    job: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int = 0
    outcome: str = ""
    why: str = ""


def encoded(head: Head) -> bytes:
    """The head as it goes over a socket, before its parts."""
    data = msgspec.msgpack.encode(head)
    return _SIZES.pack(len(data), sum(head.sizes)) + data


def sizes_of(prefix: bytes) -> tuple[int, int]:
    """How long the head is, and all the parts together."""
    head, parts = _SIZES.unpack(prefix)
    return head, parts


def decoded(data: bytes) -> Head:
    return msgspec.msgpack.decode(data, type=Head)


def parts_of(head: Head, data: bytes) -> list[bytes]:
    """The parts, cut from what follows the head."""
    parts, start = [], 0
    for size in head.sizes:
        parts.append(data[start : start + size])
        start += size
    return parts


def send(link: socket.socket, head: Head, parts: Sequence[bytes]) -> None:
    """Send a message on a blocking socket."""
    link.sendall(encoded(head))
    for part in parts:
        if part:
            link.sendall(part)


def receive(link: socket.socket, *, deadline_s: float | None = None) -> tuple[Head, list[bytes]] | None:
    """The next message of a blocking socket; None at its end. Raises `TimeoutError` at the deadline (monotonic)."""
    prefix = _exactly(link, PREFIX_BYTES, deadline_s)
    if prefix is None:
        return None
    head_size, size = sizes_of(prefix)
    head_data = _exactly(link, head_size, deadline_s)
    data = _exactly(link, size, deadline_s)
    if head_data is None or data is None:
        return None
    head = decoded(head_data)
    return head, parts_of(head, data)


def _exactly(link: socket.socket, size: int, deadline_s: float | None) -> bytes | None:
    data = bytearray(size)
    view: Any = memoryview(data)
    at = 0
    while at < size:
        if deadline_s is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            link.settimeout(left_s)
        count = link.recv_into(view[at : at + _PIECE_BYTES])
        if not count:
            return None
        at += count
    view.release()
    return bytes(data)
