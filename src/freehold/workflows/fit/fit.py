"""`freehold fit`: does a model fit on a machine, served or trained, by part, and what is the most that fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from freehold import __version__
from freehold.errors import UsageError
from freehold.hardware import fit as fitting
from freehold.hardware import vllm_memory
from freehold.hardware.memory import PROMPT_CACHE_BYTES, Engine, ServingLoad
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import repacked_bytes, weights_bytes
from freehold.hardware.speed import estimate
from freehold.hardware.training_memory import TrainingLoad, runs_fused
from freehold.settings import Settings
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Fit, Machine, MeasuredSpeed, Workload
from freehold.types.model import Weights
from freehold.types.units import gib
from freehold.workflows.fit import learned
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.fit.server import fit_server
from freehold.workflows.fit.sizes import Sized, adapter_bytes, at_quantization, size_model
from freehold.workflows.fit.speeds import newest

VLLM_SMALLER = ("FP8", "AWQ")
SMALLER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""Tried from the top where the asked one does not fit."""
MOST_DEVICES = 64
MOST_AT_ONCE = 1024
FAST_BF16 = ("AMX-BF16", "AVX-512-BF16")
"""Instruction sets with which a CPU multiplies bf16 at least as fast as float32, as the trainer asks for."""
FEWEST_PACKED = 128


def fit_model(
    model_id: str,
    *,
    weights: Weights | None = None,
    workload: Workload,
    machine: Machine | None = None,
    settings: Settings,
    quantization: str | None = None,
    kv_type: str = "f16",
    engine: Engine = "llamacpp",
    adapters: tuple[Path, ...] = (),
    prompt_cache_bytes: int = PROMPT_CACHE_BYTES,
    speeds: tuple[MeasuredSpeed, ...] = (),
) -> Fit:
    """Set a model against a machine (default: this one).

    `model_id` is a catalog id, an id synced from a hub, a path (a GGUF file, a folder with config.json, safetensors
    or their index beside one, an Ollama manifest), ``ollama:NAME``, the address of a running vLLM server, or an id
    whose weights are in the store; `weights` says which file is meant. Headers are read, never tensors. Without a
    file the bytes follow from the shape and `quantization`. `adapters` are counted beside the base. Without one of
    `speeds` that was measured with these weights on this machine the speed is an estimate.

    Raises `UnknownModelError` for an id nothing here knows, `InputError` for a file no sizes can be read from,
    `UsageError` for an unknown quantization or cache type or an empty workload.
    """
    if model_id.startswith(("http://", "https://")):
        return fit_server(model_id, workload=workload, settings=settings)
    sized = size_model(
        model_id, weights=weights, settings=settings, quantization=None if engine == "vllm" else quantization
    )
    if engine == "vllm":
        sized, kv_type = _for_vllm(sized, quantization), "auto" if kv_type == "f16" else kv_type
    extra = sum(adapter_bytes(path) for path in adapters)
    sized = sized._replace(adapters_bytes=sized.adapters_bytes + extra)
    box = machine or probe_machine(settings.home)
    found = fit_sized(
        sized,
        workload=workload,
        machine=box,
        settings=settings,
        kv_type=kv_type,
        engine=engine,
        prompt_cache_bytes=prompt_cache_bytes,
    )
    speed = newest(speeds, sized.name, sized.quantization, box.name)
    if speed is None or not found.fits:
        return found
    return fitting.with_id(msgspec.structs.replace(found, speed=speed))


