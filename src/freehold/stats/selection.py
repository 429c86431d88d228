"""The rule of selection: candidates share the look at the held-out items by how probably these promote each of them.

Fixed before any candidate is seen. For each candidate the question is: will the verdict on the held-out items be
promote? That takes a difference there of at least

    needed = -margin + z_alpha sqrt(V deff / n_held_out)

where V is the variance of one pair (Tango's, as if the difference were -margin, for binary scores), and for scores
between the ends of their range as much as excludes losses too rare to be seen (`stats.power`). The selection items
say how probable that is, with the noise of both splits:

    chance = Phi((difference - needed) / sqrt(V' deff (1 / n_selection + 1 / n_held_out)))

with V' the observed variance. A candidate passes with a chance of at least `least_chance`: no other need be tried.
Those that were measured have parts of the look's alpha in proportion to their chance cubed, under three tenths of
the best none, and each is tested at its part (weighted Bonferroni: Genovese, Roeder & Wasserman 2006). A bare estimate
above -margin would be the wrong threshold: such a candidate is promoted in few cases (decision 021 has the figures).

The parts come of items that the proof never sees, so some candidate that is worse by the margin is promoted in at most
alpha of cases, however many there were (`benchmarks/calibration/several.py` shows it). The intervals here are of
items that the choice was made by: they describe, they prove nothing.

A candidate stops for one of two reasons. *Hopeless*: it is shown to be worse than the incumbent by more than the margin
(its upper limit lies below -margin), with a small error that the steps share; no number of further items would save it.
*Outrun*: more candidates are left than the step lets go on, and others have a better chance.

Stopping costs nothing of the proof's error: it uses selection items only. Source of the scheme: Karnin, Koren & Somekh
2013, ICML (sequential halving); Jamieson & Talwalkar 2016, AISTATS.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.structs import replace

from freehold.errors import UsageError
from freehold.late import np, special
from freehold.stats.binary import Floats, tango_ci, tango_variance, z_quantile
from freehold.stats.clustered import Codes, dense_codes
from freehold.stats.continuous import FEW_NONZERO, t_quantile
from freehold.stats.inference import infer
from freehold.stats.power import noninferiority_n_normal, rare_loss_limit
from freehold.stats.rules import MIN_PAIRS_PROMOTE, STRICT, DecisionRule
from freehold.types.choosing import Selection, SelectionRow

LEAST_CHANCE = 0.8
"""The usual power of a plan. Lower spends the proof on cheap candidates that fail it, higher on ones dearer than need
be; 0.7 to 0.9 are nearly alike in the calibration."""

LEAST_PART = 0.3
"""Of the best candidate's part: one with less is not looked at. Its chance is below two thirds of the best one's. At a
twentieth candidates that err on the same items are promoted less often together than the best of them by itself."""


class Prospect(NamedTuple):
    """`needed` is the difference that the held-out items would promote, `chance` the probability that they do."""

    needed: Floats
    chance: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRule:
    """How the chosen candidate will be judged: by `decision` on `held_out` items. `least_chance` of promote makes a
    candidate pass. Raises `UsageError` for a chance outside (0, 1) or a negative number of items."""

    decision: DecisionRule
    held_out: int
    least_chance: float = LEAST_CHANCE

    def __post_init__(self) -> None:
        if not 0 < self.least_chance < 1:
            raise UsageError(f"the least chance is {self.least_chance:g}, expected between 0 and 1")
        if self.held_out < 0:
            raise UsageError(f"{self.held_out} held-out items: expected 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriedCandidate:
    """What a candidate scored on the selection split.

    `differences` are candidate minus incumbent for each item, NaN where one of them has no score; `codes` name each
    item's independent unit (None: each item is one). `cost` is dollars per 1,000 requests, None where unknown.
    `stopped` says why it was not measured on all items.
    """

    name: str
    differences: Floats
    cost: float | None = None
    codes: Codes | None = None
    stopped: str | None = None
    units: Codes | None = field(init=False)
    d: Floats = field(init=False)

    def __post_init__(self) -> None:
        scored = ~np.isnan(self.differences)
        units = None if self.codes is None else dense_codes(self.codes[scored])
        if units is not None and (not len(units) or int(units.max()) + 1 == len(units)):
            units = None  # every unit holds one item
        object.__setattr__(self, "d", np.asarray(self.differences, dtype=float)[scored])
        object.__setattr__(self, "units", units)


def assess(tried: TriedCandidate, rule: SelectionRule) -> SelectionRow:
    """What one candidate's selection items say of its chance on the held-out items."""
    decision, n = rule.decision, len(tried.d)
    row = SelectionRow(name=tried.name, cost=tried.cost, items=n, stopped=tried.stopped)
    if n == 0:
        return replace(row, reason="no selection item has two scores")
    binary = is_binary(tried.d, decision)
    shown = limits(tried, decision)
    difference = float(np.sort(tried.d).mean())
    row = replace(row, difference=difference, ci_low=shown.lower, ci_high=shown.upper)
    if rule.held_out < MIN_PAIRS_PROMOTE:
        return replace(row, reason=f"fewer than {MIN_PAIRS_PROMOTE} held-out items are never promoted on")
    reach, effect = decision.reach, shown.design_effect
    variances = _variances(tried.d, decision, binary=binary)
    found = prospect(
        difference / reach,
        (variances[0] * effect / reach**2, variances[1] * effect / reach**2),
        sizes=(n, rule.held_out),
        margin=decision.unit_margin,
        quantile=_quantile(tried, rule),
        # What a judge of pairs says (from -1 to 1) counts by human labels, which this test does not ask.
        least=-math.inf
        if binary or decision.lo < 0
        else rare_loss_limit(rule.held_out / effect, decision.unit_margin, decision.alpha),
    )
    needed, chance = float(found.needed) * reach, float(found.chance)
    passes = tried.stopped is None and chance >= rule.least_chance
    return replace(row, needed=needed, chance=chance, passes=passes, reason=_reason(tried, chance, rule))


