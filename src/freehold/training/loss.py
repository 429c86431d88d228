"""Cross-entropy in chunks.

With a vocabulary of 49k and more, the logits of all positions would be the largest tensor of a step by far.
Here only target positions are projected, a chunk at a time, and the gradient of the hidden states is made
while the chunk's logits are at hand, so nothing of vocabulary size outlives its chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from freehold.hardware.training_memory import CHUNK_ROWS

# The last chunk is filled up, so that few shapes are met (see `freehold.training.packing`).
_ROW_MULTIPLE = 32


def _logits(chunk: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Logits of rows, filled up with zeros' logits."""
    return functional.pad(chunk, (0, 0, 0, -chunk.shape[0] % _ROW_MULTIPLE)) @ weight.t()


def _cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, softcap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per row and the gradient of the logits."""
    logits = logits.float()
    if softcap is not None:
        logits = torch.tanh(logits / softcap).mul_(softcap)
    wanted = targets[:, None]
    log_sum = torch.logsumexp(logits, dim=1, keepdim=True)
    loss = log_sum - logits.gather(1, wanted)
    slope = torch.exp(logits - log_sum)
    slope.scatter_add_(1, wanted, slope.new_full(wanted.shape, -1.0))
    if softcap is not None:  # d cap·tanh(z/cap) / dz = 1 − tanh²
        slope.mul_(1 - (logits / softcap).square_())
    return loss[:, 0], slope


class ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of −log p(target) over rows: hidden (rows, width), head weight (vocabulary, width), targets (rows,)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        softcap: float | None,
    ) -> torch.Tensor:
        grad = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for begin in range(0, hidden.shape[0], CHUNK_ROWS):
            rows = slice(begin, begin + CHUNK_ROWS)
            logits, count = _logits(hidden[rows], weight), hidden[rows].shape[0]
            loss, slope = _cross_entropy(logits[:count], targets[rows], softcap)
            slope = functional.pad(slope.to(weight.dtype), (0, 0, 0, -count % _ROW_MULTIPLE))
            total += loss.sum()
            grad[rows] = (slope @ weight)[:count]
        ctx.save_for_backward(grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * grads[0].to(grad.dtype), None, None, None


def cross_entropy_sum(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    *,
    softcap: float | None = None,
) -> torch.Tensor:
    """Summed cross-entropy in nats, float32; differentiable in `hidden` only (the head is frozen)."""
    total: torch.Tensor = ChunkedCrossEntropy.apply(hidden, weight, targets, softcap)  # type: ignore[no-untyped-call]
    return total


def judge(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, *, softcap: float | None = None
) -> tuple[float, torch.Tensor]:
    """Summed cross-entropy, and for each row whether its target is the most likely token; no gradient."""
    total = 0.0
    right = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
    with torch.no_grad():
        for begin in range(0, hidden.shape[0], CHUNK_ROWS):
            rows = slice(begin, begin + CHUNK_ROWS)
            logits = _logits(hidden[rows], weight)[: hidden[rows].shape[0]]
            right[rows] = logits.argmax(dim=1) == targets[rows]
            total += float(_cross_entropy(logits, targets[rows], softcap)[0].sum())
    return total, right
