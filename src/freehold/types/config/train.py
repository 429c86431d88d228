"""`[train]`: options of a training run."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from freehold.types.config.table import AtLeastOne, NotNegative, Positive
from freehold.types.record import Record

Skill = Literal["no_tool", "refusal", "format", "chat"]
"""What a base can do and should not unlearn: not to call a tool where none is wanted, to refuse, to keep to a format,
to answer a plain question."""
Keepable = Literal["no_tool", "refusal", "format", "chat", "other_tasks"]
"""What can be asked to stay: a skill, or what the base makes of the log's other tasks."""

Method = Literal["lora", "qlora", "full"]
"""`lora`, and on a 4-bit base `qlora`: imitate the answers. `full`: imitate, moving every weight."""


CallFormat = Literal["auto", "template", "tagged"]


class FinetuneConfig(Record, frozen=True, kw_only=True):
    """Options of a training run; LoRA options keep PEFT's names.

    `batch_size` counts samples per optimizer step. `target_modules` of ``"all-linear"`` means every linear
    layer but the output head. `precision` is ``"auto"``: bf16 where the machine multiplies it fast.
    """

    method: Method = "lora"
    """How to train."""
    r: AtLeastOne = 64
    """Rank of the adapter."""
    lora_alpha: AtLeastOne = 128
    """Scale: the adapter counts `lora_alpha / r` times."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Layers that get an adapter."""
    learning_rate: NotNegative = 0.0
    """Peak learning rate; 0 chooses one by the size of the base."""
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls."""
    warmup_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.05
    """Share of steps over which the rate rises."""
    weight_decay: NotNegative = 0.0
    """Of the optimizer (AdamW)."""
    epochs: NotNegative = 0.0
    """Passes over the train split; 0 chooses by the number of samples."""
    batch_size: AtLeastOne = 32
    """Samples per optimizer step."""
    max_tokens: Annotated[int, Meta(ge=2)] = 1024
    """Longer samples are left out and reported, never cut."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Number format of the frozen base."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Decides initial weights and sample order."""
    max_minutes: Positive | None = None
    """Shorten the schedule to end in this time."""
    checkpoint_steps: AtLeastOne = 50
    """Steps between checkpoints a killed run goes on from."""
    threads: AtLeastOne | None = None
    """CPU threads (default: FREEHOLD_THREADS, else all)."""
    train_on: Literal["last", "all"] = "last"
    """Which assistant messages are learned: a sample's target only, or earlier turns as well."""
    call_format: CallFormat = "auto"
    """How tools and calls are written: by the base's own chat template (template), in freehold's format for templates
    that write none (tagged), or by whichever loses fewer samples (auto)."""
    pack_tokens: AtLeastOne = 4096
    """Most tokens computed at once; a batch over it is split, with the same gradient."""
    gradient_checkpointing: bool | None = None
    """Compute activations again on the way back instead of keeping them: less memory, more time. None: only
    once memory runs out with one sample at a time."""
    probe: Annotated[int, Meta(ge=0, le=200)] = 80
    """Probes of other skills that a candidate and its base are asked after the evaluation; 0 asks none. Slices by skill
    need 20 each."""
    probe_tasks: Annotated[int, Meta(ge=0)] = 120
    """Requests of the log's other tasks (those that `[[data.match]]` leaves out) that a candidate and its base are
    asked, 20 or more of each task, the largest tasks first; 0 asks none."""
    probe_logs: tuple[str, ...] = ()
    """Where requests of other tasks are besides what `[data]` names: log files, and folders of projects, whose stores
    are read."""
    retain: tuple[Keepable, ...] = ()
    """Skills (no_tool, refusal, format, chat) and other_tasks, whose proven loss holds the verdict; of others it only
    tells."""
    patience: AtLeastOne | None = None
    """Stop after this many evaluations (one an epoch) that are no better on the validation split, and keep the
    best adapter. Better is more answers right to the letter; among equals, a lower loss. None trains to the
    end and keeps the last."""
