"""Heads over the encoder as it is: embed once, fit in seconds, calibrate on samples that were not fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from freehold.encoders.answers import decide, floored, probabilities
from freehold.encoders.folder import LinearHead
from freehold.encoders.runner import Spans
from freehold.encoders.words import Words, learn
from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder import heads
from freehold.training.encoder.answers import TaughtForm, Value, label_text
from freehold.training.encoder.base import Floats, TorchBase
from freehold.training.encoder.heads import Flags, Parts, Places, Reals
from freehold.training.encoder.job import EncoderJob
from freehold.training.encoder.prepared import Examples, TaughtData
from freehold.types.encoder import EarlyEnd, EncoderStage, FieldHead, PseudoLabels, StageResult
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
    """Examples with a row of features each: embeddings of length 1, likenesses of two texts, or, sparse, words; and the
    embeddings of each token where a field is copied, with where it stands."""

    examples: Examples
    pooled: Any
    tokens: Sequence[Floats] = ()
    spans: Sequence[Spans] = ()

    def at(self, places: Places) -> Features:
        """Some of the examples."""
        chosen = [int(place) for place in places]
        tokens = [self.tokens[at] for at in chosen] if self.tokens else ()
        spans = [self.spans[at] for at in chosen] if self.spans else ()
        return Features(self.examples.at(chosen), self.pooled[places], tokens, spans)

    @property
    def are_words(self) -> bool:
        return not isinstance(self.pooled, np.ndarray)

    def values(self, field: int) -> list[Value]:
        """Of one field."""
        return [value[field] for value in self.examples.values]


class Fitted(NamedTuple):
    """Heads by field, and how they did on samples that were left out: `hits` says which of those they had right."""

    heads: tuple[LinearHead, ...]
    hits: Flags
    sure: Reals | None = None
    """How probable each of those answers is; None where none was left out."""
    made: FieldHeads | None = None
    """How the heads were fitted, where it can be done again in seconds."""
    mixes: tuple[tuple[float, float] | None, ...] = ()
    """Of each field's head, the share and scale of words."""

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


class FieldHeads(NamedTuple):
    """Heads by field, None of one that is copied where words alone are read; and what such heads made of samples that
    they did not learn. `words` are those that they read; the rest is what they were fitted by."""

    heads: tuple[LinearHead | None, ...]
    logits: tuple[Floats, ...]
    words: Words | None = None
    every: Features | None = None
    names: Sequence[Floats] = ()
    strengths: tuple[float, ...] = ()

    def of_everything(self, form: TaughtForm) -> FieldHeads:
        """The same that learned what was left out, too."""
        assert self.every is not None
        everything = np.arange(len(self.every.examples), dtype=np.intp)
        with heads.one_thread():
            made = tuple(
                _fit_field(form, at, self.every, everything, strength, self.names[at])
                for at, strength in enumerate(self.strengths)
            )
        return self._replace(heads=made)


def of_everything(form: TaughtForm, fitted: Fitted, words: FieldHeads | None) -> Fitted:
    """Heads that learned the samples they were judged on as well, with what was decided there; `words` have."""
    assert fitted.made is not None
    again = fitted.made.of_everything(form) if fitted.made.words is None else words
    assert again is not None
    found = []
    for at, (judged, mix) in enumerate(zip(fitted.heads, fitted.mixes, strict=True)):
        head, by_words = again.heads[at], None if words is None else words.heads[at]
        assert head is not None
        if mix is not None:
            assert by_words is not None
            head = _mixed(head, by_words, *mix)
        found.append(head._replace(field=judged.field))
    return fitted._replace(heads=tuple(found))


def fit(
    form: TaughtForm,
    every: Features,
    parts: Parts,
    names: Sequence[Floats],
    *,
    words: FieldHeads | None = None,
    strength: float | None = None,
) -> Fitted:
    """Fit a head for each field, calibrated and judged by heads that did not learn what they answer. A split that is
    left out whole is not learned.

    `names` are the embeddings of each field's labels' own words (empty where they are not taught).
    """
    made = _fitted(form, every, parts, names, strength)
    return settled(made, held_of(every, parts), words)


