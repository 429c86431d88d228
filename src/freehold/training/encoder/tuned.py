"""The stages that train the encoder itself. Each leaves `scene.base` with its weights, and heads over them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from freehold.encoders.answers import probabilities
from freehold.encoders.folder import LinearHead
from freehold.encoders.runner import unit_length
from freehold.late import np
from freehold.training import loop, schedule
from freehold.training.encoder import frozen, heads, pseudo
from freehold.training.encoder.answers import TaughtForm, Value
from freehold.training.encoder.base import Floats, TorchBase
from freehold.training.encoder.frozen import Features, Fitted, Scene, TrainedStage, embedded, features
from freehold.training.encoder.heads import Places
from freehold.training.encoder.job import CHECKPOINTS
from freehold.training.encoder.prepared import Examples
from freehold.training.encoder.trainers import (
    AnswerTrainer,
    ContrastTrainer,
    Item,
    items_of,
    pairs_of,
    seen_only,
)
from freehold.training.worker import peak_memory
from freehold.types.config import FinetuneConfig
from freehold.types.encoder import EncoderStage

RATE = 1e-4
BATCH = 32
SEEN = 51_000
FEWEST_PASSES, MOST_PASSES = 3, 8
"""Samples that plain tuning looks at, counting each pass, and the passes that it makes at least and at most: with 1,611
of Banking77's messages 88.1 % of 2,000 others are right after eight passes and 88.0 % after twelve."""
SEEN_COPIED = 12_000
"""The same where a field is copied: each message teaches what its every token is."""
SEEN_A_LABEL = 4_000
FEWEST_PASSES_FOR_LABELS = 2
"""The same for each label that is told apart: few labels with thousands of messages each are learned sooner."""

CONTRAST_RATE = 5e-5
CONTRAST_STEPS = 200
"""Steps of 2 x `BATCH` texts."""
KEPT_SHARE = 0.4
"""How far the weights go from the base's to the tuned ones. Few texts pull an encoder too far: on Banking77 with ten
messages a label, of 1,500 training messages that were not taught, 84.9 % are right by the base, 84.3 % by the tuned
weights, 86.4 % between them (Wortsman et al. 2022, Robust fine-tuning of zero-shot models)."""
CONTRAST_STRENGTH = 30.0
"""Inverse regularization of heads over the tuned encoder: folds of what it was tuned on cannot choose it."""

TAUGHT_PASSES = 2
"""Passes over texts whose answers were spread from others."""
TAUGHT_RATE = 5e-5
_LEAST_MINUTES = 1e-3
"""Of a schedule when the time is over: a step or a few."""
LABELLED_COUNTS = 3
"""How often a text with an answer is seen for each time one without is."""


TIMED = 64
"""Texts by which the speed of a stage is told."""
BACKWARD = 3.0
"""How many times as long as reading a text one takes in a step."""


