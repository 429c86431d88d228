"""Which tiers answer, by what signals and at which thresholds: settled on the selection split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from freehold.deferring import learning
from freehold.deferring.request_text import request_text
from freehold.deferring.router import write_router
from freehold.errors import UsageError
from freehold.late import np
from freehold.stats import deferral
from freehold.stats.clustered import Codes, encode_groups
from freehold.stats.rules import DecisionRule
from freehold.types.config import DeferConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import DeferralRule, SignalName, Tier
from freehold.types.endpoint import ENDPOINT_NAME
from freehold.types.mixture import MixtureCurve
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.mixing.slices import declared

if TYPE_CHECKING:
    import numpy.typing as npt

Numbers: TypeAlias = "npt.NDArray[np.float64]"
BESIDE = "beside"
"""In place of its endpoint's name, for a model that is served on this machine beside the candidate."""
_AHEAD = (0.0, 0.02, 0.05, 0.1)
"""How much surer than the candidate a cheaper model must be: the more, the less its confidence can be trusted."""
_LOST_BY_FRONTS = 0.1
"""Of the margin, on average over all shares: so little more may a mixture with cheaper models lose."""


class AskedTier(NamedTuple):
    """A model of one's own, and what it did on the selection split."""

    tier: Tier
    scores: SelectionScores
    usd: float = 0.0
    """What 1,000 requests to it cost."""

    @property
    def differences(self) -> Numbers:
        """Its score minus the incumbent's, on a scale of width 1; NaN where one has none."""
        return _column(self.scores.differences) / (self.scores.hi - self.scores.lo)


class SelectionSplit(NamedTuple):
    """The selection split as it was asked, and what a mixture is held to: the verdict's margin and alpha, `[defer]`.

    `fronts` are cheaper models that may answer before the candidate, the cheapest first.
    """

    samples: Sequence[Sample]
    fronts: Sequence[AskedTier]
    candidate: AskedTier
    upper: AskedTier | None
    margin: float
    alpha: float
    config: DeferConfig


class Found(NamedTuple):
    """A curve with what it takes to execute it: the tiers that are asked, and a learned router's bytes."""

    curve: MixtureCurve
    tiers: tuple[Tier, ...]
    router: bytes | None = None


def find_curves(split: SelectionSplit) -> tuple[list[Found], list[str]]:
    """A curve for each signal that is there, and for a learned router; with a note where none can be learned.

    Raises what `freehold.stats.deferral.mixture_curve` raises.
    """
    asked = split.candidate
    found = [_curve(split, signal, _column(values)) for signal, values in asked.scores.signals.items()]
    known = ~np.isnan(asked.differences)
    usable = [sample for sample, is_known in zip(split.samples, known, strict=True) if is_known]
    try:
        learned = learning.learn_router(
            [router_text(sample) for sample in usable],
            (asked.differences[known] >= 0).tolist(),
            groups=[sample.group for sample in usable],
        )
    except UsageError as error:
        return found, [f"No router: {error.message}."]
    raw = np.full(len(known), np.nan)
    raw[known] = learned.scores
    return [*found, _curve(split, "router", raw)._replace(router=learned.file)], []


def _curve(split: SelectionSplit, signal: SignalName, raw: Numbers) -> Found:
    """The curve of the candidate's signal, with those of the cheaper models in front of it that save most at equal
    shares and lose nothing that shows."""
    found, usd = _of_tiers(split, [], deferral.TierColumns(signal, raw, split.candidate.differences))
    if found.curve.refused is not None or signal == "router":
        return found
    bar = deferral.mean_over_shares(found.curve) - split.margin * _LOST_BY_FRONTS
    for most in range(1, min(split.config.tiers - 1, len(split.fronts)) + 1):
        for fronts in combinations(split.fronts, most):
            for ahead in _AHEAD:
                columns = [(front, _best_signal(front, ahead)) for front in fronts]
                known = [(front, one) for front, one in columns if one is not None]
                own = deferral.TierColumns(signal, raw, split.candidate.differences)
                other, costs = _of_tiers(split, known, own)
                is_cheaper = costs < usd and other.curve.refused is None and len(known) == most
                if is_cheaper and deferral.mean_over_shares(other.curve) >= bar:
                    found, usd = other, costs
    return found


