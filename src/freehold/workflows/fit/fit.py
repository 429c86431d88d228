"""`freehold fit`: does a model that is served fit on a machine, by part, and what is the most that fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import __version__
from freehold.catalog import models as catalog
from freehold.encoders.folder import is_encoder, read_manifest
from freehold.hardware import fit as fitting
from freehold.hardware.memory import PROMPT_CACHE_BYTES, Engine, ServingLoad
from freehold.hardware.probes import probe_machine
from freehold.hardware.quantization import repacked_bytes, weights_bytes
from freehold.hardware.speed import estimate
from freehold.settings import Settings
from freehold.types.engine import ENGINE_KINDS
from freehold.types.machine import Fit, Machine, MeasuredSpeed, Workload
from freehold.types.model import Weights
from freehold.visible import gib
from freehold.workflows.fit import learned
from freehold.workflows.fit.encoder import fit_of_base, fit_of_folder
from freehold.workflows.fit.learned import narrowed, newest
from freehold.workflows.fit.machine import engine_build
from freehold.workflows.fit.sizes import (
    SizedModel,
    adapter_bytes,
    as_served,
    at_quantization,
    size_model,
    vllm_ways,
)

SMALLER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""Tried from the top where the one asked for does not fit."""
SMALLER_CACHES = ("q8_0", "q4_0")
MOST_DEVICES = 64
MOST_AT_ONCE = 1024


class ServingOptions(NamedTuple):
    """How a model is to be served, as far as its memory depends on it."""

    quantization: str | None = None
    kv_type: str = "f16"
    engine: Engine = "llamacpp"
    adapters: tuple[Path, ...] = ()
    prompt_cache_bytes: int = PROMPT_CACHE_BYTES


USUAL = ServingOptions()


def served_by(engine: Engine) -> ServingOptions:
    """What an engine's memory depends on where nothing else is stated."""
    return ServingOptions(kv_type="auto" if engine == "vllm" else "f16", engine=engine)


def fit_model(
    model_id: str,
    *,
    weights: Weights | None = None,
    workload: Workload,
    machine: Machine | None = None,
    settings: Settings,
    options: ServingOptions = USUAL,
    speeds: tuple[MeasuredSpeed, ...] = (),
) -> Fit:
    """Set a model against a machine (default: this one).

    `model_id` is a catalog id, an id synced from a hub, a path (a GGUF file, a folder with config.json, safetensors
    or their index next to one, an Ollama manifest), ``ollama:NAME``, or an id whose weights are in the store; `weights`
    says which file is meant. Headers are read, never tensors. Without a file the bytes follow from the shape and the
    quantization. Adapters are counted in addition to the base. Without one of `speeds` that was measured with these
    weights on this machine the speed is an estimate.

    An encoder is counted as it is served: no cache, and nothing that its own engine does not hold.

    Raises `UnknownModelError` for an id nothing here knows, `InputError` for a file no sizes can be read from,
    `UsageError` for an unknown quantization or cache type or an empty workload.
    """
    encoder = _encoder(model_id, workload, machine, settings)
    if encoder is not None:
        return encoder
    converts = ENGINE_KINDS[options.engine].reads == "safetensors"
    sized = size_model(
        model_id, weights=weights, settings=settings, quantization=None if converts else options.quantization
    )
    if converts:
        sized = as_served(sized, model_id, options.quantization)
        options = options._replace(kv_type="auto" if options.kv_type == "f16" else options.kv_type)
    extra = sum(adapter_bytes(path) for path in options.adapters)
    sized = sized._replace(adapters_bytes=sized.adapters_bytes + extra)
    machine = machine or probe_machine(settings.home)
    found = fit_sized(sized, workload=workload, machine=machine, settings=settings, options=options)
    speed = newest(speeds, sized.name, sized.quantization, machine.name)
    if speed is None and found.speed is not None:
        speed = narrowed(
            found.speed, (sized.quantization, sized.bytes), speeds, machine, engine_build(settings)
        )
    if speed is None or not found.fits:
        return found
    return fitting.with_id(msgspec.structs.replace(found, speed=speed))


def _encoder(model_id: str, workload: Workload, machine: Machine | None, settings: Settings) -> Fit | None:
    """The fit of an encoder's folder, or of a model of the catalog that reads and does not write; None for others."""
    folder = Path(model_id.removeprefix("file:")).expanduser()
    known = catalog.find(model_id)
    if is_encoder(folder):
        manifest = read_manifest(folder)
        machine = machine or probe_machine(settings.home)
        return fit_of_folder(folder.name, folder, manifest, workload, machine=machine)
    if known is not None and known.encoder:
        return fit_of_base(known, workload, machine=machine or probe_machine(settings.home))
    return None


