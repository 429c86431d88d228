"""Which samples make which step, and how large each step is. Pure: the same seed gives the same run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from freehold.late import np
from freehold.training.formatting import Encoded
from freehold.types.config import FinetuneConfig

if TYPE_CHECKING:
    import numpy.typing as npt

WINDOW = 50
"""Batches among which samples of like length are put together, as `group_by_length` of transformers has it."""


class RateCurve(NamedTuple):
    """How the rate goes over a run: it rises over `warmup`, a share of the steps, then falls to zero, linearly
    or along a cosine."""

    warmup: float
    is_linear: bool


COSINE = RateCurve(0.05, is_linear=False)
"""Of adapters and whole models: as usual with LoRA."""
LINEAR = RateCurve(0.1, is_linear=True)
"""Of encoders (Mosbach et al. 2021, On the stability of fine-tuning BERT)."""


def steps_per_epoch(samples: int, batch_size: int) -> int:
    return math.ceil(samples / batch_size)


def total_steps(samples: int, config: FinetuneConfig) -> int:
    """Steps of a whole run, at least one."""
    return max(1, math.ceil(config.epochs * steps_per_epoch(samples, config.batch_size)))


def epoch_order(
    epoch: int, samples: int, config: FinetuneConfig, lengths: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[np.int64]:
    """Indices of all samples in the order in which an epoch (from 0) sees them: its own permutation, made from the
    seed.

    With `lengths` (tokens of each sample), samples of a batch are of like length: little is padded then. Which batch
    comes first stays a matter of chance.
    """
    random = np.random.default_rng((config.seed, epoch))
    order = random.permutation(samples)
    return order if lengths is None else _alike(order, lengths, config.batch_size, random)


def _alike(
    order: npt.NDArray[np.int64], lengths: npt.NDArray[np.intp], size: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    made = []
    for start in range(0, len(order), WINDOW * size):
        part = order[start : start + WINDOW * size]
        part = part[np.argsort(lengths[part], kind="stable")]
        whole = len(part) // size * size  # a last batch that is not full stays the last
        made += [random.permutation(part[:whole].reshape(-1, size)).ravel(), part[whole:]]
    return np.concatenate(made)


def split_batch(samples: Sequence[Encoded], pack_tokens: int) -> list[list[Encoded]]:
    """Parts of a batch that are computed at once: like lengths together, at most `pack_tokens` each.

    A sample longer than that is a part of its own. Deterministic.
    """
    parts: list[list[Encoded]] = []
    room = 0
    for sample in sorted(samples, key=lambda sample: (len(sample.ids), sample.id)):
        if len(sample.ids) > room or not parts:
            parts.append([])
            room = pack_tokens
        parts[-1].append(sample)
        room -= len(sample.ids)
    return parts


def learning_rate(step: int, steps: int, peak: float, rates: RateCurve) -> float:
    """Rate of a step (from 0)."""
    warmup = math.ceil(rates.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * ((1 - done) if rates.is_linear else 0.5 * (1 + math.cos(math.pi * done)))
