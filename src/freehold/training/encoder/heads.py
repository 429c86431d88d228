"""Linear heads over embeddings, by logistic regression, and over words, by support vector machines: the baseline of
each run, and half of a head where words know what embeddings do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from freehold.encoders.answers import floored, probabilities
from freehold.encoders.folder import LinearHead
from freehold.encoders.pieces import bounds_of, edges_of, log_total
from freehold.encoders.runner import Spans
from freehold.encoders.words import Words
from freehold.late import np
from freehold.training.encoder.answers import TaughtForm, Value, span_of
from freehold.training.encoder.base import Floats
from freehold.types.encoder import FieldHead, of_the_set, place_outside

if TYPE_CHECKING:
    import numpy.typing as npt

Places: TypeAlias = "npt.NDArray[np.intp]"
Flags: TypeAlias = "npt.NDArray[np.bool_]"
Reals: TypeAlias = "npt.NDArray[np.floating]"
Parts: TypeAlias = "Sequence[tuple[Places, Places]]"
"""Ways to leave samples out: the places of those that are fitted on, and of those that are answered then."""

STRENGTHS = (3.0, 10.0, 30.0, 100.0)
"""Inverse regularization over embeddings of length 1: what is tried."""
STRENGTHS_OF_MANY = (10.0, 30.0)
USUAL = 10.0
FEWEST_TO_CHOOSE = 40
"""Samples that must be left out for a choice to be more than chance."""
FOLDS = 5
MANY = 2000
"""Samples from which one tenth that is left out says enough: each fit takes seconds."""
_ITERATIONS = 400
OUTSIDE_COST = 0.005
OUTSIDE_SHARES = (0.3, 0.25, 0.2, 0.16, 0.13, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01)
"""Of the samples that are left out, how many have no logit above the least of the label for what is outside: tried in
this order."""
NAMED = 0.5
"""Weight of a label's own words as a sample, while a label has few samples."""


def one_thread() -> Any:
    """A context in which linear algebra has one thread: the fits are small, and threads that wait for each other spin.
    Two regressions took 9.1 seconds of processor time on two busy cores without it, 0.3 with it."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)


def places_of(field: FieldHead, values: Sequence[Value]) -> Places:
    """Of kind ``one``: each value's place among the labels; -1 for one that is never taught."""
    known = {(type(label).__name__, label): at for at, label in enumerate(field.labels)}
    return np.array([known.get((type(value).__name__, value), -1) for value in values], dtype=np.intp)


def flags_of(field: FieldHead, values: Sequence[Value]) -> Flags:
    """Of kind ``several``: [samples, labels], which labels each has."""
    known = {(type(label).__name__, label): at for at, label in enumerate(field.labels)}
    flags = np.zeros((len(values), len(field.labels)), dtype=np.bool_)
    for row, labels in enumerate(values):
        for label in labels:
            at = known.get((type(label).__name__, label))
            if at is not None:
                flags[row, at] = True
    return flags


def marks_of(field: FieldHead, text: str, value: Value, offsets: Sequence[tuple[int, int]]) -> Flags:
    """Of kind ``copied``, [4, tokens]: at which tokens a piece may begin, may end, begins, ends. Nothing is true where
    the value is not a piece of the text: such marks teach nothing."""
    may = np.stack(edges_of(text, offsets))
    span = None if value is None else span_of(value, field.copied_as, text)
    is_piece = may == np.array([span or (-2, -2)]).T
    marks: Flags = np.concatenate([may >= 0, is_piece])
    return marks if value is None or is_piece.any(axis=1).all() else np.zeros_like(marks)


def targets_of(
    field: FieldHead, values: Sequence[Value], texts: Sequence[str] = (), spans: Sequence[Spans] = ()
) -> Any:
    """What a head learns of each sample, by its kind: places, flags, or marks; nothing of what is ``found``."""
    if field.kind == "one":
        return places_of(field, values)
    if field.kind == "several":
        return flags_of(field, values)
    if field.kind == "found":
        return [None] * len(values)
    return [marks_of(field, *row) for row in zip(texts, values, spans, strict=True)]


def padded(rows: Sequence[Any]) -> Any:
    """Arrays whose last axis differs in length as one, the shorter ones filled up with zeros."""
    made = np.zeros((len(rows), *rows[0].shape[:-1], max(row.shape[-1] for row in rows)), rows[0].dtype)
    for at, row in enumerate(rows):
        made[at, ..., : row.shape[-1]] = row
    return made


def no_rows(field: FieldHead, width: int) -> LinearHead:
    """Of kind ``found``: nothing is learned of embeddings."""
    return LinearHead(field, np.zeros((0, width), dtype=np.float32), np.zeros(0, dtype=np.float32))


