"""The training methods: which trainer, fed with what. One line a method; the loop is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from freehold.errors import TrainingError
from freehold.training import job as jobs
from freehold.training.base import Base
from freehold.training.formatting import RejectedSample, format_samples
from freehold.training.trainer import Trainer
from freehold.types import strict
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Sample, SplitName


class FormattedSplit(NamedTuple):
    """A split as a trainer takes it, and what is not trained on."""

    samples: Sequence[Any]
    rejects: list[RejectedSample]


class Approach(NamedTuple):
    """One method. `make` builds a trainer for a loaded base, `format` tokenizes samples for it."""

    make: Callable[[Base, FinetuneConfig], Trainer]
    format: Callable[[Any, Iterable[Sample], FinetuneConfig], FormattedSplit]
    need: str = "add samples to the train split; a narrow task starts to work at about 100"

    def read(self, job: jobs.Job, tokenizer: Any, split: SplitName) -> FormattedSplit:
        """A split of the job's dataset, tokenized."""
        return self.format(tokenizer, jobs.read_samples(job.dataset, split), job.config)


def find(method: str) -> Approach:
    """The approach of that name. Raises `TrainingError` for one that is not here."""
    found = METHODS.get(method)
    if found is None:
        raise TrainingError(
            f"this version has no training method {method!r}", hint=f"methods: {', '.join(METHODS)}"
        )
    return found


def load_config(config: FinetuneConfig) -> FinetuneConfig:
    """The configuration the base is loaded with: full fine-tuning moves float32 weights."""
    return msgspec.structs.replace(config, precision="fp32") if config.method == "full" else config


def check(config: FinetuneConfig) -> None:
    """Raise `TrainingError` or `MissingExtraError` for options that can't work, before anything is loaded."""
    find(config.method)
    wrong = strict.misfit(config)
    if wrong is not None:
        raise TrainingError(wrong)


def _lora(base: Base, config: FinetuneConfig) -> Trainer:
    from freehold.training.methods.lora import LoraTrainer

    return LoraTrainer(base, config)


def _full(base: Base, config: FinetuneConfig) -> Trainer:
    from freehold.training.methods.full import FullTrainer

    return FullTrainer(base, config)


def _distill(base: Base, config: FinetuneConfig) -> Trainer:
    from freehold.training.methods.distill import DistillTrainer

    return DistillTrainer(base, config)


def _format_imitation(tokenizer: Any, samples: Iterable[Sample], config: FinetuneConfig) -> FormattedSplit:
    return FormattedSplit(
        *format_samples(tokenizer, samples, max_tokens=config.max_tokens, train_on=config.train_on)
    )


def _format_distillation(tokenizer: Any, samples: Iterable[Sample], config: FinetuneConfig) -> FormattedSplit:
    from freehold.training.methods.distill_samples import format_taught

    return FormattedSplit(*format_taught(tokenizer, samples, max_tokens=config.max_tokens))


METHODS: dict[str, Approach] = {
    "lora": Approach(_lora, _format_imitation),
    "qlora": Approach(_lora, _format_imitation),
    "distill": Approach(
        _distill, _format_distillation, "it needs the incumbent's answers: freehold import, or freehold up"
    ),
    "full": Approach(_full, _format_imitation),
}
