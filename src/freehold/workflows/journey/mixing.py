"""A candidate's mixtures with the incumbent: planned on the selection split, looked at once on held-out samples.

Requests that a project declares are never the candidate's, or never leave the house. Tiers, signals and thresholds are
settled on the selection split; the one look goes from the smallest share to all requests, each by the usual verdict
with its scores in the candidate's place, to the first that is not promoted (`stats.deferral`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from freehold.deferring import learning
from freehold.deferring.router import write_router
from freehold.errors import ConfigError, UsageError, did_you_mean
from freehold.evals.comparing import SideBySide, units_of
from freehold.evals.task_comparison import compare_by_task
from freehold.late import np
from freehold.stats import deferral
from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes, encode_groups
from freehold.stats.rules import DecisionRule
from freehold.types.choosing import SelectionScores
from freehold.types.config import DeferConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import DeferralRule, SignalName, Tier
from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.mixture import Mixture, MixtureCurve, MixturePoint, ShareStep
from freehold.workflows.prove.looks import Looks, context_of, look_at, with_look
from freehold.workflows.prove.mixed import (
    Bools,
    decide,
    declared,
    held_out_results,
    is_of_requests,
    mixed,
    of_requests,
    router_text,
)

if TYPE_CHECKING:
    import numpy.typing as npt


def check_declared(config: DeferConfig, samples: Sequence[Sample]) -> list[str]:
    """What to know of the declared requests, in words.

    Raises `ConfigError` for a field that no sample has, an empty condition, and one that is both.
    """
    fields = {name for sample in samples for name in sample.metadata}
    notes = []
    for table in ("always_incumbent", "never_defer_out"):
        for condition in getattr(config, table):
            if not condition:
                raise ConfigError(
                    f"defer.{table}: an empty condition is met by every request",
                    hint='name what declares it: [{ language = "ja" }]',
                )
            for name in condition:
                if name not in fields and not is_of_requests(name):
                    raise ConfigError(
                        f"defer.{table}: no sample has the field {name!r}",
                        hint=did_you_mean(
                            name, sorted(fields), f"known: {', '.join(sorted(fields)) or 'none'}"
                        ),
                    )
            if of_requests(condition):
                notes.append(
                    f"defer.{table} {_condition_text(condition)}: samples carry neither headers nor keys, so these "
                    "requests are among all others here; the gateway sorts them out."
                )
    both = declared(config.always_incumbent, samples) & declared(config.never_defer_out, samples)
    if both.any():
        raise ConfigError(
            f"{int(both.sum()):,} samples are declared as always_incumbent and as never_defer_out",
            hint="a request goes to the incumbent or stays in the house: narrow one of the conditions",
        )
    return notes


def _condition_text(condition: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in condition.items())


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


AskUpper = Callable[[Sequence[Sample]], Awaitable[Sequence[EvalResult]]]
"""Asks the upper model, and gives the score of each of its answers."""
_MIXED = "With fallback: the candidate's answer where it is sure, the incumbent's recorded one elsewhere."
_MIXED_WITH_UPPER = (
    "With fallback: the candidate's answer where it is sure, the upper model's elsewhere, both against the incumbent's "
    "recorded one."
)


class Looked(NamedTuple):
    """The mixtures with what the look showed, and the candidate's own comparison where it came to that."""

    mixture: Mixture
    alone: Comparison | None


async def _of_upper(
    rule: DeferralRule, samples: Sequence[Sample], here: Bools, ask: AskUpper | None
) -> dict[int, EvalResult]:
    """The upper model's results where it answers, by the sample's place. One that has no answer leaves it to the
    incumbent, as it does when it is served."""
    if ask is None:
        return {}
    places = np.flatnonzero(~here & ~declared(rule.always_incumbent, samples)).tolist()
    results = await ask([samples[place] for place in places]) if places else ()
    return {
        place: one
        for place, one in zip(places, results, strict=True)
        if not (one.error and one.score.value is None)
    }


