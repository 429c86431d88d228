"""Machines, workloads, and whether a model fits."""

from __future__ import annotations

from typing import ClassVar

from freehold.types.record import Record, StoredRecord


class Accelerator(Record, frozen=True, kw_only=True):
    """One device that multiplies matrices. `how` says how each figure is known."""

    kind: str
    name: str
    memory_bytes: int
    free_memory_bytes: int | None = None
    reserved_bytes: int = 0
    """What the driver keeps of `memory_bytes` for itself: no program gets it."""
    bandwidth_bytes_per_second: float | None = None
    bf16_flops: float | None = None
    watts: int | None = None
    unified: bool = False
    """Shares the machine's memory instead of having its own (Apple, some AMD)."""
    how: str = ""


class Machine(Record, frozen=True, kw_only=True):
    """What this process may use: cores and memory after cgroup limits."""

    name: str
    cores: int
    memory_bytes: int
    available_memory_bytes: int
    cpu: str
    isa: tuple[str, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    disk_free_bytes: int | None = None
    memory_bandwidth_bytes_per_second: float | None = None
    how: dict[str, str] = {}


class Workload(Record, frozen=True, kw_only=True):
    """How a model will be used: tokens of context per request and requests at once."""

    context_tokens: int = 4096
    concurrency: int = 1
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class FitPart(Record, frozen=True, kw_only=True):
    """One bar of the memory picture."""

    name: str
    bytes: int
    basis: str


class Speed(Record, frozen=True, kw_only=True):
    """Tokens a second, with a range. `prefill` reads the prompt, `decode` writes the answer for one request,
    `decode_all` for all requests at once. `how` is ``estimated`` or ``measured``."""

    prefill_tokens_per_second: tuple[float, float]
    decode_tokens_per_second: tuple[float, float]
    decode_all_tokens_per_second: tuple[float, float]
    concurrency: int
    how: str
    basis: str


class Fit(StoredRecord, frozen=True, kw_only=True):
    """Does it fit, by part, against one machine. `headroom_bytes` is negative when it does not."""

    kind: ClassVar[str] = "fit"

    id: str
    model: str
    quantization: str
    machine: str
    workload: Workload
    parts: tuple[FitPart, ...]
    total_bytes: int
    available_bytes: int
    headroom_bytes: int
    fits: bool
    reasons: tuple[str, ...]
    largest_context_tokens: int | None = None
    largest_concurrency: int | None = None
    """Most requests at once at the workload's context; None when not even one fits, or when it was not asked for."""
    kv_type: str = "f16"
    speed: Speed | None = None
    ways_out: tuple[str, ...] = ()
    """What would fit instead, where it does not: another quantization, cache type, layers, more devices."""
    engine: str = "llamacpp"
    """Whose overhead is counted."""
    training: str | None = None
    """How it would be trained (``lora`` or ``qlora``); None: the model is served. Of a training,
    `workload` holds the tokens of one sample and the samples computed at once."""
    made_from: tuple[str, ...] = ()
    version: str = ""

    def summary(self) -> str:
        """Whether it fits, in what and where."""
        fits = "fits" if self.fits else "does not fit"
        return f"{self.model} as {self.quantization} on {self.machine} {fits}"


class MeasuredSpeed(StoredRecord, frozen=True, kw_only=True):
    """A speed with what it was measured on. One per machine, engine and weights: `id` is made of these, so a new
    run takes the old one's place."""

    kind: ClassVar[str] = "measured_speed"

    id: str
    model: str
    engine: str
    weights_sha256: str | None
    machine: str
    prompt_tokens: int
    completion_tokens: int
    speed: Speed
    quantization: str | None = None
    build: str | None = None
    """Which build of the engine ran, where there are several."""
    version: str = ""
