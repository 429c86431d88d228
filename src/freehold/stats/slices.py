"""Scores as pairs and their clusters, and harm by slice.

Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from freehold.late import np, special
from freehold.stats.binary import Floats, tango_limits, tango_statistic, z_quantile
from freehold.stats.clustered import Codes, cluster_robust_mean, clustered_binary_limits, dense_codes
from freehold.stats.continuous import FEW_NONZERO, no_variance_limits, paired_t_ci
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import SliceResult

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Unscored(NamedTuple):
    """How many pairs lack a score, by side.

    An answer in the wrong form, a refusal or a timeout is a score of `lo`, not an unscored item. Only what no model
    caused is unscored: a grader that crashed, a lost connection, a missing label.
    """

    candidate_only: int
    incumbent_only: int
    both: int

    @property
    def total(self) -> int:
        return self.candidate_only + self.incumbent_only + self.both


@dataclass(frozen=True, kw_only=True)
class ScoredPairs:
    """Pairs with two scores, columns of length n, and how many items lack one.

    `d` is candidate minus incumbent. `codes` names each pair's cluster, None where the items themselves are
    the independent units; `declared_codes` are the codes of all items, as they were given. `scored` marks the
    pairs among all items. `binary` says that every score lies at an end of its range.
    """

    incumbent: Floats
    candidate: Floats
    d: Floats
    codes: Codes | None
    declared_codes: Codes | None
    scored: NDArray[np.bool_]
    unscored: Unscored
    binary: bool

    @property
    def n(self) -> int:
        return len(self.d)

    @cached_property
    def incumbent_mean(self) -> float | None:
        return mean_of(self.incumbent)

    @cached_property
    def candidate_mean(self) -> float | None:
        return mean_of(self.candidate)

    @cached_property
    def difference(self) -> float | None:
        """Mean of `d`; None without pairs."""
        return mean_of(self.d)


def scored_pairs(x: Floats, y: Floats, *, codes: Codes | None, reach: float) -> ScoredPairs:
    """The pairs of two score columns in which NaN stands for unscored; `reach` is the width of the scores' range."""
    has_x, has_y = ~np.isnan(x), ~np.isnan(y)
    scored = has_x & has_y
    incumbent, candidate = x[scored], y[scored]
    d = candidate - incumbent
    units = None if codes is None else dense_codes(codes[scored])
    if units is not None and len(units) and int(units.max()) + 1 == len(units):
        units = None  # every cluster holds one item: the items are the units
    return ScoredPairs(
        incumbent=incumbent,
        candidate=candidate,
        d=d,
        codes=units,
        declared_codes=codes,
        scored=scored,
        unscored=Unscored(
            candidate_only=int(np.count_nonzero(has_x & ~has_y)),
            incumbent_only=int(np.count_nonzero(~has_x & has_y)),
            both=int(np.count_nonzero(~has_x & ~has_y)),
        ),
        binary=bool(np.isin(d, (-reach, 0.0, reach)).all()),
    )


def mean_of(values: Floats) -> float | None:
    """The mean in one order of summation, whatever the order of the items."""
    return float(np.sort(values).mean()) if len(values) else None


MIN_N = 20
HARM_ALPHA = 0.05


