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


class FinetuneConfig(Record, frozen=True, kw_only=True):
    """Options of a training run: what has more than one sane value.

    The rest is fixed in `freehold.training` (layers, scale, optimizer, schedule), or follows from the base's template
    and from the machine (memory, number format). `batch_size` counts samples per optimizer step.
    """

    method: Method = "lora"
    """How to train."""
    r: AtLeastOne = 64
    """Rank of the adapter, which counts twice, whatever its rank."""
    learning_rate: NotNegative = 0.0
    """Peak learning rate; 0 chooses one by the size of the base."""
    epochs: NotNegative = 0.0
    """Passes over the train split; 0 chooses by the number of samples."""
    batch_size: AtLeastOne = 32
    """Samples per optimizer step."""
    max_tokens: Annotated[int, Meta(ge=2)] = 1024
    """Longer samples are left out and reported, never cut."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Decides initial weights and sample order."""
    max_minutes: Positive | None = None
    """Shorten the schedule to end in this time."""
    probe: Annotated[int, Meta(ge=0, le=200)] = 80
    """Probes of other skills that a candidate and its base are asked after the evaluation, with 120 requests of the
    log's other tasks (those that `[[data.match]]` leaves out); 0 asks none of either. Slices by skill need 20 each."""
    probe_logs: tuple[str, ...] = ()
    """Where requests of other tasks are besides what `[data]` names: log files, and folders of projects, whose stores
    are read."""
    retain: tuple[Keepable, ...] = ()
    """Skills (no_tool, refusal, format, chat) and other_tasks, whose proven loss holds the verdict; of others it only
    tells."""