def fit_words(form: TaughtForm, examples: Examples, parts: Parts, views: int) -> FieldHeads | None:
    """Heads over the words of the first views; None where nothing is learned of them."""
    if all(field.kind in ("copied", "found") for field in form.fields):
        return None
    texts = [examples.texts, *([one[view] for one in examples.context] for view in range(views - 1))]
    words = learn(texts)
    if not len(words.weights):
        return None
    every = Features(examples, heads.word_rows(words, texts))
    names = [np.empty((0, 0), dtype=np.float32)] * len(form.fields)
    return _fitted(form, every, parts, names, heads.PENALTY)._replace(words=words)


def _fitted(
    form: TaughtForm, every: Features, parts: Parts, names: Sequence[Floats], strength: float | None
) -> FieldHeads:
    everything = np.arange(len(every.examples), dtype=np.intp)
    made, logits, strengths = [], [], []
    with heads.one_thread():
        for at in range(len(form.fields)):
            tried = _chosen(form, at, every, parts, names[at], strength)
            # What is left out whole is not learned: that head is the one.
            head = tried.head if len(parts) == 1 else None
            made.append(head or _fit_field(form, at, every, everything, tried.strength, names[at]))
            logits.append(tried.logits)
            strengths.append(tried.strength)
    return FieldHeads(tuple(made), tuple(logits), None, every, names, tuple(strengths))


def held_of(every: Features, parts: Parts) -> Features:
    """The samples that are left out, in the order in which they are answered."""
    return every.at(np.concatenate([np.zeros(0, dtype=np.intp), *(out for _, out in parts)]))