class DifferenceLimits(NamedTuple):
    """Limits of the mean difference on the selection items (None: all are of one cluster), and the design effect."""

    lower: float | None
    upper: float | None
    design_effect: float


def is_binary(d: Floats, decision: DecisionRule) -> bool:
    """Whether each score lies at an end of its range, as far as the differences tell."""
    return bool(np.isin(d, (-decision.reach, 0.0, decision.reach)).all())


def limits(tried: TriedCandidate, decision: DecisionRule) -> DifferenceLimits:
    """By the method that fits the data, as in a verdict, without the exact tests: nothing is decided by them here."""
    binary = is_binary(tried.d, decision)
    if binary and tried.units is None:
        score = tango_ci(
            int(np.count_nonzero(tried.d > 0)),
            int(np.count_nonzero(tried.d < 0)),
            len(tried.d),
            decision.alpha,
        )
        assert score.lower is not None
        assert score.upper is not None
        return DifferenceLimits(score.lower * decision.reach, score.upper * decision.reach, 1.0)
    found = infer(tried.d, tried.units, decision, binary=binary)
    return DifferenceLimits(found.lower, found.upper, found.design_effect)


def prospect(
    difference: Any,
    variances: tuple[Any, Any],
    *,
    sizes: tuple[Any, Any],
    margin: float,
    quantile: float,
    least: Any = -math.inf,
) -> Prospect:
    """What a difference on the selection items makes of the held-out ones. All values broadcast; scores lie in [0, 1].

    `variances` are of one difference, times the design effect: as if the mean were -margin, and as observed. `sizes`
    are selection and held-out items; `quantile` is the one that the held-out items will be judged by, and `least` what
    the test of losses too rare to be seen asks for, where there is one.
    """
    n, held_out = sizes
    needed = np.maximum(-margin + quantile * np.sqrt(variances[0] / held_out), least)
    spread = np.sqrt(variances[1] * (1 / n + 1 / held_out))
    return Prospect(needed, special.ndtr((difference - needed) / spread))


def binary_variances(wins: Any, losses: Any, n: Any, margin: float) -> tuple[Floats, Floats]:
    """Variance of one binary pair as if the difference were -margin, and as observed; neither is ever 0.

    Observed with one more of each kind, so that no discordant pair among few is not certainty.
    """
    difference = (wins - losses) / n
    seen = (wins + losses + 1) / (n + 2) - difference**2 * n / (n + 2)
    return tango_variance(wins, losses, n, -margin), seen


def sufficing_share(rule: SelectionRule, *, incumbent: float, items: int) -> float | None:
    """The least share of `items` that passes whatever the candidate has right next to the incumbent, whose share is
    given: as if the two were never wrong on one item, which scatters most. None where not even all of them pass.

    `items` and the rule's held-out ones are independent units, each right or wrong.
    """
    if not items or rule.held_out < MIN_PAIRS_PROMOTE:
        return None
    decision = rule.decision
    right = np.arange(items + 1)
    theirs = round(incumbent * items)
    wins, losses = np.minimum(right, items - theirs), np.minimum(items - right, theirs)
    found = prospect(
        (right - theirs) / items,
        binary_variances(wins, losses, items, decision.margin),
        sizes=(items, rule.held_out),
        margin=decision.margin,
        quantile=z_quantile(decision.alpha),
    )
    passing = np.flatnonzero(found.chance >= rule.least_chance)
    return float(passing[0] / items) if len(passing) else None