def compare_slices(
    pairs: ScoredPairs, fields: Mapping[str, Sequence[str | None]], rule: DecisionRule
) -> tuple[SliceResult, ...]:
    """Every value of every declared field is a slice named ``field=value``; `fields` has a value per item.

    Slices below 20 pairs are listed with counts and interval, "too small to test". Worst first: the largest drop, those
    too small to test last, where chance alone makes the largest ones. Limits lie within the range of a difference. The
    absence of a flag does not prove safety: each slice shows its lower limit.
    """
    members = _members(fields, pairs.scored)
    if not members:
        return ()
    d, margin = pairs.d, rule.harm_margin
    sizes = np.array([len(rows) for rows in members.values()], dtype=float)
    wins = np.array([np.count_nonzero(d[rows] > 0) for rows in members.values()], dtype=float)
    losses = np.array([np.count_nonzero(d[rows] < 0) for rows in members.values()], dtype=float)
    means = np.array([float(np.sort(d[rows]).mean()) for rows in members.values()])
    score = _score_limits(wins, losses, sizes, rule)
    limits = score
    if pairs.codes is not None:
        limits = np.array([_clustered(pairs, rows, rule) for rows in members.values()])
    elif not pairs.binary:
        limits = np.array(
            [_continuous(d[rows], rule, row) for rows, row in zip(members.values(), score, strict=True)]
        )
    limits[:, :2] = np.clip(limits[:, :2], -rule.reach, rule.reach)  # a t interval knows of no range
    tested = sizes >= MIN_N
    p, adjusted = limits[:, 2], np.ones(len(members))
    if tested.any():
        adjusted[tested] = holm(p[tested].tolist())
    results = [
        SliceResult(
            name=name,
            n=int(sizes[i]),
            difference=float(means[i]),
            ci_low=float(limits[i, 0]),
            ci_high=float(limits[i, 1]),
            p_harm=float(p[i]) if tested[i] else None,
            p_harm_adjusted=float(adjusted[i]) if tested[i] else None,
            harmed=bool(tested[i] and adjusted[i] <= HARM_ALPHA),
            note=None if tested[i] else "too small to test",
            a_only=int(losses[i]) if pairs.binary else None,
            b_only=int(wins[i]) if pairs.binary else None,
            margin=margin,
        )
        for i, name in enumerate(members)
    ]
    return tuple(sorted(results, key=_worst_first))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: family-wise error under any dependence."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def _members(fields: Mapping[str, Sequence[str | None]], scored: NDArray[np.bool_]) -> dict[str, Codes]:
    """The rows of each slice among the scored pairs, in order of appearance."""
    members: dict[str, Codes] = {}
    for field, values in fields.items():
        index: dict[str, int] = {}
        labels = np.fromiter(
            (
                -1 if value is None else index.setdefault(value, len(index))
                for value, is_scored in zip(values, scored.tolist(), strict=True)
                if is_scored
            ),
            np.int64,
            int(np.count_nonzero(scored)),
        )
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(len(index) + 1))
        for value, position in index.items():
            members[f"{field}={value}"] = order[starts[position] : starts[position + 1]]
    return members


def _worst_first(part: SliceResult) -> tuple[bool, float, float, str]:
    return (
        part.p_harm is None,
        part.difference if part.difference is not None else 1.0,
        part.ci_high if part.ci_high is not None else 1.0,
        part.name,
    )


def _score_limits(wins: Floats, losses: Floats, sizes: Floats, rule: DecisionRule) -> Floats:
    """Tango's lower and upper limit and harm p of each slice as if its pairs were independent and binary.

    Shape: (slices, 3).
    """
    tables = zip(wins.tolist(), losses.tolist(), sizes.tolist(), strict=True)
    limits = np.array([tango_limits(b, c, n, z_quantile(rule.alpha)) for b, c, n in tables])
    p = special.ndtr(tango_statistic(wins, losses, sizes, -rule.harm_margin / rule.reach))
    return np.column_stack([limits * rule.reach, p])


def _clustered(pairs: ScoredPairs, rows: Codes, rule: DecisionRule) -> tuple[float, float, float]:
    """Limits and harm p of one slice of clustered pairs."""
    assert pairs.codes is not None
    codes, d, margin, reach = dense_codes(pairs.codes[rows]), pairs.d[rows], rule.harm_margin, rule.reach
    if len(codes) == 0 or int(codes.max()) == 0:
        return -reach, reach, 1.0  # one unit says nothing about the next
    limits = clustered_binary_limits(codes, d / reach, margin=margin / reach, alpha=rule.alpha)
    mean = cluster_robust_mean(codes, d, alpha=rule.alpha)
    if pairs.binary or mean.se == 0:
        low, high = limits.lower * reach, limits.upper * reach
    else:
        low, high = mean.lower, mean.upper
    if mean.se == 0:
        return low, high, 1.0 if low <= -margin <= high or mean.estimate > -margin else 0.0
    return low, high, float(special.stdtr(mean.df, (mean.estimate + margin) / mean.se))


def _continuous(d: Floats, rule: DecisionRule, score: Floats) -> tuple[float, float, float]:
    """Limits and harm p of one slice of independent pairs; `score` has those of `_score_limits`."""
    n, margin = len(d), rule.harm_margin
    if n < 2 or d.min() == d.max():
        low, high = no_variance_limits(
            float(d[0]), n, lo=rule.lo, hi=rule.hi, quantile=z_quantile(rule.alpha)
        )
        return low, high, 0.0 if high < -margin else 1.0
    t = paired_t_ci(
        -d, alpha=rule.alpha, margin=-margin
    )  # of the losses: harm is that they exceed the margin
    found = -t.upper, -t.lower, t.p_noninferiority
    if np.count_nonzero(d) < FEW_NONZERO:  # the signs at full range speak too
        return min(found[0], float(score[0])), max(found[1], float(score[1])), max(found[2], float(score[2]))
    return found
