"""The training methods: which trainer, fed with what. One loop for all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from freehold.errors import TrainingError
from freehold.training import job as jobs
from freehold.training.base import Base
from freehold.training.formatting import EncodedSamples, format_samples
from freehold.training.trainer import Trainer
from freehold.types import strict
from freehold.types.config import FinetuneConfig
from freehold.types.config.train import Method
from freehold.types.dataset import Sample, SplitName


def check(config: FinetuneConfig) -> None:
    """Raise `TrainingError` for options that can't work, before anything is loaded."""
    if config.method not in get_args(Method):
        raise TrainingError(
            f"there is no training method {config.method!r}", hint=f"methods: {', '.join(get_args(Method))}"
        )
    wrong = strict.misfit(config)
    if wrong is not None:
        raise TrainingError(wrong)


def load_config(config: FinetuneConfig) -> FinetuneConfig:
    """The configuration the base is loaded with: full fine-tuning moves float32 weights."""
    return msgspec.structs.replace(config, precision="fp32") if config.method == "full" else config


def make(base: Base, config: FinetuneConfig) -> Trainer:
    """The trainer of the method, for a loaded base."""
    if config.method == "full":
        from freehold.training.methods.full import FullTrainer

        return FullTrainer(base, config)
    from freehold.training.methods.lora import LoraTrainer

    return LoraTrainer(base, config)


def format_split(tokenizer: Any, samples: Iterable[Sample], config: FinetuneConfig) -> EncodedSamples:
    """Samples as a run takes them, and what is not trained on."""
    return format_samples(tokenizer, samples, max_tokens=config.max_tokens, train_on=config.train_on)


def read(job: jobs.Job, tokenizer: Any, split: SplitName) -> EncodedSamples:
    """A split of the job's dataset, tokenized."""
    return format_split(tokenizer, jobs.read_samples(job.dataset, split), job.config)