def fit_one(
    field: FieldHead, features: Floats, places: Places, strength: float, weights: Floats | None = None
) -> LinearHead:
    """Multinomial logistic regression; a row for each label, those without a sample too."""
    rows = len(field.labels)
    known = places >= 0
    present = np.unique(places[known])
    weight = np.zeros((rows, features.shape[1]), dtype=np.float32)
    bias = np.full(rows, -math.inf, dtype=np.float32)
    if len(present) == 1:
        bias[present] = 0.0
    else:
        model = _regression(strength)
        model.fit(features[known], places[known], sample_weight=None if weights is None else weights[known])
        if len(present) == 2:  # the library keeps one row for two labels
            weight[present] = np.stack([np.zeros_like(model.coef_[0]), model.coef_[0]])
            bias[present] = [0.0, model.intercept_[0]]
        else:
            weight[present], bias[present] = model.coef_, model.intercept_
    bias[np.isinf(bias)] = -1e4  # never the likeliest, and no infinity in a file
    return LinearHead(field, weight, bias)


def fit_several(field: FieldHead, features: Floats, flags: Flags, strength: float) -> LinearHead:
    """A logistic regression for each label."""
    weight = np.zeros((flags.shape[1], features.shape[1]), dtype=np.float32)
    bias = np.zeros(flags.shape[1], dtype=np.float32)
    for at in range(flags.shape[1]):
        if flags[:, at].all() or not flags[:, at].any():
            bias[at] = 1e4 if flags[:, at].all() else -1e4
            continue
        model = _regression(strength)
        model.fit(features, flags[:, at])
        weight[at], bias[at] = model.coef_[0], model.intercept_[0]
    return LinearHead(field, weight, bias)


def folds_of(count: int, strata: Places) -> list[Places]:
    """Places of samples that are left out in turn, each label spread over them: five parts of all, one tenth of many,
    none of too few."""
    if count < FEWEST_TO_CHOOSE:
        return []
    drawn = np.random.default_rng(0).permutation(count)
    order = drawn[np.argsort(strata[drawn], kind="stable")]
    if count >= MANY:
        return [np.sort(order[:: 2 * FOLDS])]
    return [np.sort(order[at::FOLDS]) for at in range(FOLDS)]


def confidences(field: FieldHead, logits: Floats) -> tuple[Places | Flags, Reals]:
    """Of kinds ``one`` and ``several``: the answers, and the probability that each is right as a whole."""
    shares = probabilities(field, logits)
    if field.kind == "one":
        given = shares.argmax(axis=1)
        if field.ordered:
            given = np.array([field.place(row) for row in shares.tolist()], dtype=np.intp)
        return given, shares[np.arange(len(given)), given]
    chosen = shares >= (0.5 if field.threshold is None else field.threshold)
    products = np.where(chosen, shares, 1 - shares).prod(axis=1)
    return chosen, np.array([of_the_set(float(one), field.joint) for one in products])


def is_ordinal(field: FieldHead) -> bool:
    """Whether labels are grades: whole numbers with few left out between them."""
    texts = [str(label) for label in field.labels]
    if len(texts) < 3 or any(isinstance(label, bool) or not str(label).isdecimal() for label in field.labels):
        return False
    numbers = [int(text) for text in texts]
    return max(numbers) - min(numbers) < 2 * len(numbers)


def outside_of(field: FieldHead, logits: Floats, places: Places) -> tuple[int, float] | None:
    """The label for what is outside all others, and the largest least logit of it that costs `OUTSIDE_COST` of these
    samples at most: what comes later is outside more often than what was taught, and unlike it (docs/benchmarks.md)."""
    at = place_outside(field.labels)
    if at is None or len(logits) < FEWEST_TO_CHOOSE:
        return None
    best = np.delete(logits, at, axis=1).max(axis=1)
    right = int((logits.argmax(axis=1) == places).sum())
    for share in OUTSIDE_SHARES:
        outside = (at, float(np.quantile(best, share)))
        if (floored(logits, outside).argmax(axis=1) == places).sum() >= right - OUTSIDE_COST * len(logits):
            return outside
    return None


def strata_of(form: TaughtForm, values: Sequence[tuple[Value, ...]]) -> Places:
    """A number for each sample by which samples of different parts are alike: the place of its first closed answer."""
    for at, field in enumerate(form.fields):
        if field.kind == "one" and len(field.labels) > 1:
            return places_of(field, [value[at] for value in values])
    return np.zeros(len(values), dtype=np.intp)


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-4)


BINS = 15
FEWEST_OF_EACH = 15
"""Right and wrong sets, to tell the probability of a set by."""
_COLDEST, _HOTTEST = 0.05, 20.0