def look_parts(chances: Any) -> Floats:
    """Parts of the look, in proportion to the chance cubed, under `LEAST_PART` of the best none; all 0 where no
    candidate has a chance. Over the last axis."""
    weights = np.asarray(chances, dtype=float) ** 3
    weights = np.where(weights < LEAST_PART * weights.max(axis=-1, keepdims=True), 0.0, weights)
    total = weights.sum(axis=-1, keepdims=True)
    parts: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return parts


def choose(tried: Sequence[TriedCandidate], rule: SelectionRule) -> Selection:
    """The candidates' parts of the look at the held-out items.

    Equal parts stand by cost, then by name; a cost that is unknown comes after all others. A candidate that was stopped
    has the look, alone, only where all were. Raises `UsageError` without candidates, and for two of one name.
    """
    names = [one.name for one in tried]
    if not names:
        raise UsageError("no candidate to choose from", hint="name one in [candidates]")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two candidates are called {twice!r}", hint="give each candidate a name of its own")
    rows = sorted((assess(one, rule) for one in tried), key=_by_cost)
    parts = look_parts([0.0 if row.stopped is not None else row.chance or 0.0 for row in rows]).tolist()
    if not any(parts):  # nothing is expected to pass, or all were stopped
        best = min(rows, key=_by_chance)
        parts = [float(row is best) for row in rows]
    rows = [replace(row, part=part) for row, part in zip(rows, parts, strict=True)]
    chosen = max(rows, key=lambda row: row.part)
    return Selection(
        chosen=chosen.name,
        passes=any(row.passes for row in rows),
        reason=_choice_reason(chosen, rows, rule),
        margin=rule.decision.margin,
        alpha=rule.decision.alpha,
        held_out=rule.held_out,
        least_chance=rule.least_chance,
        rows=tuple(rows),
    )


def _by_cost(row: SelectionRow) -> tuple[float, str]:
    return (math.inf if row.cost is None else row.cost, row.name)


def _by_chance(row: SelectionRow) -> tuple[bool, float, float, float, str]:
    """Best first: what was measured to the end, by its chance of promote, then by its difference."""
    difference = -math.inf if row.difference is None else row.difference
    return (row.stopped is not None, -(row.chance or 0.0), -difference, *_by_cost(row))


def _variances(d: Floats, decision: DecisionRule, *, binary: bool) -> tuple[float, float]:
    """Variance of one difference as if its mean were -margin, and as observed; neither is ever 0."""
    wins, losses = np.count_nonzero(d > 0), np.count_nonzero(d < 0)
    under_margin, seen = (
        float(one) * decision.reach**2 for one in binary_variances(wins, losses, len(d), decision.unit_margin)
    )
    if binary:
        return under_margin, seen
    spread = float(d.var(ddof=1)) if len(d) > 1 else under_margin
    if wins + losses < FEW_NONZERO:
        spread = max(spread, under_margin)
    return spread, spread


def _quantile(tried: TriedCandidate, rule: SelectionRule) -> float:
    """The quantile that the held-out items will be judged by: t where clusters are expected among them."""
    alpha = rule.decision.alpha
    if tried.units is None:
        return z_quantile(alpha)
    clusters = round((int(tried.units.max()) + 1) * rule.held_out / len(tried.d))
    return float(t_quantile(alpha, max(1, clusters - 1)))


def _reason(tried: TriedCandidate, chance: float, rule: SelectionRule) -> str:
    if tried.stopped is not None:
        return tried.stopped
    some = f"a chance of {chance:.0%}" if chance >= LEAST_SHOWN else "almost no chance"
    said = f"{some} of a promotion by the {rule.held_out:,} held-out items"
    return said if chance >= rule.least_chance else f"{said} (it needs {rule.least_chance:.0%})"


def _choice_reason(chosen: SelectionRow, rows: Sequence[SelectionRow], rule: SelectionRule) -> str:
    together = [row for row in rows if row.part]
    if len(together) > 1:
        said = ", ".join(f"{row.name} {row.part:.0%}" for row in together)
        return f"{len(together)} of {len(rows)} candidates share the test, by how probable their promotion is: {said}"
    least = f"{rule.least_chance:.0%}"
    if not chosen.passes:
        best = "" if chosen.chance is None else f" ({chosen.chance:.0%})"
        return f"no candidate reached a chance of promotion of {least}; {chosen.name} came closest{best}"
    only = "the only candidate, and" if len(rows) == 1 else f"the only one of {len(rows)} candidates that"
    return f"{chosen.name} is {only} has a chance of promotion of {least} or more"


LEAST_SHOWN = 0.005
"""A smaller chance would be shown as 0 %."""
TOLD_APART = 0.9
"""Probability with which a candidate as good as the incumbent comes out above one that is worse by the margin, and
that one below: 90 % each way. It is about as many as the proof needs; half as many cost 5 points of the moves that
succeed, twice as many gain 3."""
LARGEST_SHARE = 0.2
"""Of what is not held out: the rest is for training."""
FEWEST_ITEMS = 30


