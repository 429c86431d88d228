"""Compare two models' scores on the same items: choose the method by the data, apply the rule, say why.

The choice: declared clusters -> `clustered`; all scores at the ends of the range -> `binary` with the exact
guard; anything else -> `continuous`. Nothing is looked up and no clock is read; the same values always give
the same result, whatever the order of the items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from freehold.errors import UsageError
from freehold.late import np
from freehold.stats import advice, rules
from freehold.stats.binary import Floats, mcnemar
from freehold.stats.clustered import (
    LARGEST_SHARE,
    MIN_CLUSTERS_PROMOTE,
    MIN_CLUSTERS_REJECT,
    Codes,
    encode_clusters,
)
from freehold.stats.continuous import Resampling
from freehold.stats.inference import Inference, WorstLimits, infer, worst_case
from freehold.stats.judges import JudgeEvidence
from freehold.stats.pairs import ScoredPairs, scored_pairs
from freehold.stats.rules import DecisionRule
from freehold.stats.slicing import compare_slices
from freehold.types.evaluation import PairedResult, SliceResult

MIN_PAIRS_REJECT = 10
"""Independent pairs below which scores that are not binary reject nothing; counts have the exact guard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreContext:
    """What is known about the scores besides the scores.

    `self_noise` is the share of items on which two runs of the incumbent differ, `judge` what is known about
    the model judge that scored (None: none did), `looks` how often these items were evaluated for this route,
    this time included. `informs`: the look was planned for something else, so this comparison may not promote.
    """

    self_noise: float | None = None
    judge: JudgeEvidence | None = None
    looks: int = 1
    informs: bool = False


_NOTHING_KNOWN, _RESAMPLING = ScoreContext(), Resampling()


