"""One training run on several workers: each computes its share of a batch, and sums make them one.

Data parallel, over `torch.distributed`: every worker holds the whole base and the same adapter; gradients are summed
before each step, so all take the same one, and the run is what one worker with the same batch makes, but for the order
of additions. Without a process group everything here is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def _is_distributed() -> bool:
    import torch.distributed as distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def rank() -> int:
    """This worker's number, from 0."""
    import torch.distributed as distributed

    return distributed.get_rank() if _is_distributed() else 0


def shard(items: Sequence[T]) -> Sequence[T]:
    """This worker's part of a batch; with more workers than items some get none."""
    if not _is_distributed():
        return items
    import torch.distributed as distributed

    return items[distributed.get_rank() :: distributed.get_world_size()]


def all_reduce(tensor: torch.Tensor) -> None:
    """Replace a tensor by its sum over all workers."""
    if _is_distributed():
        import torch.distributed as distributed

        # NCCL adds up what is on GPUs and nothing else.
        there = tensor.cuda() if distributed.get_backend() == "nccl" else tensor
        distributed.all_reduce(there)
        if there is not tensor:
            tensor.copy_(there)


def totals(*numbers: float) -> tuple[float, ...]:
    """Each number summed over all workers."""
    if not _is_distributed():
        return numbers
    import torch

    tensor = torch.tensor(numbers, dtype=torch.float64)
    all_reduce(tensor)
    return tuple(float(number) for number in tensor.tolist())


def from_first(number: float | None) -> float | None:
    """The first worker's number, on all workers; None where it has none."""
    if not _is_distributed():
        return number
    chosen = totals(*((0.0, 0.0) if number is None or rank() else (1.0, float(number))))
    return chosen[1] if chosen[0] else None
