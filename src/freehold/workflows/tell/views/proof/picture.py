"""What the pictures of the screen Proof show, as figures: intervals by candidate, mixtures over their share. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from freehold.stats.exact import z_quantile
from freehold.types.evaluated import Evaluation
from freehold.types.evaluation import Comparison, VerdictOutcome
from freehold.types.mixture import Mixture
from freehold.types.record import Record
from freehold.types.report import Report

IntervalKind = Literal["proof", "mixture", "selection"]


class CandidateInterval(Record, frozen=True, kw_only=True):
    """One candidate's difference to the incumbent, on the score's scale. `kind` says on what it rests: held-out samples
    (a proof, of the candidate or of its mixture) or the selection split, which chooses and proves nothing."""

    label: str
    kind: IntervalKind
    low: float
    middle: float
    high: float
    n: int | None = None
    verdict: VerdictOutcome | None = None
    record_kind: str
    record_id: str
    evaluation_id: str | None = None


class CloneRange(Record, frozen=True, kw_only=True):
    """Where a perfect copy of the incumbent would be found `level` of the time, its own noise being all that differs.

    `self_noise` is the share of items on which two runs of the incumbent score differently.
    """

    low: float
    high: float
    level: float
    self_noise: float
    n: int


class ShownMixture(Record, frozen=True, kw_only=True):
    """A mixture, with the curve of the signal that was chosen alone, and what came out in words."""

    mixture: Mixture
    sentence: str


def clone_range(comparison: Comparison) -> CloneRange | None:
    """The incumbent's own noise on the axis of differences; None where it was not measured.

    Of a copy each pair differs with probability psi, up as often as down, so the mean difference of n pairs has
    variance psi / n (Tango 1998, with equal discordant cells); the normal range at the comparison's level.
    """
    noise, n = comparison.self_noise, comparison.n
    if noise is None or n < 1:
        return None
    half = z_quantile(comparison.alpha) * math.sqrt(max(0.0, noise) / n)
    return CloneRange(low=-half, high=half, level=1 - 2 * comparison.alpha, self_noise=noise, n=n)


def intervals(report: Report | None, evaluations: Sequence[Evaluation]) -> tuple[CandidateInterval, ...]:
    """All candidates: proofs of the report and of evaluations made by hand, newest first, then the selection split."""
    by_comparison = {
        one.comparison.id: one.id for one in evaluations if one.comparison is not None
    }  # a report knows its comparisons, not their evaluations
    candidates = () if report is None else report.candidates
    rows: list[CandidateInterval] = []
    seen: set[str] = set()
    for one in candidates:
        if one.comparison is not None:
            seen.add(one.comparison.id)
            rows += _proof(one.label, "proof", one.comparison, by_comparison.get(one.comparison.id))
        # Where the candidate was proven alone after its mixtures, that is what is compared: one row.
        if one.mixture is not None and one.mixture.comparison is not None and one.mixture.rule is not None:
            rows += _proof(f"{one.label}, mixture", "mixture", one.mixture.comparison, None, one.mixture)
    for made in reversed(evaluations):
        if made.comparison is not None and made.comparison.id not in seen:
            seen.add(made.comparison.id)
            rows += _proof(made.candidate, "proof", made.comparison, made.id)
    if report is not None:
        rows += _selection(report)
    return tuple(rows)


def _selection(report: Report) -> list[CandidateInterval]:
    rows = []
    for one in report.candidates:
        found = one.selection
        if found is None or found.difference is None or found.ci_low is None or found.ci_high is None:
            continue
        rows.append(
            CandidateInterval(
                label=one.label,
                kind="selection",
                low=found.ci_low,
                middle=found.difference,
                high=found.ci_high,
                n=found.n,
                record_kind="report",
                record_id=report.id,
            )
        )
    return rows


def _proof(
    label: str,
    kind: IntervalKind,
    found: Comparison,
    evaluation_id: str | None,
    mixture: Mixture | None = None,
) -> list[CandidateInterval]:
    low, middle, high = found.ci_low, found.difference, found.ci_high
    if low is None or middle is None or high is None:
        return []
    return [
        CandidateInterval(
            label=label,
            kind=kind,
            low=low,
            middle=middle,
            high=high,
            n=found.n,
            verdict=found.verdict if mixture is None else mixture.outcome,
            record_kind="comparison" if mixture is None else "mixture",
            record_id=found.id if mixture is None else mixture.id,
            evaluation_id=evaluation_id,
        )
    ]


def shown_mixtures(kept: Sequence[Mixture]) -> tuple[ShownMixture, ...]:
    """Those of which something was measured, the newest first."""
    return tuple(
        ShownMixture(mixture=msgspec.structs.replace(one, curves=(one.curve,), best=0), sentence=one.sentence)
        for one in reversed(kept)
        if one.curve is not None
    )