def fit_views(
    form: TaughtForm,
    every: Features,
    parts: Parts,
    names: Sequence[Floats],
    width: int,
    words: FieldHeads | None = None,
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
    head: LinearHead | None = None
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
        logits = np.concatenate([_logits(head, every.at(out)) for head, (_, out) in answered])
        right = 0
        if len(strengths) > 1:
            right = int((logits.argmax(axis=1) == heads.places_of(field, asked)).sum())
        tried.append(_TriedStrength(one, logits, made[-1], right))
    return max(tried, key=lambda one: one.right)


def calibrated(made: Sequence[LinearHead], held: Features, words: FieldHeads | None = None) -> Fitted:
    """Heads with temperature and threshold from samples they did not see, and how they do there."""
    return settled(FieldHeads(tuple(made), tuple(_logits(head, held) for head in made)), held, words)


def settled(made: FieldHeads, held: Features, words: FieldHeads | None = None) -> Fitted:
    """Heads with temperature and threshold by what heads of their kind, that did not see them, made of the samples
    `held`, and how those do there; together with `words` where the two beat either."""
    found = [head for head in made.heads if head is not None]
    again = None if made.every is None else made
    if not len(held.examples):
        return Fitted(tuple(found), np.zeros(0, dtype=np.bool_), None, again, (None,) * len(found))
    right = np.ones(len(held.examples), dtype=np.bool_)
    sure = np.ones(len(held.examples), dtype=np.float64)
    warm: list[LinearHead] = []
    mixes: list[tuple[float, float] | None] = []
    for at, (head, plain) in enumerate(zip(found, made.logits, strict=True)):
        warm_head, ok, confidence = _warm(head, plain, held, at)
        by_words, mix = None if words is None else words.heads[at], None
        if words is not None and by_words is not None and by_words.words is not None:
            other = words.logits[at]
            scale = float(plain.std() / max(float(other.std()), 1e-9))
            mixed = [
                _warm(_mixed(head, by_words, share, scale),
                      (1 - share) * plain + share * scale * other, held, at)
                for share in SHARES
            ]  # fmt: skip
            best = max(range(len(SHARES)), key=lambda one: int(mixed[one][1].sum()))
            if beats(mixed[best][1], ok):
                warm_head, ok, confidence = mixed[best]
                mix = SHARES[best], scale
        warm.append(warm_head)
        mixes.append(mix)
        right &= ok
        sure = np.minimum(sure, confidence)
    return Fitted(tuple(warm), right, sure, again, tuple(mixes))


def by_words(words: FieldHeads, held: Features) -> Fitted | None:
    """Words alone; None where they do not answer all fields."""
    return None if None in words.heads else settled(words, held)


class WordsFirst(NamedTuple):
    """Heads over words that answer alone what they are at least so sure of: a `share` of the samples left out."""

    least: float
    share: float
    heads: tuple[LinearHead, ...]


def words_first(words: Fitted | None, after: Fitted) -> tuple[Fitted, WordsFirst | None]:
    """Words before what was trained: on the samples left out that they are surest of, down to the first that it has
    right and they do not. Returns how the two together do."""
    if words is None or words.sure is None or after.sure is None or len(words.hits) != len(after.hits):
        return after, None
    fields = [head.field for head in (*words.heads, *after.heads)]
    plain = all(one.kind == "one" and one.outside is None and not one.ordered for one in fields)
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
    return after._replace(hits=right, sure=sure), WordsFirst(least, float(by_words.mean()), words.heads)


def _mixed(head: LinearHead, words: LinearHead, share: float, scale: float) -> LinearHead:
    """One head whose outputs are those of both, `share` of them by words."""
    assert words.words is not None
    return head._replace(
        weight=(1 - share) * head.weight,
        bias=(1 - share) * head.bias + share * scale * words.bias,
        words=share * scale * words.words,
    )


def _warm(head: LinearHead, logits: Floats, held: Features, at: int) -> tuple[LinearHead, Flags, Reals]:
    """The head with temperature and threshold, which samples it has right, and how sure it is of each."""
    warm = _warmed(head, logits, held, at)
    right, sure = _answers(warm.field, logits, held, at)
    if warm.field.kind == "several":
        warm = warm.having(joint=heads.joint_of(sure, right))
        right, sure = _answers(warm.field, logits, held, at)
    if warm.field.kind == "one" and heads.is_ordinal(warm.field):
        ordered = warm.having(ordered=True)
        others, of_others = _answers(ordered.field, logits, held, at)
        if not beats(right, others):  # what is right as often, and nearer where it is not
            return ordered, others, of_others
    return warm, right, sure


def label_words(field: FieldHead) -> list[str]:
    """Labels as words, which tell of many tasks what a label means."""
    return [label_text(label) for label in field.labels]


def _fit_field(
    form: TaughtForm, at: int, train: Features, kept: Places, strength: float, names: Floats
) -> LinearHead | None:
    field, taught = form.fields[at], train.at(kept)
    if field.kind == "found":
        return heads.no_rows(field, 0 if train.are_words else taught.pooled.shape[1])
    if field.kind == "copied" and train.are_words:
        return None
    targets = heads.targets_of(field, taught.values(at), taught.examples.texts, taught.spans)
    if train.are_words:
        return heads.fit_words(field, taught.pooled, targets, strength)
    if field.kind == "several":
        return heads.fit_several(field, taught.pooled, targets, strength)
    if field.kind == "copied":
        from freehold.training.encoder.trainers import fit_pieces  # needs torch

        return fit_pieces(field, taught.tokens, targets, strength)
    if not len(names):
        return heads.fit_one(field, taught.pooled, targets, strength)
    names = np.pad(names, ((0, 0), (0, taught.pooled.shape[1] - names.shape[1])))
    return heads.fit_one(
        field,
        np.concatenate([taught.pooled, names]),
        np.concatenate([targets, np.arange(len(names), dtype=np.intp)]),
        strength,
        np.concatenate([np.ones(len(targets)), np.full(len(names), heads.NAMED)]).astype(np.float32),
    )


def _logits(head: LinearHead | None, features: Features) -> Floats:
    """What a head makes of the features that it was fitted to; nothing where there is none, or it has no rows."""
    if head is None or head.field.kind == "found":
        return np.zeros((len(features.examples), 0), dtype=np.float32)
    if head.field.kind == "copied":
        return head.logits(np.concatenate(features.tokens))
    if features.are_words and head.words is not None:
        return np.asarray(features.pooled @ head.words.T + head.bias, dtype=np.float32)
    return head.logits(features.pooled)


def _warmed(head: LinearHead, logits: Floats, held: Features, at: int) -> LinearHead:
    field = head.field
    targets = heads.targets_of(field, held.values(at), held.examples.texts, held.spans)
    if field.kind == "found":
        return head
    if field.kind == "copied":
        return head.having(temperature=heads.temperature_of_pieces(_by_text(logits, held), targets))
    if field.kind == "one":
        outside = heads.outside_of(field, logits, targets)
        temperature = heads.temperature_of(floored(logits, outside), targets)
        return head.having(outside=outside, temperature=temperature)
    head = head.having(temperature=heads.temperature_of_several(logits, targets))
    return head.having(threshold=heads.threshold_of(probabilities(head.field, logits), targets))


def _by_text(logits: Floats, features: Features) -> list[Floats]:
    """What was made of all tokens, apart for each example."""
    return np.split(logits, np.cumsum([len(one) for one in features.tokens])[:-1])


def _answers(field: FieldHead, logits: Floats, held: Features, at: int) -> tuple[Flags, Reals]:
    """Whether each sample's value is right, and the probability of the one that is given."""
    values, texts = held.values(at), held.examples.texts
    if field.kind in ("one", "several"):
        given, sure = heads.confidences(field, logits)
        if field.kind == "one":
            return given == heads.places_of(field, values), sure
        taught = [all(label in field.labels for label in value) for value in values]
        return (given == heads.flags_of(field, values)).all(axis=1) & np.array(taught, dtype=np.bool_), sure
    copied = field.kind == "copied"
    rows = _by_text(logits, held) if copied else [logits] * len(values)
    spans = held.spans if copied else [()] * len(values)
    made = [decide(field, *one) for one in zip(rows, texts, spans, strict=True)]
    right = [one.value == value for one, value in zip(made, values, strict=True)]
    return np.array(right, dtype=np.bool_), np.array([one.probability for one in made], dtype=np.float32)


Emit = Callable[[TrainingEvent], None]
Stop = Callable[[], bool]


class Scene(NamedTuple):
    """What all stages of a run share."""

    job: EncoderJob
    prepared: TaughtData
    every: Features
    """The training samples, then those of the validation split."""
    parts: Parts
    emit: Emit
    stop: Stop
    base: TorchBase | None = None
    max_tokens: int = 512
    chunks: int = 1
    names: tuple[Floats, ...] = ()
    """The embeddings of each field's labels' own words."""
    until: float = math.inf
    """By the monotonic clock, when all stages are to be done."""
    ended: EarlyEnd | None = None
    """That the time was over before all texts were embedded."""
    views: int = 1
    """How many of the data's views are read."""
    texts: tuple[str, ...] = ()
    """Messages without an answer that is trusted."""
    pseudo_labels: PseudoLabels | None = None
    words: FieldHeads | None = None
    pairs: tuple[tuple[str, str], Floats] | None = None
    """Where messages are of two texts: what stands before those, and how alike those of each sample are."""
    marks: tuple[str, ...] = ()
    """The same marks, where heads read nothing else."""
    by_words: TrainedStage | None = None
    """Heads over words alone, where they answer all fields."""

    @property
    def reader(self) -> bases.TorchReader:
        """The base as it is now."""
        assert self.base is not None
        return bases.TorchReader(self.base, self.max_tokens, self.chunks, fast=True)

    @property
    def form(self) -> TaughtForm:
        return self.prepared.form

    @property
    def train(self) -> Examples:
        return self.prepared.train

    @property
    def validation(self) -> Examples:
        return self.prepared.validation


class TrainedStage(NamedTuple):
    """What a stage came to. `normalize` as in the manifest; `shortened` says that time was too short for its steps."""

    stage: EncoderStage
    fitted: Fitted
    normalize: bool
    seconds: float
    shortened: bool = False

    @property
    def result(self) -> StageResult:
        """As the record has it."""
        fitted = self.fitted
        return StageResult(stage=self.stage, right=fitted.right, asked=fitted.asked, seconds=self.seconds)


def features(
    base: TorchBase | None, examples: Examples, pooled: Floats, form: TaughtForm, max_tokens: int
) -> Features:
    """Examples with their embeddings, of each token too where a field is copied."""
    if base is None or not form.copies:
        return Features(examples, pooled)
    read = bases.TorchReader(base, max_tokens, fast=True, tokens=True).read(examples.texts)
    tokens = [one.inner for one in read if one.inner is not None]
    return Features(examples, pooled, tokens, [one.spans for one in read])


def embedded(embed: Callable[[list[str]], Floats], examples: Examples, views: int) -> Floats:
    """The embeddings of all texts of the views, next to each other: zeros for one that is empty but the first."""
    blocks = [embed(list(examples.texts))]
    for view in range(views - 1):
        texts = [one[view] for one in examples.context]
        there = [at for at, text in enumerate(texts) if text]
        block = np.zeros_like(blocks[0])
        if there:
            block[there] = embed([texts[at] for at in there])
        blocks.append(block)
    return np.concatenate(blocks, axis=1)
