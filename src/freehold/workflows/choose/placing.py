"""In which form a model is judged on a machine: llama.cpp's quantizations, or on a GPU server what vLLM runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from freehold import __version__
from freehold.catalog import accelerators
from freehold.errors import FreeholdError, UsageError
from freehold.hardware import fit as fitting
from freehold.hardware import vllm_memory
from freehold.hardware.memory import Engine, ServingLoad
from freehold.hardware.quantization import quantize, repacked_bytes, weights_bytes
from freehold.hardware.speed import Build, estimate, is_geforce
from freehold.hardware.tensors import parameter_count
from freehold.hardware.vllm_memory import WEIGHT_BITS
from freehold.settings import Settings
from freehold.types.config import FinetuneConfig
from freehold.types.machine import Fit, Machine, Speed, Workload
from freehold.types.model import Model
from freehold.workflows.fit.sizes import SizedModel, size_model
from freehold.workflows.fit.training import SampleLengths, training_fit
from freehold.workflows.fit.vllm import as_served

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


def place(model: Model, workload: Workload, machine: Machine, build: Build, settings: Settings) -> Placed:
    """The best form of a model that the machine holds at this workload."""
    if is_gpu_server(machine):
        return _on_server(model, workload, machine, settings)
    return _quantized(model, workload, machine, build)


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
        yield _in_form(model, sized, "FP8")
    yield own
    if not small and not fp8 and not _is_old(machine):
        yield _in_form(model, sized, "FP8")
    if WEIGHT_BITS.get(own.quantization, 16) > 5:
        yield _in_form(model, sized, "AWQ")


def served_bytes(model: Model, quantization: str, engine: str) -> int:
    """Bytes of a model's weights as `place` judged them."""
    if engine != "vllm":
        return weights_bytes(model.shape, quantization)
    release = next((one for one in model.published if one.form == quantization), None)
    if release is not None and release.bytes is not None:
        return release.bytes
    return vllm_memory.weights_bytes(
        model.shape, quantization, release.dense if release is not None else None
    )


def _in_form(model: Model, sized: SizedModel, form: str) -> SizedModel:
    """A release in that form where its makers publish one, else as vLLM or a tool makes it."""
    release = next((one.id for one in model.published if one.form == form and one.id is not None), None)
    return as_served(sized, release, None) if release is not None else as_served(sized, model.id, form)


def _multiplies_fp8(name: str) -> bool:
    try:
        return accelerators.get(name).fp8_tflops is not None
    except UsageError:
        return False


def _is_old(machine: Machine) -> bool:
    """Cards before Ampere, for which vLLM has no kernels of 8-bit floating point."""
    return any("T4" in device.name or "V100" in device.name for device in machine.accelerators)


def _quantized(model: Model, workload: Workload, machine: Machine, build: Build) -> Placed:
    tried = QUANTIZATIONS if model.quantization is None else (model.quantization,)
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
