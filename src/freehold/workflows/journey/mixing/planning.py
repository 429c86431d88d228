"""Which tiers answer, by what signals and at which thresholds: settled on the selection split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
from freehold.types.choosing import SelectionScores
from freehold.types.config import DeferConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import DeferralRule, SignalName, Tier
from freehold.types.mixture import MixtureCurve
from freehold.workflows.journey.mixing.slices import declared

if TYPE_CHECKING:
    import numpy.typing as npt

Numbers: TypeAlias = "npt.NDArray[np.float64]"


class AskedTier(NamedTuple):
    """A model of one's own, and what it did on the selection split."""

    tier: Tier
    scores: SelectionScores

    @property
    def differences(self) -> Numbers:
        """Its score minus the incumbent's, on a scale of width 1; NaN where one has none."""
        return _column(self.scores.differences) / (self.scores.hi - self.scores.lo)


class SelectionSplit(NamedTuple):
    """The selection split as it was asked, and what a mixture is held to: the verdict's margin and alpha, `[defer]`."""

    samples: Sequence[Sample]
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
    otherwise = None if split.upper is None else split.upper.differences
    if otherwise is not None:
        otherwise[declared(split.config.always_incumbent, split.samples)] = 0.0
    scores = split.candidate.scores
    curve, calibration = deferral.mixture_curve(
        signal,
        with_declared(raw, split.samples, split.config),
        split.candidate.differences,
        codes=codes_of(split.samples),
        rule=DecisionRule(margin=split.margin / (scores.hi - scores.lo), alpha=split.alpha),
        least_share=min(split.config.least_share, math.nextafter(1.0, 0.0)),
        otherwise=otherwise,
    )
    tier = msgspec.structs.replace(split.candidate.tier, signal=signal, calibration=calibration)
    return Found(curve, (tier,) if split.upper is None else (tier, split.upper.tier))


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
    first, *others = found.tiers
    if found.router is not None:
        first = msgspec.structs.replace(first, router=write_router(found.router, folder))
    return DeferralRule.of(
        tiers=(first, *others),
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
