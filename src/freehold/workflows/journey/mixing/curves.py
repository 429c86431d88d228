"""The curves of all ways and signals on the selection split, and the rule that the best of them begins with."""

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
from freehold.types.config import DeferConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import (
    Calibration,
    DeferralRule,
    DeferralWay,
    RouterFiles,
    SignalName,
    UpperModel,
)
from freehold.types.mixture import MixtureCurve
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.mixing.slices import declared

if TYPE_CHECKING:
    import numpy.typing as npt

Numbers: TypeAlias = "npt.NDArray[np.float64]"


class Terms(NamedTuple):
    """What a mixture is held to: the verdict's margin and alpha, and `[defer]`."""

    margin: float
    alpha: float
    config: DeferConfig


class AskedSplit(NamedTuple):
    """The selection split: its samples, and what the candidate did on them, and the upper model if there is one."""

    samples: Sequence[Sample]
    scores: SelectionScores
    upper: SelectionScores | None = None

    @property
    def differences(self) -> Numbers:
        """Candidate minus incumbent, NaN where one has no score."""
        return _column(self.scores.differences)

    def otherwise(self, config: DeferConfig) -> Numbers | None:
        """The upper model minus the incumbent; 0 where the incumbent always answers. None without an upper model."""
        if self.upper is None:
            return None
        found = _column(self.upper.differences)
        found[declared(config.always_incumbent, self.samples)] = 0.0
        return found

    @property
    def codes(self) -> Codes | None:
        """The samples' clusters; None where each is one of its own."""
        return codes_of(self.samples)

    @property
    def texts(self) -> list[str]:
        """What a router reads."""
        return [router_text(sample) for sample in self.samples]


class Found(NamedTuple):
    """A curve with what it takes to execute it: a learned router's bytes."""

    curve: MixtureCurve
    calibration: Calibration
    router: bytes | None = None


def find_curves(split: AskedSplit, terms: Terms) -> tuple[list[Found], list[str]]:
    """A curve for each signal that is there, and for a learned router; with a note where none can be learned.

    Raises what `freehold.stats.deferral.mixture_curve` raises.
    """
    found = [
        _curve(split, terms, "cascade", signal, _column(values))
        for signal, values in split.scores.signals.items()
    ]
    good = split.differences >= 0
    known = ~np.isnan(split.differences)
    groups = [sample.group for sample in split.samples]
    texts = split.texts
    usable = [text for text, is_known in zip(texts, known, strict=True) if is_known]
    named = [group for group, is_known in zip(groups, known, strict=True) if is_known]
    try:
        raw = np.full(len(texts), np.nan)
        learned = learning.learn_router(usable, good[known].tolist(), groups=named)
        raw[known] = learned.scores
        made = _curve(split, terms, "router", "router", raw)
    except UsageError as error:
        return found, [f"No router: {error.message}."]
    return [*found, made._replace(router=learned.file)], []


def _curve(split: AskedSplit, terms: Terms, way: DeferralWay, signal: SignalName, raw: Numbers) -> Found:
    width = split.scores.hi - split.scores.lo
    otherwise = split.otherwise(terms.config)
    curve, calibration = deferral.mixture_curve(
        way=way,
        signal=signal,
        raw=with_declared(raw, split.samples, terms.config),
        differences=split.differences / width,
        codes=split.codes,
        rule=DecisionRule(margin=terms.margin / width, alpha=terms.alpha),
        least_share=min(terms.config.least_share, math.nextafter(1.0, 0.0)),
        otherwise=None if otherwise is None else otherwise / width,
    )
    return Found(curve, calibration)


def with_declared(raw: Numbers, samples: Sequence[Sample], config: DeferConfig) -> Numbers:
    """The signal with declared requests where they are executed: always the incumbent's have none, those that may not
    leave are as sure as the surest."""
    raw = raw.copy()
    known = raw[~np.isnan(raw)]
    if len(known):
        raw[declared(config.never_defer_out, samples)] = known.max()
    raw[declared(config.always_incumbent, samples)] = np.nan
    return raw


def best_of(found: Sequence[Found]) -> int | None:
    """The place of the one that loses least over all shares; None where none has a threshold."""
    return deferral.best_curve([one.curve for one in found])


class MixedModels(NamedTuple):
    """Who is mixed: the candidate as it is served, its identity, the incumbent, and the upper model in its place."""

    candidate: str
    candidate_id: str
    incumbent: str
    upper: UpperModel | None = None


def rule_of(found: Found, served: MixedModels, config: DeferConfig, folder: Path) -> DeferralRule:
    """The rule at the smallest share. A router's file is written into `folder`. Raises `StorageError`."""
    curve = found.curve
    router: RouterFiles | None = None
    if found.router is not None:
        router = write_router(found.router, folder)
    return DeferralRule.of(
        way=curve.way,
        signal=curve.signal,
        calibration=found.calibration,
        threshold=curve.points[0].threshold,
        candidate=served.candidate,
        candidate_id=served.candidate_id,
        incumbent=served.incumbent,
        upper=served.upper,
        router=router,
        always_incumbent=config.always_incumbent,
        never_defer_out=config.never_defer_out,
        incumbent_down=config.incumbent_down,
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
            yield f"{one.curve.signal.replace('_', ' ')} ({one.curve.way}): {one.curve.refused}"