def fit_sized(
    sized: SizedModel,
    *,
    workload: Workload,
    machine: Machine,
    settings: Settings,
    options: ServingOptions = USUAL,
) -> Fit:
    """Set a model whose sizes are known against a machine; its quantization and adapters are those of `sized`.

    Raises `UsageError` as `fit_model` does.
    """
    found = _fit(sized, workload, machine, options)
    found = learned.corrected(
        found, learned.read_correction(settings.home, sized.path, machine, options.kv_type)
    )
    speed_type = "f16" if ENGINE_KINDS[options.engine].plain_kv_only else options.kv_type
    ways = () if found.fits else tuple(_ways_out(sized, workload, machine, options))
    return fitting.with_id(
        msgspec.structs.replace(
            found,
            speed=estimate(
                sized.shape, sized.bytes, workload, machine, kv_type=speed_type, build=engine_build(settings)
            )
            if found.fits
            else None,
            ways_out=ways,
            largest_concurrency=_most_at_once(sized, workload, machine, options),
        )
    )


def _most_at_once(
    sized: SizedModel, workload: Workload, machine: Machine, options: ServingOptions
) -> int | None:
    """Requests at once that fit with the workload's context each, up to `MOST_AT_ONCE`."""

    def fits(count: int) -> bool:
        more = Workload(context_tokens=workload.context_tokens, concurrency=count)
        return _fit(sized, more, machine, options).fits

    if not fits(1):
        return None
    low, high = 1, MOST_AT_ONCE
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _fit(sized: SizedModel, workload: Workload, machine: Machine, options: ServingOptions) -> Fit:
    return fitting.fit(
        sized.name,
        sized.shape,
        ServingLoad(
            quantization=sized.quantization,
            weights_bytes=sized.bytes,
            weights_basis=sized.basis,
            kv_type=options.kv_type,
            repacked_bytes=0 if machine.accelerators else repacked_bytes(sized.tensors, machine.isa),
            adapters_bytes=sized.adapters_bytes,
            prompt_cache_bytes=options.prompt_cache_bytes,
            engine=options.engine,
            dense=sized.dense,
        ),
        workload,
        machine=machine,
        made_from=sized.made_from,
        version=__version__,
        notes=sized.notes,
    )


def _ways_out(
    sized: SizedModel, workload: Workload, machine: Machine, options: ServingOptions
) -> Iterator[str]:
    """What would fit instead, most useful first."""
    if workload.context_tokens > sized.shape.context_tokens:
        return
    if ENGINE_KINDS[options.engine].reserves_accelerator:

        def fitted(other: SizedModel, box: Machine, kv_type: str | None) -> Fit:
            return _fit(other, workload, box, options._replace(kv_type=kv_type or options.kv_type))

        yield from vllm_ways(sized, machine, fitted)
        return
    for name in SMALLER:
        if weights_bytes(sized.shape, name) >= sized.bytes:
            continue
        other = _fit(at_quantization(sized, name), workload, machine, options)
        if other.fits:
            yield f"{name} needs {gib(other.total_bytes)}: --quant {name}"
            break
    for kv_type in SMALLER_CACHES if options.kv_type == "f16" else ():
        other = _fit(sized, workload, machine, options._replace(kv_type=kv_type))
        if other.fits:
            yield f"a {kv_type} cache needs {gib(other.total_bytes)} in all: --kv-type {kv_type}"
            break
    if machine.accelerators:
        yield from _more_devices(sized, workload, machine, options)
        layers = _layers_that_fit(sized, workload, machine, options)
        yield f"{layers} of {sized.shape.layers} layers fit on the accelerator, the rest would run on the CPU"


def _more_devices(
    sized: SizedModel, workload: Workload, machine: Machine, options: ServingOptions
) -> Iterator[str]:
    """How many of the same device hold it: llama.cpp gives each some of the layers."""
    device = machine.accelerators[0]
    for count in range(len(machine.accelerators) + 1, MOST_DEVICES + 1):
        several = msgspec.structs.replace(machine, accelerators=(device,) * count)
        if _fit(sized, workload, several, options).fits:
            yield f"{count} × {device.name} hold it, each some of the layers"
            return


def _layers_that_fit(sized: SizedModel, workload: Workload, machine: Machine, options: ServingOptions) -> int:
    """Layers whose weights and cache fit next to what must be there anyway."""
    found = _fit(sized, workload, machine, options)
    parts = {part.name: part.bytes for part in found.parts}
    per_layer = sum(parts.get(name, 0) for name in ("weights", "kv_cache", "kv_margin", "recurrent_state"))
    fixed = found.total_bytes - per_layer
    room = max(0, found.available_bytes - fixed)
    return min(sized.shape.layers, int(room / (per_layer / sized.shape.layers)))
