"""Compare two models' scores on the same items: choose the method by the data, apply the rule, say why.

The choice: declared clusters -> `clustered`; all scores at the ends of the range -> `binary` with the exact
guard; anything else -> `continuous`. Nothing is looked up and no clock is read; the same values always give
the same result, whatever the order of the items.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from freehold.errors import UsageError
from freehold.late import np
from freehold.stats import power as planner
from freehold.stats import rules
from freehold.stats.binary import Floats
from freehold.stats.clustered import (
    LARGEST_SHARE,
    MIN_CLUSTERS_PROMOTE,
    MIN_CLUSTERS_REJECT,
    Codes,
    drawn,
    encode_groups,
)
from freehold.stats.inference import Inference, WorstCase, infer, worst_case
from freehold.stats.judges import JudgeEvidence
from freehold.stats.rules import DecisionRule
from freehold.stats.slices import ScoredPairs, compare_slices, mean_of, scored_pairs
from freehold.types.evaluation import PairedResult, SliceResult

if TYPE_CHECKING:
    import numpy.typing as npt


_MAX_NEEDED = 10_000_000
_POWER = 0.8  # of the plans; the notes say 80 %

SETTLED_BY_ITEMS = frozenset(
    {
        "interval_spans_margin",
        "measurably_worse_margin_not_excluded",
        "too_few_pairs",
        "exact_test_not_passed",
        "rare_losses_could_hide_harm",
        "no_scored_pairs",
    }
)
"""Obstacles that more held-out items remove."""


class Outlook(NamedTuple):
    """What this n could see and what would settle it, in held-out items. None: cannot be computed or will not help.

    The fields are those of `PairedResult`.
    """

    smallest_detectable: float | None = None
    needed_n: int | None = None
    needed_n_assumes: Literal["equal", "as_seen"] | None = None
    needed_n_if_slightly_worse: int | None = None
    power_ceiling: float | None = None
    clone_n: int | None = None


def outlook(
    pairs: ScoredPairs,
    rule: DecisionRule,
    *,
    design_effect: float,
    self_noise: float | None,
    decision: rules.Decision,
) -> Outlook:
    """Plan from the pairs at hand as a pilot.

    The discordance is its upper 80 % Clopper-Pearson limit (the standard deviation as seen, where scores
    are not binary), the assumed truth is "equal". When as many pairs as that are there already, or the candidate is
    measurably worse, the difference as seen is assumed instead. Nothing is planned where it lies below -margin, or
    where something else than the number of items stands in the way.
    """
    d, n = pairs.d, pairs.n
    if n < 2:
        return Outlook()
    discordant = int(np.count_nonzero(d))
    if d.min() == d.max() and not pairs.binary:
        discordant = 0  # all differ by the same amount: nothing varied, which is not certainty either
    if pairs.binary or discordant == 0:
        unit = rule.reach
        psi = planner.discordance_upper(discordant, n)
        plan = partial(_binary_n, psi, rule, design_effect)
        detectable = unit * planner.smallest_detectable(
            discordant / design_effect, n / design_effect, alpha=rule.alpha, power=_POWER
        )
    else:
        unit = 1.0
        sd = float(np.sort(d).std(ddof=1))
        plan = partial(_continuous_n, sd, rule, design_effect)
        detectable = planner.z_sum(rule.alpha, _POWER) * sd * math.sqrt(design_effect / n)
    estimate, margin = float(d.mean()) / unit, rule.margin / unit

    def enough(true: float) -> int | None:
        wanted = plan(true)
        return None if wanted is None else max(wanted, rules.MIN_PAIRS_PROMOTE)

    equal = enough(0.0)
    found = Outlook(min(detectable, rule.reach))
    if decision.outcome == "promote":
        found = found._replace(needed_n=equal, needed_n_assumes="equal")
    elif decision.outcome == "hold" and SETTLED_BY_ITEMS.issuperset(decision.reasons) and estimate > -margin:
        worse = "measurably_worse_margin_not_excluded" in decision.reasons
        if equal is not None and equal > n and not worse:
            slightly = enough(-margin / 4)
            found = found._replace(
                needed_n=equal, needed_n_assumes="equal", needed_n_if_slightly_worse=slightly
            )
        elif estimate < 0 and (as_seen := enough(estimate)) is not None and as_seen > n:
            found = found._replace(needed_n=as_seen, needed_n_assumes="as_seen")
    if self_noise is None:
        return found
    noise, options = min(max(self_noise, 0.0), 1.0), {"margin": rule.unit_margin, "alpha": rule.alpha}
    return found._replace(
        clone_n=planner.noninferiority_n_normal(discordance=noise, power=_POWER, **options),
        power_ceiling=planner.power_at(max(2, round(n / design_effect)), discordance=self_noise, **options),
    )


def _binary_n(psi: float, rule: DecisionRule, design_effect: float, true: float) -> int | None:
    """Pairs needed at discordance `psi` if the true difference, as a share of the range, is `true`."""
    if true <= -rule.unit_margin or abs(true) > psi:
        return None
    normal = planner.noninferiority_n_normal(
        discordance=psi, margin=rule.unit_margin, true_difference=true, alpha=rule.alpha, power=_POWER
    )
    if normal > _MAX_NEEDED:
        return None
    return planner.noninferiority_n_binary(
        discordance=psi,
        margin=rule.unit_margin,
        true_difference=true,
        alpha=rule.alpha,
        power=_POWER,
        design_effect=design_effect,
        guard=False,
    ).n


def _continuous_n(sd: float, rule: DecisionRule, design_effect: float, true: float) -> int | None:
    """Pairs needed with this standard deviation if the true difference, on the score's scale, is `true`."""
    z = planner.z_sum(rule.alpha, _POWER)
    if true <= -rule.margin or (z * sd / (true + rule.margin)) ** 2 > _MAX_NEEDED:
        return None
    return planner.partial_credit_n(
        sd=sd / rule.reach,
        margin=rule.unit_margin,
        true_difference=true / rule.reach,
        alpha=rule.alpha,
        power=_POWER,
        design_effect=design_effect,
    ).n