def fit_sized(
    sized: Sized,
    *,
    workload: Workload,
    machine: Machine,
    settings: Settings,
    kv_type: str = "f16",
    engine: Engine = "llamacpp",
    prompt_cache_bytes: int = PROMPT_CACHE_BYTES,
) -> Fit:
    """Set a model whose sizes are known against a machine. Raises `UsageError` as `fit_model` does."""
    found = _fit(sized, workload, machine, kv_type, engine, prompt_cache_bytes)
    found = learned.corrected(found, learned.read(settings.home, sized.path, machine, kv_type))
    speed_type = kv_type if engine == "llamacpp" else "f16"
    ways = () if found.fits else tuple(_ways_out(sized, workload, machine, kv_type, engine))
    return fitting.with_id(
        msgspec.structs.replace(
            found,
            speed=estimate(
                sized.shape, sized.bytes, workload, machine, kv_type=speed_type, build=engine_build(settings)
            )
            if found.fits
            else None,
            ways_out=ways,
            largest_concurrency=_most_at_once(sized, workload, machine, kv_type, engine, prompt_cache_bytes),
        )
    )


def _most_at_once(
    sized: Sized, workload: Workload, machine: Machine, kv_type: str, engine: Engine, prompt_cache_bytes: int
) -> int | None:
    """Requests at once that fit with the workload's context each, up to `MOST_AT_ONCE`."""

    def fits(count: int) -> bool:
        asked = Workload(context_tokens=workload.context_tokens, concurrency=count)
        return _fit(sized, asked, machine, kv_type, engine, prompt_cache_bytes).fits

    if not fits(1):
        return None
    low, high = 1, MOST_AT_ONCE
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _for_vllm(sized: Sized, quantization: str | None) -> Sized:
    """The weights as vLLM holds them: safetensors, so 16 bits unless another is asked for."""
    if sized.quantized and quantization is None:
        note = "vLLM serves GGUF files slowly: it is made for safetensors"
        return sized._replace(notes=(*sized.notes, note))
    wanted = (quantization or "BF16").upper()
    return sized._replace(
        quantization=wanted,
        bytes=vllm_memory.weights_bytes(sized.shape, wanted),
        basis=f"computed from the shape at {wanted}",
    )


def _fit(
    sized: Sized,
    workload: Workload,
    machine: Machine,
    kv_type: str,
    engine: Engine = "llamacpp",
    prompt_cache_bytes: int = PROMPT_CACHE_BYTES,
) -> Fit:
    return fitting.fit(
        sized.name,
        sized.shape,
        ServingLoad(
            quantization=sized.quantization,
            weights_bytes=sized.bytes,
            weights_basis=sized.basis,
            kv_type=kv_type,
            repacked_bytes=0 if machine.accelerators else repacked_bytes(sized.tensors, machine.isa),
            adapters_bytes=sized.adapters_bytes,
            prompt_cache_bytes=prompt_cache_bytes,
            engine=engine,
        ),
        workload,
        machine=machine,
        made_from=sized.made_from,
        version=__version__,
        notes=sized.notes,
    )


def _ways_out(
    sized: Sized, workload: Workload, machine: Machine, kv_type: str, engine: Engine
) -> Iterator[str]:
    """What would fit instead, most useful first."""
    if workload.context_tokens > sized.shape.context_tokens:
        return
    if engine == "vllm":
        for name in VLLM_SMALLER:
            smaller = _for_vllm(sized._replace(quantized=False), name)
            found = _fit(smaller, workload, machine, kv_type, engine)
            if smaller.bytes < sized.bytes and found.fits:
                yield f"{name} needs {gib(found.total_bytes)}: --quant {name}"
                break
        yield from _more_devices(sized, workload, machine, kv_type, engine)
        return
    for name in SMALLER:
        if weights_bytes(sized.shape, name) >= sized.bytes:
            continue
        other = _fit(at_quantization(sized, name), workload, machine, kv_type)
        if other.fits:
            yield f"{name} needs {gib(other.total_bytes)}: --quant {name}"
            break
    if kv_type == "f16":
        other = _fit(sized, workload, machine, "q8_0")
        if other.fits:
            yield f"a q8_0 cache needs {gib(other.total_bytes)} in all: --kv-type q8_0"
    if machine.accelerators:
        yield from _more_devices(sized, workload, machine, kv_type, engine)
        layers = _layers_that_fit(sized, workload, machine, kv_type)
        yield f"{layers} of {sized.shape.layers} layers fit on the accelerator, the rest would run on the CPU"


