"""How long a run would take, estimated from how fast this machine multiplies matrices of the base's sizes.

For when nothing was measured with the base yet: no weights are loaded, half a second of products is. They are timed by
wall clock, so a busy machine counts as slow as it is at that moment.

Covered: adapters and all weights, on a CPU, in bf16 and float32; samples' shared beginning, recomputed activations.
Not covered: GPUs, where a small model waits for its launches and not for its arithmetic (nothing was measured on one).
"""

from __future__ import annotations

import time
from typing import NamedTuple

from freehold.types.config import FinetuneConfig
from freehold.types.model import Shape

SECONDS = 0.5
# Sides of the matrix and tokens at once: of a large base a part, so that a slow machine has done one product in time.
_WIDEST, _DEEPEST = 4096, 8192
_FEWEST_ROWS, _MOST_ROWS = 64, 1024
_OPERATIONS = 4e9

# Share of the products' speed that whole runs reach, lowest and highest expected: what was measured, and room for
# machines that are not the one it was measured on (docs/concepts/training-speed.md).
SHARES = {"fused": (0.12, 0.8), "modules": (0.05, 0.5)}

# Operations per weight and token: two forward, two for the gradient of what goes in, two for that of the weight itself.
_FORWARD, _BACK, _WEIGHT = 2.0, 2.0, 2.0


class TokenCounts(NamedTuple):
    """What a run computes: tokens that pass the layers, and those of them with a loss."""

    tokens: float
    learned_tokens: float


def products_per_second(shape: Shape, *, bf16: bool, threads: int | None = None) -> float:
    """Floating-point operations a second in products with one of the base's larger matrices, there and back, on the
    CPU."""
    import torch

    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        width = min(_WIDEST, shape.hidden)
        inner = min(_DEEPEST, shape.experts.ffn if shape.experts is not None else shape.ffn)
        count = max(_FEWEST_ROWS, min(_MOST_ROWS, int(_OPERATIONS / (4 * width * inner))))
        dtype = torch.bfloat16 if bf16 else torch.float32
        rows, back = torch.randn(count, width, dtype=dtype), torch.empty(count, width, dtype=dtype)
        weights, out = torch.randn(inner, width, dtype=dtype), torch.empty(count, inner, dtype=dtype)

        def product() -> None:
            torch.mm(rows, weights.t(), out=out)
            torch.mm(out, weights, out=back)

        product()
        times, begin = 0, time.perf_counter()
        while (taken := time.perf_counter() - begin) < SECONDS or not times:
            product()
            times += 1
        return 4.0 * count * width * inner * times / taken
    finally:
        torch.set_num_threads(before)


def operations(
    work: TokenCounts, weights: float, head: float, adapter: float, config: FinetuneConfig
) -> float:
    """Floating-point operations of a run: `weights` that every token passes, `head` for those with a loss, `adapter`
    trained ones."""
    each = _FORWARD + _BACK + (_WEIGHT if config.method == "full" else 0.0)
    if config.gradient_checkpointing:
        each += _FORWARD
    own = 0.0 if config.method == "full" else (_FORWARD + _BACK + _WEIGHT) * adapter
    return work.tokens * (each * weights + own) + work.learned_tokens * each * head


def seconds(operations: float, products: float, *, fused: bool) -> tuple[float, float]:
    """Shortest and longest time expected, from operations and the speed of products."""
    low, high = SHARES["fused" if fused else "modules"]
    return operations / (products * high), operations / (products * low)