MIN_PAIRS_REJECT = 10
"""Independent pairs below which scores that are not binary reject nothing; counts have the exact guard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreContext:
    """What is known about the scores besides the scores.

    `self_noise` is the share of items on which two runs of the incumbent differ, `judge` what is known about
    the model judge that scored (None: none did), `looks` how often these items were evaluated for this route,
    this time included, `gone` how many items an earlier look was at that are not among these, `removed` how many more
    were forgotten or too old to keep. `informs`: the look was planned for something else, so this comparison may not
    promote. `unmeasured` is the share of items whose right answer is the incumbent's own single one (`Evidence`).
    `whole_units`: the clusters are sessions, which are judged whole; else at most `MOST_OF_A_UNIT` items of each count.
    """

    self_noise: float | None = None
    judge: JudgeEvidence | None = None
    looks: int = 1
    informs: bool = False
    whole_units: bool = False
    gone: int = 0
    removed: int = 0
    unmeasured: float = 0.0


_NOTHING_KNOWN = ScoreContext()


def compare_scores(
    ids: Sequence[str],
    incumbent: Sequence[float | None],
    candidate: Sequence[float | None],
    rule: DecisionRule,
    *,
    clusters: Sequence[str | None] | None = None,
    capped: Sequence[bool] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    context: ScoreContext = _NOTHING_KNOWN,
) -> PairedResult:
    """Compare scores of the same items; None is an unscored item. Higher is better, in the rule's range.

    `clusters` names each item's independent unit (None: a unit of its own), of which at most `MOST_OF_A_UNIT` items
    count, but for those that are not `capped` (None: all are). `slices` maps a declared field
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
    codes = counted = None
    if clusters is not None:
        _same_length("clusters", clusters, n_items)
        codes = encode_groups(clusters)
    if codes is not None:
        counted = drawn(codes, np.array([draw_of(name) for name in ids], dtype=np.uint64))
        if capped is not None:
            _same_length("capped", capped, n_items)
            counted |= ~np.asarray(capped, dtype=bool)
    for name, values in (slices or {}).items():
        _same_length(f"slice {name}", values, n_items)
    return compare_arrays(x, y, rule, codes=codes, counted=counted, slices=slices, context=context)


def draw_of(id: str | int) -> int:
    """A number by which an item is drawn from its cluster: a hash of its id, so that it is fixed before any score."""
    return int.from_bytes(hashlib.blake2b(str(id).encode(), digest_size=8).digest(), "big")


