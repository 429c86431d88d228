"""A combination learned from a selection split: logistic regression over several signals and parts of the answers.

The penalty is the one whose foretelling is best on folds that were not learned from. `cross_fitted` gives each answer
the confidence of a combination that saw neither it nor another of its group, as `learning` does for routers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from freehold.deferring.combination import as_read
from freehold.deferring.learning import (
    Numbers,
    best_penalty,
    fitted,
    folds,
    foretold,
    right_of,
    units_of,
)
from freehold.errors import UsageError
from freehold.late import np, sparse
from freehold.types.deferral import Combination, SignalName

if TYPE_CHECKING:
    import numpy.typing as npt

SEEN_AT_LEAST = 3
"""Answers that a part must be in to have a weight."""
LEAST_KNOWN = 0.9
"""Share of answers that must carry a signal for it to be joined: an answer without it is left to the incumbent."""
_LEAST_SCALE = 1e-9


class Answers(NamedTuple):
    """What is known of answers: columns of signals (NaN where one lacks it), and each one's parts."""

    signals: Mapping[SignalName, Numbers]
    parts: Sequence[Sequence[str]]

    def usable(self) -> tuple[tuple[SignalName, ...], npt.NDArray[np.bool_]]:
        """The signals that are joined, and which answers carry all of them."""
        n = len(self.parts)
        names = tuple(
            name
            for name, column in sorted(self.signals.items())
            if name not in ("router", "combined", "agreement", "similarity")
            and np.mean(~np.isnan(column)) >= LEAST_KNOWN
        )
        known = np.ones(n, dtype=bool)
        for name in names:
            known &= ~np.isnan(self.signals[name])
        return names, known


def train_combination(
    answers: Answers, good: Sequence[bool], *, groups: Sequence[str | None] | None = None
) -> Combination:
    """A combination, learned from answers and whether each was as good as the incumbent's.

    `groups` name each answer's independent unit. Raises `UsageError` where all are alike, and where there is nothing to
    join: fewer than two signals, and no answer that is given again.
    """
    names, known = _joined(answers)
    rows = np.flatnonzero(known)
    right, units = right_of(np.asarray(good)[rows].tolist()), units_of(groups, len(known))[rows]
    form = _form(answers, names, rows)
    columns = _columns(answers, form, rows)
    weights, intercept = fitted(columns, right, best_penalty(columns, right, units))
    count = len(names)
    return Combination(
        signals=names,
        centre=tuple(form.centre.tolist()),
        scale=tuple(form.scale.tolist()),
        weights=tuple(weights[:count].tolist()),
        answers={part: float(weights[count + place]) for part, place in form.vocabulary.items()},
        intercept=intercept,
        samples=len(rows),
    )


def cross_fitted(
    answers: Answers, good: Sequence[bool], *, groups: Sequence[str | None] | None = None
) -> Numbers:
    """For each answer the joined signal by a combination learned from other groups' answers; NaN where a signal is
    missing. Raises as `train_combination` does."""
    names, known = _joined(answers)
    found = np.full(len(known), np.nan)
    rows = np.flatnonzero(known)
    right, units = right_of(np.asarray(good)[rows].tolist()), units_of(groups, len(known))[rows]
    whole = _columns(answers, _form(answers, names, rows), rows)
    penalty = best_penalty(whole, right, units)
    for inside, outside in folds(units):
        learned = right[inside]
        if learned.min() == learned.max():
            found[rows[outside]] = learned[0]
            continue
        form = _form(answers, names, rows[inside])
        weights = fitted(_columns(answers, form, rows[inside]), learned, penalty)
        found[rows[outside]] = foretold(_columns(answers, form, rows[outside]), *weights)
    return found


class _Form(NamedTuple):
    names: tuple[SignalName, ...]
    centre: Numbers
    scale: Numbers
    vocabulary: dict[str, int]


def _joined(answers: Answers) -> tuple[tuple[SignalName, ...], npt.NDArray[np.bool_]]:
    names, known = answers.usable()
    seen = Counter(part for parts in answers.parts for part in set(parts))
    if len(names) < 2 and not (names and any(count >= SEEN_AT_LEAST for count in seen.values())):
        raise UsageError(
            "there is one signal at most, and no answer that is given again: nothing can be joined",
            hint="a combination takes two signals, or answers that are chosen from a few",
        )
    return names, known


def _form(answers: Answers, names: tuple[SignalName, ...], rows: npt.NDArray[np.int64]) -> _Form:
    values = _numbers(answers, names, rows)
    seen = Counter(part for row in rows.tolist() for part in set(answers.parts[row]))
    vocabulary = {
        part: place
        for place, part in enumerate(sorted(part for part, count in seen.items() if count >= SEEN_AT_LEAST))
    }
    scale = values.std(axis=0)
    return _Form(names, values.mean(axis=0), np.where(scale > _LEAST_SCALE, scale, 1.0), vocabulary)


def _numbers(answers: Answers, names: tuple[SignalName, ...], rows: npt.NDArray[np.int64]) -> Numbers:
    columns = [[as_read(name, float(answers.signals[name][row])) for row in rows.tolist()] for name in names]
    return np.array(columns, dtype=float).T.reshape(len(rows), len(names))


def _columns(answers: Answers, form: _Form, rows: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    numbers = (_numbers(answers, form.names, rows) - form.centre) / form.scale
    places = [
        sorted(form.vocabulary[part] for part in set(answers.parts[row]) if part in form.vocabulary)
        for row in rows.tolist()
    ]
    starts = np.concatenate([[0], np.cumsum([len(one) for one in places])])
    flat = np.array([place for one in places for place in one], dtype=np.int64)
    said = sparse.csr_matrix(
        (np.ones(len(flat)), flat, starts), shape=(len(rows), max(1, len(form.vocabulary)))
    )
    joined: sparse.csr_matrix = sparse.hstack([sparse.csr_matrix(numbers), said], format="csr")
    return joined
