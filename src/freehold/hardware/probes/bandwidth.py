"""Memory bandwidth, measured in well under a second by reading a block far larger than the caches.

Each thread reads its own block in small pieces and times each. Their median is right on a busy machine, too: a thread
that loses its core for a moment spoils one piece, not the measurement. (At a load of nine on two cores whole blocks
gave 3 to 6 GB/s, medians of pieces 23 to 26.)
"""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

BLOCK_BYTES = 64 << 20
PIECE_BYTES = 2 << 20
ROUNDS = 4


def measure(threads: int) -> float:
    """Bytes a second that `threads` threads together work through.

    A piece is compared by the C library with its equal half a block further on, and counted once: scanning alone is
    faster than any arithmetic, and engines reach of this rate what `freehold.hardware.speed` expects. Other threads
    run meanwhile.
    """
    compare = ctypes.CDLL("msvcrt" if os.name == "nt" else None).memcmp
    compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    blocks = [bytearray(b"\1") * BLOCK_BYTES for _ in range(threads)]

    def rate(block: bytearray) -> float:
        start = ctypes.addressof(ctypes.c_char.from_buffer(block))
        seconds = []
        for _ in range(ROUNDS):
            for begin in range(0, BLOCK_BYTES, PIECE_BYTES):
                other = (begin + BLOCK_BYTES // 2) % BLOCK_BYTES
                began = time.perf_counter()
                compare(start + begin, start + other, PIECE_BYTES)
                seconds.append(time.perf_counter() - began)
        return PIECE_BYTES / statistics.median(seconds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(rate, blocks))
