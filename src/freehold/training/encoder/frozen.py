"""Heads over the encoder as it is: embed once, fit in seconds, calibrate on samples that were not fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from freehold.encoders.answers import floored
from freehold.encoders.pieces import edges_of, likeliest
from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder import heads
from freehold.training.encoder.answers import FieldForm, TaughtForm, Value, label_text
from freehold.training.encoder.base import EncodedTexts, Floats, TorchBase
from freehold.training.encoder.heads import FittedHead, Flags, Parts, Places
from freehold.training.encoder.job import EncoderJob
from freehold.training.encoder.prepared import Examples, TaughtData
from freehold.training.encoder.words import WordHeads
from freehold.types.encoder import EncoderStage, PseudoLabels, as_copied
from freehold.types.training import TrainingEvent

FEW_A_LABEL = 20
"""Mean samples a label up to which labels' own words are taught too."""
SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)
"""Of a head's outputs by words, of which the best is taken where it beats none."""
FEWEST_FIRST = 1000
"""Samples left out by which words are let answer first: where 400 choose they cost a tenth of a point, with 1,000 none
that was seen (docs/benchmarks.md)."""
LEAST_FIRST = 0.1
"""Share of samples that words must answer for it to be worth its memory."""
FEWEST_VALIDATION = 40
"""Validation samples from which they calibrate; with fewer, folds of the training samples do."""


class Features(NamedTuple):
    """Examples with their embeddings: of length 1, and of each token where a field is copied."""

    examples: Examples
    pooled: Floats
    tokens: list[Floats]
    encoded: EncodedTexts


class Fitted(NamedTuple):
    """Heads by field, and how they did on samples that were left out: `hits` says which of those they had right."""

    heads: tuple[FittedHead, ...]
    hits: Flags
    sure: heads.Reals | None = None
    """How probable each of those answers is; None where none was left out."""

    @property
    def calibration_error(self) -> float | None:
        """Of those answers; None without any."""
        return None if self.sure is None else heads.calibration_error(self.sure, self.hits)

    @property
    def right(self) -> int:
        return int(self.hits.sum())

    @property
    def asked(self) -> int:
        return len(self.hits)


def left_out(form: TaughtForm, train: int, values: Sequence[tuple[Value, ...]]) -> Parts:
    """Of samples whose first `train` are those of the training split: the validation split is left out, or parts of
    all in turn where it has too few; none where all together are too few."""
    everything = np.arange(len(values), dtype=np.intp)
    if len(values) - train >= FEWEST_VALIDATION:
        return [(everything[:train], everything[train:])]
    folds = heads.folds_of(len(values), heads.strata_of(form, values))
    return [(np.setdiff1d(everything, out), out) for out in folds]


def fit(
    form: TaughtForm,
    every: Features,
    parts: Parts,
    names: Sequence[Floats],
    *,
    words: WordHeads | None = None,
    strength: float | None = None,
) -> Fitted:
    """Fit a head for each field, calibrated and judged by heads that did not learn what they answer. A split that is
    left out whole is not learned.

    `names` are the embeddings of each field's labels' own words (empty where they are not taught).
    """
    everything = np.arange(len(every.examples), dtype=np.intp)
    made, logits = [], []
    with heads.one_thread():
        for at in range(len(form.fields)):
            tried = _chosen(form, at, every, parts, names[at], strength)
            # What is left out whole is not learned: that head is the one.
            head = tried.head if len(parts) == 1 else None
            made.append(head or _fit_field(form, at, every, everything, tried.strength, names[at]))
            logits.append(tried.logits)
        if not parts:
            return Fitted(tuple(made), np.zeros(0, dtype=np.bool_))
        return settled(form, made, logits, held_of(every, parts), words)


def held_of(every: Features, parts: Parts) -> Features:
    """The samples that are left out, in the order in which they are answered."""
    return taken(every, np.concatenate([np.zeros(0, dtype=np.intp), *(out for _, out in parts)]))


