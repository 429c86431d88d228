"""Compare two models' scores on the same items: choose the method by the data, apply the rule, say why.

The choice: declared clusters -> `clustered`; all scores at the ends of the range -> `binary` with the exact
guard; anything else -> `continuous`. Nothing is looked up and no clock is read; the same values always give
the same result, whatever the order of the items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freehold.errors import UsageError
from freehold.stats import advice, missing, rules
from freehold.stats.binary import Floats, mcnemar
from freehold.stats.clustered import (
    LARGEST_SHARE,
    MIN_CLUSTERS_PROMOTE,
    MIN_CLUSTERS_REJECT,
    Codes,
    encode_clusters,
)
from freehold.stats.inference import infer, worst_case
from freehold.stats.slicing import compare_slices
from freehold.types.evaluation import PairedResult, SliceResult


def compare_scores(
    ids: Sequence[str],
    incumbent: Sequence[float | None],
    candidate: Sequence[float | None],
    *,
    margin: float,
    alpha: float = 0.025,
    clusters: Sequence[str | None] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    lo: float = 0.0,
    hi: float = 1.0,
    seed: int = 0,
    resamples: int = 9999,
    power: float = 0.8,
    slice_margin: float | None = None,
    self_noise: float | None = None,
    judge: advice.Judge | None = None,
    looks: int = 1,
) -> PairedResult:
    """Compare scores of the same items; None is an unscored item. Higher is better, in [lo, hi].

    `clusters` names each item's independent unit (None: a unit of its own). `slices` maps a declared field
    to its value per item (None: in no slice). `self_noise` is the share of items on which two runs of the
    incumbent differ. `looks` counts how often these items were evaluated for this route, this time included.

    Raises `UsageError` for a margin outside (0, hi - lo), duplicate ids, columns of unequal length, NaN and
    scores outside the range.
    """
    n_items = len(ids)
    if not len(incumbent) == len(candidate) == n_items:
        raise UsageError(
            f"{n_items} ids, {len(incumbent)} incumbent and {len(candidate)} candidate scores: not pairs"
        )
    if len(set(ids)) != n_items:
        seen: set[str] = set()
        twice = next(name for name in ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise UsageError(f"id {twice!r} occurs more than once", hint="an item may be compared only once")
    x, y = _column(incumbent, "incumbent", ids, lo, hi), _column(candidate, "candidate", ids, lo, hi)
    codes = None
    if clusters is not None:
        _same_length("clusters", clusters, n_items)
        codes = encode_clusters([f"\0{row}" if name is None else name for row, name in enumerate(clusters)])
    for name, values in (slices or {}).items():
        _same_length(f"slice {name}", values, n_items)
    return compare_arrays(
        x,
        y,
        margin=margin,
        alpha=alpha,
        codes=codes,
        slices=slices,
        lo=lo,
        hi=hi,
        seed=seed,
        resamples=resamples,
        power=power,
        slice_margin=slice_margin,
        self_noise=self_noise,
        judge=judge,
        looks=looks,
    )


def compare_arrays(
    x: Floats,
    y: Floats,
    *,
    margin: float,
    alpha: float = 0.025,
    codes: Codes | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    lo: float = 0.0,
    hi: float = 1.0,
    seed: int = 0,
    resamples: int = 9999,
    power: float = 0.8,
    slice_margin: float | None = None,
    self_noise: float | None = None,
    judge: advice.Judge | None = None,
    looks: int = 1,
) -> PairedResult:
    """`compare_scores` on checked columns: float arrays in which NaN stands for unscored."""
    reach = hi - lo
    if not 0 < margin < reach:
        raise UsageError(
            f"margin is {margin:g}, expected above 0 and below {reach:g}",
            hint="the margin is the largest drop you accept, on the score's scale: 0.02 is two points",
        )
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}, expected between 0 and 0.5", hint="0.025 is the usual choice")
    has_x, has_y = ~np.isnan(x), ~np.isnan(y)
    scored = has_x & has_y
    unscored = missing.Unscored(
        candidate_only=int(np.count_nonzero(has_x & ~has_y)),
        incumbent_only=int(np.count_nonzero(~has_x & has_y)),
        both=int(np.count_nonzero(~has_x & ~has_y)),
    )
    x, y = x[scored], y[scored]
    d = y - x
    kept = None if codes is None else np.unique(codes[scored], return_inverse=True)[1].astype(np.int64)
    if kept is not None and len(kept) and int(kept.max()) + 1 == len(kept):
        kept = None  # every cluster holds one item: the items are the units
    binary = bool(np.isin(d, (-reach, 0.0, reach)).all())
    found = infer(
        d, kept, binary=binary, margin=margin, alpha=alpha, lo=lo, hi=hi, seed=seed, resamples=resamples
    )
    worst = worst_case(
        d, unscored.total, codes, scored, binary=binary, margin=margin, alpha=alpha, lo=lo, hi=hi, seed=seed
    )
    share = unscored.total / len(scored) if len(scored) else 0.0
    harmless = share <= margin / reach / 4 or worst.holds
    sliced: tuple[SliceResult, ...] = ()
    if slices and len(d):
        sliced = compare_slices(
            d,
            {name: _pick(values, scored) for name, values in slices.items()},
            codes=kept,
            binary=binary,
            margin=slice_margin if slice_margin is not None else max(2 * margin, 0.05 * reach),
            alpha=alpha,
            lo=lo,
            hi=hi,
        )
    incumbent_mean = _mean(x)
    vetoes = [code for holds, code in ((any(part.harmed for part in sliced), "slice_harm"),) if holds]
    blocks = []
    if found.mean is not None and found.mean.largest_share > LARGEST_SHARE:
        vetoes.append("cluster_dominates")
    if looks > 1:
        vetoes.append("repeated_look")
    if incumbent_mean is not None and margin >= incumbent_mean - lo:
        blocks.append("margin_not_below_incumbent")
    if judge is not None:
        judge_vetoes, judge_blocks = judge.objections()
        vetoes += judge_vetoes
        blocks += judge_blocks
    clusters_seen = None if found.mean is None else found.mean.clusters
    decision = rules.decide(
        rules.Evidence(
            n=len(d),
            lower=found.lower,
            upper=found.upper,
            margin=margin,
            alpha=alpha,
            p_exact_promote=found.p_exact,
            p_exact_reject=found.p_reject,
            enough_to_promote=(
                len(d) >= rules.MIN_PAIRS_PROMOTE
                if clusters_seen is None
                else clusters_seen >= MIN_CLUSTERS_PROMOTE and len(d) >= rules.MIN_PAIRS_PROMOTE
            ),
            enough_to_reject=(
                (binary or len(d) >= 10) if clusters_seen is None else clusters_seen >= MIN_CLUSTERS_REJECT
            ),
            unscored_harmless=harmless,
            vetoes=tuple(vetoes),
            blocks=tuple(blocks),
        )
    )
    wins, losses = int(np.count_nonzero(d > 0)), int(np.count_nonzero(d < 0))
    outlook = advice.outlook(
        d,
        effect=found.effect,
        binary=binary,
        margin=margin,
        alpha=alpha,
        power=power,
        reach=reach,
        self_noise=self_noise,
        outcome=decision.outcome,
    )
    notes = advice.notes(
        decision=decision,
        outlook=outlook,
        unscored=unscored,
        n=len(d),
        clusters=clusters_seen,
        declared_clusters=codes is not None,
        difference=_mean(d),
        lower=found.lower,
        upper=found.upper,
        margin=margin,
        incumbent_mean=incumbent_mean,
        lo=lo,
        hi=hi,
        binary=binary,
        sliced=sliced,
        naive=found.naive,
        n_exact=found.p_exact is not None,
    )
    return PairedResult(
        n=len(d),
        n_items=len(scored),
        n_groups=clusters_seen,
        unscored={
            "candidate_only": unscored.candidate_only,
            "incumbent_only": unscored.incumbent_only,
            "both": unscored.both,
        },
        incumbent_mean=incumbent_mean,
        candidate_mean=_mean(y),
        difference=_mean(d),
        ci_low=found.lower,
        ci_high=found.upper,
        level=1 - 2 * alpha,
        method=found.method,
        margin=margin,
        alpha=alpha,
        p_noninferiority=found.p,
        p_exact=found.p_exact,
        p_reject=found.p_reject,
        a_only=losses if binary and len(d) else None,
        b_only=wins if binary and len(d) else None,
        p_mcnemar=mcnemar(wins, losses).p_midp if binary and len(d) and found.mean is None else None,
        p_sign_flip=found.p_sign_flip,
        smallest_detectable=outlook.smallest_detectable,
        margin_excluded=None if found.lower is None or found.lower >= 0 else -found.lower,
        needed_n=outlook.needed_n,
        verdict=decision.outcome,
        reasons=decision.reasons,
        slices=sliced,
        notes=notes,
        intervals=dict(found.parts),
        design_effect=found.effect if found.mean is not None else None,
        icc=None if found.mean is None else found.mean.icc_anova,
        lower_worst=worst.lower,
        upper_best=worst.upper,
        self_noise=self_noise,
        power_ceiling=outlook.power_ceiling,
        error_ratio=advice.error_ratio(incumbent_mean, margin, lo, hi) if binary else None,
        binary=binary,
    )


def _column(values: Sequence[float | None], name: str, ids: Sequence[str], lo: float, hi: float) -> Floats:
    none = np.fromiter((value is None for value in values), bool, len(values))
    column = np.fromiter((math.nan if value is None else value for value in values), float, len(values))
    wrong = np.isnan(column) & ~none
    if wrong.any():
        raise UsageError(
            f"the {name}'s score of {ids[int(np.argmax(wrong))]!r} is NaN",
            hint="write null (None) for an item that could not be scored",
        )
    outside = ~none & ((column < lo) | (column > hi))
    if outside.any():
        row = int(np.argmax(outside))
        raise UsageError(
            f"the {name}'s score of {ids[row]!r} is {column[row]:g}, outside {lo:g} to {hi:g}",
            hint="declare the score's range",
        )
    return column


def _same_length(what: str, values: Sequence[Any], n: int) -> None:
    if len(values) != n:
        raise UsageError(f"{what}: {len(values)} values for {n} items")


def _pick(values: Sequence[str | None], scored: Any) -> list[str | None]:
    return [value for value, keep in zip(values, scored, strict=True) if keep]


def _mean(values: Floats) -> float | None:
    return float(np.sort(values).mean()) if len(values) else None
