"""Everything one report tells, as one record: the page and its JSON are made from this and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from freehold.types.config import UseProfile
from freehold.types.dataset import Dataset
from freehold.types.evaluation import Comparison, Task
from freehold.types.machine import Fit, Machine
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.parity import ParityReport
from freehold.types.record import Record
from freehold.types.ruling import Ruling
from freehold.types.training import Adapter
from freehold.types.verdict import Verdict


class LatencySummary(Record, frozen=True, kw_only=True):
    """How fast answers came over `n` requests, `concurrency` of them at once. Milliseconds; None when unknown."""

    n: int
    concurrency: int
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None
    total_p50_ms: float | None = None
    total_p95_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    wall_seconds: float | None = None


class Disagreement(Record, frozen=True, kw_only=True):
    """A held-out sample that the two models did not score alike on."""

    sample_id: str
    question: str
    reference: str | None
    incumbent_answer: str | None
    candidate_answer: str | None
    incumbent_score: float | None
    candidate_score: float | None
    parts: dict[str, float] = {}
    """The candidate's score by part (JSON field), where the scorer has parts."""


class UntrainedBaseline(Record, frozen=True, kw_only=True):
    """What the base model scores without the adapter, on `n` of the held-out samples."""

    n: int
    mean: float | None
    format_failures: int


class Measured(Record, frozen=True, kw_only=True):
    """A model's score by itself, with an interval at `level`. It is no comparison: it rests on no pairs.

    `method` is ``wilson`` for scores of 0 and 1, ``t`` else. Absent limits mean too few scored samples.
    """

    n: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    method: str


class CandidateReport(Record, frozen=True, kw_only=True):
    """One candidate's way through the journey. Parts it never reached are None; `stopped` then says why."""

    model: str
    method: MethodName | None = None
    """How it was made; None in reports of before this was kept."""
    ruling: Ruling | None = None
    weights: Weights | None = None
    fit: Fit | None = None
    trained: Adapter | None = None
    """What training left, where there was any."""
    parity: ParityReport | None = None
    untrained: UntrainedBaseline | None = None
    measured: Measured | None = None
    comparison: Comparison | None = None
    verdict: Verdict | None = None
    latency: LatencySummary | None = None
    disagreements: tuple[Disagreement, ...] = ()
    served_as: str | None = None
    stopped: str | None = None


class StepTime(Record, frozen=True, kw_only=True):
    """How long one step took; `skipped` when its inputs had not changed."""

    name: str
    seconds: float
    skipped: bool = False


class Report(Record, frozen=True, kw_only=True):
    """The whole story of one migration."""

    id: str
    app: str
    at: datetime
    version: str
    incumbent: str | None
    use: UseProfile
    task: Task
    machine: Machine | None
    dataset: Dataset
    candidates: tuple[CandidateReport, ...]
    steps: tuple[StepTime, ...] = ()
    endpoint_url: str | None = None
    notes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """The data card in short: origins, what was replaced and left out, whose terms count."""
    facts: dict[str, Any] = {}