def fit_views(
    form: TaughtForm,
    every: Features,
    parts: Parts,
    names: Sequence[Floats],
    width: int,
    words: WordHeads | None = None,
) -> tuple[Fitted, int]:
    """The same over the first views, as many as are not beaten by more of them; and how many those are."""
    best, count = fit(form, seen(every, width), parts, names, words=words), 1
    for more in range(2, every.pooled.shape[1] // width + 1):
        made = fit(form, seen(every, width * more), parts, names, words=words)
        if beats(made.hits, best.hits):
            best, count = made, more
    return best, count


def beats(hits: Flags, others: Flags) -> bool:
    """Whether more are right, by more than chance does (one standard error of the difference)."""
    gained, lost = int((hits & ~others).sum()), int((others & ~hits).sum())
    return gained - lost > math.sqrt(gained + lost)


def seen(features: Features, columns: int) -> Features:
    """The same with the first columns of its embeddings."""
    return features._replace(pooled=features.pooled[:, :columns])


class _TriedStrength(NamedTuple):
    """What heads of a strength make of samples that were left out, the last of those heads, and how many are right."""

    strength: float
    logits: Floats
    head: FittedHead | None = None
    right: int = 0


def _chosen(
    form: TaughtForm, at: int, every: Features, parts: Parts, names: Floats, strength: float | None
) -> _TriedStrength:
    """The strength with the most samples right that were left out, the nearest to the usual of equals."""
    field = form.fields[at]
    if strength is not None or field.kind != "one" or form.fewest < 2:
        strengths: Sequence[float] = (strength or heads.USUAL,)
    else:
        strengths = heads.STRENGTHS if len(every.examples) < heads.MANY else heads.STRENGTHS_OF_MANY
    if not parts:
        return _TriedStrength(strength or heads.USUAL, np.zeros((0, 0), dtype=np.float32))
    asked = [every.examples.values[place][at] for _, out in parts for place in out]
    tried = []
    for one in sorted(strengths, key=lambda one: abs(math.log(one / heads.USUAL))):
        made = [_fit_field(form, at, every, kept, one, names) for kept, _ in parts]
        answered = zip(made, parts, strict=True)
        logits = np.concatenate([_logits(field, head, taken(every, out)) for head, (_, out) in answered])
        right = 0
        if len(strengths) > 1:
            right = int((logits.argmax(axis=1) == heads.places_of(field, asked)).sum())
        tried.append(_TriedStrength(one, logits, made[-1], right))
    return max(tried, key=lambda one: one.right)


def calibrated(
    form: TaughtForm, made: Sequence[FittedHead], validation: Features, words: WordHeads | None = None
) -> Fitted:
    """Heads with temperature and threshold from samples they did not see, and how they do there."""
    logits = [_logits(field, head, validation) for field, head in zip(form.fields, made, strict=True)]
    return settled(form, made, logits, validation, words)


def settled(
    form: TaughtForm,
    made: Sequence[FittedHead],
    logits: Sequence[Floats],
    held: Features,
    words: WordHeads | None = None,
) -> Fitted:
    """Heads with temperature and threshold by `logits`, which heads of their kind that did not see them made of the
    samples `held`, and how those do there; together with `words` where the two beat either."""
    right = np.ones(len(held.examples), dtype=np.bool_)
    sure = np.ones(len(held.examples), dtype=np.float64)
    warm = []
    for at, (field, head, plain) in enumerate(zip(form.fields, made, logits, strict=True)):
        warm_head, ok, confidence = _warm(field, head, plain, held, at)
        other = None if words is None else words.logits[at]
        if other is not None and words is not None and words.heads[at] is not None:
            scale = float(plain.std() / max(float(other.std()), 1e-9))
            mixed = [
                _warm(field, _mixed(head, words.heads[at], share, scale),
                      (1 - share) * plain + share * scale * other, held, at)
                for share in SHARES
            ]  # fmt: skip
            best = max(mixed, key=lambda one: int(one[1].sum()))
            if beats(best[1], ok):
                warm_head, ok, confidence = best
        warm.append(warm_head)
        right &= ok
        sure = np.minimum(sure, confidence)
    return Fitted(tuple(warm), right, sure)


def by_words(form: TaughtForm, words: WordHeads, held: Features) -> Fitted | None:
    """Words alone; None where they do not answer all fields."""
    made: list[FittedHead] = []
    for field, head in zip(form.fields, words.heads, strict=True):
        if head is None and field.kind != "found":
            return None
        made.append(head or heads.no_rows(0))
    if not len(held.examples):
        return Fitted(tuple(made), np.zeros(0, dtype=np.bool_))
    none = np.zeros((len(held.examples), 0), dtype=np.float32)
    return settled(form, made, [none if one is None else one for one in words.logits], held)


class WordsFirst(NamedTuple):
    """Heads over words that answer alone what they are at least so sure of: a `share` of the samples left out."""

    least: float
    share: float
    heads: tuple[FittedHead, ...]


def words_first(form: TaughtForm, words: Fitted | None, after: Fitted) -> tuple[Fitted, WordsFirst | None]:
    """Words before what was trained: on the samples left out that they are surest of, down to the first that it has
    right and they do not. Returns how the two together do."""
    if words is None or words.sure is None or after.sure is None or len(words.hits) != len(after.hits):
        return after, None
    pairs = [*zip(form.fields, words.heads, strict=True), *zip(form.fields, after.heads, strict=True)]
    plain = all(one.kind == "one" and head.outside is None and not head.ordered for one, head in pairs)
    if not plain or len(after.hits) < FEWEST_FIRST:
        return after, None
    order = np.argsort(-words.sure, kind="stable")
    lost = np.flatnonzero(after.hits[order] & ~words.hits[order])
    count = int(lost[0]) if len(lost) else len(order)
    if count < LEAST_FIRST * len(order):
        return after, None
    least = float(words.sure[order[count - 1]]) - 1e-6  # so that rounding leaves that one out nowhere
    by_words = words.sure >= least
    right = np.where(by_words, words.hits, after.hits)
    sure = np.where(by_words, words.sure, after.sure)
    return Fitted(after.heads, right, sure), WordsFirst(least, float(by_words.mean()), words.heads)


def _mixed(head: FittedHead, words: FittedHead | None, share: float, scale: float) -> FittedHead:
    """One head whose outputs are those of both, `share` of them by words."""
    assert words is not None and words.words is not None
    return head._replace(
        weight=(1 - share) * head.weight,
        bias=(1 - share) * head.bias + share * scale * words.bias,
        words=share * scale * words.words,
    )


def _warm(
    field: FieldForm, head: FittedHead, logits: Floats, held: Features, at: int
) -> tuple[FittedHead, Flags, Floats]:
    """The head with temperature and threshold, which samples it has right, and how sure it is of each."""
    warm = _warmed(field, head, logits, held, at)
    right, sure = _answers(field, warm, logits, held, at)
    if field.kind == "several":
        warm = warm._replace(joint=heads.joint_of(sure, right))
        right, sure = _answers(field, warm, logits, held, at)
    if field.kind == "one" and heads.is_ordinal(field):
        ordered = warm._replace(ordered=True)
        others, of_others = _answers(field, ordered, logits, held, at)
        if not beats(right, others):  # what is right as often, and nearer where it is not
            return ordered, others, of_others
    return warm, right, sure


def label_words(field: FieldForm) -> list[str]:
    """Labels as words, which tell of many tasks what a label means."""
    return [label_text(label) for label in field.labels]


def _fit_field(
    form: TaughtForm, at: int, train: Features, kept: Places, strength: float, names: Floats
) -> FittedHead:
    field = form.fields[at]
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
    names = np.pad(names, ((0, 0), (0, features.shape[1] - names.shape[1])))
    return heads.fit_one(
        np.concatenate([features, names]),
        np.concatenate([places, np.arange(len(names), dtype=np.intp)]),
        len(field.labels),
        strength,
        np.concatenate([np.ones(len(features)), np.full(len(names), heads.NAMED)]).astype(np.float32),
    )


def taken(features: Features, places: Places) -> Features:
    """Some of the examples."""
    at = [int(place) for place in places]
    return Features(
        Examples(
            [features.examples.texts[i] for i in at],
            [features.examples.values[i] for i in at],
            [features.examples.context[i] for i in at] if features.examples.context else (),
        ),
        features.pooled[places],
        [features.tokens[i] for i in at] if features.tokens else [],
        EncodedTexts(
            [features.encoded.ids[i] for i in at] if features.encoded.ids else [],
            [features.encoded.offsets[i] for i in at] if features.encoded.offsets else [],
        ),
    )


def _logits(field: FieldForm, head: FittedHead, features: Features) -> Floats:
    if field.kind == "copied":
        return head.logits(np.concatenate(features.tokens))
    return head.logits(features.pooled)


def _warmed(field: FieldForm, head: FittedHead, logits: Floats, features: Features, at: int) -> FittedHead:
    values = [value[at] for value in features.examples.values]
    if field.kind == "found":
        return head
    if field.kind == "copied":
        marks = marks_of(field, features, at)
        return head._replace(temperature=heads.temperature_of_pieces(_by_text(logits, features), marks))
    if field.kind == "one":
        places = heads.places_of(field, values)
        outside = heads.outside_of(field, logits, places)
        return head._replace(
            outside=outside, temperature=heads.temperature_of(floored(logits, outside), places)
        )
    flags = heads.flags_of(field, values)
    head = head._replace(temperature=heads.temperature_of_several(logits, flags))
    return head._replace(threshold=heads.threshold_of(heads.sigmoid(logits / head.temperature), flags))


def _by_text(logits: Floats, features: Features) -> list[Floats]:
    """What was made of all tokens, apart for each example."""
    return np.split(logits, np.cumsum([len(one) for one in features.tokens])[:-1])


def marks_of(field: FieldForm, features: Features, at: int) -> list[heads.Flags]:
    """Of a copied field, what its tokens are in each example."""
    rows = zip(features.examples.texts, features.examples.values, features.encoded.offsets, strict=True)
    return [heads.marks_of(field, text, values[at], offsets) for text, values, offsets in rows]


def _answers(
    field: FieldForm, head: FittedHead, logits: Floats, features: Features, at: int
) -> tuple[Flags, Floats]:
    """Whether each sample's value is right, and the probability of the one that is given."""
    values = [value[at] for value in features.examples.values]
    if field.kind == "found" and field.number is not None:
        got = [field.number.find(text) for text in features.examples.texts]
        shares = [field.number.sure_none if one is None else field.number.sure for one in got]
        right = [one == value for one, value in zip(got, values, strict=True)]
        return np.array(right, dtype=np.bool_), np.array(shares, dtype=np.float32)
    if field.kind == "copied":
        return _copies(field, head, logits, features, values)
    given, sure = heads.confidences(head, field, logits)
    if field.kind == "one":
        return given == heads.places_of(field, values), sure
    untaught = [any(label not in field.labels for label in value) for value in values]
    return (given == heads.flags_of(field, values)).all(axis=1) & ~np.array(untaught, dtype=np.bool_), sure


def _copies(
    field: FieldForm, head: FittedHead, logits: Floats, features: Features, values: Sequence[object]
) -> tuple[Flags, Floats]:
    right = np.zeros(len(values), dtype=np.bool_)
    sure = np.zeros(len(values), dtype=np.float32)
    rows = zip(
        features.examples.texts, _by_text(logits, features), features.encoded.offsets, values, strict=True
    )
    for place, (text, of_tokens, offsets, value) in enumerate(rows):
        piece = likeliest(of_tokens / head.temperature, text, edges_of(text, offsets))
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
    chunks: int
    every: Features
    """The training samples, then those of the validation split."""
    parts: Parts
    names: tuple[Floats, ...]
    emit: Emit
    stop: Stop
    until: float | None = None
    """By the monotonic clock, when all stages are to be done."""
    views: int = 1
    """How many of the data's views are read."""
    texts: tuple[str, ...] = ()
    """Messages without an answer that is trusted."""
    pseudo_labels: PseudoLabels | None = None
    words: WordHeads | None = None
    pairs: tuple[tuple[str, str], Floats] | None = None
    """Where messages are of two texts: what stands before those, and how alike those of each sample are."""
    marks: tuple[str, ...] = ()
    """The same marks, where heads read nothing else."""
    by_words: Trained | None = None
    """Heads over words alone, where they answer all fields."""

    @property
    def form(self) -> TaughtForm:
        return self.prepared.form

    @property
    def train(self) -> Examples:
        return self.prepared.train

    @property
    def validation(self) -> Examples:
        return self.prepared.validation


class Trained(NamedTuple):
    """What a stage came to. `normalize` as in the manifest; `shortened` says that time was too short for its steps."""

    stage: EncoderStage
    fitted: Fitted
    normalize: bool
    seconds: float
    shortened: bool = False


def features(
    base: TorchBase | None, examples: Examples, pooled: Floats, form: TaughtForm, max_tokens: int
) -> Features:
    """Examples with their embeddings, of each token too where a field is copied."""
    if base is None or not form.copies:
        return Features(examples, pooled, [], EncodedTexts([], []))
    encoded = base.encode(examples.texts, max_tokens)
    _, tokens = bases.embed(base, encoded.ids, tokens=True, fast=True)
    return Features(examples, pooled, tokens, encoded)


def embedded(embed: Callable[[list[str]], Floats], examples: Examples, views: int) -> Floats:
    """The embeddings of all texts of the views, next to each other: zeros for one that is empty but the first."""
    blocks = [embed(examples.texts)]
    for view in range(views - 1):
        texts = [one[view] for one in examples.context]
        there = [at for at, text in enumerate(texts) if text]
        block = np.zeros_like(blocks[0])
        if there:
            block[there] = embed([texts[at] for at in there])
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
