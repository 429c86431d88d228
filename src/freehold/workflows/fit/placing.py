"""In which form a model is judged on a machine: llama.cpp's quantizations, or on a GPU server what vLLM runs; and
whether a training run fits there (`freehold fit --train`), by part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import accelerators
from freehold.catalog import models as catalog
from freehold.catalog import weights as named_weights
from freehold.engines.weights.store import WeightsStore
from freehold.errors import FreeholdError, UsageError
from freehold.hardware import fit as fitting
from freehold.hardware.memory import Engine, ServingLoad
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import is_known, quantize, repacked_bytes, weights_bytes
from freehold.hardware.speed import Build, estimate, is_geforce
from freehold.hardware.tensors import parameter_count
from freehold.hardware.training_memory import TrainingLoad
from freehold.hardware.vllm_memory import WEIGHT_BITS
from freehold.settings import Settings
from freehold.types.config import FinetuneConfig
from freehold.types.engine import ENGINE_KINDS
from freehold.types.machine import Fit, Machine, Speed, Workload
from freehold.types.model import Model, Weights
from freehold.visible import gib
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.fit.sizes import SizedModel, as_served, size_model

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
    load = TrainingLoad.of(
        config,
        sample_tokens=longest,
        target_tokens=lengths.learned_tokens,
        shared_tokens=min(lengths.shared_tokens, longest - 1),
        value_bytes=value_bytes(machine),
        device="gpu" if machine.accelerators else "cpu",
        checkpointing=checkpointing,
    )
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
        four = load._replace(method="qlora")
        found = _fit_training(sized, four, machine)
        if found.fits:
            yield f"qlora needs {gib(found.total_bytes)}: --train qlora"
    if not load.checkpointing:
        found = _fit_training(sized, load._replace(checkpointing=True), machine)
        if found.fits:
            yield f"activations computed again need {gib(found.total_bytes)}: longer, by itself"


QUANTIZATIONS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
"""llama.cpp: tried from the top, the largest that fits is taken. Below four bits quality must be measured first."""
LEAST_BITS = {"Q8_0": 8.5, "Q6_K": 6.5, "Q5_K_M": 5.5, "Q4_K_M": 4.5}
"""The fewest bits a weight takes: what exceeds the machine's memory even so needs no closer look."""
TRAINED_TOKENS = 512
"""Of a training sample where no traffic says how long they are."""


class Placed(NamedTuple):
    """A model in the best form that fits; `fit` is that of the smallest tried where none does."""

    quantization: str
    fit: Fit
    speed: Speed | None
    engine: Engine = "llamacpp"


def is_gpu_server(machine: Machine) -> bool:
    """Whether vLLM is what one runs there: cards of a data centre or a workstation, not GeForce ones and no Mac."""
    return bool(machine.accelerators) and all(
        device.kind in ("nvidia", "amd") and not device.unified and not is_geforce(device.kind, device.name)
        for device in machine.accelerators
    )


class ServingForm(NamedTuple):
    """An engine, and the quantization it serves; None: what is here, or usual."""

    engine: Engine = "llamacpp"
    quantization: str | None = None


def form_of(
    model_id: str,
    workload: Workload,
    machine: Machine,
    settings: Settings,
    stated: tuple[Engine | None, str | None] = (None, None),
) -> ServingForm:
    """The form in which a model is judged: as it is stated, else as `place` says for what is in the catalog."""
    engine, quantization = stated
    known = catalog.find(model_id)
    if engine is not None or quantization is not None or known is None or known.encoder:
        return ServingForm(engine or "llamacpp", quantization)
    release = catalog.published(known, model_id)
    if release is not None and release.id is not None:  # it names its form itself
        return ServingForm("vllm" if is_gpu_server(machine) else "llamacpp")
    placed = place(known, workload, machine, engine_build(settings), settings)
    return ServingForm(placed.engine, placed.quantization)


def other_form(model_id: str, machine: Machine, settings: Settings) -> str | None:
    """What to know where `freehold fit` names another form than `freehold models pull` fetches: a maker publishes
    safetensors, while this machine would be served a GGUF. Files under another name are named, not fetched."""
    known = catalog.find(model_id)
    if known is None or known.encoder or named_weights.find(model_id) is not None:
        return None
    form = form_of(model_id, Workload(context_tokens=4096, concurrency=1), machine, settings)
    here = WeightsStore(settings.home).find(known.id)
    if form.engine != "llamacpp" or form.quantization is None or (here and here.weights.format == "gguf"):
        return None
    named = f"freehold fit names {served_as(form.quantization, form.engine)} for this machine; what is fetched is what "
    way = f"freehold fit {model_id} --quants lists GGUF files of it"
    if known.gguf:
        way = f"a GGUF of it: freehold models pull hf:{known.gguf[0]} --quant {form.quantization}"
    return f"{named}the maker publishes, for vLLM; {way}"


def place(model: Model, workload: Workload, machine: Machine, build: Build, settings: Settings) -> Placed:
    """The form of a model that lies here as GGUF, or that `freehold models pull` fetches as one, else the best that the
    machine holds at this workload."""
    here = WeightsStore(settings.home).find(model.id)
    known = named_weights.find(model.id) if here is None else here.weights
    if known is not None and known.format == "gguf" and is_known(known.quantization):
        return _quantized(model, workload, machine, build, (known.quantization,))
    if is_gpu_server(machine):
        return _on_server(model, workload, machine, settings)
    usual = QUANTIZATIONS if model.quantization is None else (model.quantization,)
    return _quantized(model, workload, machine, build, usual)


