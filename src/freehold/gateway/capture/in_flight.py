"""What gateways have answered and the store does not have yet, seen from another process through their spools.

Who deletes something from the store must know: a trace that is on its way is written a moment later. Messages are only
read here. A worker overwrites what it is done with, so that afterwards a spool holds nothing of it either.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from freehold.gateway.capture.frames import FRAME, TRACE
from freehold.gateway.capture.spool import messages_in, parts_of, store_digest

Message = tuple[str, int, bytes]
"""Where a message stands, and the digest of what it says: a place is used again when all before it is done with."""
_POLL_S = 0.05


def in_flight(folder: Path, store_url: str) -> frozenset[Message]:
    """The traces in a spool folder that are on their way to this store. Raises `OSError`."""
    return frozenset(_messages(folder, f"{store_digest(store_url)}-*.worker"))


def of_other_stores(folder: Path, store_url: str) -> int:
    """How many traces wait there for a store of another address: no gateway of this one writes them."""
    return len(set(_messages(folder, "*.worker"))) - len(in_flight(folder, store_url))


def await_written(
    folder: Path, store_url: str, *, within_s: float, tell: Callable[[int], None] = lambda left: None
) -> int:
    """Wait until what is on its way now has come to its end, stored or counted as lost; what comes later is not waited
    for. Returns how many are still on their way after `within_s` seconds. Raises `OSError`."""
    deadline_s = time.monotonic() + within_s
    left = in_flight(folder, store_url)
    while left and time.monotonic() < deadline_s:
        tell(len(left))
        time.sleep(_POLL_S)
        left &= in_flight(folder, store_url)
    return len(left)


def _messages(folder: Path, pattern: str) -> list[Message]:
    found: list[Message] = []
    for worker_file in folder.glob(pattern):
        for part in parts_of(worker_file):
            try:
                data = part.read_bytes()
            except FileNotFoundError:  # all of it was done with in between
                continue
            for at, tag, size, _, done in messages_in(data):
                if tag == TRACE and not done:
                    payload = data[at + FRAME.size : at + FRAME.size + size]
                    found.append((part.name, at, hashlib.blake2b(payload, digest_size=16).digest()))
    return found