def temperature_of(logits: Reals, right: npt.NDArray[np.intp]) -> float:
    """The temperature that makes the labels at `right` likeliest; 1 where there is nothing to tell it by."""
    known = right >= 0
    if known.sum() < 2 or logits.shape[1] < 2:
        return 1.0
    rows, at = logits[known], right[known]
    certain = (len(at) + 1) / (len(at) + 2)

    def loss(log_temperature: float) -> float:
        scaled = rows / np.exp(log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        wanted = certain * scaled[np.arange(len(at)), at] + (1 - certain) * scaled.mean(axis=1)
        return float(np.mean(log_sum - wanted))

    return _least(loss)


def temperature_of_pieces(logits: Sequence[Floats], marks: Sequence[Flags]) -> float:
    """The same where each text's answer is a piece of it or none, of logits [tokens, TAGS] and `marks_of`."""
    known = [(rows.T, one) for rows, one in zip(logits, marks, strict=True) if one[0].any()]
    if len(known) < 2:
        return 1.0
    scores = padded([rows for rows, _ in known]).swapaxes(1, 2).astype(np.float64)
    right = padded([one for _, one in known])
    first, last = bounds_of(scores, right[:, 0], right[:, 1])
    wanted = np.where(right[:, 2], first, 0).sum(axis=1) + np.where(right[:, 3], last, 0).sum(axis=1)
    best = (np.maximum.accumulate(first, axis=1) + last).max(axis=1)
    certain = (len(known) + 1) / (len(known) + 2)
    smoothed = certain * wanted + (1 - certain) * np.where(right[:, 2].any(axis=1), 0, best)

    def loss(log_temperature: float) -> float:
        by = np.exp(log_temperature)
        return float(np.mean(log_total(first / by, last / by) - smoothed / by))

    return _least(loss)


def temperature_of_several(logits: Reals, right: npt.NDArray[np.bool_]) -> float:
    """The same where each label is a yes or no of its own."""
    if not right.size or right.all() or not right.any():
        return 1.0
    signed = np.where(right, logits, -logits)
    certain = (len(right) + 1) / (len(right) + 2)

    def loss(log_temperature: float) -> float:
        scaled = signed / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, -scaled) + (1 - certain) * scaled))

    return _least(loss)


def joint_of(products: Reals, right: npt.NDArray[np.bool_]) -> tuple[float, float] | None:
    """What makes of the products of labels' probabilities those of whole sets, by which `right` says whether they are;
    None where there are too few of either to tell."""
    from sklearn.linear_model import LogisticRegression

    if min(right.sum(), (~right).sum()) < FEWEST_OF_EACH:
        return None
    within = np.clip(products.astype(np.float64), 1e-9, 1 - 1e-9)
    model = LogisticRegression().fit(np.log(within / (1 - within))[:, None], right)
    return (float(model.coef_[0, 0]), float(model.intercept_[0])) if model.coef_[0, 0] > 0 else None


def _least(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(confidences: Reals, right: npt.NDArray[np.bool_]) -> float | None:
    """Expected calibration error (0 to 1); None without a sample."""
    if not len(confidences):
        return None
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    error = 0.0
    for one in np.unique(bins):
        here = bins == one
        error += here.mean() * abs(float(right[here].mean()) - float(confidences[here].mean()))
    return float(error)


def threshold_of(probabilities: Reals, right: npt.NDArray[np.bool_]) -> float:
    """From which probability a label of several is given, so that most lists are right as a whole; the nearest to 0.5
    among equals."""
    candidates = sorted((share / 20 for share in range(1, 20)), key=lambda share: abs(share - 0.5))
    scores = [float(((probabilities >= share) == right).all(axis=1).mean()) for share in candidates]
    return candidates[int(np.argmax(scores))]


PENALTY = 1.0
"""Inverse regularization of the support vector machines (hinge, squared)."""


def word_rows(words: Words, views: Sequence[Sequence[str]]) -> Any:
    """A sparse row of features for each sample, by its texts of the views."""
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


def fit_words(field: FieldHead, rows: Any, targets: Any, strength: float) -> LinearHead:
    """One against the rest for each label, of kinds ``one`` and ``several``; a row for those without a sample too."""
    from sklearn.svm import LinearSVC

    wanted = targets if field.kind == "several" else targets[:, None] == np.arange(len(field.labels))
    weight = np.zeros((len(field.labels), rows.shape[1]), dtype=np.float32)
    bias = np.full(len(field.labels), -1.0, dtype=np.float32)
    for at in range(len(field.labels)):
        if wanted[:, at].all():
            bias[at] = 1.0
        elif wanted[:, at].any():
            model = LinearSVC(C=strength, random_state=0).fit(rows, wanted[:, at])
            weight[at], bias[at] = model.coef_[0], model.intercept_[0]
    return LinearHead(field, np.zeros((len(weight), 0), dtype=np.float32), bias, words=weight)
