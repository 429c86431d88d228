"""Which threshold a mixture gets on the selection split, and in words why it gets none."""

from __future__ import annotations

from typing import NamedTuple

from freehold.late import np
from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes
from freehold.stats.deferral.running import Running, surest_first
from freehold.stats.deferral.slices import mixture_slices
from freehold.stats.deferral.threshold import (
    MixtureTrial,
    Passing,
    beyond_random,
    effects,
    limits,
    needed_samples,
    passing,
)
from freehold.stats.rules import MIN_PAIRS_PROMOTE, DecisionRule
from freehold.types.evaluation import SliceResult


class Samples(NamedTuple):
    """The scored samples of the selection split. `codes` is None where each is a cluster of its own; `otherwise` is the
    upper model's difference on each, 0 where the incumbent answers what the candidate does not."""

    raw: Floats
    differences: Floats
    codes: Codes | None
    slices: dict[str, list[str | None]]
    otherwise: Floats


class ThresholdChoice(NamedTuple):
    """The place of the chosen threshold with its chance of promote, or why there is none."""

    place: int | None = None
    chance: float | None = None
    refused: str | None = None


def unusable(samples: Samples, least_share: float) -> str | None:
    """Why nothing can be chosen by this signal, whatever the scores; None where it can."""
    n = len(samples.differences)
    if n == 0:
        return "no selection sample has two scores"
    known = samples.raw[~np.isnan(samples.raw)]
    if len(known) == 0:
        return "no answer carries this signal"
    if known.min() == known.max():
        return f"the signal is {known[0]:g} for every answer: it tells no answer from another"
    if len(known) / n < least_share:
        return f"only {len(known) / n:.0%} of answers carry this signal, below the least share of {least_share:.0%}"
    bad = int(np.count_nonzero(samples.differences < 0))
    if bad == 0:
        return f"the candidate is as good as the incumbent on all {n:,} selection samples: nothing to defer"
    if bad == n:
        return f"the candidate is worse than the incumbent on all {n:,} selection samples"
    return None


def choose(samples: Samples, sums: Running, trial: MixtureTrial, least_share: float) -> ThresholdChoice:
    """The threshold by which the largest share can be expected to be proven, of those that pass and harm no slice."""
    shares = sums.answered / sums.n
    eligible = (shares >= least_share) & (shares < 1)
    if not eligible.any():
        return ThresholdChoice(
            refused=f"no threshold answers {least_share:.0%} or more here and leaves something to the incumbent"
        )
    if trial.held_out < MIN_PAIRS_PROMOTE:
        return ThresholdChoice(
            refused=f"fewer than {MIN_PAIRS_PROMOTE} held-out samples are never promoted on"
        )
    first = int(np.argmax(eligible))
    found = passing(sums, trial, first)
    usable = np.isfinite(found.worth) & eligible
    if not usable.any():
        return ThresholdChoice(refused=_none_passes(sums, trial, found, first))
    gains = samples.differences - samples.otherwise
    if beyond_random(gains, samples.raw, samples.codes) > trial.alpha:
        return ThresholdChoice(
            refused="sending as large a share to the candidate by lot does no worse on these samples: the signal is "
            "not shown to tell good answers from bad ones"
        )
    usable &= sums.total / sums.n > shares * float(gains.mean()) + float(samples.otherwise.mean())
    if not usable.any():
        return ThresholdChoice(
            refused="at every share that passes, a random split of the same share does as well"
        )
    refused = None
    for place in np.argsort(np.where(usable, -found.worth, np.inf), kind="stable")[
        : int(usable.sum())
    ].tolist():
        harmed = _harmed(samples, int(sums.answered[place]), trial)
        if harmed is None:
            return ThresholdChoice(place=place, chance=float(found.chance[place]))
        refused = refused or (
            f"at every share that passes a slice is harmed: {harmed.name} loses "
            f"{-100 * (harmed.difference or 0.0):.1f} points at a share of {shares[place]:.0%}"
        )
    return ThresholdChoice(refused=refused)


def _harmed(samples: Samples, answered: int, trial: MixtureTrial) -> SliceResult | None:
    """The worst slice that the mixture harms; None where it harms none."""
    if not samples.slices:
        return None
    here = np.zeros(len(samples.raw), dtype=bool)
    here[surest_first(samples.raw)[:answered]] = True
    rule = DecisionRule(margin=trial.margin, alpha=trial.alpha)
    mixed = np.where(here, samples.differences, samples.otherwise)
    found = mixture_slices(mixed, np.ones(len(mixed), dtype=bool), samples.slices, rule, samples.codes)
    return next((one for one in found if one.harmed), None)


def _none_passes(sums: Running, trial: MixtureTrial, found: Passing, first: int) -> str:
    share, points = float(sums.answered[first] / sums.n), 100 * trial.margin
    if not found.within.any():
        largest = float(effects(sums).largest[first])
        needed = needed_samples(trial, sums.clusters, largest)
        if needed > sums.n:
            return (
                f"{sums.n:,} selection samples cannot show a drop of less than {points:g} points even where nothing is "
                f"lost: it takes about {needed:,}"
            )
        low = float(limits(sums, trial)[0][first])
        if low > -trial.margin:
            return f"at the least share ({share:.0%}) the exact test does not exclude a drop of {points:g} points"
        return (
            f"at the least share ({share:.0%}) the mixture may be {-100 * low:.1f} points worse than the incumbent "
            f"on the selection samples, beyond the margin of {points:g}"
        )
    chance = np.where(found.within, found.chance, 0.0)
    best = int(chance.argmax())
    return (
        f"no share has an even chance that the {trial.held_out:,} held-out samples promote it; the best is "
        f"{chance[best]:.0%}, at a share of {sums.answered[best] / sums.n:.0%}"
    )
