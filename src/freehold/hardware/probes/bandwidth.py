"""Memory bandwidth, measured in well under a second by reading a block far larger than the caches.

Each thread reads its own block in small pieces and times each. Their median is right on a busy machine, too: a thread
that loses its core for a moment spoils one piece, not the measurement. (At a load of nine on two cores whole blocks
gave 3 to 6 GB/s, medians of pieces 23 to 26.)
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

BLOCK_BYTES = 64 << 20
PIECE_BYTES = 2 << 20
ROUNDS = 4


def measure(threads: int) -> float:
    """Bytes a second that `threads` threads together read from memory.

    A piece is summed, as decoding reads each weight once; numpy lets other threads run meanwhile.
    """
    import numpy as np

    blocks = [np.ones(BLOCK_BYTES // 8, dtype=np.float64) for _ in range(threads)]
    values = PIECE_BYTES // 8

    def rate(block: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        seconds = []
        for _ in range(ROUNDS):
            for begin in range(0, len(block), values):
                began = time.perf_counter()
                float(block[begin : begin + values].sum())
                seconds.append(time.perf_counter() - began)
        return PIECE_BYTES / statistics.median(seconds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(rate, blocks))