async def look(
    planned: Mixture,
    made: Evaluation,
    looks: Looks,
    *,
    task: Task,
    least_share: float,
    notes: Sequence[str] = (),
    ask_upper: AskUpper | None = None,
) -> Looked:
    """Test the planned shares in their order on the samples of an evaluation, and the candidate alone after them, where
    it may answer everything.

    `task` has the alpha of all planned looks together, `notes` are of the samples; `ask_upper` asks the rule's upper
    model, where it has one. The look is counted before its result is known.

    Raises as `held_out_results` and `decide` do, and what asking raises.
    """
    rule, curve = planned.rule, planned.curve
    assert rule is not None and curve is not None and planned.path_id is not None
    results = held_out_results(made)
    results = results._replace(units=units_of(results))
    samples, names = results.samples, (made.incumbent, made.candidate)
    sure = decide(rule, samples, results.candidate)
    worth = _worth_testing(curve, sure, least_share)
    upper = await _of_upper(rule, samples, sure >= worth[0].threshold, ask_upper)
    counted = looks.take_mixture(
        look_at(samples, evaluation_id=made.id, dataset_id=made.dataset_id, names=names, alpha=task.alpha)
    )
    own = made.comparison
    assert own is not None

    async def test(shown: SideBySide, share: float, by: str, *how: str) -> Comparison:
        compared = await compare_by_task(
            shown,
            msgspec.structs.replace(task, alpha=counted.alpha),
            made_from=(made.dataset_id, made.id, by),
            notes=(*how, *notes),
            context=context_of(counted, self_noise=own.self_noise, unmeasured=own.unmeasured * share),
        )
        return with_look(compared.comparison, counted, own.period)

    tested: list[ShareStep] = []
    compared: list[Comparison] = []
    note = _MIXED if rule.upper is None else _MIXED_WITH_UPPER
    for point in worth:
        here = sure >= point.threshold
        by = rule.at(point.threshold).id
        found = await test(mixed(results, here, upper), float(here.mean()), by, note)
        compared.append(found)
        tested.append(_step(point, found, results, here))
        if found.verdict != "promote":
            break
    alone = None
    if not rule.always_incumbent and tested[-1].verdict == "promote":
        alone = await test(results, 1.0, planned.path_id)
        compared.append(alone)
    taken = _taken(planned.wanted, tested, alone, curve.whole, task.margin)
    is_alone = taken == len(tested)
    here = np.ones(len(samples), bool) if is_alone else sure >= tested[taken].threshold
    low, high = deferral.share_interval(here, codes_of(samples), counted.alpha)
    seen = msgspec.structs.replace(
        planned,
        rule=None if is_alone else rule.at(tested[taken].threshold),
        alpha=compared[taken].alpha,
        tested=tuple(tested),
        alone=alone is not None and alone.verdict == "promote",
        comparison=compared[taken],
        share=float(here.mean()),
        share_low=low,
        share_high=high,
        made_from=(*planned.made_from, made.id),
    )
    return Looked(seen, alone)


def _worth_testing(curve: MixtureCurve, sure: Floats, least_share: float) -> list[MixturePoint]:
    """The thresholds that answer at least the least share of these samples, each share once; without one the largest.
    All of them together are the candidate alone.

    How sure the candidate is of them says nothing of who is right, so it may be known before.
    """
    points = [one for one in curve.points if one.share < 1]
    found: dict[int, MixturePoint] = {}
    for point in points:
        found.setdefault(int((sure >= point.threshold).sum()), point)
    least = least_share * len(sure)
    return [point for count, point in found.items() if count >= least] or [points[-1]]


def _step(point: MixturePoint, found: Comparison, results: SideBySide, here: Bools) -> ShareStep:
    """What one share showed. Unscored answers of the candidate are not in the mean of what it answers."""
    own = [
        one.score.value - other.score.value
        for one, other, is_here in zip(results.candidate, results.incumbent, here, strict=True)
        if is_here and one.score.value is not None and other.score.value is not None
    ]
    return ShareStep(
        threshold=point.threshold,
        share=float(here.mean()),
        expected=point.difference,
        difference=found.difference,
        low=found.ci_low,
        high=found.ci_high,
        here=sum(own) / len(own) if own else None,
        verdict=found.verdict,
    )


def _taken(
    wanted: float | None, tested: Sequence[ShareStep], alone: Comparison | None, whole: float, margin: float
) -> int:
    """The place of the share that is taken, after the last that of the candidate alone: what its owner wants, or by
    `taken_share`, where the candidate loses `whole` by the selection split. The first where none was proven."""
    proven = [one.expected for one in tested if one.verdict == "promote"]
    by_itself = alone is not None and alone.verdict == "promote"
    if not proven:
        return 0
    if wanted is None:
        return deferral.taken_share([*proven, whole] if by_itself else proven, margin)
    if wanted >= 1 and by_itself:
        return len(tested)
    return max((place for place in range(len(proven)) if tested[place].share <= wanted), default=0)
