"""Out of memory: compute less at once and go on."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

from freehold.errors import TrainingError
from freehold.training.formatting import Encoded
from freehold.training.trainer import Trainer

Result = TypeVar("Result")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the machine or on its GPU."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # PyTorch's CPU allocator and oneDNN raise plain RuntimeErrors.
    said = str(error)
    return isinstance(error, RuntimeError) and any(
        words in said
        for words in ("can't allocate memory", "not enough memory", "bad_alloc", "could not create a memory")
    )


def retry_smaller(
    trainer: Trainer,
    work: Callable[[Sequence[Encoded]], Result],
    samples: Sequence[Encoded],
    warn: Callable[[str], None],
) -> Result:
    """Do `work` on `samples`; while memory runs out, halve what is computed at once and try again.

    With one sample at a time, activations are computed again in the backward pass instead of kept. The optimizer's
    batch stays what it is, and so does the gradient. Raises `TrainingError` when not even that fits.
    """
    while True:
        try:
            return work(samples)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        # Outside of the handler: the traceback kept the tensors of the failed pass alive.
        _release(trainer)
        longest = max(len(sample.ids) for sample in samples)
        at_once = min(trainer.pack_tokens, sum(len(sample.ids) for sample in samples))
        if at_once <= longest:
            if trainer.recompute():
                warn("out of memory: activations are computed again in the backward pass, which takes longer")
                continue
            raise TrainingError(
                f"out of memory with one sample of {longest} tokens at a time: {reason[:200]}",
                hint="lower max_tokens (longer samples are then left out and named), or take a smaller base",
            )
        trainer.pack_tokens = at_once // 2
        warn(f"out of memory: at most {trainer.pack_tokens:,} tokens are computed at once from now on")


def _release(trainer: Trainer) -> None:
    import torch

    trainer.release()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
