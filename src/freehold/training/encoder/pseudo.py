"""Which of the incumbent's answers are learned from where no right answer is known: those that heads do not contradict.

Heads over the encoder as it is learn the right answers first, and the incumbent's by how likely those find them. Then
they answer each of the incumbent's messages without having learned it, and an answer far less likely than theirs is
doubted. Measured on Banking77, ten right answers a label and 6,700 of an incumbent that has 75 % right: 84.7 % right by
the right answers alone, 87.6 % with all of the incumbent's, 90.2 % with those that were not doubted; of an incumbent
with 90 % right 84.7, 90.6 and 90.5 % (training messages that were not taught). So the doubted are always left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from freehold.late import np
from freehold.training.encoder import heads
from freehold.training.encoder.answers import FieldForm
from freehold.training.encoder.base import Floats
from freehold.training.encoder.frozen import Scene
from freehold.training.encoder.heads import FittedHead, Flags, Places
from freehold.training.encoder.prepared import taught_samples
from freehold.types.dataset import Sample
from freehold.types.encoder import PseudoLabels

if TYPE_CHECKING:
    import numpy.typing as npt

LEAST_SHARE = 0.1
"""Of the probability of the likeliest answer: an incumbent's answer with less is doubted."""
FOLDS = 5
FEWEST = 40
"""Samples with a right answer, and others, from which something can be told."""
TEMPERATURE = 0.5
"""Divides logits of heads over embeddings of length 1, which are too cautious."""


class LabelledRows(NamedTuple):
    """Embeddings of length 1, the label of each in its field, and which labels are known to be right."""

    rows: Floats
    places: Places
    right: Flags


def judged(scene: Scene) -> tuple[PseudoLabels, list[Sample]] | None:
    """What becomes of the incumbent's answers, and the training samples with those that are doubted; None where there
    are too few of them, or of right ones, to tell."""
    train = scene.train
    samples = taught_samples(scene.job.dataset, scene.form)
    right = np.array([sample.gold is not None for sample in samples], dtype=np.bool_)
    closed = [
        at for at, field in enumerate(scene.form.fields) if field.kind == "one" and len(field.labels) > 1
    ]
    if min(right.sum(), (~right).sum()) < FEWEST or not closed:
        return None
    rows = scene.every.pooled[: len(train), : scene.every.pooled.shape[1] // scene.views]
    doubted = np.zeros(len(train), dtype=np.bool_)
    with heads.one_thread():
        for at in closed:
            field = scene.form.fields[at]
            places = heads.places_of(field, [value[at] for value in train.values])
            doubted |= doubts(field, LabelledRows(rows, places, right))
    told = PseudoLabels(
        right_answers=int(right.sum()), pseudo=int((~right).sum()), agreed=int((~right).sum() - doubted.sum())
    )
    return told, [samples[place] for place in np.flatnonzero(doubted)]


def doubts(field: FieldForm, taught: LabelledRows) -> Flags:
    """Which samples without a right answer have one that heads find far less likely than their own."""
    rows, places, right = taught
    doubted = np.zeros(len(places), dtype=np.bool_)
    others = np.flatnonzero(~right)
    if not right.any() or not len(others):
        return doubted
    strength = heads.USUAL
    first = heads.fit_one(rows[right], places[right], len(field.labels), strength)
    weights = np.ones(len(places), dtype=np.float32)
    likely, _ = _likely(first, rows[others], places[others])
    weights[others] = np.sqrt(likely)
    order = others[np.random.default_rng(0).permutation(len(others))]
    for fold in range(FOLDS):
        out = order[fold::FOLDS]
        if not len(out):
            continue
        kept = np.setdiff1d(np.arange(len(places)), out)
        head = heads.fit_one(rows[kept], places[kept], len(field.labels), strength, weights[kept])
        likely, likeliest = _likely(head, rows[out], places[out])
        doubted[out] = likely < LEAST_SHARE * likeliest
    return doubted


def _likely(head: FittedHead, rows: Floats, places: Places) -> tuple[Floats, Floats]:
    """The probability of each row's own label, and of the likeliest."""
    shares = heads.softmax(head.logits(rows) / TEMPERATURE)
    own = np.where(places >= 0, shares[np.arange(len(places)), np.maximum(places, 0)], 0.0)
    return own.astype(np.float32), shares.max(axis=1).astype(np.float32)


NEIGHBOURS = 15
SPREAD = 0.8
"""How much a text takes from its neighbours at each of the steps."""
STEPS = 20
WIDTH = 0.1
"""By how much less alike neighbours may be to count 1/e as much."""
_BLOCK = 1024


def spread(features: Floats, labelled: Places, labels: Places, prior: Floats) -> Floats:
    """Probabilities of labels [texts, labels]. `features` are of length 1; texts at `labelled` have the `labels`
    beside them; `prior` is what heads think of every text."""
    from scipy.sparse import csr_matrix

    count = len(features)
    near, alike = neighbours(features, min(NEIGHBOURS, count - 1))
    weights = np.exp((alike - 1) / WIDTH)
    graph: Any = csr_matrix(
        (weights.ravel(), (np.repeat(np.arange(count), near.shape[1]), near.ravel())), shape=(count, count)
    )
    graph = graph.maximum(graph.T)
    scale = 1 / np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1e-12))
    graph = graph.multiply(scale[:, None]).multiply(scale[None, :]).tocsr()
    start = prior.astype(np.float64)
    start[labelled] = np.eye(prior.shape[1])[labels]
    now = start.copy()
    for _ in range(STEPS):
        now = SPREAD * (graph @ now) + (1 - SPREAD) * start
    now[labelled] = start[labelled]
    made: Floats = (now / np.maximum(now.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return made


def neighbours(features: Floats, count: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """The `count` nearest others of each row, and how alike they are (cosine)."""
    near = np.empty((len(features), count), dtype=np.intp)
    alike = np.empty((len(features), count), dtype=np.float32)
    for start in range(0, len(features), _BLOCK):
        block = features[start : start + _BLOCK] @ features.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        near[start : start + len(block)] = np.argpartition(-block, count - 1, axis=1)[:, :count]
        alike[start : start + len(block)] = np.take_along_axis(
            block, near[start : start + len(block)], axis=1
        )
    return near, alike