def _best_signal(front: AskedTier, ahead: float) -> deferral.TierColumns | None:
    """The signal of a model that best tells its good answers from others."""
    columns = [
        deferral.TierColumns(name, _column(values), front.differences, ahead)
        for name, values in front.scores.signals.items()
    ]
    good = front.differences >= 0
    able = [(found, one) for one in columns if (found := deferral.auroc(one.raw, good)) is not None]
    return max(able, key=lambda one: one[0])[1] if able else None


def _of_tiers(
    split: SelectionSplit, fronts: Sequence[tuple[AskedTier, deferral.TierColumns]], own: deferral.TierColumns
) -> tuple[Found, float]:
    """The curve of these tiers, and what 1,000 requests to them cost on average over its shares."""
    config, scores = split.config, split.candidate.scores
    otherwise = None if split.upper is None else split.upper.differences
    if otherwise is not None:
        otherwise[declared(config.always_incumbent, split.samples)] = 0.0
    # What may not leave the house is the candidate's, whatever another says.
    apart = declared((*config.always_incumbent, *config.never_defer_out), split.samples)
    columns = [one._replace(raw=np.where(apart, np.nan, one.raw)) for _, one in fronts]
    columns.append(own._replace(raw=with_declared(own.raw, split.samples, config)))
    curve, fits = deferral.mixture_curve(
        columns,
        codes=codes_of(split.samples),
        rule=DecisionRule(margin=split.margin / (scores.hi - scores.lo), alpha=split.alpha),
        least_share=min(config.least_share, math.nextafter(1.0, 0.0)),
        otherwise=otherwise,
    )
    asked = [*(front for front, _ in fronts), split.candidate]
    tiers = [
        msgspec.structs.replace(model.tier, signal=one.signal, calibration=fit, ahead=one.ahead)
        for model, one, fit in zip(asked, columns, fits, strict=True)
    ]
    usd = 0.0
    for point in curve.points:
        left = np.ones(len(split.samples), dtype=bool)
        for model, one, fit in zip(asked, columns, fits, strict=True):
            usd += model.usd * float(left.mean()) / len(curve.points)
            sure = np.where(np.isnan(one.raw), -1.0, np.interp(one.raw, fit.raw, fit.probability))
            left &= sure < point.threshold + one.ahead
    upper = () if split.upper is None else (split.upper.tier,)
    return Found(curve, (*tiers, *upper)), usd


def with_declared(raw: Numbers, samples: Sequence[Sample], config: DeferConfig) -> Numbers:
    """The signal with declared requests where they are executed: always the incumbent's have none, those that may not
    leave are as sure as the surest."""
    raw = raw.copy()
    known = raw[~np.isnan(raw)]
    if len(known):
        raw[declared(config.never_defer_out, samples)] = known.max()
    raw[declared(config.always_incumbent, samples)] = np.nan
    return raw


def rule_of(found: Found, incumbent: str, config: DeferConfig, folder: Path) -> DeferralRule:
    """The rule at the smallest share. A router's file is written into `folder`. Raises `StorageError`."""
    tiers, beside = [], count(2)
    for one in found.tiers:
        if one.endpoint == BESIDE:
            one = msgspec.structs.replace(one, endpoint=f"{ENDPOINT_NAME}-{next(beside)}")
        if one.signal == "router" and found.router is not None:
            one = msgspec.structs.replace(one, router=write_router(found.router, folder))
        tiers.append(one)
    return DeferralRule.of(
        tiers=tuple(tiers),
        threshold=found.curve.points[0].threshold,
        incumbent=incumbent,
        always_incumbent=config.always_incumbent,
        never_defer_out=config.never_defer_out,
    )


def router_text(sample: Sample) -> str:
    """What a router reads of a sample."""
    return request_text({"messages": msgspec.to_builtins(sample.messages)})


def codes_of(samples: Sequence[Sample]) -> Codes | None:
    """The samples' clusters; None where no sample names one."""
    return encode_groups([sample.group for sample in samples])


def _column(values: Sequence[float | None]) -> Numbers:
    return np.array([np.nan if one is None else one for one in values], dtype=float)


def refusals(found: Sequence[Found]) -> Iterator[str]:
    """Why each curve gave none, in words."""
    for one in found:
        if one.curve.refused is not None:
            yield f"{one.curve.signal.replace('_', ' ')}: {one.curve.refused}"