def selection_size(
    not_held_out: int, margin: float, *, discordance: float = 0.05, design_effect: float = 1.0
) -> int:
    """Items to choose candidates by, of those that are not held out.

    ``(2 z_0.9)^2 psi deff / margin^2``, at most a fifth of `not_held_out` and at least 30, or half of them
    below 60. `margin` is a share of the scale, `discordance` psi the share of items that exactly one of
    two models gets right. Raises `UsageError` for impossible values.
    """
    if not_held_out < 0 or not 0 < margin < 1 or not 0 <= discordance <= 1 or design_effect < 1:
        raise UsageError(
            f"{not_held_out} items, margin {margin:g}, discordance {discordance:g}, design effect {design_effect:g}: "
            "expected at least 0, between 0 and 1, from 0 to 1, at least 1"
        )
    wanted = noninferiority_n_normal(
        discordance=discordance, margin=margin, alpha=1 - TOLD_APART, power=TOLD_APART
    )
    most = max(min(FEWEST_ITEMS, not_held_out // 2), math.floor(not_held_out * LARGEST_SHARE))
    return min(max(math.ceil(wanted * design_effect), FEWEST_ITEMS), most)


"""Items of a first step: below that limits are too wide to stop anyone."""
FEW_CANDIDATES = 3
"""Among so few none is outrun; hopeless ones stop all the same."""
WRONG_STOP = 0.01
"""Probability, over all steps, that a candidate within the margin is called hopeless."""


class HalvingStep(NamedTuple):
    """Candidates are asked the first `items` of the selection split, those of earlier steps included, in an order fixed
    beforehand; after it at most `keep` go on."""

    items: int
    keep: int


def halving_plan(items: int, candidates: int) -> tuple[HalvingStep, ...]:
    """The steps for `candidates` and the selection's `items`; the last has all items and keeps one.

    Two or three candidates: an early step at a quarter of the items, after which only hopeless ones stop. More: as many
    halvings as leave two for the last step. A first step has at least 30 items, so few items have fewer steps.

    Raises `UsageError` without items or candidates.
    """
    if items < 1 or candidates < 1:
        raise UsageError(f"{candidates} candidates on {items} items: expected one of each at least")
    if candidates <= FEW_CANDIDATES:
        early = items // 4
        first = (HalvingStep(early, candidates),) if candidates > 1 and early >= FEWEST_ITEMS else ()
        return (*first, HalvingStep(items, 1))
    steps = [HalvingStep(items, 1)]
    wanted = max(1, math.ceil(math.log2(candidates)) - 1)
    for back in range(1, wanted + 1):
        size = items // 2**back
        if size < FEWEST_ITEMS:
            break
        steps.append(HalvingStep(size, max(2, math.ceil(candidates / 2 ** (wanted + 1 - back)))))
    return tuple(reversed(steps))


def hopeless(
    differences: Floats, decision: DecisionRule, *, codes: Codes | None = None, error: float = WRONG_STOP
) -> bool:
    """Whether a candidate is shown to be worse than the incumbent by more than the margin.

    `differences` are candidate minus incumbent so far, NaN where unscored. A candidate that is worse by the margin or
    less is called hopeless with a probability of at most `error` (one-sided); divide it by the number of steps.
    """
    tried = TriedCandidate(name="", differences=differences, codes=codes)
    if not len(tried.d):
        return False
    upper = limits(tried, dataclasses.replace(decision, alpha=error)).upper
    return upper is not None and upper < -decision.margin - STRICT


def surviving(
    tried: Sequence[TriedCandidate], rule: SelectionRule, step: HalvingStep, *, steps: int = 1
) -> dict[str, str | None]:
    """For each candidate after a step: None where it goes on, else why it stops. `steps` share the error of stopping a
    good one. One candidate at least goes on."""
    error = WRONG_STOP / steps
    # Rows come by cost, which settles ties.
    rows = sorted(choose(tried, rule).rows, key=lambda row: -(row.chance or 0.0))
    ranked = [row.name for row in rows]
    stops: dict[str, str | None] = dict.fromkeys((one.name for one in tried), None)
    for one in tried:
        if hopeless(one.differences, rule.decision, codes=one.codes, error=error):
            stops[one.name] = f"stopped after {len(one.d):,} items: shown to be worse by more than the margin"
    if all(stops.values()):
        stops[ranked[0]] = None
    left = [name for name in ranked if stops[name] is None]
    for name in left[step.keep :]:
        stops[name] = f"stopped after {step.items:,} items: {step.keep} others did better"
    return stops
