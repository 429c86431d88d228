"""Linear heads over words: the baseline of each run, and half of a head where they know what embeddings do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from freehold.encoders.folder import LinearHead
from freehold.encoders.words import Words, learn
from freehold.late import np
from freehold.training.encoder import heads
from freehold.training.encoder.answers import TaughtForm
from freehold.training.encoder.base import Floats
from freehold.training.encoder.heads import Parts
from freehold.training.encoder.prepared import Examples
from freehold.types.encoder import FieldHead

PENALTY = 1.0
"""Inverse regularization of the support vector machines (hinge, squared)."""


class WordHeads(NamedTuple):
    """Of each field a head over words, None where it is copied; and what such heads of closed fields made of samples
    that they did not learn, None where none is left out."""

    words: Words
    heads: tuple[LinearHead | None, ...]
    logits: tuple[Floats | None, ...]


def fit(form: TaughtForm, examples: Examples, parts: Parts, views: int) -> WordHeads | None:
    """Heads over the words of the first views; None where nothing is learned of them."""
    closed = [field.kind in ("one", "several") for field in form.fields]
    if not any(closed):
        return None
    further = [[one[view] for one in examples.context] for view in range(views - 1)]
    words = learn([examples.texts, *further])
    if not len(words.weights):
        return None
    rows = _rows(words, [examples.texts, *further])
    taught = parts[0][0] if len(parts) == 1 else np.arange(len(examples), dtype=np.intp)
    made: list[LinearHead | None] = []
    logits: list[Floats | None] = []
    for at, field in enumerate(form.fields):
        if not closed[at]:
            made.append(heads.no_rows(field, 0) if field.kind == "found" else None)
            logits.append(None)
            continue
        values = [value[at] for value in examples.values]
        head = _fit(field, rows, values, taught)
        left = [
            _logits(head if len(parts) == 1 else _fit(field, rows, values, kept), rows[out])
            for kept, out in parts
        ]
        made.append(head)
        logits.append(np.concatenate(left) if left else None)
    return WordHeads(words, tuple(made), tuple(logits))


def _rows(words: Words, views: Sequence[Sequence[str]]) -> Any:
    """A sparse row of features for each sample."""
    from scipy.sparse import csr_matrix

    places: list[int] = []
    values: list[float] = []
    ends = [0]
    for texts in zip(*views, strict=True):
        here, each = words.of(texts)
        places += here
        values += each
        ends.append(len(places))
    shape = (len(ends) - 1, len(words.weights))
    return csr_matrix((np.array(values, dtype=np.float32), places, ends), shape=shape)


def _fit(field: FieldHead, rows: Any, values: Sequence[Any], kept: heads.Places) -> LinearHead:
    """One against the rest for each label; a row for those without a sample too."""
    if field.kind == "several":
        wanted = heads.flags_of(field, [values[at] for at in kept])
    else:
        places = heads.places_of(field, [values[at] for at in kept])
        wanted = places[:, None] == np.arange(len(field.labels))
    weight = np.zeros((len(field.labels), rows.shape[1]), dtype=np.float32)
    bias = np.full(len(field.labels), -1.0, dtype=np.float32)
    from sklearn.svm import LinearSVC

    for at in range(len(field.labels)):
        if wanted[:, at].all():
            bias[at] = 1.0
        elif wanted[:, at].any():
            model = LinearSVC(C=PENALTY, random_state=0).fit(rows[kept], wanted[:, at])
            weight[at], bias[at] = model.coef_[0], model.intercept_[0]
    return LinearHead(field, np.zeros((len(weight), 0), dtype=np.float32), bias, words=weight)


def _logits(head: LinearHead, rows: Any) -> Floats:
    assert head.words is not None
    return np.asarray(rows @ head.words.T + head.bias, dtype=np.float32)