def forecast(scene: Scene, stage: EncoderStage) -> float:
    """Seconds that a stage will take about, by the time that this machine needs to read a few of the texts."""
    texts = scene.train.texts
    few = texts[:: max(1, len(texts) // TIMED)][:TIMED]
    began = time.monotonic()
    scene.reader.vectors(few)
    each = (time.monotonic() - began) / len(few)
    if stage == "contrastive":
        return each * BACKWARD * 2 * BATCH * CONTRAST_STEPS
    passes = passes_of(scene.form, len(texts))
    return each * passes * (BACKWARD * len(texts) + len(scene.validation))


def train(scene: Scene, base: TorchBase, stage: EncoderStage) -> TrainedStage | None:
    """Train all weights: to tell answers apart, or together with the heads. None when it was asked to stop."""
    if stage == "contrastive":
        return contrast(scene, base)
    items = _items(scene, base, scene.train)
    return _answer(scene, base, items, "tuned", rate=RATE, passes=passes_of(scene.form, len(items)))


def passes_of(form: TaughtForm, count: int) -> int:
    """Over how many passes `count` samples are tuned on.

    The labels are those of the field with the most of them.
    """
    count = max(1, count)
    seen = SEEN_COPIED if form.copies else SEEN
    passes = min(MOST_PASSES, max(FEWEST_PASSES, seen // count))
    if form.copies:
        return passes
    labels = max((len(field.labels) for field in form.fields), default=0)
    return min(passes, max(FEWEST_PASSES_FOR_LABELS, SEEN_A_LABEL * labels // count))


def contrast(scene: Scene, base: TorchBase) -> TrainedStage | None:
    """Tune the encoder to tell answers apart, then fit heads by logistic regression; None when asked to stop.

    With texts that have no answer, answers spread to them over the tuned encoder, and it is tuned once more on all.
    """
    began = time.monotonic()
    groups = groups_of(scene.form, scene.train.values)
    texts, labels = list(scene.train.texts), groups
    fields = scene.form.fields
    is_label = len(fields) == 1 and fields[0].kind == "one"
    if is_label:  # a label's own words are one more text of its group
        words = frozen.label_words(fields[0])
        texts += words
        labels = np.concatenate([groups, np.arange(len(words), dtype=np.intp)])
    ids = base.encode(texts, scene.max_tokens).ids
    began_at = {name: one.clone() for name, one in base.model.state_dict().items()}
    trainer = ContrastTrainer(base, _config(scene, rate=CONTRAST_RATE, passes=1))
    pairs = pairs_of(ids, labels, CONTRAST_STEPS * BATCH, scene.job.config.seed)
    if (shortened := _loop(scene, trainer, pairs, [], "contrastive")) is None:
        return None
    _move_back(base, began_at)
    every, names = _embedded(scene, base)
    fitted = _judged(
        frozen.fit(
            scene.form,
            every,
            scene.parts,
            names,
            words=None if scene.texts else scene.words,  # what spreads is by likeness of embeddings
            strength=CONTRAST_STRENGTH,
        ),
        scene.validation,
    )
    if scene.texts and is_label and scene.views == 1:
        return _taught(scene, base, every, fitted.heads[0], began)
    return TrainedStage(
        "contrastive", fitted, normalize=True, seconds=time.monotonic() - began, shortened=shortened
    )


def groups_of(form: TaughtForm, values: Sequence[tuple[Value, ...]]) -> Places:
    """A number for each sample, the same for those whose fields of kind ``one`` are all the same; of one field, the
    place of its label."""
    columns = [
        heads.places_of(field, [value[at] for value in values])
        for at, field in enumerate(form.fields)
        if field.kind == "one" and len(field.labels) > 1
    ]
    if len(columns) == 1:
        return columns[0]
    _, groups = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return np.asarray(groups, dtype=np.intp).ravel()


def _move_back(base: TorchBase, began_at: Mapping[str, torch.Tensor]) -> None:
    """Set the weights to `KEPT_SHARE` of the way from where they began to where they are."""
    now = base.model.state_dict()
    with torch.no_grad():
        for name, before in began_at.items():
            if before.is_floating_point():
                now[name].lerp_(before, 1 - KEPT_SHARE)


def _taught(
    scene: Scene, base: TorchBase, every: Features, head: LinearHead, began: float
) -> TrainedStage | None:
    """Tune on texts without an answer as well, by what spreads to them."""
    known = set(scene.every.examples.texts)
    texts = [text for text in scene.texts if text not in known]
    rows = base.encode(texts, scene.max_tokens).ids
    train = every.pooled[: len(scene.train)]
    pooled = unit_length(scene.reader.vectors(texts)) if texts else train[:0]
    around = np.concatenate([train, pooled])
    labels = groups_of(scene.form, scene.train.values)
    guessed = pseudo.spread(
        around,
        np.flatnonzero(labels >= 0),
        labels[labels >= 0],
        probabilities(head.having(outside=None).field, head.logits(around)).astype(np.float32),
    )[len(train) :]
    labelled = _items(scene, base, scene.train)
    items = labelled * LABELLED_COUNTS + items_of(rows, [(one,) for one in guessed], first=len(labelled))
    made = _answer(scene, base, items, "contrastive", rate=TAUGHT_RATE, passes=TAUGHT_PASSES, folder="taught")
    return None if made is None else made._replace(seconds=time.monotonic() - began)


def _answer(
    scene: Scene,
    base: TorchBase,
    items: list[Item],
    stage: EncoderStage,
    *,
    rate: float,
    passes: int,
    folder: str | None = None,
) -> TrainedStage | None:
    began = time.monotonic()
    held = scene.validation
    enough = len(held) >= frozen.FEWEST_VALIDATION
    checked = _items(scene, base, held) if enough else []
    ids = [row for one in [*items, *checked] for row in (one.ids, *one.context)]
    with seen_only(base.model, ids, [base.padding_id]):
        trainer = AnswerTrainer(base, scene.form, _config(scene, rate=rate, passes=passes), scene.views)
        shortened = _loop(scene, trainer, items, checked, folder or stage)
    if shortened is None:
        return None
    made = trainer.heads()
    fitted = Fitted(tuple(made), np.zeros(0, dtype=np.bool_))
    if enough:
        pooled = embedded(scene.reader.vectors, held, scene.views)
        fitted = frozen.calibrated(
            made, features(base, held, pooled, scene.form, scene.max_tokens), scene.words
        )
    return TrainedStage(stage, fitted, normalize=False, seconds=time.monotonic() - began, shortened=shortened)


def _judged(fitted: Fitted, validation: Examples) -> Fitted:
    """Folds of samples the encoder was tuned on say nothing of others: no figure is better than that one."""
    if len(validation) >= frozen.FEWEST_VALIDATION:
        return fitted
    plain = tuple(head.having(temperature=1.0) for head in fitted.heads)
    return Fitted(plain, np.zeros(0, dtype=np.bool_))


def _embedded(scene: Scene, base: TorchBase) -> tuple[Features, tuple[Floats, ...]]:
    """Everything of the scene by the encoder as it is now, of length 1."""

    def embed(texts: list[str]) -> Floats:
        return unit_length(scene.reader.vectors(texts))

    examples = scene.every.examples
    every = features(base, examples, embedded(embed, examples, scene.views), scene.form, scene.max_tokens)
    names = zip(scene.form.fields, scene.names, strict=True)
    return every, tuple(embed(frozen.label_words(field) if len(before) else []) for field, before in names)


def _items(scene: Scene, base: TorchBase, examples: Examples) -> list[Item]:
    encoded = base.encode(examples.texts, scene.max_tokens)
    columns: list[Sequence[Any]] = []
    for at, field in enumerate(scene.form.fields):
        values = [value[at] for value in examples.values]
        columns.append(list(heads.targets_of(field, values, examples.texts, encoded.spans)))
    items = items_of(encoded.ids, list(zip(*columns, strict=True)))
    for view in range(scene.views - 1):
        rows = base.encode([one[view] for one in examples.context], scene.max_tokens).ids
        items = [
            item._replace(context=(*item.context, row if texts[view] else []))
            for item, row, texts in zip(items, rows, examples.context, strict=True)
        ]
    return items


def _config(scene: Scene, *, rate: float, passes: int) -> FinetuneConfig:
    left = max(_LEAST_MINUTES, (scene.until - time.monotonic()) / 60)
    return FinetuneConfig(
        learning_rate=rate,
        epochs=float(passes),
        batch_size=BATCH,
        seed=scene.job.config.seed,
        max_minutes=None if math.isinf(left) else left,
    )


def _loop(
    scene: Scene, trainer: Any, items: Sequence[Any], validation: Sequence[Any], folder: str
) -> bool | None:
    """Train; whether the time was too short for all steps, None when it was asked to stop."""
    place = Path(scene.job.run_dir) / CHECKPOINTS / folder
    place.mkdir(parents=True, exist_ok=True)
    outcome = loop.train(
        trainer,
        items,
        validation,
        job=f"{scene.job.id}-{folder}",
        folder=place,
        emit=scene.emit,
        peak_memory=peak_memory,
        should_stop=scene.stop,
    )
    if outcome is None:
        return None
    return outcome.steps < schedule.total_steps(len(items), trainer.config)
