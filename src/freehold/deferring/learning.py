"""A router learned from a selection split: logistic regression over hashed pieces of words and letters.

The penalty is the one whose foretelling is best on folds that were not learned from. Its scores are, for each request,
the confidence of a router whose weights never saw it (nor another request of its group), so that a threshold can be
found on the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from freehold.deferring.router import WEIGHTS, packed, places
from freehold.errors import UsageError
from freehold.late import linalg, np, optimize, sparse, special
from freehold.stats.clustered import Codes, encode_groups, folds

if TYPE_CHECKING:
    import numpy.typing as npt

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_STEPS, _LEAST_GAIN = 100, 1e-6
"""Of one fit: most steps, and the relative gain of a step below which it ends."""
_MOST_COORDINATES = 4_000
_ALIKE = 1e-9
"""Of the mean product of a row with itself: what keeps rows apart that are the same."""
Numbers: TypeAlias = "npt.NDArray[np.float64]"


class LearnedRouter(NamedTuple):
    """A router's file, and what each request scores by a router learned from other groups' requests."""

    file: bytes
    scores: Numbers


def learn_router(
    texts: Sequence[str], good: Sequence[bool], *, groups: Sequence[str | None] | None = None
) -> LearnedRouter:
    """Learn from what `request_text` gave of requests and whether the candidate was as good there.

    `groups` name each request's independent unit. The same samples give the same bytes on the same machine. Raises
    `UsageError` where all are alike, so that there is nothing to foretell.
    """
    right, columns = _right(good), _columns(texts)
    units = None if groups is None else encode_groups(groups)
    if units is None:
        units = np.arange(len(texts))
    penalty = best_penalty(columns, right, units)
    file = packed(*fitted(columns, right, penalty))
    return LearnedRouter(file, _cross_fitted(columns, right, units, penalty))


def _cross_fitted(columns: sparse.csr_matrix, right: Numbers, units: Codes, penalty: float) -> Numbers:
    found = np.full(len(right), np.nan)
    for inside, outside in folds(units):
        learned = right[inside]
        if learned.min() == learned.max():
            found[outside] = learned[0]
            continue
        found[outside] = foretold(columns[outside], *fitted(columns[inside], learned, penalty))
    return found


def _right(good: Sequence[bool]) -> Numbers:
    """1 for each answer that is as good as the incumbent's. Raises `UsageError` where all are alike."""
    right = np.asarray(good, dtype=np.float64)
    if len(right) == 0 or right.min() == right.max():
        how = "as good as" if len(right) and right[0] else "worse than"
        raise UsageError(
            f"all {len(right):,} of the candidate's answers are {how} the incumbent's: nothing can be foretold",
            hint="a router takes samples of both kinds",
        )
    return right


def _columns(texts: Sequence[str]) -> sparse.csr_matrix:
    """One row a text; the values are those that `Router.score_text` sums the weights with."""
    rows, starts, values = [], [0], []
    for text in texts:
        for found in places(text):
            rows.append(found)
            values.append(np.full(len(found), 1 / np.sqrt(max(1, len(found)))))
        starts.append(starts[-1] + len(rows[-1]) + len(rows[-2]))
    made = sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(rows), np.array(starts)), shape=(len(texts), WEIGHTS)
    )
    made.sum_duplicates()
    return made


def best_penalty(columns: sparse.csr_matrix, right: Numbers, units: Codes) -> float:
    """The penalty with the least log loss on folds that were not learned from; the strongest of equal ones."""
    losses = np.zeros(len(PENALTIES))
    for inside, outside in folds(units):
        learned = right[inside]
        if learned.min() == learned.max():
            continue
        regression, apart = _Regression(columns[inside]), columns[outside]
        for at, penalty in enumerate(PENALTIES):
            shares = np.clip(foretold(apart, *regression.fitted(learned, penalty)), 1e-6, 1 - 1e-6)
            losses[at] -= float(
                np.sum(right[outside] * np.log(shares) + (1 - right[outside]) * np.log1p(-shares))
            )
    return max(
        (penalty for penalty, loss in zip(PENALTIES, losses, strict=True) if loss <= losses.min() + 1e-9),
        default=PENALTIES[-1],
    )


def fitted(columns: sparse.csr_matrix, right: Numbers, penalty: float) -> tuple[Numbers, float]:
    """Weights and intercept with the least log loss plus ``penalty / 2`` times the weights' squares (L-BFGS)."""
    return _Regression(columns).fitted(right, penalty)


class _Regression:
    """Rows that logistic regressions of several penalties are fitted to.

    The weights sought are combinations of the rows (representer theorem: Schoelkopf, Herbrich, Smola 2001). So where
    there are fewer rows than weights that occur, a coordinate a row is looked for: with ``K = L L'`` the products of
    the rows, ``rows' L'^-1 v`` are the weights of the coordinates ``v``, their squares' sum is that of ``v``, and the
    steps of L-BFGS are the same but for rounding.
    """

    def __init__(self, columns: sparse.csr_matrix) -> None:
        # Only the weights that occur are looked for: all others stay 0.
        self._used = np.unique(columns.indices)
        self._width = columns.shape[1]
        self._rows = columns[:, self._used]
        self._factor: Numbers | None = None
        if self._rows.shape[0] < min(len(self._used), _MOST_COORDINATES):
            products = (self._rows @ self._rows.T).toarray()
            products[np.diag_indices_from(products)] += _ALIKE * (products.trace() / len(products) or 1.0)
            self._factor = np.linalg.cholesky(products)

    def fitted(self, right: Numbers, penalty: float) -> tuple[Numbers, float]:
        """Weights and intercept."""
        seen: Any = self._rows if self._factor is None else self._factor
        transposed = self._rows.T.tocsr() if self._factor is None else self._factor.T
        mean = float(right.mean())

        def loss(at: Numbers) -> tuple[float, Numbers]:
            raw = seen @ at[:-1] + at[-1]
            total = float(np.sum(np.logaddexp(0, raw) - right * raw)) + penalty / 2 * float(at[:-1] @ at[:-1])
            gap = special.expit(raw) - right
            return total, np.append(transposed @ gap + penalty * at[:-1], gap.sum())

        start = np.append(np.zeros(seen.shape[1]), np.log(mean / (1 - mean)))
        found = optimize.minimize(
            loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": _LEAST_GAIN}
        ).x
        weights = np.zeros(self._width)
        weights[self._used] = found[:-1] if self._factor is None else self._of_rows(self._factor, found[:-1])
        return weights, float(found[-1])

    def _of_rows(self, factor: Numbers, coordinates: Numbers) -> Numbers:
        return np.asarray(self._rows.T @ linalg.solve_triangular(factor, coordinates, trans="T", lower=True))


def foretold(columns: sparse.csr_matrix, weights: Numbers, intercept: float) -> Numbers:
    """The probability for each row."""
    return np.asarray(special.expit(columns @ weights + intercept))
