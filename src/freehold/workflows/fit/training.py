"""`freehold fit --train`: does a training run fit on a machine, by part, and what is the most that fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from freehold import __version__
from freehold.errors import UsageError
from freehold.hardware import fit as fitting
from freehold.hardware.probes import probe_machine
from freehold.hardware.training_memory import TrainingLoad, runs_fused
from freehold.settings import Settings
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Fit, Machine
from freehold.types.model import Weights
from freehold.visible import gib
from freehold.workflows.fit.sizes import SizedModel, size_model

FAST_BF16 = ("AMX-BF16", "AVX-512-BF16")
"""Instruction sets with which a CPU multiplies bf16 at least as fast as float32, as the trainer asks for."""
FEWEST_PACKED = 128


class SampleLengths(NamedTuple):
    """How long samples are: the longest that are computed together (None: the configured ``max_tokens``), how many
    tokens of each are learned, and the beginning all have in common, which is computed once."""

    longest_tokens: int | None = None
    learned_tokens: int = 64
    shared_tokens: int = 0


UNKNOWN_LENGTHS = SampleLengths()


def training_fit(
    model_id: str,
    *,
    config: FinetuneConfig,
    lengths: SampleLengths = UNKNOWN_LENGTHS,
    settings: Settings,
    machine: Machine | None = None,
    weights: Weights | None = None,
    checkpointing: bool = False,
) -> Fit:
    """Set a training run of `model_id` under `config` against a machine (default: this one).

    The samples of a batch are computed up to `PACK_TOKENS` at once, so the peak depends on ``batch_size`` and
    their `lengths`. In the fit, `parts` hold the bytes by name, `workload` the tokens of a sample
    and the samples at once, `largest_context_tokens` the longest single sample that would fit, `ways_out` what to
    change where it does not fit.

    Nothing is loaded: a header or the catalog is read. Raises `UnknownModelError`, `InputError`, and
    `UsageError` for lengths that mean nothing or layers that are not there.
    """
    sized = size_model(model_id, weights=weights, settings=settings)
    machine = machine or probe_machine(settings.home)
    longest = config.max_tokens if lengths.longest_tokens is None else lengths.longest_tokens
    notes = list(sized.notes)
    if config.method == "qlora" and sized.quantized:
        raise UsageError(
            f"qlora would quantize {sized.name} a second time: its GGUF is quantized already",
            hint="--train lora trains a GGUF base against the very numbers that are served",
        )
    if config.method == "full":
        notes.append("freehold trains adapters; full training is counted for a plain loop with whole logits")
    load = TrainingLoad.of(
        config,
        sample_tokens=longest,
        target_tokens=lengths.learned_tokens,
        shared_tokens=min(lengths.shared_tokens, longest - 1),
        fused=runs_fused(sized.shape, config),
        value_bytes=value_bytes(machine),
        device="gpu" if machine.accelerators else "cpu",
        checkpointing=checkpointing,
    )
    if config.method == "full":
        load = load._replace(loss="whole")
    found = _fit_training(sized, load, machine, tuple(notes))
    if found.fits:
        return found
    ways = tuple(_training_ways_out(sized, config, load, machine))
    return fitting.with_id(msgspec.structs.replace(found, ways_out=ways))


def value_bytes(machine: Machine) -> Literal[2, 4]:
    """2 for bf16, where the machine multiplies it fast, else 4 for float32."""
    fast = any(name in machine.isa for name in FAST_BF16)
    return 2 if machine.accelerators or fast else 4


def _fit_training(
    sized: SizedModel, load: TrainingLoad, machine: Machine, notes: tuple[str, ...] = ()
) -> Fit:
    return fitting.fit_training(
        sized.name,
        sized.shape,
        load,
        machine=machine,
        made_from=sized.made_from,
        version=__version__,
        notes=notes,
    )


def _training_ways_out(
    sized: SizedModel, config: FinetuneConfig, load: TrainingLoad, machine: Machine
) -> Iterator[str]:
    """What would fit instead, least painful first."""
    if load.sample_tokens > sized.shape.context_tokens:
        return
    packed = load.packed_tokens
    while packed >= max(2 * load.sample_tokens, 2 * FEWEST_PACKED):
        packed //= 2
        fewer = load._replace(samples=max(1, packed // load.sample_tokens))
        found = _fit_training(sized, fewer, machine)
        if found.fits:
            yield f"{packed:,} tokens at once need {gib(found.total_bytes)}: the same gradient, in parts, by itself"
            break
    if config.method != "qlora" and not sized.quantized:
        four = load._replace(method="qlora", layers="modules", loss="chunked")
        found = _fit_training(sized, four, machine)
        if found.fits:
            yield f"qlora needs {gib(found.total_bytes)}: --train qlora"
    if config.method == "full":
        found = _fit_training(sized, load._replace(method="lora", loss="chunked"), machine)
        if found.fits:
            yield f"lora needs {gib(found.total_bytes)}: --train lora"
    if not load.checkpointing:
        found = _fit_training(sized, load._replace(checkpointing=True), machine)
        if found.fits:
            yield f"activations computed again need {gib(found.total_bytes)}: longer, by itself"
