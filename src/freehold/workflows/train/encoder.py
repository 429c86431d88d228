"""A dataset and a sentence encoder become an encoder that answers, which the project owns."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from freehold.errors import InputError
from freehold.progress import Progress
from freehold.settings import Settings
from freehold.training import encoder
from freehold.types.dataset import DataCard, Dataset
from freehold.types.encoder import EncoderConfig, EncoderLimits, EncoderModel
from freehold.types.model import Weights
from freehold.workflows.train.train import follow

log = logging.getLogger(__name__)

FOLDER = "encoders"
"""Of a project's state: where its encoders are."""
ENGLISH_BASE = "sentence-transformers/all-MiniLM-L6-v2"
MULTILINGUAL_BASE = "intfloat/multilingual-e5-small"
FOREIGN_SHARE = 0.1
"""Share of samples in other languages than English from which a base must know more than English."""


def train_encoder(
    *,
    config: EncoderConfig,
    dataset: Dataset,
    base: Weights,
    out_dir: Path,
    name: str,
    settings: Settings,
    progress: Progress,
    unlabelled: Sequence[str] = (),
    limits: EncoderLimits | None = None,
) -> EncoderModel:
    """Train an encoder in a child process, or return it when the same job has been done before.

    `unlabelled` are texts of the same traffic without an answer. An interrupted job goes on where it was. It has many
    parameters, each a part of the job. Raises `UsageError` where the answers are none that an encoder can give,
    `TrainingError`, `WeightsError`, `InputError`, `StorageError` and `MissingExtraError`, each with the way out.
    """
    encoder.require(base)
    job = encoder.make(
        config=config,
        dataset=dataset,
        base=base,
        out_dir=out_dir,
        name=name,
        unlabelled=unlabelled,
        limits=limits,
        threads=settings.threads,
    )
    done = encoder.finished(job)
    if done is not None:
        log.info("encoder %s is done already", done.id)
        progress.say(f"encoder {done.name} is there already: {done.path}")
        return done
    encoder.check(job)
    progress.update(0, None, unit="texts", note=f"loading {base.model_id}")
    # Closed at once when this is interrupted: the worker then writes down what is done.
    with contextlib.closing(encoder.train(job)) as events:
        follow(events, progress)
    made = encoder.finished(job)
    if made is None:
        raise InputError("the trainer ended without a whole encoder", path=job.folder)
    return made


def foreign_share(card: DataCard | None) -> float:
    """Share of a dataset's training samples that are not in English; 0 where their language was not looked for."""
    counted = {} if card is None else dict(card.splits["train"].languages)
    counted.pop("short", None)
    total = sum(counted.values())
    return (total - counted.get("en", 0)) / total if total else 0.0


def base_for(foreign: float) -> str:
    """The base that suits traffic of which a share is not in English. Both come from the package index."""
    return MULTILINGUAL_BASE if foreign >= FOREIGN_SHARE else ENGLISH_BASE
