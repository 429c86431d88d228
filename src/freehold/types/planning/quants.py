"""Quantizations of one model, side by side."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.dataset import SplitName
from freehold.types.evaluation import Comparison, Task
from freehold.types.machine import Speed, Workload
from freehold.types.record import Record, StoredRecord

LossOutcome = Literal["reference", "not_worse", "worse", "not_proven"]


class QuantRow(Record, frozen=True, kw_only=True):
    """One quantization. `weights_bytes` are exact where `known` names a file, else computed from the shape."""

    quantization: str
    bits_per_weight: float
    weights_bytes: int
    total_bytes: int
    fits: bool
    largest_context_tokens: int | None
    known: tuple[str, ...] = ()
    """Where such weights are known: in the store, in the catalog, on a hub."""
    path: str | None = None
    """The file, when it is here."""
    speed: Speed | None = None
    """Measured where a measurement is known, else estimated."""
    score: float | None = None
    """On the project's task, where `freehold quants --measure` has been run."""
    loss: LossOutcome | None = None
    """What that run showed against the widest weights."""


class Quants(Record, frozen=True, kw_only=True):
    """All rows, largest first, and which to `take` with reasons; None when none fits."""

    model: str
    machine: str
    workload: Workload
    available_bytes: int
    rows: tuple[QuantRow, ...]
    take: str | None
    reasons: tuple[str, ...]
    version: str = ""


class QuantLoss(Record, frozen=True, kw_only=True):
    """One quantization measured on the task. `comparison` sets it against the reference, sample by sample; None for
    the reference itself. `tokens_per_second` are written ones, all requests together; None where kept answers were
    used."""

    quantization: str
    weights_bytes: int
    weights_sha256: str
    n: int
    mean: float | None
    format_failures: int
    outcome: LossOutcome
    tokens_per_second: float | None = None
    comparison: Comparison | None = None


class QuantLosses(StoredRecord, frozen=True, kw_only=True):
    """What quantizations of a model lose on a task. `rows` begin with the reference (the widest weights) and go down in
    size to the first that was not shown to be no worse; `take` is the smallest that was. `skipped` could not be made,
    with why."""

    kind: ClassVar[str] = "quant_losses"

    id: str
    model: str
    machine: str
    dataset_id: str
    split: SplitName
    task: Task
    rows: tuple[QuantLoss, ...]
    take: str
    reasons: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    made_from: tuple[str, ...] = ()
    version: str = ""
