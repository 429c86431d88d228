"""Options of a run: checked, and chosen where they were left open (rate by the size of the base, passes by the number
of samples). Pure."""

from __future__ import annotations

import math
import re

import msgspec

from freehold.errors import TrainingError
from freehold.training.schedule import steps_per_epoch
from freehold.types import strict
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights

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

# A weight of the base moves less than one of an adapter: what is usual for all weights, against LoRA.
_OF_FULL = 0.05

# Bits a weight takes in llama.cpp's formats, scales included, by the number in the format's name.
_BITS = {"2": 2.9, "3": 3.8, "4": 4.8, "5": 5.7, "6": 6.6, "8": 8.5, "16": 16.0, "32": 32.0}


def check(config: FinetuneConfig) -> None:
    """Raise `TrainingError` for options that can't work, before anything is loaded."""
    wrong = strict.misfit(config)
    if wrong is not None:
        raise TrainingError(wrong)


def check_rank(config: FinetuneConfig, smallest: int) -> None:
    """Raise `TrainingError` for a rank above the narrowest side of the layers it adapts."""
    if config.method != "full" and config.r > smallest:
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
    rate, epochs = config.learning_rate, config.epochs
    if rate == 0:
        size = weight_count(base)
        rate = next(rate for largest, rate in _RATES if size <= largest)
        rate *= _OF_FULL if config.method == "full" else 1.0
    if epochs == 0:
        each = steps_per_epoch(max(samples, 1), config.batch_size)
        epochs = float(min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_STEPS_WANTED / each))))
    return msgspec.structs.replace(config, learning_rate=rate, epochs=epochs)


def weight_count(base: Weights) -> float:
    """About how many weights a file holds, by its size and its number format (16 bits where that is unknown)."""
    found = re.search(r"(?:Q|F|BF|FP)(\d+)", base.quantization.upper())
    bits = _BITS.get(found.group(1), 16.0) if found else 16.0
    return base.bytes * 8 / bits