def _more_devices(
    sized: Sized, workload: Workload, machine: Machine, kv_type: str, engine: Engine
) -> Iterator[str]:
    """How many of the same device hold it. Up to the number of key/value heads tensors can be split (tensor
    parallel), beyond that whole layers (pipeline parallel)."""
    device = machine.accelerators[0]
    for count in range(len(machine.accelerators) + 1, MOST_DEVICES + 1):
        several = msgspec.structs.replace(machine, accelerators=(device,) * count)
        if _fit(sized, workload, several, kv_type, engine).fits:
            heads = sized.shape.kv_heads
            split = "tensor or pipeline parallel" if heads % count == 0 else "pipeline parallel"
            yield f"{count} × {device.name} hold it, {split}"
            return


def _layers_that_fit(sized: Sized, workload: Workload, machine: Machine, kv_type: str) -> int:
    """Layers whose weights and cache fit beside what must be there anyway."""
    found = _fit(sized, workload, machine, kv_type)
    parts = {part.name: part.bytes for part in found.parts}
    per_layer = sum(parts.get(name, 0) for name in ("weights", "kv_cache", "kv_margin", "recurrent_state"))
    fixed = found.total_bytes - per_layer
    room = max(0, found.available_bytes - fixed)
    return min(sized.shape.layers, int(room / (per_layer / sized.shape.layers)))


def training_fit(
    model_id: str,
    *,
    config: FinetuneConfig,
    sample_tokens: int | None = None,
    target_tokens: int = 64,
    shared_tokens: int = 0,
    settings: Settings,
    machine: Machine | None = None,
    weights: Weights | None = None,
    checkpointing: bool | None = None,
) -> Fit:
    """Set a training run of `model_id` under `config` against a machine (default: this one).

    ``training_fit(model_id, *, config, sample_tokens=None, target_tokens=64, shared_tokens=0, settings,
    machine=None, weights=None, checkpointing=None) -> Fit``

    `sample_tokens` is the length of the longest samples that are computed together (None: ``max_tokens``),
    `target_tokens` how many of each are learned, `shared_tokens` the beginning all samples have in common,
    which is computed once. The samples of a batch are computed up to ``pack_tokens`` at once, so the peak
    hangs on ``batch_size``, ``pack_tokens`` and these lengths. In the fit, `parts` hold the bytes by name,
    `workload` the tokens of a sample and the samples at once, `largest_context_tokens` the longest single
    sample that would fit, `ways_out` what to change where it does not fit.

    Nothing is loaded: a header or the catalog is read. Raises `UnknownModelError`, `InputError`, and
    `UsageError` for lengths that mean nothing or layers that are not there.
    """
    sized = size_model(model_id, weights=weights, settings=settings)
    machine = machine or probe_machine(settings.home)
    if checkpointing is None:
        checkpointing = bool(config.gradient_checkpointing)
    longest = config.max_tokens if sample_tokens is None else sample_tokens
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
        target_tokens=target_tokens,
        shared_tokens=min(shared_tokens, longest - 1),
        fused=runs_fused(sized.shape, config),
        value_bytes=value_bytes(config, machine),
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


def value_bytes(config: FinetuneConfig, machine: Machine) -> Literal[2, 4]:
    """2 for bf16 and 4 for float32: as asked, else bf16 where the machine multiplies it fast."""
    if config.precision != "auto":
        return 2 if config.precision == "bf16" else 4
    fast = any(name in machine.isa for name in FAST_BF16)
    return 2 if machine.accelerators or fast else 4


def _fit_training(sized: Sized, load: TrainingLoad, machine: Machine, notes: tuple[str, ...] = ()) -> Fit:
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
    sized: Sized, config: FinetuneConfig, load: TrainingLoad, machine: Machine
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
            yield f"pack_tokens = {packed} needs {gib(found.total_bytes)}: the same gradient, in parts"
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
            size = gib(found.total_bytes)
            yield f"gradient_checkpointing needs {size}, and takes longer: --checkpointing"
