"""What a training run is told, what it tells, and what it leaves."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from freehold.types.record import Record

Method = Literal["lora", "qlora", "distill", "dpo", "kto", "full"]
"""`lora`, and on a 4-bit base `qlora`: imitate the answers. `distill`: imitate the incumbent, with its own
probabilities where they are known. `dpo`: prefer the better of two answers. `kto`: more like what was liked, less like
what was not. `full`: imitate, moving every weight."""


TrackerName = Literal["tensorboard", "wandb", "mlflow"]


class FinetuneConfig(Record, frozen=True, kw_only=True):
    """Options of a training run; LoRA options keep PEFT's names.

    `batch_size` counts samples per optimizer step. `target_modules` of ``"all-linear"`` means every linear
    layer but the output head. `precision` is ``"auto"``: bf16 where the machine multiplies it fast.
    """

    method: Method = "lora"
    """How to train."""
    r: int = 64
    """Rank of the adapter."""
    lora_alpha: int = 128
    """Scale: the adapter counts `lora_alpha / r` times."""
    lora_dropout: float = 0.0
    """Dropout before the adapter."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Layers that get an adapter."""
    use_rslora: bool = False
    """Scale by the root of `r`."""
    use_dora: bool = False
    """Train direction and magnitude apart (DoRA)."""
    learning_rate: float = 0.0
    """Peak learning rate; 0 chooses one by the size of the base."""
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls."""
    warmup_ratio: float = 0.05
    """Share of steps over which the rate rises."""
    weight_decay: float = 0.0
    """Of the optimizer (AdamW)."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this length."""
    epochs: float = 0.0
    """Passes over the train split; 0 chooses by the number of samples."""
    batch_size: int = 32
    """Samples per optimizer step."""
    max_tokens: int = 1024
    """Longer samples are left out and reported, never cut."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Number format of the frozen base."""
    seed: int = 0
    """Decides initial weights and sample order."""
    max_minutes: float | None = None
    """Shorten the schedule to end in this time."""
    checkpoint_steps: int = 50
    """Steps between checkpoints a killed run goes on from."""
    threads: int | None = None
    """CPU threads (default: FREEHOLD_THREADS, else all)."""
    train_on: Literal["last", "all"] = "last"
    """Which assistant messages are learned: a sample's target only, or earlier turns as well."""
    pack_tokens: int = 4096
    """Most tokens computed at once; a batch over it is split, with the same gradient."""
    gradient_checkpointing: bool | None = None
    """Compute activations again on the way back instead of keeping them: less memory, more time. None: only
    once memory runs out with one sample at a time."""
    beta: float = 0.1
    """DPO and KTO: how dear it is to move away from the base. Smaller moves further."""
    soft_share: float = 0.5
    """Distillation: how much the incumbent's probabilities count against its words, where they are known."""
    optimizer: Literal["auto", "adamw", "paged_adamw"] = "auto"
    """AdamW, or bitsandbytes' paged one that moves its state off a full GPU; auto: paged for qlora on CUDA."""
    trackers: tuple[TrackerName, ...] = ()
    """Tools that get the numbers as well; they write into the run's folder."""
    patience: int | None = None
    """Stop after this many evaluations (one an epoch) that are no better on the validation split, and keep the
    best adapter. Better is more answers right to the letter; among equals, a lower loss. None trains to the
    end and keeps the last."""


class Misfit(NamedTuple):
    """An option whose value can't work, and what is expected instead."""

    name: str
    value: object
    expected: str


def misfit(config: FinetuneConfig) -> Misfit | None:
    """The first option that can't work whatever the base and the data are; None where all can."""

    def number(name: str, low: float, high: float = math.inf, *, above: bool = False) -> Misfit | None:
        value: float | None = getattr(config, name)
        if value is None or (
            math.isfinite(value) and (low < value if above else low <= value) and value <= high
        ):
            return None
        least = f"above {low:g}" if above else f"at least {low:g}"
        return Misfit(name, value, least if math.isinf(high) else f"from {low:g} to {high:g}")

    checks = (
        number("r", 1),
        number("lora_alpha", 1),
        number("lora_dropout", 0, 0.95),
        number("learning_rate", 0),
        number("warmup_ratio", 0, 1),
        number("weight_decay", 0),
        number("max_grad_norm", 0),
        number("epochs", 0),
        number("batch_size", 1),
        number("max_tokens", 2),
        number("seed", 0, 2**63 - 1),
        number("max_minutes", 0, above=True),
        number("checkpoint_steps", 1),
        number("threads", 1),
        number("pack_tokens", 1),
        number("beta", 0, above=True),
        number("soft_share", 0, 1),
        number("patience", 1),
    )
    return next((one for one in checks if one is not None), None)


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


class Learned(Record, frozen=True, kw_only=True):
    """How unlikely a sample's answer was to the model before it was learned again: −log p, in nats, the mean over the
    passes after the first. With `looks` of 0 there was one pass only, and `loss` is of that. `tokens` are the answer's.
    """

    sample_id: str
    loss: float
    tokens: int
    looks: int


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


class SearchTrial(Record, frozen=True, kw_only=True):
    """One run of a search, with how it did on the validation split. `failed` says why it has no numbers."""

    rung: int
    r: int
    learning_rate: float
    epochs: float
    validation_loss: float | None = None
    validation_score: float | None = None
    steps: int = 0
    seconds: float = 0.0
    adapter_id: str | None = None
    path: str | None = None
    failed: str | None = None


class Search(Record, frozen=True, kw_only=True):
    """A search over options, all trials kept. `best` is the place of the best one in `trials`."""

    id: str
    base_model: str
    dataset_id: str
    trials: tuple[SearchTrial, ...]
    best: int
    complete: bool
    """False where the time was over before all rungs were done."""
    made_from: tuple[str, ...] = ()
