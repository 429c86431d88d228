"""What a training run is planned to be, what it tells, and what it leaves."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from freehold.types.config import FinetuneConfig
from freehold.types.machine import Fit
from freehold.types.record import Record, StoredRecord

WrittenCalls = Literal["template", "tagged"]
"""Who writes tools and calls: the base's own chat template, or freehold's preface to it."""
EventKind = Literal["start", "step", "eval", "checkpoint", "warning", "end", "error"]


class TrainingEvent(Record, frozen=True, kw_only=True):
    """One line of a run's ``events.jsonl``.

    `score`, of an ``eval``, is the share of validation samples that are answered right to the letter.
    """

    kind: EventKind
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    score: float | None = None
    learning_rate: float | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None
    seconds_left: float | None = None
    peak_memory_bytes: int | None = None
    message: str | None = None


class TrainedModel(StoredRecord, frozen=True, kw_only=True):
    """What a training run left. `id` is the content id of its files and its making."""

    id: str
    name: str
    path: str
    base_model: str
    base_sha256: str
    dataset_id: str
    seed: int
    train_seconds: float
    peak_memory_bytes: int | None
    files: dict[str, str]
    """File name (relative to `path`) to sha256."""
    versions: dict[str, str]
    made_from: tuple[str, ...]


class Adapter(TrainedModel, frozen=True, kw_only=True):
    """The manifest of a trained adapter: PEFT safetensors and the GGUF adapter."""

    kind: ClassVar[str] = "adapter"

    config: FinetuneConfig
    template_sha256: str
    """Of the template that was trained with, `call_format` included."""
    steps: int
    train_tokens: int
    final_loss: float
    curve: tuple[tuple[int, float], ...] = ()
    call_format: WrittenCalls = "template"
    """``tagged``: it must be served with its own ``chat_template.jinja``, the base's loses tools and calls."""
    metadata: dict[str, Any] = {}


class Piece(Record, frozen=True, kw_only=True):
    """Tokens that make up whole characters together, nearly always one. `learned`: the loss is taken on them."""

    ids: tuple[int, ...]
    text: str
    learned: bool


class PreviewSample(Record, frozen=True, kw_only=True):
    """One sample as it is trained on."""

    id: str
    tokens: int
    learned_tokens: int
    pieces: tuple[Piece, ...]


class LeftOut(Record, frozen=True, kw_only=True):
    """A sample that is not trained on, and why."""

    sample_id: str
    code: str
    reason: str


class SplitMeasurement(Record, frozen=True, kw_only=True):
    """A split through the chat template: what is usable, what is left out and why, how long samples are.

    Where a split is large every n-th sample is looked at (`looked_at` of `samples`), and the counts are of those.
    Lengths are in tokens, of usable samples; `shared_tokens` all begin with; `tokens` and `learned_tokens` are sums.
    """

    samples: int
    looked_at: int
    usable: int
    left_out: dict[str, int]
    first_left_out: tuple[LeftOut, ...]
    max_tokens: int
    median_tokens: int = 0
    p95_tokens: int = 0
    longest_tokens: int = 0
    shared_tokens: int = 0
    tokens: int = 0
    learned_tokens: int = 0
    longest_over: int | None = None
    """Tokens of the longest sample that is over the limit."""


class TrainingPreview(Record, frozen=True, kw_only=True):
    """The first samples as tokens, and the whole split in numbers."""

    base_model: str
    dataset_id: str
    method: str
    template_sha256: str
    call_format: WrittenCalls
    """Who writes tools and calls: the base's chat template, or freehold's preface to it."""
    samples: tuple[PreviewSample, ...]
    train: SplitMeasurement


class TrainingPlan(Record, frozen=True, kw_only=True):
    """A run before it runs: every option chosen, its steps, its memory and, where there is a measure, its time.

    `parts_per_step` is how often a step computes and adds up gradients (accumulation). `seconds_basis` says what
    `seconds` is told from. None where nothing was measured with the base.
    """

    job_id: str
    base_model: str
    dataset_id: str
    adapter_dir: str
    config: FinetuneConfig
    train: SplitMeasurement
    steps: int
    samples_at_once: int
    parts_per_step: int
    train_tokens: int
    fit: Fit
    seconds: float | None
    seconds_basis: str
    done: bool
    resumes: bool
    notes: tuple[str, ...] = ()
