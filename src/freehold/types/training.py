"""What a training run is told, what it tells, and what it leaves."""

from __future__ import annotations

from typing import Any, Literal

from freehold.types.record import Record

Method = Literal["lora", "qlora", "dpo", "full"]


class FinetuneConfig(Record, frozen=True, kw_only=True):
    """Options of a training run; LoRA options keep PEFT's names.

    `batch_size` counts samples per optimizer step. `target_modules` of ``"all-linear"`` means every linear
    layer but the output head. `precision` is ``"auto"``: bf16 where the machine multiplies it fast.
    """

    method: Method = "lora"
    r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    use_rslora: bool = False
    use_dora: bool = False
    learning_rate: float = 1e-3
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    epochs: float = 2.0
    batch_size: int = 32
    max_tokens: int = 1024
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0
    max_minutes: float | None = None
    checkpoint_steps: int = 50
    threads: int | None = None
    train_on: Literal["last", "all"] = "last"
    """Which assistant messages are learned: a sample's target only, or earlier turns as well."""
    pack_tokens: int = 4096
    """Most tokens computed at once; a batch over it is split, with the same gradient."""
    patience: int | None = None
    """Stop after this many evaluations (one an epoch) without a lower validation loss, and keep the best
    adapter. None trains to the end and keeps the last."""


EventKind = Literal["start", "step", "eval", "checkpoint", "warning", "end", "error"]


class TrainingEvent(Record, frozen=True, kw_only=True):
    """One line of a run's ``events.jsonl``. `fraction` is the share of the run that is done."""

    kind: EventKind
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    loss: float | None = None
    learning_rate: float | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None
    seconds_left: float | None = None
    peak_memory_bytes: int | None = None
    message: str | None = None


class Adapter(Record, frozen=True, kw_only=True):
    """The manifest of a trained adapter. `id` is the content id of its weights and its making."""

    id: str
    name: str
    path: str
    base_model: str
    base_sha256: str
    dataset_id: str
    config: FinetuneConfig
    template_sha256: str
    seed: int
    steps: int
    train_tokens: int
    train_seconds: float
    final_loss: float
    peak_memory_bytes: int | None
    files: dict[str, str]
    """File name (relative to `path`) to sha256: PEFT safetensors and the GGUF adapter."""
    versions: dict[str, str]
    made_from: tuple[str, ...]
    curve: tuple[tuple[int, float], ...] = ()
    metadata: dict[str, Any] = {}