def compare_scores(
    ids: Sequence[str],
    incumbent: Sequence[float | None],
    candidate: Sequence[float | None],
    rule: DecisionRule,
    *,
    clusters: Sequence[str | None] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    context: ScoreContext = _NOTHING_KNOWN,
    resampling: Resampling = _RESAMPLING,
) -> PairedResult:
    """Compare scores of the same items; None is an unscored item. Higher is better, in the rule's range.

    `clusters` names each item's independent unit (None: a unit of its own). `slices` maps a declared field
    to its value per item (None: in no slice).

    Raises `UsageError` for duplicate ids, columns of unequal length, NaN and scores outside the range.
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
    x, y = _column(incumbent, "incumbent", ids, rule), _column(candidate, "candidate", ids, rule)
    codes = None
    if clusters is not None:
        _same_length("clusters", clusters, n_items)
        codes = encode_clusters([f"\0{row}" if name is None else name for row, name in enumerate(clusters)])
    for name, values in (slices or {}).items():
        _same_length(f"slice {name}", values, n_items)
    return compare_arrays(x, y, rule, codes=codes, slices=slices, context=context, resampling=resampling)


def compare_arrays(
    x: Floats,
    y: Floats,
    rule: DecisionRule,
    *,
    codes: Codes | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    context: ScoreContext = _NOTHING_KNOWN,
    resampling: Resampling = _RESAMPLING,
) -> PairedResult:
    """`compare_scores` on checked columns: float arrays in which NaN stands for unscored."""
    pairs = scored_pairs(x, y, codes=codes, reach=rule.reach)
    headline = None if context.judge is None else context.judge.headline
    inference = infer(pairs.d, pairs.codes, rule, binary=pairs.binary, resampling=resampling).calibrated(
        headline
    )
    corrected = headline if inference.as_judged is not None else None
    worst = worst_case(pairs, rule, seed=resampling.seed)
    sliced = compare_slices(pairs, slices or {}, rule)
    decision = rules.decide(_evidence(pairs, rule, inference, worst, sliced, context))
    # What a judge's scores would need says nothing about what labels need.
    outlook = (
        advice.Outlook()
        if corrected is not None
        else advice.outlook(
            pairs,
            rule,
            design_effect=inference.design_effect,
            self_noise=context.self_noise,
            decision=decision,
        )
    )
    counts = pairs.binary and pairs.n > 0
    return PairedResult(
        n=pairs.n,
        n_items=len(pairs.scored),
        n_groups=inference.clusters,
        unscored=pairs.unscored._asdict(),
        incumbent_mean=None if corrected else pairs.incumbent_mean,
        candidate_mean=None if corrected else pairs.candidate_mean,
        difference=pairs.difference if corrected is None else corrected.estimate,
        ci_low=inference.lower,
        ci_high=inference.upper,
        level=1 - 2 * rule.alpha,
        method=inference.method,
        margin=rule.margin,
        alpha=rule.alpha,
        p_noninferiority=inference.p_noninferiority,
        p_exact=inference.p_exact,
        p_reject=inference.p_reject,
        a_only=pairs.losses if counts else None,
        b_only=pairs.wins if counts else None,
        p_mcnemar=mcnemar(pairs.wins, pairs.losses).p_midp if counts and inference.mean is None else None,
        p_sign_flip=inference.p_sign_flip,
        smallest_detectable=outlook.smallest_detectable,
        margin_excluded=None if inference.lower is None or inference.lower >= 0 else -inference.lower,
        needed_n=outlook.needed_n,
        verdict=decision.outcome,
        reasons=decision.reasons,
        slices=sliced,
        notes=advice.notes(pairs, rule, inference, decision, outlook, sliced),
        intervals=inference.parts,
        design_effect=None if inference.mean is None else inference.design_effect,
        icc=None if inference.mean is None else inference.mean.icc_anova,
        lower_worst=worst.lower,
        upper_best=worst.upper,
        self_noise=context.self_noise,
        power_ceiling=outlook.power_ceiling,
        error_ratio=advice.error_ratio(pairs.incumbent_mean, rule) if pairs.binary else None,
        binary=pairs.binary,
    )


def outcome_of(x: Floats, y: Floats, rule: DecisionRule, *, codes: Codes | None = None) -> rules.Outcome:
    """The outcome `compare_arrays` comes to without slices, and nothing of what stands beside it."""
    pairs = scored_pairs(x, y, codes=codes, reach=rule.reach)
    inference = infer(pairs.d, pairs.codes, rule, binary=pairs.binary, resampling=_RESAMPLING)
    worst = worst_case(pairs, rule, seed=_RESAMPLING.seed)
    return rules.decide(_evidence(pairs, rule, inference, worst, (), _NOTHING_KNOWN)).outcome


def _evidence(
    pairs: ScoredPairs,
    rule: DecisionRule,
    inference: Inference,
    worst: WorstLimits,
    sliced: Sequence[SliceResult],
    context: ScoreContext,
) -> rules.Evidence:
    n, clusters = pairs.n, inference.clusters
    unscored, items = pairs.unscored.total, len(pairs.scored)
    vetoes, blocks = [], []
    if any(part.harmed for part in sliced):
        vetoes.append("slice_harm")
    if inference.mean is not None and inference.mean.largest_share > LARGEST_SHARE:
        vetoes.append("cluster_dominates")
    if context.looks > 1:
        vetoes.append("repeated_look")
    if context.informs:
        vetoes.append("planned_for_mixture")
    if pairs.incumbent_mean is not None and rule.margin >= pairs.incumbent_mean - rule.lo:
        blocks.append("margin_not_below_incumbent")
    if context.judge is not None:
        judge_vetoes, judge_blocks = context.judge.objections()
        vetoes += judge_vetoes
        blocks += judge_blocks
    return rules.Evidence(
        n=n,
        rule=rule,
        lower=inference.lower,
        upper=inference.upper,
        p_exact_promote=inference.p_exact,
        p_exact_reject=inference.p_reject,
        p_rare_loss=inference.p_rare_loss,
        enough_to_promote=n >= rules.MIN_PAIRS_PROMOTE
        and (clusters is None or clusters >= MIN_CLUSTERS_PROMOTE),
        enough_to_reject=pairs.binary or n >= MIN_PAIRS_REJECT
        if clusters is None
        else clusters >= MIN_CLUSTERS_REJECT,
        # The worst case is of the judge's scores: where labels correct them it says nothing.
        unscored_harmless=(unscored / items if items else 0.0) <= rule.unit_margin / 4
        or (worst.holds and inference.as_judged is None),
        vetoes=tuple(vetoes),
        blocks=tuple(blocks),
    )


def _column(values: Sequence[float | None], name: str, ids: Sequence[str], rule: DecisionRule) -> Floats:
    none = np.fromiter((value is None for value in values), bool, len(values))
    column = np.fromiter((math.nan if value is None else value for value in values), float, len(values))
    wrong = np.isnan(column) & ~none
    if wrong.any():
        raise UsageError(
            f"the {name}'s score of {ids[int(np.argmax(wrong))]!r} is NaN",
            hint="write null (None) for an item that could not be scored",
        )
    outside = ~none & ((column < rule.lo) | (column > rule.hi))
    if outside.any():
        row = int(np.argmax(outside))
        raise UsageError(
            f"the {name}'s score of {ids[row]!r} is {column[row]:g}, outside {rule.lo:g} to {rule.hi:g}",
            hint="declare the score's range",
        )
    return column


def _same_length(what: str, values: Sequence[Any], n: int) -> None:
    if len(values) != n:
        raise UsageError(f"{what}: {len(values)} values for {n} items")
