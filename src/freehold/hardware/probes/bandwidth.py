"""Memory bandwidth, measured in well under a second by reading a block far larger than the caches."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

BLOCK_BYTES = 64 << 20
ROUNDS = 4


def measure(threads: int) -> float:
    """Bytes a second that `threads` threads together read from memory (best of a few rounds).

    Each thread sums its own block, as decoding reads each weight once; numpy lets other threads run meanwhile.
    """
    import numpy as np

    blocks = [np.ones(BLOCK_BYTES // 8, dtype=np.float64) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            list(pool.map(lambda block: float(block.sum()), blocks))
            best = max(best, threads * BLOCK_BYTES / (time.perf_counter() - began))
    return best
