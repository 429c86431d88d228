"""Heads over the encoder as it is: embed once, fit in seconds, calibrate on samples that were not fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from freehold.encoders.pieces import edges_of, likeliest
from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder import heads
from freehold.training.encoder.answers import FieldForm, TaughtForm, label_text
from freehold.training.encoder.base import EncodedTexts, Floats, TorchBase
from freehold.training.encoder.heads import FittedHead, Places
from freehold.training.encoder.job import EncoderJob
from freehold.training.encoder.prepared import Examples, TaughtData
from freehold.types.encoder import EncoderStage, as_copied
from freehold.types.training import TrainingEvent

FEW_A_LABEL = 20
"""Mean samples a label up to which labels' own words are taught too."""
FEWEST_VALIDATION = 40
"""Validation samples from which they calibrate; with fewer, folds of the training samples do."""


class Features(NamedTuple):
    """Examples with their embeddings: of length 1, and of each token where a field is copied."""

    examples: Examples
    pooled: Floats
    tokens: list[Floats]
    encoded: EncodedTexts


class Fitted(NamedTuple):
    """Heads by field, and how they did on the samples that calibrated them, `right` of `asked`."""

    heads: tuple[FittedHead, ...]
    right: int
    asked: int
    calibration_error: float | None


def fit(
    form: TaughtForm,
    train: Features,
    validation: Features,
    names: Sequence[Floats],
    *,
    strength: float | None = None,
) -> Fitted:
    """Fit a head for each field and calibrate it.

    `names` are the embeddings of each field's labels' own words (empty where they are not taught). Where there are too
    few validation samples, five folds of the training samples calibrate and count.
    """
    strata = heads.strata_of(form, train.examples.values)
    strengths = [
        strength or (_strength(form, at, train, strata, names[at]) if field.kind == "one" else heads.USUAL)
        for at, field in enumerate(form.fields)
    ]
    made = [_fit_field(form, at, train, None, strengths[at], names[at]) for at in range(len(form.fields))]
    if len(validation.examples) >= FEWEST_VALIDATION:
        return calibrated(form, made, validation)
    return _by_folds(form, made, train, strata, strengths, names)


def calibrated(form: TaughtForm, made: Sequence[FittedHead], validation: Features) -> Fitted:
    """Heads with temperature and threshold from samples they did not see, and how they do there."""
    fields = enumerate(zip(form.fields, made, strict=True))
    warm = [_warmed(field, head, validation, at) for at, (field, head) in fields]
    return judged(form, warm, validation)


def judged(form: TaughtForm, made: Sequence[FittedHead], validation: Features) -> Fitted:
    """How heads do on samples, calibrated as they are."""
    count = len(validation.examples)
    right = np.ones(count, dtype=np.bool_)
    sure = np.ones(count, dtype=np.float64)
    for at, (field, head) in enumerate(zip(form.fields, made, strict=True)):
        ok, confidence = _answers(field, head, validation, at)
        right &= ok
        sure = np.minimum(sure, confidence)
    return Fitted(
        heads=tuple(made),
        right=int(right.sum()),
        asked=count,
        calibration_error=heads.calibration_error(sure, right),
    )


def label_words(field: FieldForm) -> list[str]:
    """Labels as words, which tell of many tasks what a label means."""
    return [label_text(label) for label in field.labels]


def _strength(form: TaughtForm, at: int, train: Features, strata: Places, names: Floats) -> float:
    field = form.fields[at]
    places = heads.places_of(field, [value[at] for value in train.examples.values])

    def score(head: FittedHead, out: Places) -> float:
        return float((head.logits(train.pooled[out]).argmax(axis=1) == places[out]).mean())

    if form.fewest < 2:
        return heads.USUAL
    return heads.choose_strength(
        lambda kept, strength: _fit_field(form, at, train, kept, strength, names),
        score,
        len(train.examples),
        strata,
    )


def _fit_field(
    form: TaughtForm, at: int, train: Features, kept: Places | None, strength: float, names: Floats
) -> FittedHead:
    field = form.fields[at]
    kept = np.arange(len(train.examples), dtype=np.intp) if kept is None else kept
    values = [train.examples.values[place][at] for place in kept]
    if field.kind == "several":
        return heads.fit_several(train.pooled[kept], heads.flags_of(field, values), strength)
    if field.kind == "found":
        return heads.no_rows(train.pooled.shape[1])
    if field.kind == "copied":
        from freehold.training.encoder import copied  # needs torch

        kept_ones = taken(train, kept)
        return copied.fit(kept_ones.tokens, marks_of(field, kept_ones, at), strength)
    features, places = train.pooled[kept], heads.places_of(field, values)
    if not len(names):
        return heads.fit_one(features, places, len(field.labels), strength)
    return heads.fit_one(
        np.concatenate([features, names]),
        np.concatenate([places, np.arange(len(names), dtype=np.intp)]),
        len(field.labels),
        strength,
        np.concatenate([np.ones(len(features)), np.full(len(names), heads.NAMED)]).astype(np.float32),
    )


