"""Tasks, scores, comparisons."""

from __future__ import annotations

from typing import Any, Literal

from freehold.types.record import Record
from freehold.types.trace import Usage


class Task(Record, frozen=True, kw_only=True):
    """What counts as right, fixed before any candidate's score is seen.

    `margin` is the largest drop the owner accepts, on the score's scale; `alpha` is one-sided.
    `options` belong to the scorer (labels and aliases, JSON fields, tolerance …).
    """

    name: str
    scorer: str
    margin: float = 0.02
    alpha: float = 0.025
    group_by: str | None = None
    slices: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    max_tokens: int = 256
    temperature: float = 0.0


class Score(Record, frozen=True, kw_only=True):
    """How good one answer is. Higher is better, in [0, 1] unless the scorer says otherwise.

    `value` is None when the answer could not be scored through nobody's fault; `reason` then says why.
    An answer in the wrong form (invalid JSON, no label) scores 0 with `format_ok` false.
    """

    value: float | None
    reason: str | None = None
    format_ok: bool = True
    parts: dict[str, float] = {}


class EvalResult(Record, frozen=True, kw_only=True):
    """One model's answer to one sample, and its score."""

    sample_id: str
    model: str
    output: str | None
    score: Score
    ttft_ms: float | None = None
    total_ms: float | None = None
    usage: Usage | None = None
    error: str | None = None


VerdictOutcome = Literal["promote", "hold", "reject"]


class SliceResult(Record, frozen=True, kw_only=True):
    """One declared slice of a comparison."""

    name: str
    n: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_harm: float | None
    p_harm_adjusted: float | None
    harmed: bool
    note: str | None = None


class Comparison(Record, frozen=True, kw_only=True):
    """Candidate minus incumbent on the same items. All differences are positive when the candidate is better.

    A number that cannot be computed is None, and `notes` say why.
    """

    id: str
    task: str
    incumbent: str
    candidate: str
    n: int
    n_items: int
    n_groups: int | None
    unscored: dict[str, int]
    incumbent_mean: float | None
    candidate_mean: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    method: str
    margin: float
    alpha: float
    p_noninferiority: float | None
    p_exact: float | None
    a_only: int | None
    """Pairs only the incumbent got right (losses); None where scores are not binary."""
    b_only: int | None
    """Pairs only the candidate got right (wins)."""
    p_mcnemar: float | None
    smallest_detectable: float | None
    needed_n: int | None
    verdict: VerdictOutcome
    reasons: tuple[str, ...]
    incumbent_format_failures: int = 0
    candidate_format_failures: int = 0
    slices: tuple[SliceResult, ...] = ()
    notes: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    version: str = ""
