"""Everything one report tells, as one record: the page and its JSON are made from this and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from freehold.types.config import UseProfile
from freehold.types.dataset import Dataset
from freehold.types.evaluated import Disagreement, LatencySummary, Measured, UntrainedBaseline
from freehold.types.evaluation import Comparison, Task
from freehold.types.leak import LeakReport
from freehold.types.machine import Fit, Machine
from freehold.types.method import MethodName
from freehold.types.model import Weights
from freehold.types.parity import ParityReport
from freehold.types.record import Record, StoredRecord
from freehold.types.retained import RetainedSkills
from freehold.types.ruling import Ruling
from freehold.types.training import TrainingResult
from freehold.types.verdict import Verdict


class CandidateReport(Record, frozen=True, kw_only=True):
    """One candidate's way through the journey. Parts it never reached are None; `stopped` then says why."""

    model: str
    method: MethodName | None = None
    """How it was made; None in reports of before this was kept."""
    ruling: Ruling | None = None
    weights: Weights | None = None
    fit: Fit | None = None
    trained: TrainingResult | None = None
    """What training left, where there was any."""
    parity: ParityReport | None = None
    untrained: UntrainedBaseline | None = None
    measured: Measured | None = None
    comparison: Comparison | None = None
    verdict: Verdict | None = None
    latency: LatencySummary | None = None
    retained: RetainedSkills | None = None
    """What it kept of what its base could do; None where it was not asked."""
    leak: LeakReport | None = None
    """What came out of a model that was trained like it, with planted strings; None where that was not tried."""
    disagreements: tuple[Disagreement, ...] = ()
    served_as: str | None = None
    stopped: str | None = None


class StepTime(Record, frozen=True, kw_only=True):
    """How long one step took; `skipped` when its inputs had not changed."""

    name: str
    seconds: float
    skipped: bool = False


class Report(StoredRecord, frozen=True, kw_only=True):
    """The whole story of one migration."""

    kind: ClassVar[str] = "report"

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
