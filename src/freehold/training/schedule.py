"""Which samples make which step, and how large each step is. Pure: the same seed gives the same run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from freehold.training.formatting import Encoded
from freehold.types.config import FinetuneConfig


def steps_per_epoch(samples: int, batch_size: int) -> int:
    return math.ceil(samples / batch_size)


def total_steps(samples: int, config: FinetuneConfig) -> int:
    """Steps of a whole run, at least one."""
    return max(1, math.ceil(config.epochs * steps_per_epoch(samples, config.batch_size)))


def batch_indices(step: int, samples: int, config: FinetuneConfig) -> list[int]:
    """Indices of the samples of a step (from 0): each epoch is its own permutation, made from the seed."""
    each = steps_per_epoch(samples, config.batch_size)
    epoch, at = divmod(step, each)
    order = np.random.default_rng((config.seed, epoch)).permutation(samples)
    return [int(index) for index in order[at * config.batch_size : (at + 1) * config.batch_size]]


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


def learning_rate(step: int, steps: int, config: FinetuneConfig) -> float:
    """Rate of a step (from 0): linear warm-up, then cosine or linear decay to zero, or constant."""
    warmup = math.ceil(config.warmup_ratio * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.lr_scheduler == "constant":
        return config.learning_rate
    done = (step - warmup) / max(1, steps - warmup)
    if config.lr_scheduler == "linear":
        return config.learning_rate * (1 - done)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