def _on_server(model: Model, workload: Workload, machine: Machine, settings: Settings) -> Placed:
    sized = size_model(model.id, settings=settings)
    found: Placed | None = None
    for form in _forms(model, sized, machine):
        load = ServingLoad(
            quantization=form.quantization,
            weights_bytes=form.bytes,
            weights_basis=form.basis,
            kv_type="auto",
            engine="vllm",
            dense=form.dense,
        )
        fit = fitting.fit(form.name, model.shape, load, workload, machine=machine, version=__version__)
        speed = estimate(model.shape, form.bytes, workload, machine) if fit.headroom_bytes >= 0 else None
        found = Placed(form.quantization, fit, speed, "vllm")
        if fit.headroom_bytes >= 0:
            return found
    assert found is not None
    return found


def _forms(model: Model, sized: SizedModel, machine: Machine) -> Iterator[SizedModel]:
    """Forms from the best to the smallest: 8 bits where the card multiplies them, else as published; then 4 bits."""
    own = as_served(sized, model.id, None)
    small = WEIGHT_BITS.get(own.quantization, 16) <= 9
    fp8 = all(_multiplies_fp8(device.name) for device in machine.accelerators)
    if not small and fp8:
        yield as_served(sized, model.id, "FP8")
    yield own
    if not small and not fp8 and not _is_old(machine):
        yield as_served(sized, model.id, "FP8")
    if WEIGHT_BITS.get(own.quantization, 16) > 5:
        yield as_served(sized, model.id, "AWQ")


def served_as(quantization: str, engine: str) -> str:
    """``Q8_0 in llama.cpp``; an encoder has one engine, which says nothing."""
    titles = {name: kind.title for name, kind in ENGINE_KINDS.items() if name != "encoder"}
    return f"{quantization} in {titles[engine]}" if engine in titles else quantization


def sized_in(model_id: str, form: ServingForm, settings: Settings) -> SizedModel:
    """The sizes of a model as an engine serves it in a quantization (None: as what is here, or usual)."""
    if form.engine != "vllm":
        return size_model(model_id, settings=settings, quantization=form.quantization)
    return as_served(size_model(model_id, settings=settings), model_id, form.quantization)


def _multiplies_fp8(name: str) -> bool:
    try:
        return accelerators.get(name).fp8_tflops is not None
    except UsageError:
        return False


def _is_old(machine: Machine) -> bool:
    """Cards before Ampere, for which vLLM has no kernels of 8-bit floating point."""
    return any("T4" in device.name or "V100" in device.name for device in machine.accelerators)


def _quantized(
    model: Model, workload: Workload, machine: Machine, build: Build, tried: tuple[str, ...]
) -> Placed:
    for name in tried:
        # What cannot fit by its weights alone needs no closer look, unless it is the last to be tried.
        least = parameter_count(model.shape) * LEAST_BITS.get(name, 0) / 8
        if least > room(machine) and name != tried[-1]:
            continue
        size = weights_bytes(model.shape, name)
        if size > room(machine) and name != tried[-1]:
            continue
        twice = 0
        if not machine.accelerators:
            typed = quantize(model.shape, name)
            twice = repacked_bytes(
                ((one.tensor.name, one.tensor.dims, one.type) for one in typed), machine.isa
            )
        load = ServingLoad(
            quantization=name, weights_bytes=size, weights_basis=f"catalog, {name}", repacked_bytes=twice
        )
        fit = fitting.fit(model.id, model.shape, load, workload, machine=machine, version=__version__)
        if fit.headroom_bytes >= 0:
            return Placed(name, fit, estimate(model.shape, size, workload, machine, build=build))
        if name == tried[-1]:
            return Placed(name, fit, None)
    raise AssertionError("the last quantization always returns")


def room(machine: Machine) -> int:
    """Bytes that weights could take at most."""
    if machine.accelerators:
        return sum(device.free_memory_bytes or device.memory_bytes for device in machine.accelerators)
    return machine.available_memory_bytes


class TrainedHere(NamedTuple):
    """How an adapter of a model can be trained on a machine; `fit` is that of the way that takes least."""

    method: str
    fit: Fit


def trained(model: Model, tokens: int | None, machine: Machine, settings: Settings) -> TrainedHere | None:
    """The way by which an adapter fits, LoRA before QLoRA (which takes an accelerator of NVIDIA); None where the
    model's sizes are not known well enough. Where neither fits it is the smaller one, and its fit says so."""
    nvidia = all(device.kind == "nvidia" for device in machine.accelerators) and bool(machine.accelerators)
    found: TrainedHere | None = None
    longest = min(tokens or TRAINED_TOKENS, model.shape.context_tokens)
    for method in ("lora", "qlora") if nvidia else ("lora",):
        config = FinetuneConfig(method=method, batch_size=1, max_tokens=longest)
        try:
            fit = training_fit(
                model.id,
                config=config,
                lengths=SampleLengths(longest, learned_tokens=min(64, longest - 1)),
                settings=settings,
                machine=machine,
                checkpointing=True,
            )
        except FreeholdError:
            continue
        found = TrainedHere(method, fit)
        if fit.fits:
            return found
    return found