def _by_folds(
    form: TaughtForm,
    made: Sequence[FittedHead],
    train: Features,
    strata: Places,
    strengths: Sequence[float],
    names: Sequence[Floats],
) -> Fitted:
    folds = heads.folds_of(len(train.examples), strata)
    if not folds:
        return Fitted(tuple(made), 0, 0, None)
    everything = np.arange(len(train.examples), dtype=np.intp)
    parts = []
    for out in folds:
        kept = np.setdiff1d(everything, out)
        parts.append(
            calibrated(
                form,
                [
                    _fit_field(form, at, train, kept, strengths[at], names[at])
                    for at in range(len(form.fields))
                ],
                taken(train, out),
            )
        )
    warm = [
        head._replace(
            # The mean of the logarithms: a temperature is a factor.
            temperature=float(np.exp(np.mean([np.log(part.heads[at].temperature) for part in parts]))),
            threshold=None
            if field.kind != "several"
            else _mean_threshold([part.heads[at] for part in parts]),
        )
        for at, (field, head) in enumerate(zip(form.fields, made, strict=True))
    ]
    errors = [part.calibration_error for part in parts if part.calibration_error is not None]
    return Fitted(
        heads=tuple(warm),
        right=sum(part.right for part in parts),
        asked=sum(part.asked for part in parts),
        calibration_error=float(np.mean(errors)) if errors else None,
    )


def _mean_threshold(parts: Sequence[FittedHead]) -> float:
    return float(np.mean([0.5 if head.threshold is None else head.threshold for head in parts]))


def taken(features: Features, places: Places) -> Features:
    """Some of the examples."""
    at = [int(place) for place in places]
    return Features(
        Examples([features.examples.texts[i] for i in at], [features.examples.values[i] for i in at]),
        features.pooled[places],
        [features.tokens[i] for i in at] if features.tokens else [],
        EncodedTexts(
            [features.encoded.ids[i] for i in at] if features.encoded.ids else [],
            [features.encoded.offsets[i] for i in at] if features.encoded.offsets else [],
        ),
    )


def _warmed(field: FieldForm, head: FittedHead, features: Features, at: int) -> FittedHead:
    values = [value[at] for value in features.examples.values]
    if field.kind == "found":
        return head
    if field.kind == "copied":
        logits = [head.logits(rows) for rows in features.tokens]
        return head._replace(temperature=heads.temperature_of_pieces(logits, marks_of(field, features, at)))
    pooled = head.logits(features.pooled)
    if field.kind == "one":
        return head._replace(temperature=heads.temperature_of(pooled, heads.places_of(field, values)))
    flags = heads.flags_of(field, values)
    head = head._replace(temperature=heads.temperature_of_several(pooled, flags))
    return head._replace(threshold=heads.threshold_of(heads.sigmoid(pooled / head.temperature), flags))


def marks_of(field: FieldForm, features: Features, at: int) -> list[heads.Flags]:
    """Of a copied field, what its tokens are in each example."""
    rows = zip(features.examples.texts, features.examples.values, features.encoded.offsets, strict=True)
    return [heads.marks_of(field, text, values[at], offsets) for text, values, offsets in rows]


def _answers(field: FieldForm, head: FittedHead, features: Features, at: int) -> tuple[heads.Flags, Floats]:
    """Whether each sample's value is right, and the probability of the one that is given."""
    values = [value[at] for value in features.examples.values]
    if field.kind == "found" and field.number is not None:
        got = [field.number.find(text) for text in features.examples.texts]
        shares = [field.number.sure_none if one is None else field.number.sure for one in got]
        right = [one == value for one, value in zip(got, values, strict=True)]
        return np.array(right, dtype=np.bool_), np.array(shares, dtype=np.float32)
    if field.kind == "copied":
        return _copies(field, head, features, values)
    given, sure = heads.confidences(head, field, features.pooled)
    if field.kind == "one":
        return given == heads.places_of(field, values), sure
    untaught = [any(label not in field.labels for label in value) for value in values]
    return (given == heads.flags_of(field, values)).all(axis=1) & ~np.array(untaught, dtype=np.bool_), sure


def _copies(
    field: FieldForm, head: FittedHead, features: Features, values: Sequence[object]
) -> tuple[heads.Flags, Floats]:
    right = np.zeros(len(values), dtype=np.bool_)
    sure = np.zeros(len(values), dtype=np.float32)
    rows = zip(features.examples.texts, features.tokens, features.encoded.offsets, values, strict=True)
    for place, (text, tokens, offsets, value) in enumerate(rows):
        piece = likeliest(head.logits(tokens) / head.temperature, text, edges_of(text, offsets))
        got = None if piece.text is None else as_copied(piece.text, field.copied_as)
        right[place], sure[place] = got == value, piece.probability
    return right, sure


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
    if base is None or not form.copies:
        return Features(examples, pooled, [], EncodedTexts([], []))
    encoded = base.encode(examples.texts, max_tokens)
    _, tokens = bases.embed(base, encoded.ids, tokens=True, fast=True)
    return Features(examples, pooled, tokens, encoded)
