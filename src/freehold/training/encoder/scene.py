"""What the stages of a run share: the samples with their embeddings, and what a stage comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from freehold.training.encoder import base as bases
from freehold.training.encoder.answers import TaughtForm
from freehold.training.encoder.base import EncodedTexts, Floats, TorchBase
from freehold.training.encoder.frozen import Features, Fitted
from freehold.training.encoder.job import EncoderJob
from freehold.training.encoder.prepared import Examples, TaughtData
from freehold.types.encoder import EncoderStage
from freehold.types.training import TrainingEvent

Emit = Callable[[TrainingEvent], None]
Stop = Callable[[], bool]


class Scene(NamedTuple):
    """What all stages of a run share."""

    job: EncoderJob
    prepared: TaughtData
    base: TorchBase | None
    max_tokens: int
    train: Features
    validation: Features
    names: tuple[Floats, ...]
    emit: Emit
    stop: Stop

    @property
    def form(self) -> TaughtForm:
        return self.prepared.form


class Trained(NamedTuple):
    """What a stage came to. `normalize` as in the manifest."""

    stage: EncoderStage
    fitted: Fitted
    normalize: bool
    seconds: float


def features(
    base: TorchBase | None, examples: Examples, pooled: Floats, form: TaughtForm, max_tokens: int
) -> Features:
    """Examples with their embeddings, of each token too where a field is copied."""
    if base is None or all(field.kind != "copied" for field in form.fields):
        return Features(examples, pooled, [], EncodedTexts([], []))
    encoded = base.encode(examples.texts, max_tokens)
    _, tokens = bases.embed(base, encoded.ids, tokens=True, fast=True)
    return Features(examples, pooled, tokens, encoded)
