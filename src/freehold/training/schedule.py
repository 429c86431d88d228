"""Which samples make which step, how large each step is, and options of a run that can work. Pure: the same seed gives
the same run."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from freehold.errors import TrainingError
from freehold.late import np
from freehold.training.formatting import Encoded
from freehold.types import record
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights

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


FEWEST_SAMPLES = 4
"""Fewer can't say anything about a task."""

FEWEST_VALIDATION = 8
"""Validation samples below which nothing is said about how well answers were learned."""

# Small sets are gone through more often, until this many steps are made …
_STEPS_WANTED = 200
# … but never more often than this: the samples are known by heart then.
_MOST_EPOCHS = 15
_FEWEST_EPOCHS = 4

# Largest base, in weights, and its peak rate. The first is measured (docs/concepts/training-speed.md), the
# others are what is usual for LoRA at these sizes: ten times and more what all weights are trained with. Batches stay
# small (`batch_size`, 32), since an adapter bears large ones less well (Schulman et al. 2025, LoRA Without Regret).
_RATES = ((0.7e9, 1e-3), (2e9, 5e-4), (math.inf, 2e-4))


# Bits a weight takes in llama.cpp's formats, scales included, by the number in the format's name.
_BITS = {"2": 2.9, "3": 3.8, "4": 4.8, "5": 5.7, "6": 6.6, "8": 8.5, "16": 16.0, "32": 32.0}


def check(config: FinetuneConfig) -> None:
    """Raise `TrainingError` for options that can't work, before anything is loaded."""
    wrong = record.misfit(config)
    if wrong is not None:
        raise TrainingError(wrong)


def check_rank(config: FinetuneConfig, smallest: int) -> None:
    """Raise `TrainingError` for a rank above the narrowest side of the layers it adapts."""
    if config.r > smallest:
        raise TrainingError(
            f"rank r={config.r} is larger than the smallest adapted layer ({smallest})",
            hint=f"choose r of at most {max(1, smallest // 4)}",
        )


def check_count(usable: int, first_reject: str | None) -> None:
    """Raise `TrainingError` for fewer samples than can say anything about a task."""
    if usable < FEWEST_SAMPLES:
        first = f"; first reject: {first_reject}" if first_reject else ""
        raise TrainingError(
            f"{usable} samples can be trained on, at least {FEWEST_SAMPLES} are needed{first}",
            hint="add samples to the train split; a narrow task starts to work at about 100",
        )


def resolved(config: FinetuneConfig, base: Weights, samples: int) -> FinetuneConfig:
    """The same options with everything chosen that was left to freehold."""
    rate = config.learning_rate
    if rate == 0:
        size = weight_count(base)
        rate = next(rate for largest, rate in _RATES if size <= largest)
    return msgspec.structs.replace(config, learning_rate=rate, epochs=epochs_of(config, samples))


def epochs_of(config: FinetuneConfig, samples: int) -> float:
    """How often the samples are passed: as stated, else as often as makes the usual number of steps."""
    if config.epochs:
        return config.epochs
    each = steps_per_epoch(max(samples, 1), config.batch_size)
    return float(min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_STEPS_WANTED / each))))


def weight_count(base: Weights) -> float:
    """About how many weights a file holds, by its size and its number format (16 bits where that is unknown)."""
    found = re.search(r"(?:Q|F|BF|FP)(\d+)", base.quantization.upper())
    bits = _BITS.get(found.group(1), 16.0) if found else 16.0
    return base.bytes * 8 / bits