def compare_arrays(
    x: Floats,
    y: Floats,
    rule: DecisionRule,
    *,
    codes: Codes | None = None,
    counted: npt.NDArray[np.bool_] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    context: ScoreContext = _NOTHING_KNOWN,
) -> PairedResult:
    """`compare_scores` on checked columns: float arrays in which NaN stands for unscored. `counted` marks the
    items that count (None: all)."""
    everyone = None
    if codes is not None and counted is not None and not context.whole_units and not counted.all():
        everyone = y - x
        x, y, codes = x[counted], y[counted], codes[counted]
        rows = np.flatnonzero(counted).tolist()
        slices = {name: [values[row] for row in rows] for name, values in (slices or {}).items()}
    pairs = scored_pairs(x, y, codes=codes, reach=rule.reach)
    headline = None if context.judge is None else context.judge.headline
    inference = infer(pairs.d, pairs.codes, rule, binary=pairs.binary).calibrated(headline)
    corrected = headline if inference.is_corrected else None
    worst = worst_case(pairs, rule, inference, gone=context.gone)
    sliced = compare_slices(pairs, slices or {}, rule)
    lost = _lost(pairs, rule, inference, worst, context)
    decision = rules.decide(_evidence(pairs, rule, inference, lost, sliced, context))
    # What a judge's scores would need says nothing about what labels need.
    planned = (
        Outlook()
        if corrected is not None
        else outlook(
            pairs,
            rule,
            design_effect=inference.design_effect,
            self_noise=context.self_noise,
            decision=decision,
        )
    )
    counts = pairs.binary and pairs.n > 0
    return PairedResult(
        **planned._asdict(),
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
        a_only=int(np.count_nonzero(pairs.d < 0)) if counts else None,
        b_only=int(np.count_nonzero(pairs.d > 0)) if counts else None,
        verdict=decision.outcome,
        reasons=decision.reasons,
        slices=sliced,
        intervals=inference.parts,
        design_effect=None if inference.mean is None else inference.design_effect,
        lower_worst=worst.lower,
        self_noise=context.self_noise,
        unmeasured=context.unmeasured,
        error_ratio=_error_ratio(pairs.incumbent_mean, rule) if pairs.binary else None,
        binary=pairs.binary,
        all_items=None if everyone is None else len(everyone),
        all_difference=None if everyone is None else mean_of(everyone[~np.isnan(everyone)]),
    )


def _error_ratio(rate: float | None, rule: DecisionRule) -> float | None:
    """How many times more errors the margin allows: ``(1 - p + margin) / (1 - p)``; None without errors."""
    if rate is None or rate >= rule.hi:
        return None
    errors = (rule.hi - rate) / rule.reach
    return (errors + rule.unit_margin) / errors


def outcome_of(x: Floats, y: Floats, rule: DecisionRule, *, codes: Codes | None = None) -> rules.Outcome:
    """The outcome `compare_arrays` comes to without slices, and nothing of what stands beside it."""
    pairs = scored_pairs(x, y, codes=codes, reach=rule.reach)
    inference = infer(pairs.d, pairs.codes, rule, binary=pairs.binary)
    lost = _Lost(worst_case(pairs, rule, inference).holds)
    return rules.decide(_evidence(pairs, rule, inference, lost, (), _NOTHING_KNOWN)).outcome


class _Lost(NamedTuple):
    """Whether a promote holds with everything counted as lost that may have been, and the codes of what that is."""

    harmless: bool
    what: tuple[str, ...] = ()


def _lost(
    pairs: ScoredPairs, rule: DecisionRule, inference: Inference, worst: WorstCase, context: ScoreContext
) -> _Lost:
    if worst.holds and context.removed:
        everything = worst_case(pairs, rule, inference, gone=context.gone + context.removed)
        return _Lost(everything.holds, ("removed_items",))
    counts = (("unscored_pairs", pairs.unscored.total), ("gone_items", context.gone))
    return _Lost(worst.holds, tuple(code for code, count in counts if count))


def _evidence(
    pairs: ScoredPairs,
    rule: DecisionRule,
    inference: Inference,
    lost: _Lost,
    sliced: Sequence[SliceResult],
    context: ScoreContext,
) -> rules.Evidence:
    n, clusters = pairs.n, inference.clusters
    vetoes, blocks = [], []
    if any(part.harmed for part in sliced):
        vetoes.append("slice_harm")
    if inference.mean is not None and inference.mean.largest_share > LARGEST_SHARE:
        vetoes.append("cluster_dominates")
    if context.looks > 1:
        vetoes.append("repeated_look")
    if context.informs:
        vetoes.append("after_mixtures")
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
        lost_harmless=lost.harmless,
        lost=lost.what,
        unmeasured=context.unmeasured,
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
